//! A release: what is deployed, whole and never changed.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use host::clock::Timestamp;
use serde::{Deserialize, Serialize};

/// `r12`: the releases of an environment are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ReleaseId(pub i64);

/// What is no name of the kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is none: they are called {letter}1, {letter}2 and so on")]
pub struct NoId {
    text: String,
    letter: char,
}

pub(crate) fn numbered(text: &str, letter: char) -> Result<i64, NoId> {
    let number = text.strip_prefix(letter).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let number = number.and_then(|digits| digits.parse().ok()).filter(|number| *number > 0);
    number.ok_or_else(|| NoId { text: text.to_owned(), letter })
}

impl fmt::Display for ReleaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("r{}", self.0))
    }
}

impl FromStr for ReleaseId {
    type Err = NoId;

    fn from_str(text: &str) -> Result<Self, NoId> {
        numbered(text, 'r').map(Self)
    }
}

impl TryFrom<String> for ReleaseId {
    type Error = NoId;

    fn try_from(text: String) -> Result<Self, NoId> {
        text.parse()
    }
}

impl From<ReleaseId> for String {
    fn from(id: ReleaseId) -> Self {
        id.to_string()
    }
}

/// One app's part.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    pub app: String,
    /// SHA-256 of what is run, 64 hexadecimal digits.
    pub digest: String,
    /// Bytes, unpacked.
    pub bytes: u64,
}

/// Where the code of a release comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Origin {
    /// 40 hexadecimal digits; absent where the project is in no repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Whether the work tree differed from the commit.
    #[serde(default)]
    pub changed: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// First lines of the commits since the last release, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub changes: Vec<String>,
}

/// What a release is made of, before it has a number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    pub artifacts: Vec<Artifact>,
    /// Text of the manifest that it is run by.
    pub manifest: String,
    /// SHA-256 of that text.
    pub manifest_digest: String,
    /// What each app is told that is no secret, and of each secret the version: `NAME=value`, `NAME=secret@3`.
    pub settings: BTreeMap<String, Vec<String>>,
    pub origin: Origin,
    /// Who made it.
    pub author: String,
}

impl Contents {
    pub fn artifact(&self, app: &str) -> Option<&Artifact> {
        self.artifacts.iter().find(|artifact| artifact.app == app)
    }

    /// Bytes of all that is run, unpacked.
    pub fn bytes(&self) -> u64 {
        self.artifacts.iter().map(|artifact| artifact.bytes).sum()
    }
}

/// A release. It never changes; whether it once served well is noted beside it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    pub id: ReleaseId,
    pub made_at: Timestamp,
    #[serde(flatten)]
    pub contents: Contents,
    /// It went live and stayed so through its verification: one can roll back to it.
    pub stable: bool,
}

impl Release {
    /// What apps and logs call it: `r12-1a2b3c4d5e6f`, with the commit where there is one.
    pub fn name(&self) -> String {
        match &self.contents.origin.commit {
            Some(commit) => format!("{}-{}", self.id, commit.get(..12).unwrap_or(commit)),
            None => self.id.to_string(),
        }
    }
}
