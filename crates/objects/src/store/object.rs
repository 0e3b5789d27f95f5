//! What is known of an object.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use host::clock::Timestamp;
use serde::{Deserialize, Serialize};

use super::Content;

/// SHA-256 of a content.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// In 64 digits.
    pub fn hex(&self) -> String {
        hex(&self.0)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.hex())
    }
}

impl FromStr for Digest {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut bytes = [0; 32];
        if text.len() != 64 || !text.is_ascii() {
            return Err(());
        }
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).map_err(drop)?;
        }
        Ok(Self(bytes))
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        for half in [byte >> 4, byte & 15] {
            text.push(char::from_digit(u32::from(half), 16).expect("half a byte is a digit"));
        }
        text
    })
}

/// A version of an object. Later ones are larger, over all buckets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VersionId(pub(super) i64);

impl fmt::Display for VersionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl FromStr for VersionId {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// What is said about a content by whoever put it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache_control: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_disposition: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_encoding: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content_language: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// `x-amz-meta-*`, without that beginning.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub user: BTreeMap<String, String>,
    /// What the client computed, and was found to be right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum: Option<Checksum>,
}

/// A checksum as a header of S3 names it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksum {
    /// `crc32`, `crc32c`, `crc64nvme`, `sha1`, `sha256`.
    pub algorithm: String,
    /// In base64; with `-N` behind it where it is that of the checksums of N parts.
    pub value: String,
}

/// All of an object but what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Head {
    pub key: String,
    pub version: VersionId,
    pub size: u64,
    /// Without quotes: the MD5 of the content, or of the MD5s of its parts and `-N`.
    pub etag: String,
    /// Of the content. Where it was put in parts, of their digests one after the other.
    pub digest: Digest,
    /// How many parts it was put in; 0 where it came as one.
    pub parts: u32,
    pub modified: Timestamp,
    pub metadata: Metadata,
}

/// An object that can be read.
#[derive(Debug)]
pub struct Object {
    pub head: Head,
    pub content: Content,
}

/// What must be there for a put or a deletion to be done.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Expect {
    #[default]
    Anything,
    /// No object of this key.
    Absent,
    /// An object of this key, with this ETag where one is named.
    Etag(Option<String>),
}
