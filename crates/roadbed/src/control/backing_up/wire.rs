//! What control is asked about backups, and what it answers.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use backup::{Contents, Copied, DrillRecord, KeysRestored, ObjectsRestored, Restored, Snapshot, Verification};
use host::clock::Timestamp;
use serde::{Deserialize, Serialize};
use stores::mongo::sample::Replaced;

use super::source::Source;
use crate::recovery::ReleasesBack;

/// A question or an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "ask")]
pub enum Request {
    Now,
    /// How far the backup is that is being taken.
    Progress,
    List,
    Show {
        name: String,
    },
    Verify,
    Hold {
        name: String,
        is_held: bool,
    },
    Prune,
    /// Makes a key that opens the repository without the environment.
    RecoveryKey,
    /// Takes over a repository that another root made, by a recovery key of it.
    Adopt {
        key: String,
    },
    Drill,
    /// What would be lost, and for how long it would be away, beside what is promised.
    Objectives,
    Restore(ToRestore),
    /// Puts keys of Redis back.
    RestoreKeys {
        /// Beginning of their names.
        prefix: String,
        at: Option<Timestamp>,
        in_place: bool,
    },
    /// Puts objects of a bucket back.
    RestoreObjects {
        /// The bucket, and behind a slash the beginning of keys.
        named: String,
        at: Option<Timestamp>,
        in_place: bool,
    },
    /// Puts MongoDB's documents, masked, into a preview.
    RestoreMasked(ToMask),
    /// Puts MongoDB back into an environment that was begun anew from a backup.
    Recover {
        from: Source,
        key: String,
    },
}

/// What is restored, and where to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToRestore {
    /// As it was then; as new as there is, where that is absent.
    pub at: Option<Timestamp>,
    /// One collection alone.
    pub collection: Option<String>,
    /// In place of what lives, which is backed up first.
    pub in_place: bool,
}

/// What is masked, and where it goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToMask {
    /// Number of the preview's pull request.
    pub preview: u32,
    /// As it was then; as new as there is, where that is absent.
    pub at: Option<Timestamp>,
    /// One collection alone.
    pub collection: Option<String>,
    /// Who asks, for the audit log.
    pub by: String,
}

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "answer")]
pub enum Answer {
    Taken {
        snapshot: Snapshot,
        /// What is not in it though it should be, each in one line.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        left_out: Vec<String>,
    },
    Progress {
        progress: Option<Progress>,
    },
    List(Listing),
    Contents {
        contents: Box<Contents>,
    },
    Verified {
        verification: Verification,
    },
    Held {
        snapshot: Snapshot,
    },
    Pruned {
        gone: usize,
    },
    RecoveryKey {
        key: String,
    },
    Adopted {
        repository: String,
        snapshots: usize,
    },
    Drilled {
        record: DrillRecord,
    },
    Objectives(Objectives),
    Restored(Done),
    RestoredKeys(KeysDone),
    RestoredObjects(ObjectsDone),
    RestoredMasked(MaskedDone),
    Recovered(Recovered),
}

/// How far a backup is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Read and handed on.
    pub bytes: u64,
    /// As many as the backup before had; absent for the first.
    pub expected: Option<u64>,
    /// Since it began.
    pub seconds: u64,
    /// Whether it waits for MongoDB to be less busy.
    pub waits: bool,
}

/// What there is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    pub repository: String,
    /// Backups of everything, oldest first.
    pub backups: Vec<Snapshot>,
    /// How many slices of changes there are.
    pub slices: usize,
    /// Any second up to then can be restored, from the first backup on, where there is no gap.
    pub covered: Option<Timestamp>,
    pub drill: Option<DrillRecord>,
    /// Why the last attempt came to nothing.
    pub trouble: Option<String>,
    /// Second repositories, in the order of their names.
    #[serde(default)]
    pub copies: Vec<CopyListed>,
}

/// How a second repository stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyListed {
    pub name: String,
    pub repository: String,
    pub append_only: bool,
    /// When it had all that was saved.
    pub complete: Option<Timestamp>,
    /// Why the last attempt came to nothing.
    pub trouble: Option<String>,
    /// It takes nothing away, though the manifest does not say so.
    pub refuses: bool,
}

/// What would be lost, and for how long it would be away, beside what is promised.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Objectives {
    /// The longest time whose changes may be lost.
    pub rpo: Duration,
    /// The longest time that restoring everything may take.
    pub rto: Duration,
    /// So long ago it was seen that all changes of MongoDB are saved; absent where it never was.
    pub unsaved: Option<Duration>,
    /// Whether there is a MongoDB whose changes are saved between two backups.
    pub has_changes: bool,
    /// Since the last backup of everything.
    pub age: Option<Duration>,
    /// What the last rehearsal found.
    pub drill: Option<DrillRecord>,
}

impl Objectives {
    /// What is not as it is promised, each in one line.
    pub fn broken(&self) -> Vec<String> {
        let seconds = |duration: Duration| format!("{} s", duration.as_secs());
        let mut broken = Vec::new();
        match (self.age, self.unsaved) {
            (None, _) => broken.push("nothing is backed up yet".to_owned()),
            (Some(_), None) if self.has_changes => broken.push("no change was saved yet".to_owned()),
            (Some(_), Some(unsaved)) if unsaved > self.rpo => {
                broken.push(format!(
                    "changes of {} are not saved, promised are {}",
                    seconds(unsaved),
                    seconds(self.rpo)
                ));
            }
            _ => {}
        }
        match &self.drill {
            None => broken.push("no restore was rehearsed yet, so how long it takes is not known".to_owned()),
            Some(drill) => broken.extend(drill.bad.iter().map(|bad| format!("in the last rehearsal: {bad}"))),
        }
        broken
    }
}

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    pub restored: Restored,
    pub collections: Vec<Copied>,
    /// Name of what was backed up before; only in place.
    pub before: Option<String>,
}

/// Which keys of Redis were restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeysDone {
    /// Name of the backup that they are from, and when it was taken: between two backups there is no other moment of Redis.
    pub base: String,
    pub taken: Timestamp,
    pub keys: KeysRestored,
    /// Name of what was backed up before; only in place.
    pub before: Option<String>,
}

/// Which objects were restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ObjectsDone {
    /// Name of the backup that they are from, and when it was taken: between two backups there is no other moment of objects.
    pub base: String,
    pub taken: Timestamp,
    pub objects: ObjectsRestored,
    /// Name of what was backed up before; only in place.
    pub before: Option<String>,
}

/// What a preview got of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaskedDone {
    pub restored: Restored,
    /// `preview/pr-42`.
    pub preview: String,
    pub collections: Vec<Replaced>,
    /// Fields that were met and stayed, by collection.
    pub left_out: BTreeMap<String, BTreeSet<String>>,
    /// Collections of which nothing left: the manifest says nothing of their fields.
    pub without_rules: Vec<String>,
}

/// Asked of a preview by the control of the environment whose documents they are: a masked sample in place of what it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToBegin {
    /// Where it lies.
    pub sample: PathBuf,
}

/// What a preview put in place of what it had.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Begun {
    pub collections: Vec<Replaced>,
}

/// What an environment that was begun anew has again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovered {
    /// Name of the backup.
    pub base: String,
    /// How many objects, and of how many bytes; absent where the backup has none.
    #[serde(default)]
    pub objects: Option<(u64, u64)>,
    /// Absent where the backup has none.
    #[serde(default)]
    pub releases: Option<ReleasesBack>,
    /// Absent where there is no MongoDB.
    pub mongodb: Option<Restored>,
    pub collections: Vec<Copied>,
}
