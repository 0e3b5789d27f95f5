//! Secrets of one environment in a file that only its owner reads. The sealed store will replace this file behind the same
//! calls.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};

use host::clock::{Clock, SystemClock, Timestamp};
use host::files::{self, Access, FileFault};
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::{Secret, SecretName, generate};

/// What can go wrong with the store.
#[derive(Debug, thiserror::Error)]
pub enum StoreFault {
    #[error("cannot use the secret store")]
    File(#[from] FileFault),
    /// The file is there but not whole. Never treated as empty: new credentials would lock the apps out of their data.
    #[error("the secret store {} is damaged", path.display())]
    Damaged {
        path: PathBuf,
        #[source]
        source: serde_json::Error,
    },
    #[error("the secret store {} has version {found}, this Roadbed reads version {VERSION}", path.display())]
    Version { path: PathBuf, found: u32 },
    /// Swapped in from another environment: its values open nothing here, and must not open anything by accident.
    #[error("the secret store {} belongs to another environment's root", path.display())]
    Foreign { path: PathBuf },
    #[error("the secret store has no {name}")]
    Absent { name: SecretName },
    #[error("cannot get random numbers from the kernel")]
    Random(#[from] getrandom::Error),
}

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct OnDisk {
    version: u32,
    /// Id of the root that the values belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    root: Option<String>,
    values: BTreeMap<String, Entry>,
}

#[derive(Serialize, Deserialize)]
struct Entry {
    #[serde(flatten)]
    current: Value,
    /// Known to the servers, given to nobody yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pending: Option<Value>,
    /// Still held by instances that have not been replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    previous: Option<Value>,
}

#[derive(Serialize, Deserialize)]
struct Value {
    /// Counts the values this name has had, so that a revision can name a value without showing it.
    version: u32,
    value: String,
    /// When it was made. A store of before has none: then it is as old as nothing.
    #[serde(default = "now")]
    created: Timestamp,
    /// When it came to be pending, current or previous.
    #[serde(default = "now")]
    changed: Timestamp,
}

fn now() -> Timestamp {
    SystemClock.now()
}

impl Value {
    fn new(version: u32, secret: &Secret) -> Self {
        Self { version, value: secret.expose().to_owned(), created: now(), changed: now() }
    }

    fn changed(mut self) -> Self {
        self.changed = now();
        self
    }

    fn row(&self, name: &str, state: VersionState) -> VersionRow {
        VersionRow { name: name.to_owned(), version: self.version, state, created: self.created, changed: self.changed }
    }

    fn opened(&self, state: VersionState) -> Versioned {
        Versioned { secret: Secret::new(self.value.clone()), version: self.version, state }
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        self.value.zeroize();
    }
}

/// The store of one environment.
#[derive(Debug)]
pub struct FileStore {
    path: PathBuf,
    /// Id of the root that it must belong to.
    root: Option<String>,
    /// One writer at a time: a read-modify-write of the whole file.
    writing: Mutex<()>,
}

/// Where a version of a value is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum VersionState {
    /// Servers let it in already; no process was given it.
    Pending,
    /// What a process that starts now is given.
    Current,
    /// Servers still let it in, for processes that were started with it.
    Previous,
}

/// A value with the version it has.
#[derive(Debug)]
pub struct Versioned {
    pub secret: Secret,
    pub version: u32,
    pub state: VersionState,
}

/// A version without its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VersionRow {
    pub name: String,
    pub version: u32,
    pub state: VersionState,
    pub created: Timestamp,
    /// When it came to be in this state.
    pub changed: Timestamp,
}

impl FileStore {
    pub fn new(path: PathBuf) -> Self {
        Self { path, root: None, writing: Mutex::new(()) }
    }

    /// As [`FileStore::new`], refusing a store that another root wrote. One that is nobody's yet becomes this root's.
    pub fn of_root(path: PathBuf, root: &str) -> Self {
        Self { root: Some(root.to_owned()), ..Self::new(path) }
    }

    /// Takes over what another root wrote: for a root that is adopted with all that lies in it.
    pub fn take_over(&self) -> Result<(), StoreFault> {
        let _writing = self.writing.lock().expect("no panic happens while the store is written");
        match self.read()? {
            Some(disk) => self.save(&OnDisk { root: self.root.clone(), ..disk }),
            None => Ok(()),
        }
    }

    pub fn get(&self, name: &SecretName) -> Result<Option<Versioned>, StoreFault> {
        let disk = self.load()?;
        Ok(disk.values.get(name.as_str()).map(|entry| entry.current.opened(VersionState::Current)))
    }

    /// Every version that a server must let in: the current one first.
    pub fn accepted(&self, name: &SecretName) -> Result<Vec<Versioned>, StoreFault> {
        let disk = self.load()?;
        let Some(entry) = disk.values.get(name.as_str()) else { return Ok(Vec::new()) };
        let mut all = vec![entry.current.opened(VersionState::Current)];
        all.extend(entry.pending.as_ref().map(|value| value.opened(VersionState::Pending)));
        all.extend(entry.previous.as_ref().map(|value| value.opened(VersionState::Previous)));
        Ok(all)
    }

    /// Keeps a value that is to follow the current one, and says its version. One that is pending already stays, whatever
    /// `secret` is: a rotation that was killed goes on with what servers may have learnt.
    pub fn stage(&self, name: &SecretName, secret: &Secret) -> Result<u32, StoreFault> {
        self.change(name, |entry| {
            let next = entry.current.version + 1;
            let pending = entry.pending.get_or_insert_with(|| Value::new(next, secret));
            pending.version
        })
    }

    /// The pending version becomes the current one, which becomes the previous. Without a pending one nothing changes.
    pub fn promote(&self, name: &SecretName) -> Result<u32, StoreFault> {
        self.change(name, |entry| {
            if let Some(next) = entry.pending.take() {
                entry.previous = Some(std::mem::replace(&mut entry.current, next.changed()).changed());
            }
            entry.current.version
        })
    }

    /// Forgets the previous version: no process has it any more.
    pub fn retire(&self, name: &SecretName) -> Result<(), StoreFault> {
        self.change(name, |entry| entry.previous = None)
    }

    fn change<T>(&self, name: &SecretName, change: impl FnOnce(&mut Entry) -> T) -> Result<T, StoreFault> {
        let _writing = self.writing.lock().expect("no panic happens while the store is written");
        let mut disk = self.load()?;
        let entry = disk.values.get_mut(name.as_str()).ok_or_else(|| StoreFault::Absent { name: name.clone() })?;
        let result = change(entry);
        self.save(&disk)?;
        Ok(result)
    }

    /// Sets a value; setting the value it already has changes nothing.
    pub fn set(&self, name: &SecretName, secret: &Secret) -> Result<u32, StoreFault> {
        let writing = self.writing.lock().expect("no panic happens while the store is written");
        self.put(&writing, name, secret)
    }

    fn put(&self, _: &MutexGuard<'_, ()>, name: &SecretName, secret: &Secret) -> Result<u32, StoreFault> {
        let mut disk = self.load()?;
        let version = match disk.values.get(name.as_str()) {
            Some(entry) if secret.matches(entry.current.value.as_bytes()) => return Ok(entry.current.version),
            Some(entry) => entry.pending.as_ref().unwrap_or(&entry.current).version + 1,
            None => 1,
        };
        let current = Value::new(version, secret);
        disk.values.insert(name.as_str().to_owned(), Entry { current, pending: None, previous: None });
        self.save(&disk)?;
        Ok(version)
    }

    /// The value under `name`, generated and kept first if there is none.
    pub fn get_or_generate(&self, name: &SecretName) -> Result<Versioned, StoreFault> {
        // Held over both: two who ask at once must get one value.
        let writing = self.writing.lock().expect("no panic happens while the store is written");
        if let Some(found) = self.get(name)? {
            return Ok(found);
        }
        let fresh = generate::credential()?;
        let version = self.put(&writing, name, &fresh)?;
        Ok(Versioned { secret: fresh, version, state: VersionState::Current })
    }

    pub fn names(&self) -> Result<Vec<SecretName>, StoreFault> {
        Ok(self.load()?.values.keys().map(SecretName::new).collect())
    }

    /// All versions that servers must let in, without their values.
    pub fn versions(&self) -> Result<Vec<VersionRow>, StoreFault> {
        let mut rows = Vec::new();
        for (name, entry) in &self.load()?.values {
            rows.push(entry.current.row(name, VersionState::Current));
            rows.extend(entry.pending.as_ref().map(|value| value.row(name, VersionState::Pending)));
            rows.extend(entry.previous.as_ref().map(|value| value.row(name, VersionState::Previous)));
        }
        Ok(rows)
    }

    fn load(&self) -> Result<OnDisk, StoreFault> {
        let Some(mut disk) = self.read()? else {
            return Ok(OnDisk { version: VERSION, root: self.root.clone(), values: BTreeMap::new() });
        };
        if let Some(ours) = &self.root {
            match &disk.root {
                Some(theirs) if theirs != ours => return Err(StoreFault::Foreign { path: self.path.clone() }),
                _ => disk.root = Some(ours.clone()),
            }
        }
        Ok(disk)
    }

    fn read(&self) -> Result<Option<OnDisk>, StoreFault> {
        let Some(mut bytes) = files::read_if_exists(&self.path)? else { return Ok(None) };
        let parsed = serde_json::from_slice::<OnDisk>(&bytes);
        bytes.zeroize();
        let disk = parsed.map_err(|source| StoreFault::Damaged { path: self.path.clone(), source })?;
        if disk.version != VERSION {
            return Err(StoreFault::Version { path: self.path.clone(), found: disk.version });
        }
        Ok(Some(disk))
    }

    fn save(&self, disk: &OnDisk) -> Result<(), StoreFault> {
        let mut bytes = serde_json::to_vec_pretty(disk)
            .map_err(|source| StoreFault::Damaged { path: self.path.clone(), source })?;
        let written = files::write_durable(&self.path, &bytes, Access::Owner);
        bytes.zeroize();
        Ok(written?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn store() -> (tempfile::TempDir, FileStore) {
        let folder = tempfile::tempdir().unwrap();
        let store = FileStore::new(folder.path().join("store.json"));
        (folder, store)
    }

    #[test]
    fn a_value_is_made_once_and_then_kept() {
        let (_folder, store) = store();
        let name = SecretName::variable("SESSION_SECRET");
        let made = store.get_or_generate(&name).unwrap();
        let kept = store.get_or_generate(&name).unwrap();
        assert_eq!(made.secret.expose(), kept.secret.expose());
        assert_eq!((made.version, kept.version), (1, 1));
    }

    #[test]
    fn only_another_value_is_another_version() {
        let (_folder, store) = store();
        let name = SecretName::new("mongodb/admin");
        let versions: Vec<u32> =
            ["one", "one", "two"].map(|value| store.set(&name, &Secret::new(value.into())).unwrap()).to_vec();
        assert_eq!(versions, [1, 1, 2]);
    }

    #[test]
    fn a_rotation_keeps_the_old_value_until_it_is_retired() {
        let (_folder, store) = store();
        let name = SecretName::new("mongodb/app-api");
        let [one, two, three] = ["one", "two", "three"].map(|value| Secret::new(value.into()));
        store.set(&name, &one).unwrap();
        let states = || -> Vec<(String, u32, VersionState)> {
            let all = store.accepted(&name).unwrap();
            all.into_iter().map(|each| (each.secret.expose().to_owned(), each.version, each.state)).collect()
        };
        assert_eq!(store.stage(&name, &two).unwrap(), 2);
        // A killed rotation that begins again goes on with the value it had.
        assert_eq!(store.stage(&name, &three).unwrap(), 2);
        assert_eq!(states(), [("one".into(), 1, VersionState::Current), ("two".into(), 2, VersionState::Pending)]);
        for _ in 0..2 {
            assert_eq!(store.promote(&name).unwrap(), 2);
            assert_eq!(states(), [("two".into(), 2, VersionState::Current), ("one".into(), 1, VersionState::Previous)]);
        }
        store.retire(&name).unwrap();
        assert_eq!(states(), [("two".into(), 2, VersionState::Current)]);
        assert!(matches!(store.stage(&SecretName::new("nobody"), &one), Err(StoreFault::Absent { .. })));
    }

    #[test]
    fn nobody_else_may_read_the_file() {
        let (folder, store) = store();
        store.get_or_generate(&SecretName::new("x")).unwrap();
        let meta = files::metadata(&folder.path().join("store.json")).unwrap();
        assert_eq!(meta.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_store_is_not_an_empty_one() {
        let (folder, store) = store();
        let name = SecretName::new("mongodb/admin");
        store.get_or_generate(&name).unwrap();
        let path = folder.path().join("store.json");
        let whole = files::read(&path).unwrap();
        for length in [0, 1, whole.len() / 2, whole.len() - 2] {
            files::write(&path, &whole[..length], Access::Owner).unwrap();
            assert!(matches!(store.get_or_generate(&name), Err(StoreFault::Damaged { .. })), "{length} bytes");
            assert_eq!(files::read(&path).unwrap().len(), length, "the evidence of the damage stays");
        }
    }

    #[test]
    fn the_store_of_another_root_is_refused_until_it_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.json");
        let name = SecretName::new("mongodb/admin");
        let [ours, theirs] = ["ours", "theirs"].map(|root| FileStore::of_root(path.clone(), root));
        // What is nobody's is ours from the first write on.
        FileStore::new(path.clone()).get_or_generate(&SecretName::new("x")).unwrap();
        let made = ours.get_or_generate(&name).unwrap();
        assert!(matches!(theirs.get(&name), Err(StoreFault::Foreign { .. })));
        assert!(matches!(theirs.get_or_generate(&name), Err(StoreFault::Foreign { .. })));
        theirs.take_over().unwrap();
        assert_eq!(theirs.get(&name).unwrap().unwrap().secret.expose(), made.secret.expose());
        assert!(matches!(ours.names(), Err(StoreFault::Foreign { .. })));
    }

    #[test]
    fn what_is_shown_of_a_value_is_never_the_value() {
        let (_folder, store) = store();
        let found = store.get_or_generate(&SecretName::new("x")).unwrap();
        assert!(!format!("{found:?}").contains(found.secret.expose()));
    }

    #[test]
    fn all_who_ask_at_once_get_the_same_value() {
        let (_folder, store) = store();
        let name = SecretName::new("mongodb/admin");
        let values: Vec<String> = std::thread::scope(|scope| {
            let asking: Vec<_> = (0..8).map(|_| scope.spawn(|| store.get_or_generate(&name).unwrap())).collect();
            asking.into_iter().map(|one| one.join().unwrap().secret.expose().to_owned()).collect()
        });
        assert!(values.iter().all(|value| *value == values[0]), "{} values for one name", values.len());
    }

    #[test]
    fn writers_at_the_same_time_lose_nothing() {
        let (_folder, store) = store();
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let store = &store;
                scope.spawn(move || store.get_or_generate(&SecretName::new(format!("w{writer}"))).unwrap());
            }
        });
        assert_eq!(store.names().unwrap().len(), 8);
    }
}
