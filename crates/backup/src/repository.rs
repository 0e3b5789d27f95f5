//! The repository: restic's format, by `rustic_core`, in a folder.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use host::clock::Timestamp;
use host::files::{self, Access};
use host::lock::{Held, Lock, try_lock};
use reconcile::Fault;
use rustic_core::repofile::{MasterKey, SnapshotFile, SnapshotId, StringList};
use rustic_core::{
    BackupOptions, CheckOptions, ConfigOptions, Credentials, IndexedFullStatus, KeyOptions, OpenStatus, ParentOptions,
    PruneOptions, ReadSubsetOption, Repository as Rustic, RepositoryBackends, RepositoryOptions, SnapshotOptions,
};
use serde::{Deserialize, Serialize};

use crate::contents::{self, ClusterTime, Contents, FORMAT};
use crate::folder::Folder;
use crate::parts::{Sink, Source, pair};
use crate::{repository_fault, told};

/// Tag of snapshots that no retention takes away.
const HOLD: &str = "hold";

/// Says that a snapshot is one of ours.
const OURS: &str = "roadbed";

/// A snapshot's two kinds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Kind {
    /// All of an environment; `at` is absent where it has no MongoDB.
    Base { at: Option<ClusterTime> },
    /// What changed in MongoDB after `from`, up to and with `to`.
    Oplog { from: ClusterTime, to: ClusterTime },
}

/// A snapshot that is restorable: its contents were written last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Stays, also when it is held and released, which changes its id in the repository.
    pub name: String,
    #[serde(flatten)]
    pub kind: Kind,
    pub taken: Timestamp,
    /// Before compression and deduplication.
    pub bytes: u64,
    /// Whether no retention takes it away.
    #[serde(default)]
    pub held: bool,
    /// As restic shows it.
    #[serde(default)]
    pub id: String,
}

impl Snapshot {
    pub fn is_base(&self) -> bool {
        matches!(self.kind, Kind::Base { .. })
    }
}

/// What a look at a repository found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verification {
    /// What is wrong, each in one line; empty where nothing is.
    pub damage: Vec<String>,
    /// Whether everything was read, or a part drawn by lot.
    pub read_all: bool,
}

/// A repository that was opened.
#[derive(Clone)]
pub struct Repository {
    folder: Folder,
    key: Arc<MasterKey>,
}

impl std::fmt::Debug for Repository {
    /// Without its key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repository").field("folder", &self.folder).finish_non_exhaustive()
    }
}

type Open = Rustic<OpenStatus>;

/// A snapshot whose files can be read.
pub struct Reader {
    repository: Rustic<IndexedFullStatus>,
    snapshot: SnapshotFile,
}

fn options() -> RepositoryOptions {
    // A cache would be a second place where data of the environment lies.
    RepositoryOptions::default().no_cache(true)
}

fn rustic(folder: &Folder) -> Result<Rustic<()>, Fault> {
    let backends = RepositoryBackends::new(Arc::new(folder.clone()), None);
    Rustic::new(&options(), &backends).map_err(|error| repository_fault("cannot use the repository", &error))
}

impl Repository {
    /// Opens the repository in a folder, with its key or a recovery key; `None` where there is none.
    ///
    /// # Errors
    /// Where the key is not one of its keys, or what is there cannot be read. It takes a second of one processor: keys are
    /// stretched.
    pub fn open(path: &Path, key: &str) -> Result<Option<Self>, Fault> {
        let folder = Folder::new(path);
        if !folder.has_repository() {
            return Ok(None);
        }
        let opened = rustic(&folder)?.open(&Credentials::password(key)).map_err(|error| {
            let fault = repository_fault(format!("cannot open the repository in {}", path.display()), &error);
            if error.is_incorrect_password() {
                fault.hint("this key is none of its keys: take the recovery key, or the environment that made it")
            } else {
                fault.hint("see whether all of the folder is there, and yours to read")
            }
        })?;
        Ok(Some(Self { folder, key: Arc::new(opened.key()) }))
    }

    /// As [`Self::open`]; where there is none, it is made.
    ///
    /// # Errors
    /// As [`Self::open`], and where the folder cannot be written.
    pub fn open_or_create(path: &Path, key: &str) -> Result<Self, Fault> {
        if let Some(opened) = Self::open(path, key)? {
            return Ok(opened);
        }
        let cannot = || format!("cannot make a repository in {}", path.display());
        files::create_dir(path, Access::Owner).map_err(|fault| Fault::because(cannot(), &fault))?;
        let folder = Folder::new(path);
        let made = rustic(&folder)?
            .init(&Credentials::password(key), &KeyOptions::default(), &ConfigOptions::default())
            .map_err(|error| repository_fault(cannot(), &error).hint("name a folder that is yours to write"))?;
        Ok(Self { folder, key: Arc::new(made.key()) })
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    fn opened_at(&self, folder: &Folder) -> Result<Open, Fault> {
        rustic(folder)?
            .open(&Credentials::Masterkey((*self.key).clone()))
            .map_err(|error| repository_fault("cannot open the repository", &error))
    }

    fn opened(&self) -> Result<Open, Fault> {
        self.opened_at(&self.folder)
    }

    /// Keeps others of ours from writing meanwhile.
    ///
    /// # Errors
    /// Where somebody else writes.
    pub fn lock(&self, who: &str) -> Result<Held, Fault> {
        let path: PathBuf = self.path().join("roadbed.lock");
        match try_lock(&path, who) {
            Ok(Lock::Ours(held)) => Ok(held),
            Ok(Lock::HeldBy(who)) => Err(Fault::new("another backup is being written")
                .cause(format!("{} is held by {}", path.display(), if who.is_empty() { "somebody" } else { &who }))
                .hint("wait until it is done")
                .retry_safe()),
            Err(fault) => Err(Fault::because("cannot lock the repository", &fault)),
        }
    }

    /// Adds a key that opens it as its own does.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn add_key(&self, key: &str) -> Result<(), Fault> {
        let options = KeyOptions::default().with_created(true);
        let added = self.opened()?.add_key(key, &options);
        added.map(drop).map_err(|error| repository_fault("cannot add a key to the repository", &error))
    }

    /// All snapshots that are restorable, oldest first.
    ///
    /// # Errors
    /// Where they cannot be read.
    pub fn snapshots(&self) -> Result<Vec<Snapshot>, Fault> {
        let all = self.files()?;
        let mut snapshots: Vec<Snapshot> = all.iter().filter_map(|(snapshot, _)| snapshot.clone()).collect();
        snapshots.sort_by(|one, other| (one.taken, &one.name).cmp(&(other.taken, &other.name)));
        Ok(snapshots)
    }

    fn files(&self) -> Result<Vec<(Option<Snapshot>, SnapshotFile)>, Fault> {
        let found = self.opened()?.get_all_snapshots();
        let found = found.map_err(|error| repository_fault("cannot list the snapshots of the repository", &error))?;
        Ok(found.into_iter().map(|file| (shown(&file), file)).collect())
    }

    fn named(&self, name: &str) -> Result<(Snapshot, SnapshotFile), Fault> {
        let found = self.files()?.into_iter().find_map(|(snapshot, file)| Some((snapshot?, file)));
        let mut all = self.files()?.into_iter().filter_map(|(snapshot, file)| Some((snapshot?, file)));
        match all.find(|(snapshot, _)| snapshot.name == name || (name.len() >= 8 && snapshot.id.starts_with(name))) {
            Some(found) => Ok(found),
            None => Err(Fault::new(format!("there is no backup {name:?}")).hint(match found {
                Some(_) => "`roadbed backup list` shows all of them",
                None => "there is none yet: `roadbed backup now` takes one",
            })),
        }
    }

    /// A snapshot whose files are going to be read.
    ///
    /// # Errors
    /// Where it is not there, or the index of the repository is damaged.
    pub fn reader(&self, name: &str) -> Result<Reader, Fault> {
        let (_, snapshot) = self.named(name)?;
        let repository = self.opened()?.to_indexed();
        let repository = repository.map_err(|error| repository_fault("cannot read the repository's index", &error))?;
        Ok(Reader { repository, snapshot })
    }

    /// Saves what `source` brings, and nothing unless its last part was put.
    pub(crate) fn save(
        &self,
        source: Source,
        is_whole: Arc<AtomicBool>,
        kind: Kind,
        name: &str,
        taken: Timestamp,
    ) -> Result<String, Fault> {
        let cannot =
            |error: &rustic_core::RusticError| repository_fault("cannot save a snapshot in the repository", error);
        let folder = self.folder.until(is_whole);
        let repository = self.opened_at(&folder)?.to_indexed_ids().map_err(|error| cannot(&error))?;
        let mut snapshot = SnapshotOptions::default().to_snapshot().map_err(|error| cannot(&error))?;
        let time = rustic_core::jiff::Timestamp::from_millisecond(taken.unix_millis());
        snapshot.time = time.unwrap_or_default().to_zoned(rustic_core::jiff::tz::TimeZone::UTC);
        snapshot.label = match kind {
            Kind::Base { .. } => "base".to_owned(),
            Kind::Oplog { .. } => "oplog".to_owned(),
        };
        snapshot.program_version = format!("roadbed {}", env!("CARGO_PKG_VERSION"));
        snapshot.add_tags(vec![tag(OURS)?]);
        let described = Snapshot { name: name.to_owned(), kind, taken, bytes: 0, held: false, id: String::new() };
        snapshot.description = Some(serde_json::to_string(&described).expect("plain data"));
        // Without a parent: by size and time alone a part would be taken for the one before.
        let options = BackupOptions::default().no_scan(true).parent_opts(ParentOptions::default().force(true));
        let saved = repository.archive(&options, &source, snapshot, &[PathBuf::from("/")]);
        saved.map(|saved| saved.id.to_string()).map_err(|error| cannot(&error))
    }

    /// Looks for damage. `most_bytes`: how much data is read, drawn by lot; all of it where that is `None`.
    ///
    /// # Errors
    /// Where it cannot be looked at all.
    pub fn verify(&self, most_bytes: Option<u64>) -> Result<Verification, Fault> {
        let subset = most_bytes.map_or(ReadSubsetOption::All, ReadSubsetOption::Size);
        let options = CheckOptions::default().read_data(true).read_data_subset(subset);
        let mut found = Verification { damage: Vec::new(), read_all: most_bytes.is_none() };
        match self.opened().map(|repository| repository.check(options)) {
            Ok(Ok(results)) => {
                // Warnings are of space that a crash left unused.
                if results.is_ok().is_err() {
                    found.damage = results.0.iter().map(|(_, error)| error.to_string()).collect();
                }
            }
            Ok(Err(error)) => found.damage.push(told(&error)),
            Err(fault) => found.damage.extend(fault.causes.into_iter().chain([fault.message]).take(1)),
        }
        Ok(found)
    }

    /// Keeps retention from a snapshot, or lets it go.
    ///
    /// # Errors
    /// Where it is not there.
    pub fn hold(&self, name: &str, is_held: bool) -> Result<Snapshot, Fault> {
        let (snapshot, mut file) = self.named(name)?;
        if snapshot.held == is_held {
            return Ok(snapshot);
        }
        let tag = tag(HOLD)?;
        let before = file.id;
        if is_held {
            file.add_tags(vec![tag]);
        } else {
            file.remove_tags(&[tag]);
        }
        let repository = self.opened()?;
        // First the new one: a crash in between leaves both, and none is lost.
        repository.save_snapshots(vec![file]).map_err(|error| repository_fault("cannot mark a snapshot", &error))?;
        repository.delete_snapshots(&[before]).map_err(|error| repository_fault("cannot mark a snapshot", &error))?;
        Ok(self.named(name)?.0)
    }

    /// Takes snapshots away, by their names. Their data goes with the next [`Self::prune`].
    ///
    /// # Errors
    /// Where they cannot be taken away.
    pub fn forget(&self, names: &[String]) -> Result<(), Fault> {
        let is_named = |snapshot: &Snapshot| !snapshot.held && names.contains(&snapshot.name);
        let files = self.files()?;
        let doomed = files.iter().filter(|(snapshot, _)| snapshot.as_ref().is_some_and(is_named));
        let ids: Vec<SnapshotId> = doomed.map(|(_, file)| file.id).collect();
        let forgotten = self.opened()?.delete_snapshots(&ids);
        forgotten.map_err(|error| repository_fault("cannot take away snapshots that are over", &error))
    }

    /// Frees what no snapshot needs. What is freed lies marked for 23 hours first, so that a backup that began before is not
    /// robbed.
    ///
    /// # Errors
    /// Where the repository is damaged or cannot be written.
    pub fn prune(&self) -> Result<(), Fault> {
        let cannot = |error: &rustic_core::RusticError| repository_fault("cannot free space in the repository", error);
        let repository = self.opened()?;
        let options = PruneOptions::default();
        let plan = repository.prune_plan(&options).map_err(|error| cannot(&error))?;
        repository.prune(&options, plan).map_err(|error| cannot(&error))
    }
}

fn tag(name: &str) -> Result<StringList, Fault> {
    StringList::from_str(name).map_err(|error| Fault::because("cannot mark a snapshot", &error))
}

/// A snapshot as we know it; `None` where it is somebody else's.
fn shown(file: &SnapshotFile) -> Option<Snapshot> {
    if !file.tags.contains(OURS) {
        return None;
    }
    let described: Snapshot = serde_json::from_str(file.description.as_deref()?).ok()?;
    Some(Snapshot {
        held: file.tags.contains(HOLD),
        id: file.id.to_string(),
        bytes: file.summary.as_ref().map_or(0, |summary| summary.total_bytes_processed),
        ..described
    })
}

impl Reader {
    /// One file of the snapshot, whole.
    ///
    /// # Errors
    /// Where it is not there or damaged.
    pub fn read(&self, path: &str) -> Result<Vec<u8>, Fault> {
        let cannot =
            |error: &rustic_core::RusticError| repository_fault(format!("cannot read {path} of the backup"), error);
        let node =
            self.repository.node_from_path(self.snapshot.tree, Path::new(path)).map_err(|error| cannot(&error))?;
        let mut content = Vec::with_capacity(usize::try_from(node.meta.size).unwrap_or(0));
        self.repository.dump(&node, &mut content).map_err(|error| cannot(&error))?;
        if content.len() as u64 == node.meta.size {
            Ok(content)
        } else {
            Err(Fault::new(format!("cannot read {path} of the backup")).cause(format!(
                "it has {} bytes where {} were saved",
                content.len(),
                node.meta.size
            )))
        }
    }

    /// What the snapshot says that it holds.
    ///
    /// # Errors
    /// Where it says nothing, and is none; or is of a later Roadbed.
    pub fn contents(&self) -> Result<Contents, Fault> {
        let bytes = self.read(contents::PATH)?;
        let cannot = "cannot use this backup";
        let contents: Contents = serde_json::from_slice(&bytes).map_err(|error| Fault::because(cannot, &error))?;
        if contents.format > FORMAT {
            return Err(Fault::new(cannot)
                .cause(format!("it is of format {}, and this Roadbed knows {FORMAT}", contents.format))
                .hint("take a later Roadbed"));
        }
        Ok(contents)
    }
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("snapshot", &self.snapshot.id).finish_non_exhaustive()
    }
}

/// The two ends of what is being saved, and the word that it is whole.
pub(crate) fn channel(taken: Timestamp) -> (Sink, Source, Arc<AtomicBool>) {
    let is_whole = Arc::new(AtomicBool::new(false));
    let (sink, source) = pair(is_whole.clone(), taken);
    (sink, source, is_whole)
}
