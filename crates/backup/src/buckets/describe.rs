//! What is said of an object in a list.

use std::str::FromStr;

use host::clock::Timestamp;
use objects::store::{Digest, Head, Metadata, SnapshotEntry, VersionId};
use reconcile::Fault;
use serde::{Deserialize, Serialize};

/// An object, by all that counts: what is restored must be the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Row {
    pub(super) key: String,
    pub(super) size: u64,
    pub(super) etag: String,
    /// Of what it holds; where it was put in parts, of their digests one after the other.
    pub(super) sha256: String,
    /// How many it was put in; 0 where it came as one.
    pub(super) parts: u32,
    pub(super) modified: Timestamp,
    pub(super) metadata: Metadata,
    /// What it holds is these contents, one behind the other.
    pub(super) pieces: Vec<OfPiece>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct OfPiece {
    pub(super) sha256: String,
    pub(super) size: u64,
}

/// A line of a list: beside what counts, where it lies and which version it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Line {
    /// Below the bucket's `data`.
    pub(super) path: String,
    pub(super) version: VersionId,
    #[serde(flatten)]
    pub(super) row: Row,
}

impl Row {
    pub(super) fn of(entry: &SnapshotEntry) -> Self {
        let SnapshotEntry { head, pieces, .. } = entry;
        Self {
            key: head.key.clone(),
            size: head.size,
            etag: head.etag.clone(),
            sha256: head.digest.hex(),
            parts: head.parts,
            modified: head.modified,
            metadata: head.metadata.clone(),
            pieces: pieces.iter().map(|piece| OfPiece { sha256: piece.digest.hex(), size: piece.size }).collect(),
        }
    }

    /// What the digest of a bucket is made of.
    pub(super) fn bytes(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain data")
    }

    /// For the store; `version` is another one there.
    pub(super) fn head(&self, version: VersionId) -> Result<Head, Fault> {
        let digest = Digest::from_str(&self.sha256);
        let digest = digest.map_err(|()| Fault::new(format!("the backup has no digest of {:?}", self.key)))?;
        Ok(Head {
            key: self.key.clone(),
            version,
            size: self.size,
            etag: self.etag.clone(),
            digest,
            parts: self.parts,
            modified: self.modified,
            metadata: self.metadata.clone(),
        })
    }
}
