//! What a snapshot holds, by its own word: the last file of it, without which it is none.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use host::clock::Timestamp;
use mongodb::bson;
use serde::{Deserialize, Serialize};

use crate::digest::Digest;

/// Version of what snapshots look like inside. Later ones read all before: since 2 there are objects, since 3 releases,
/// since 4 telemetry.
pub const FORMAT: u32 = 4;

/// What a snapshot without telemetry says that it is: who knows no later one reads all of it.
pub(crate) const WITHOUT_TELEMETRY: u32 = 3;

/// The same of one without releases.
pub(crate) const WITHOUT_RELEASES: u32 = 2;

/// The same of one without objects.
pub(crate) const WITHOUT_OBJECTS: u32 = 1;

/// Where it lies in a snapshot. Its name comes after all others.
pub(crate) const PATH: &str = "~contents.json";

/// A moment of a replica set: seconds since the Unix epoch, and which change of that second.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ClusterTime {
    pub seconds: u32,
    pub increment: u32,
}

impl ClusterTime {
    /// The last moment that is not after `time`: with all changes of its second.
    pub fn until(time: Timestamp) -> Self {
        Self { seconds: u32::try_from(time.unix_millis() / 1000).unwrap_or(0), increment: u32::MAX }
    }

    /// The beginning of its second, as people tell time.
    pub fn time(self) -> Timestamp {
        Timestamp::from_unix_millis(i64::from(self.seconds) * 1000)
    }

    pub(crate) fn bson(self) -> bson::Timestamp {
        bson::Timestamp { time: self.seconds, increment: self.increment }
    }
}

impl From<bson::Timestamp> for ClusterTime {
    fn from(timestamp: bson::Timestamp) -> Self {
        Self { seconds: timestamp.time, increment: timestamp.increment }
    }
}

impl Ord for ClusterTime {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.seconds, self.increment).cmp(&(other.seconds, other.increment))
    }
}

impl PartialOrd for ClusterTime {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl fmt::Display for ClusterTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.time())
    }
}

/// What a base holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contents {
    pub format: u32,
    pub product: String,
    pub environment: String,
    pub taken: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mongodb: Option<OfMongo>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redis: Vec<OfRedis>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub objects: Option<OfObjects>,
    /// Absent where nothing was deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub releases: Option<OfReleases>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telemetry: Option<OfTelemetry>,
    pub files: Vec<OfFile>,
}

/// A database of MongoDB, as it was at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfMongo {
    pub database: String,
    /// Of the server.
    pub version: String,
    pub at: ClusterTime,
    pub collections: Vec<OfCollection>,
}

/// One collection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfCollection {
    pub name: String,
    /// As `listCollections` says: `collection`, `view`, `timeseries`.
    pub kind: String,
    pub indexes: u64,
    pub parts: u32,
    /// Capped collections cannot be read at a moment of the past: they are as they were shortly after.
    pub at_moment: bool,
    pub digest: Digest,
}

/// One Redis, by its append-only log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfRedis {
    pub unit: String,
    /// Keys that do not go by themselves, as it said itself shortly before and after: others may be gone by the time of a restore.
    pub keys: (u64, u64),
    pub files: Vec<OfFile>,
}

/// Object storage, as it was when the moment of MongoDB had been fixed: what documents speak of then is there.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfObjects {
    /// By name.
    pub buckets: Vec<OfBucket>,
}

impl OfObjects {
    pub fn bucket(&self, name: &str) -> Option<&OfBucket> {
        self.buckets.iter().find(|bucket| bucket.name == name)
    }

    pub fn objects(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.digest.documents).sum()
    }

    /// Of what they hold.
    pub fn bytes(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.bytes).sum()
    }
}

/// One bucket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfBucket {
    pub name: String,
    /// Of what its objects hold.
    pub bytes: u64,
    /// Files that list its objects.
    pub lists: u32,
    /// Of what they list: each object is a document of it, with its key, its metadata and the digest of what it holds.
    pub digest: Digest,
}

/// Releases that are live, or that one can go back to. The book of deployments is one of the environment's files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfReleases {
    /// The newest first.
    pub releases: Vec<OfRelease>,
    /// What they are run from.
    pub files: Vec<OfFile>,
}

impl Contents {
    /// What is not in the backup though it should be, each in one line.
    pub fn left_out(&self) -> Vec<String> {
        let telemetry = self.telemetry.iter().flat_map(|telemetry| telemetry.left_out.iter().cloned());
        self.releases.iter().flat_map(OfReleases::left_out).chain(telemetry).collect()
    }
}

impl OfReleases {
    /// What is not in the backup though it should be, each in one line.
    pub fn left_out(&self) -> Vec<String> {
        let of = |release: &OfRelease| {
            let name = release.name.clone();
            release.lacking.iter().map(move |why| format!("{name}: {why}")).collect::<Vec<_>>()
        };
        self.releases.iter().flat_map(of).collect()
    }
}

/// One release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfRelease {
    /// `r12`
    pub name: String,
    /// Whether visitors reached it.
    pub is_live: bool,
    /// Digests of its artifacts, by their apps.
    pub artifacts: BTreeMap<String, String>,
    /// Artifacts that are not in the backup, and why; empty where it can be run from it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lacking: Vec<String>,
}

/// What apps reported.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfTelemetry {
    pub files: Vec<OfFile>,
    /// What could not be read, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<String>,
}

/// A file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfFile {
    /// Relative to where all of them are.
    pub path: String,
    pub bytes: u64,
    pub sha256: String,
}

/// A name as one part of a path: whatever is no plain letter is written as `%xx`.
pub(crate) fn escaped(name: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let mut text = String::new();
    for (at, byte) in name.bytes().enumerate() {
        // No name begins with a dot: `.` and `..` are somewhere else.
        if is_plain(byte) && !(at == 0 && byte == b'.') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02x}"));
        }
    }
    text
}

/// Folder of a collection in a snapshot.
pub(crate) fn collection_folder(database: &str, collection: &str) -> String {
    format!("mongodb/{}/{}", escaped(database), escaped(collection))
}

pub(crate) fn part_path(folder: &str, number: u32) -> String {
    format!("{folder}/documents-{number:06}.bson")
}

pub(crate) fn metadata_path(folder: &str) -> String {
    format!("{folder}/metadata.bson")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_one_part_of_a_path_and_stay_apart() {
        assert_eq!(escaped("orders"), "orders");
        assert_eq!(escaped("a/b"), "a%2fb");
        assert_eq!(escaped(".."), "%2e.");
        assert_eq!(escaped("a%2fb"), "a%252fb");
        assert_eq!(escaped("größe"), "gr%c3%b6%c3%9fe");
    }

    #[test]
    fn a_moment_is_after_all_changes_of_its_second() {
        let until = ClusterTime::until(Timestamp::from_unix_millis(5_999));
        assert!(ClusterTime { seconds: 5, increment: 70_000 } <= until);
        assert!(ClusterTime { seconds: 6, increment: 1 } > until);
    }
}
