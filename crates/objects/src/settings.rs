//! What is said about a store of objects from outside.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How one store is served.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// What clients must sign for: `us-east-1` is what many of them take where nothing is said.
    pub region: String,
    /// With it, `BUCKET.BASE_HOST` is a bucket's host; `BASE_HOST/BUCKET` is one always.
    #[serde(default)]
    pub base_host: Option<String>,
    pub buckets: Vec<Bucket>,
}

/// One bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Bucket {
    pub name: String,
    /// Whether anybody may read what is in it. Nobody may list it without a key.
    #[serde(default)]
    pub public_read: bool,
    /// Of one object, however it comes; the server's own limits hold besides.
    #[serde(default)]
    pub max_object_bytes: Option<u64>,
    /// Of what is in it and of uploads that are not complete. What is kept for undo may take as much once more.
    #[serde(default)]
    pub quota_bytes: Option<u64>,
    /// How long what was overwritten or deleted can be put back, in seconds.
    #[serde(default, with = "seconds")]
    pub undo: Duration,
    /// Whose pages may ask from a browser (`https://shop.example`), or `*`.
    #[serde(default)]
    pub origins: Vec<String>,
}

impl Bucket {
    /// A bucket that only keys open, without a quota and without undo.
    pub fn private(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            public_read: false,
            max_object_bytes: None,
            quota_bytes: None,
            undo: Duration::ZERO,
            origins: Vec::new(),
        }
    }
}

impl Settings {
    /// What is declared about a bucket.
    pub fn bucket(&self, name: &str) -> Option<&Bucket> {
        self.buckets.iter().find(|bucket| bucket.name == name)
    }
}

/// Whether a name can be a bucket's: as S3 has it, so that it can be a label of a host too.
pub fn is_bucket_name(name: &str) -> bool {
    let inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    let outer = |byte: Option<&u8>| byte.is_some_and(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let bytes = name.as_bytes();
    (3..=63).contains(&bytes.len())
        && bytes.iter().copied().all(inner)
        && outer(bytes.first())
        && outer(bytes.last())
        && !name.contains("..")
        && name.parse::<std::net::Ipv4Addr>().is_err()
}

mod seconds {
    use std::time::Duration;

    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u64(duration.as_secs())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        u64::deserialize(deserializer).map(Duration::from_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buckets_name_can_be_a_label_of_a_host() {
        for name in ["media", "a-b.c", "abc", "0ab"] {
            assert!(is_bucket_name(name), "{name}");
        }
        for name in ["", "ab", "Media", "a_b", "-ab", "ab-", "a..b", "1.2.3.4", "..", "a/b", &"x".repeat(64)] {
            assert!(!is_bucket_name(name), "{name}");
        }
    }
}
