//! What control knows of backups beside what is in the repository: what the gate reads.

use std::collections::BTreeMap;
use std::path::PathBuf;

use backup::{ClusterTime, DrillRecord};
use host::clock::Timestamp;
use host::files::{self, Access};
use reconcile::{Fault, Root};
use serde::{Deserialize, Serialize};

/// What was done last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// When everything was backed up.
    pub base: Option<Timestamp>,
    /// Up to when all changes are saved, and when that was seen.
    pub covered: Option<(ClusterTime, Timestamp)>,
    /// Which release was live then, by its name. Another one that is live now is worth a backup: the book of deployments knows it.
    #[serde(default)]
    pub live: Option<String>,
    /// Whether changes were overwritten before they were saved, and no base came since.
    #[serde(default)]
    pub gap: bool,
    /// What the last look at the repository found.
    #[serde(default)]
    pub damage: Vec<String>,
    pub drill: Option<DrillRecord>,
    /// Of each copy what was seen last, by its name.
    #[serde(default)]
    pub copies: BTreeMap<String, OfCopy>,
}

/// How one copy stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OfCopy {
    /// When it had all that was saved.
    pub complete: Option<Timestamp>,
    /// Why the last attempt came to nothing.
    pub trouble: Option<String>,
    /// It takes nothing away, though the manifest does not say so.
    #[serde(default)]
    pub refuses: bool,
    /// What could not be brought there, because it is damaged where it comes from.
    #[serde(default)]
    pub unreadable: Vec<String>,
}

impl Record {
    pub fn path(root: &Root) -> PathBuf {
        root.state().join("backups.json")
    }

    /// What is noted; nothing where nothing is.
    ///
    /// # Errors
    /// Where it cannot be read.
    pub fn read(root: &Root) -> Result<Self, Fault> {
        let cannot = "cannot read what was backed up";
        let bytes = files::read_if_exists(&Self::path(root)).map_err(|fault| Fault::because(cannot, &fault))?;
        match bytes {
            // It is found again in the repository, where it is damaged here.
            Some(bytes) => Ok(serde_json::from_slice(&bytes).unwrap_or_default()),
            None => Ok(Self::default()),
        }
    }

    /// Notes something. One process does, and its loops take turns.
    pub(super) fn change(root: &Root, change: impl FnOnce(&mut Self)) -> Result<(), Fault> {
        static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let mut record = Self::read(root)?;
        change(&mut record);
        let text = serde_json::to_vec_pretty(&record).expect("plain data");
        let noted = files::write_durable(&Self::path(root), &text, Access::Owner);
        noted.map_err(|fault| Fault::because("cannot note what was backed up", &fault))
    }
}
