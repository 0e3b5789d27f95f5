//! How an environment is backed up, and what is promised of it.

use std::time::Duration;

use crate::collections::Filter;
use crate::id::{CollectionName, CopyName};
use crate::record::record;
use crate::repository_place::RepositoryPlace;
use crate::scalars::{Age, Bytes, Count, SshKey};
use crate::shape::Table;
use crate::source::At;

record! {
    /// Backups of an environment: everything at once every so often, changes of MongoDB all the time, and rehearsals that restore
    /// them.
    pub(crate) struct BackupTable {
        /// Where the repositories lie: a folder, relative to the manifest where it does not begin with `/`; `root:backups`, in the environment's own root, with which it is lost; `rest:https://HOST/PATH/`,
        /// a rest-server; `s3:https://HOST/BUCKET/PREFIX`; or `sftp://USER@HOST:PORT/PATH`. Each environment has one of its own in it.
        /// Best not on the machine itself. Who logs in there is told to `roadbed secrets set backup/access`: `USER:PASSWORD`,
        /// `ACCESS_KEY_ID:SECRET_ACCESS_KEY`, or a private key of OpenSSH.
        repository: At<RepositoryPlace> = ".roadbed-backups",
        /// The public key by which the host of `sftp://` is known.
        host_key: Option<At<SshKey>>,
        /// Region of `s3:`, which is part of what is signed.
        region: String = "us-east-1",
        /// Of bytes a second that are written there, on average. Default: as many as go.
        bandwidth: Option<Bytes>,
        /// So many times longer than when nothing is backed up MongoDB may take to answer; above that the backup waits. 0: it never waits.
        patience: Count = 4,
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
        /// Further repositories, elsewhere, to which all is copied once it is saved, by their names.
        copies: Table<CopyName, CopyTable>,
        /// Questions that a restored database must answer. A rehearsal in which one is not answered has not passed.
        probes: Vec<ProbeTable> = [],
    }
}

record! {
    /// A second repository. Who logs in there is told to `roadbed secrets set backup/access-NAME`.
    pub(crate) struct CopyTable {
        /// As `repository` of the backup. Each environment has one of its own in it.
        repository: At<RepositoryPlace>,
        /// The public key by which the host of `sftp://` is known.
        host_key: Option<At<SshKey>>,
        /// Region of `s3:`, which is part of what is signed.
        region: String = "us-east-1",
        /// Of bytes a second that are written there, on average. Default: as many as go.
        bandwidth: Option<Bytes>,
        /// Whether it refuses to have anything taken away or overwritten, so that who holds all keys of the environment cannot destroy
        /// it. Nothing is ever freed in it by Roadbed.
        append_only: bool = false,
        /// What was saved longer ago than this and is not in the copy makes it late, and the gate says so.
        late: Age = "1h",
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
        /// Whether fewer are enough where the backup itself says that the collection has no more: a young shop has sold little.
        or_all: bool = false,
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
    pub repository: Destination,
    /// So many times longer than without a backup MongoDB may take to answer; 0: no matter how long.
    pub patience: u32,
    /// In the order of their names.
    pub copies: Vec<BackupCopy>,
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
    /// Or all that the collection has, where it has fewer.
    pub or_all: bool,
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
            or_all: self.or_all,
        }
    }
}

/// A repository and how it is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    pub place: RepositoryPlace,
    /// Name of who logs in there, in the secret store.
    pub access: String,
    pub host_key: Option<String>,
    pub region: String,
    /// Bytes a second.
    pub bandwidth: Option<u64>,
}

/// A second repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupCopy {
    pub name: CopyName,
    pub destination: Destination,
    pub is_append_only: bool,
    /// Nothing that was saved may be absent there for longer.
    pub late: Duration,
}

impl BackupCopy {
    fn of(name: &CopyName, table: &CopyTable) -> Self {
        let destination = Destination {
            place: table.repository.value.clone(),
            access: format!("backup/access-{name}"),
            host_key: table.host_key.as_ref().map(|key| key.value.0.clone()),
            region: table.region.clone(),
            bandwidth: table.bandwidth.map(|bytes| bytes.0),
        };
        Self { name: name.clone(), destination, is_append_only: table.append_only, late: table.late.0 }
    }
}

impl Backup {
    /// Names of what people tell the secret store, for all of its repositories that somebody logs in to.
    pub fn secrets(&self) -> Vec<String> {
        let all = std::iter::once(&self.repository).chain(self.copies.iter().map(|copy| &copy.destination));
        all.filter(|destination| !destination.place.is_folder()).map(|destination| destination.access.clone()).collect()
    }
}

impl BackupTable {
    pub(crate) fn resolve(&self) -> Backup {
        let keep = &self.keep;
        Backup {
            repository: Destination {
                place: self.repository.value.clone(),
                access: "backup/access".to_owned(),
                host_key: self.host_key.as_ref().map(|key| key.value.0.clone()),
                region: self.region.clone(),
                bandwidth: self.bandwidth.map(|bytes| bytes.0),
            },
            patience: self.patience.0,
            copies: self
                .copies
                .in_order()
                .into_iter()
                .map(|(name, table)| BackupCopy::of(&name.value, table))
                .collect(),
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
