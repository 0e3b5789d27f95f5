//! How an environment is backed up, and what is promised of it.

use std::time::Duration;

use crate::collections::Filter;
use crate::id::CollectionName;
use crate::record::record;
use crate::scalars::{Age, Count};
use crate::shape::{Text, text_shape};
use crate::source::At;

record! {
    /// Backups of an environment: everything at once every so often, changes of MongoDB all the time, and rehearsals that restore
    /// them.
    pub(crate) struct BackupTable {
        /// Folder of the repositories, relative to the manifest where it does not begin with `/`. Each environment has one of its own
        /// in it. Best on another disk.
        repository: At<FolderPath> = ".roadbed-backups",
        /// Time between two backups of everything.
        every: Age = "1d",
        /// Time between two looks at what changed in MongoDB: so much may be lost with the machine.
        changes: Age = "5s",
        /// How many backups of everything are kept.
        keep: KeepTable = {},
        /// For so long back any second can be restored.
        any_second: Age = "7d",
        /// Time between two rehearsals.
        drill: At<Age> = "7d",
        /// Longest time whose changes may be lost. A rehearsal in which it was longer has not passed.
        rpo: Age = "1m",
        /// Longest time that restoring everything may take. A rehearsal that took longer has not passed.
        rto: Age = "1h",
        /// Questions that a restored database must answer. A rehearsal in which one is not answered has not passed.
        probes: Vec<ProbeTable> = [],
    }
}

record! {
    /// A question that each rehearsal asks the restored database: so many documents of a collection, found and read.
    pub(crate) struct ProbeTable {
        /// What it proves, for people: `10 newest orders readable`.
        name: At<String>,
        /// The collection.
        collection: At<CollectionName>,
        /// Which documents count; all of them where it is left out.
        filter: Option<At<Filter>>,
        /// In which order they are read: fields with 1 or -1.
        sort: Option<At<Filter>>,
        /// So many are read, and so many must be there.
        at_least: Count = 1,
    }
}

record! {
    /// How many backups of everything are kept: the last one of each period.
    pub(crate) struct KeepTable {
        /// Of so many hours.
        hourly: Count = 24,
        /// Of so many days.
        daily: Count = 7,
        /// Of so many weeks, which begin on Monday.
        weekly: Count = 5,
        /// Of so many months.
        monthly: Count = 12,
    }
}

/// How an environment is backed up, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Backup {
    /// Relative to the manifest where it does not begin with `/`.
    pub repository: String,
    pub every: Duration,
    pub changes: Duration,
    pub hourly: u32,
    pub daily: u32,
    pub weekly: u32,
    pub monthly: u32,
    pub any_second: Duration,
    pub drill: Duration,
    pub rpo: Duration,
    pub rto: Duration,
    pub probes: Vec<Probe>,
}

/// A question that a restored database must answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    pub name: String,
    pub collection: CollectionName,
    /// In JSON; all documents where it is absent.
    pub filter: Option<String>,
    /// In JSON.
    pub sort: Option<String>,
    pub at_least: u32,
}

impl ProbeTable {
    fn resolve(&self) -> Probe {
        let text = |filter: &Option<At<Filter>>| filter.as_ref().map(|filter| filter.value.0.clone());
        Probe {
            name: self.name.value.clone(),
            collection: self.collection.value.clone(),
            filter: text(&self.filter),
            sort: text(&self.sort),
            at_least: self.at_least.0,
        }
    }
}

impl BackupTable {
    pub(crate) fn resolve(&self) -> Backup {
        let keep = &self.keep;
        Backup {
            repository: self.repository.value.0.clone(),
            every: self.every.0,
            changes: self.changes.0,
            hourly: keep.hourly.0,
            daily: keep.daily.0,
            weekly: keep.weekly.0,
            monthly: keep.monthly.0,
            any_second: self.any_second.0,
            drill: self.drill.value.0,
            rpo: self.rpo.0,
            rto: self.rto.0,
            probes: self.probes.iter().map(ProbeTable::resolve).collect(),
        }
    }
}

/// A folder of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FolderPath(pub(crate) String);

impl Text for FolderPath {
    const WANTS: &'static str = "the path of a folder";
    const EXAMPLES: &'static [&'static str] = &["/var/backups/urbancart", ".roadbed-backups"];

    fn read(text: &str) -> Result<Self, Option<String>> {
        let parts = text.strip_prefix('/').unwrap_or(text);
        let part_is_plain = |part: &str| !part.is_empty() && part != "." && part != "..";
        if parts.split('/').all(part_is_plain) && !text.contains('\0') {
            Ok(Self(text.to_owned()))
        } else {
            Err(Some("write folders joined by \"/\", without \".\", \"..\" and a \"/\" at the end".to_owned()))
        }
    }

    fn stand_in() -> Self {
        Self("unreadable".to_owned())
    }
}
text_shape!(FolderPath);
