//! A git repository as it lies on the disk, read and never written: no program of git's, no network, no work tree.

pub(crate) mod history;
pub(crate) mod index;
pub(crate) mod owners;
mod recent;
pub(crate) mod references;

use std::path::{Path, PathBuf};

use gix_hash::ObjectId;
use gix_object::{Data, Exists, Find, Kind};
use host::files::{self, FileFault};

/// Why a repository cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum GitFault {
    #[error("there is no git repository at or above {}", folder.display())]
    NoRepository { folder: PathBuf },
    #[error("cannot read the repository {}: it keeps its {what}, which this version does not read", folder.display())]
    Unsupported { folder: PathBuf, what: &'static str },
    #[error("cannot open the objects of {}", folder.display())]
    Objects {
        folder: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("\"{text}\" is not the id of an object")]
    NoObject { text: String },
    #[error("cannot list the objects of {}: {why}", folder.display())]
    Listing { folder: PathBuf, why: String },
    #[error("cannot read the index of {}: {what}", folder.display())]
    Index { folder: PathBuf, what: String },
    #[error(transparent)]
    File(#[from] FileFault),
}

/// Where the parts of a repository are.
#[derive(Clone, Debug)]
pub struct Repository {
    /// `HEAD` and the index; of a linked work tree its own.
    pub own: PathBuf,
    /// Objects, refs and their logs.
    pub shared: PathBuf,
    /// Objects of a push that is not taken in yet.
    pub(crate) quarantine: Option<PathBuf>,
}

impl Repository {
    /// The repository that `folder` is in, or is.
    pub fn of(folder: &Path) -> Result<Self, GitFault> {
        let missing = || GitFault::NoRepository { folder: folder.to_owned() };
        let whole = files::canonical(folder)?;
        let own = whole.ancestors().find_map(git_folder).ok_or_else(missing)?;
        let shared = match files::read_if_exists(&own.join("commondir"))? {
            Some(path) => own.join(String::from_utf8_lossy(&path).trim()),
            None => own.clone(),
        };
        let repository = Self { own, shared, quarantine: None };
        repository.refuse_unknown_formats()?;
        Ok(repository)
    }

    /// With the objects of a push that is not taken in yet, which git names in `GIT_QUARANTINE_PATH`.
    pub fn with_quarantine(self, quarantine: Option<&Path>) -> Self {
        Self { quarantine: quarantine.map(Path::to_owned), ..self }
    }

    fn refuse_unknown_formats(&self) -> Result<(), GitFault> {
        let config = files::read_if_exists(&self.shared.join("config"))?.unwrap_or_default();
        let config = String::from_utf8_lossy(&config).to_ascii_lowercase();
        let has = |key: &str, value: &str| {
            config
                .lines()
                .any(|line| line.split_once('=').is_some_and(|(name, is)| name.trim() == key && is.trim() == value))
        };
        let unsupported = |what| Err(GitFault::Unsupported { folder: self.shared.clone(), what });
        if has("objectformat", "sha256") {
            return unsupported("objects under SHA-256");
        }
        if has("refstorage", "reftable") {
            return unsupported("refs in a reftable");
        }
        Ok(())
    }

    /// Its objects, for one thread.
    pub fn objects(&self) -> Result<Objects, GitFault> {
        let open = |folder: PathBuf| -> Result<gix_odb::Handle, GitFault> {
            let store = gix_odb::at(&folder, gix_hash::Kind::Sha1);
            let mut store = store.map_err(|source| GitFault::Objects { folder, source })?;
            store.set_pack_cache(|| Box::<recent::RecentObjects>::default());
            Ok(store)
        };
        let store = open(self.shared.join("objects"))?;
        let quarantine = self.quarantine.clone().map(open).transpose()?;
        Ok(Objects { store, quarantine, buffer: Vec::new() })
    }
}

/// The folder whose history `folder` belongs to: the nearest that has a `.git`.
pub fn work_tree(folder: &Path) -> Option<PathBuf> {
    let whole = files::canonical(folder).ok()?;
    whole.ancestors().find(|folder| files::exists(&folder.join(".git"))).map(Path::to_owned)
}

/// Where git runs hooks from in the repository that `folder` is in.
pub fn hooks(folder: &Path) -> Result<PathBuf, GitFault> {
    let repository = Repository::of(folder)?;
    let config = files::read_if_exists(&repository.shared.join("config"))?.unwrap_or_default();
    let set = String::from_utf8_lossy(&config).lines().find_map(|line| {
        let (name, path) = line.split_once('=')?;
        name.trim().eq_ignore_ascii_case("hookspath").then(|| PathBuf::from(path.trim().trim_matches('"')))
    });
    let top = work_tree(folder).unwrap_or_else(|| repository.own.clone());
    Ok(set.map_or_else(|| repository.shared.join("hooks"), |path| top.join(path)))
}

/// `.git` may be a folder, a file that says where the folder is, or absent because the folder is bare.
fn git_folder(folder: &Path) -> Option<PathBuf> {
    let inner = folder.join(".git");
    if files::is_dir(&inner) {
        return Some(inner);
    }
    if let Ok(Some(text)) = files::read_if_exists(&inner) {
        let text = String::from_utf8_lossy(&text);
        let path = text.strip_prefix("gitdir:")?.trim();
        return Some(folder.join(path));
    }
    let is_bare = files::is_dir(&folder.join("objects"))
        && files::is_dir(&folder.join("refs"))
        && files::exists(&folder.join("HEAD"));
    is_bare.then(|| folder.to_owned())
}

/// What one object takes is kept for the next, but not that of a rare large one.
const ROOM: usize = 64 << 10;

/// The objects, for one thread.
pub struct Objects {
    pub store: gix_odb::Handle,
    quarantine: Option<gix_odb::Handle>,
    buffer: Vec<u8>,
}

impl std::fmt::Debug for Objects {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Objects")
    }
}

impl Objects {
    /// An object, or `None` if this clone does not have it or it is damaged.
    pub fn read(&mut self, id: &ObjectId) -> Option<Data<'_>> {
        if self.buffer.capacity() > ROOM {
            self.buffer = Vec::new();
        }
        let is_here = self.quarantine.is_none() || self.store.exists(id);
        let store = self.quarantine.as_ref().filter(|_| !is_here).unwrap_or(&self.store);
        store.try_find(id, &mut self.buffer).ok().flatten()
    }

    pub(crate) fn size(&self, id: &ObjectId) -> Option<u64> {
        use gix_object::FindHeader;
        let size = |store: &gix_odb::Handle| store.try_header(id).ok().flatten().map(|header| header.size);
        size(&self.store).or_else(|| size(self.quarantine.as_ref()?))
    }

    /// Entries of a tree: mode is a folder or a file (links and submodules are left out), name, object.
    pub(crate) fn tree(&mut self, id: &ObjectId) -> Option<Vec<Entry>> {
        let data = self.read(id).filter(|data| data.kind == Kind::Tree)?;
        let mut entries = Vec::new();
        for entry in gix_object::TreeRefIter::from_bytes(data.data, gix_hash::Kind::Sha1) {
            let entry = entry.ok()?;
            let what = if entry.mode.is_tree() {
                What::Folder
            } else if entry.mode.is_commit() {
                continue;
            } else {
                What::File
            };
            let name = String::from_utf8_lossy(entry.filename).into_owned();
            entries.push(Entry { what, name, id: entry.oid.to_owned() });
        }
        Some(entries)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Folder,
    File,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) what: What,
    pub(crate) name: String,
    pub(crate) id: ObjectId,
}
