//! The repository: restic's format, by `rustic_core`, wherever its files lie.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, LazyLock};

use host::clock::Timestamp;
use host::lock::{Held, Lock, try_lock};
use reconcile::Fault;
use rustic_core::repofile::{MasterKey, Node, SnapshotFile, SnapshotId, StringList};
use rustic_core::{
    BackupOptions, ConfigOptions, Credentials, FileType, Id, IndexedFullStatus, KeyOptions, LsOptions, OpenStatus,
    ParentOptions, PruneOptions, Repository as Rustic, RepositoryBackends, RepositoryOptions, RusticError,
    RusticResult, SnapshotOptions, WriteBackend,
};
use serde::{Deserialize, Serialize};

use crate::contents::{self, ClusterTime, Contents, FORMAT};
use crate::parts::{Sink, Source, Wholeness, pair};
use crate::repository_fault;
use crate::shelf::{Backend, Destination, Place, is_refusal, shelf};

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

/// Whether somebody let us take things away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freed {
    Done,
    /// It takes nothing away: what is over stays.
    Refused,
}

/// A repository that was opened.
#[derive(Clone)]
pub struct Repository {
    backend: Backend,
    place: Place,
    key: Arc<MasterKey>,
}

impl std::fmt::Debug for Repository {
    /// Without its key.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Repository").field("place", &self.place).finish_non_exhaustive()
    }
}

pub(crate) type Open = Rustic<OpenStatus>;

/// A snapshot whose files can be read.
pub struct Reader {
    repository: Rustic<IndexedFullStatus>,
    snapshot: SnapshotFile,
}

fn options() -> RepositoryOptions {
    // A cache would be a second place where data of the environment lies.
    RepositoryOptions::default().no_cache(true)
}

fn rustic(backend: &Backend) -> Result<Rustic<()>, Fault> {
    let backends = RepositoryBackends::new(Arc::new(backend.clone()), None);
    Rustic::new(&options(), &backends).map_err(|error| repository_fault("cannot use the repository", &error))
}

impl Repository {
    /// Opens the repository in a folder: [`Self::open_at`].
    ///
    /// # Errors
    /// As there.
    pub fn open(path: &Path, key: &str) -> Result<Option<Self>, Fault> {
        Self::open_at(&Destination::folder(path), key)
    }

    /// As [`Self::open_or_create_at`], in a folder.
    ///
    /// # Errors
    /// As there.
    pub fn open_or_create(path: &Path, key: &str) -> Result<Self, Fault> {
        Self::open_or_create_at(&Destination::folder(path), key)
    }

    /// Opens a repository, with its key or a recovery key; `None` where there is none.
    ///
    /// # Errors
    /// Where the key is not one of its keys, nobody answers, or what is there cannot be read. It takes a second of one processor:
    /// keys are stretched.
    pub fn open_at(destination: &Destination, key: &str) -> Result<Option<Self>, Fault> {
        let backend = Backend::new(shelf(destination)?, destination.bandwidth);
        Self::open_by(destination, backend, &Credentials::password(key))
    }

    /// One that has the same key as this one: a copy of it. `None` where there is none.
    pub(crate) fn open_copy(&self, destination: &Destination) -> Result<Option<Self>, Fault> {
        let backend = Backend::new(shelf(destination)?, destination.bandwidth);
        Self::open_by(destination, backend, &Credentials::Masterkey((*self.key).clone()))
    }

    fn open_by(destination: &Destination, backend: Backend, credentials: &Credentials) -> Result<Option<Self>, Fault> {
        let place = &destination.place;
        let cannot = || format!("cannot open the repository in {place}");
        let is_there = backend.has_repository().map_err(|error| {
            let fault = repository_fault(cannot(), &error);
            let is_login = is_refusal(&error) && !matches!(place, Place::Folder(_));
            if is_login { fault.hint("`roadbed secrets set` takes who logs in there") } else { fault.retry_safe() }
        })?;
        if !is_there {
            return Ok(None);
        }
        let opened = rustic(&backend)?.open(credentials).map_err(|error| {
            let fault = repository_fault(cannot(), &error);
            match credentials {
                Credentials::Masterkey(_) => {
                    fault.hint("it is no copy of this repository: name another place for the copy")
                }
                Credentials::Password(_) if error.is_incorrect_password() => {
                    fault.hint("this key is none of its keys: take the recovery key, or the environment that made it")
                }
                Credentials::Password(_) => fault.hint("see whether all of it is there, and yours to read"),
            }
        })?;
        Ok(Some(Self { key: Arc::new(opened.key()), place: place.clone(), backend }))
    }

    /// As [`Self::open_at`]; where there is none, it is made.
    ///
    /// # Errors
    /// As [`Self::open_at`], and where nothing can be written there.
    pub fn open_or_create_at(destination: &Destination, key: &str) -> Result<Self, Fault> {
        if let Some(opened) = Self::open_at(destination, key)? {
            return Ok(opened);
        }
        let backend = Backend::new(shelf(destination)?, destination.bandwidth);
        let made = rustic(&backend)?
            .init(&Credentials::password(key), &KeyOptions::default(), &ConfigOptions::default())
            .map_err(|error| unmade(destination, &error))?;
        Ok(Self { key: Arc::new(made.key()), place: destination.place.clone(), backend })
    }

    /// Makes a copy of this one, empty: with the same keys, cut into the same pieces.
    pub(crate) fn create_copy(&self, destination: &Destination) -> Result<Self, Fault> {
        let backend = Backend::new(shelf(destination)?, destination.bandwidth);
        let credentials = Credentials::Masterkey((*self.key).clone());
        let config = self.opened()?.config().clone();
        let made = rustic(&backend)?.init_with_config(&credentials, &KeyOptions::default(), config);
        made.map_err(|error| unmade(destination, &error))?;
        Ok(Self { key: self.key.clone(), place: destination.place.clone(), backend })
    }

    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Whether it is still there.
    ///
    /// # Errors
    /// Where it cannot be looked.
    pub fn is_there(&self) -> Result<bool, Fault> {
        let there = self.backend.has_repository();
        there.map_err(|error| repository_fault("cannot look for the repository", &error).retry_safe())
    }

    pub(crate) fn backend(&self) -> &Backend {
        &self.backend
    }

    fn opened_at(&self, backend: &Backend) -> Result<Open, Fault> {
        rustic(backend)?.open(&Credentials::Masterkey((*self.key).clone())).map_err(|error| {
            repository_fault(format!("cannot open the repository in {}", self.place), &error).retry_safe()
        })
    }

    pub(crate) fn opened(&self) -> Result<Open, Fault> {
        self.opened_at(&self.backend)
    }

    /// Keeps others of ours from writing meanwhile, where it is a folder. Elsewhere it goes without: what is written has names of its
    /// own content, and what is freed lies marked for 23 hours.
    ///
    /// # Errors
    /// Where somebody else writes.
    pub fn lock(&self, who: &str) -> Result<Option<Held>, Fault> {
        let Place::Folder(path) = &self.place else { return Ok(None) };
        let path: PathBuf = path.join("roadbed.lock");
        match try_lock(&path, who) {
            Ok(Lock::Ours(held)) => Ok(Some(held)),
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
        // Held first: where nothing is taken away, one that was held is there twice.
        snapshots.sort_by(|one, other| (one.taken, &one.name, !one.held).cmp(&(other.taken, &other.name, !other.held)));
        snapshots.dedup_by(|later, earlier| later.name == earlier.name);
        Ok(snapshots)
    }

    pub(crate) fn files(&self) -> Result<Vec<(Option<Snapshot>, SnapshotFile)>, Fault> {
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
        wholeness: Arc<Wholeness>,
        kind: Kind,
        name: &str,
        taken: Timestamp,
    ) -> Result<String, Fault> {
        let cannot =
            |error: &rustic_core::RusticError| repository_fault("cannot save a snapshot in the repository", error);
        let backend = self.backend.of_whole(wholeness);
        let repository = self.opened_at(&backend)?.to_indexed_ids().map_err(|error| cannot(&error))?;
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
        // Who takes nothing away keeps both.
        freed(repository.delete_snapshots(&[before]), "cannot mark a snapshot")?;
        Ok(self.named(name)?.0)
    }

    /// Takes snapshots away, by their names. Their data goes with the next [`Self::prune`].
    ///
    /// # Errors
    /// Where they cannot be taken away.
    pub fn forget(&self, names: &[String]) -> Result<Freed, Fault> {
        let is_named = |snapshot: &Snapshot| !snapshot.held && names.contains(&snapshot.name);
        let files = self.files()?;
        let doomed = files.iter().filter(|(snapshot, _)| snapshot.as_ref().is_some_and(is_named));
        let ids: Vec<SnapshotId> = doomed.map(|(_, file)| file.id).collect();
        if ids.is_empty() {
            return Ok(Freed::Done);
        }
        freed(self.opened()?.delete_snapshots(&ids), "cannot take away snapshots that are over")
    }

    /// Frees what no snapshot needs. What is freed lies marked for 23 hours first, so that a backup that began before is not
    /// robbed.
    ///
    /// # Errors
    /// Where the repository is damaged or cannot be written.
    pub fn prune(&self) -> Result<Freed, Fault> {
        let repository = self.opened()?;
        let options = PruneOptions::default();
        let planned = repository.prune_plan(&options);
        freed(planned.and_then(|plan| repository.prune(&options, plan)), "cannot free space in the repository")
    }

    /// Whether nothing can be taken away there with what logs us in: a snapshot is, that is not there anyhow.
    ///
    /// # Errors
    /// Where nobody answers.
    pub fn refuses_deletes(&self) -> Result<bool, Fault> {
        let mut bytes = [0_u8; 32];
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| Fault::new("this machine gives no random numbers"))?;
        let name: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let id: Id = name.parse().map_err(|error: Box<RusticError>| repository_fault("cannot make an id", &error))?;
        match self.backend.remove(FileType::Snapshot, &id, false) {
            Ok(()) => Ok(false),
            Err(error) if is_refusal(&error) => Ok(true),
            Err(error) => Err(repository_fault("cannot see what the repository allows", &error).retry_safe()),
        }
    }
}

fn unmade(destination: &Destination, error: &RusticError) -> Fault {
    let fault = repository_fault(format!("cannot make a repository in {}", destination.place), error);
    match destination.place {
        Place::Folder(_) => fault.hint("name a folder that is yours to write"),
        _ => fault.hint("see whether who logs in there may write"),
    }
}

fn freed(outcome: RusticResult<()>, what: &str) -> Result<Freed, Fault> {
    match outcome {
        Ok(()) => Ok(Freed::Done),
        Err(error) if is_refusal(&error) => Ok(Freed::Refused),
        Err(error) => Err(repository_fault(what, &error)),
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
        let node = self.node(path)?;
        let mut content = Vec::with_capacity(usize::try_from(node.meta.size).unwrap_or(0));
        self.dump(path, &node, &mut content)?;
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

    /// A file or a folder of the snapshot.
    pub(crate) fn node(&self, path: &str) -> Result<Node, Fault> {
        let found = self.repository.node_from_path(self.snapshot.tree, Path::new(path));
        found.map_err(|error| repository_fault(format!("cannot read {path} of the backup"), &error))
    }

    /// All files and folders below one, in the order of their paths. Each folder is read once.
    pub(crate) fn below(&self, folder: &Node) -> RusticResult<impl Iterator<Item = RusticResult<(PathBuf, Node)>>> {
        // The library's iterator borrows them.
        static ALL: LazyLock<LsOptions> = LazyLock::new(LsOptions::default);
        self.repository.ls(folder, &ALL)
    }

    /// What a file holds, bit by bit. `path` is what it is called where it cannot be read.
    pub(crate) fn dump(&self, path: &str, file: &Node, into: &mut impl Write) -> Result<(), Fault> {
        let dumped = self.repository.dump(file, into);
        dumped.map_err(|error| repository_fault(format!("cannot read {path} of the backup"), &error))
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
pub(crate) fn channel(taken: Timestamp) -> (Sink, Source, Arc<Wholeness>) {
    let wholeness = Arc::new(Wholeness::default());
    let (sink, source) = pair(wholeness.clone(), taken);
    (sink, source, wholeness)
}
