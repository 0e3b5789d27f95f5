//! Secrets of one environment in a file that only its owner reads. The sealed store will replace this file behind the same
//! calls.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard};

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
    /// Counts the values this name has had, so that a revision can name a value without showing it.
    version: u32,
    value: String,
}

impl Drop for Entry {
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

/// A value with the version it has.
#[derive(Debug)]
pub struct Versioned {
    pub secret: Secret,
    pub version: u32,
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
        Ok(disk
            .values
            .get(name.as_str())
            .map(|entry| Versioned { secret: Secret::new(entry.value.clone()), version: entry.version }))
    }

    /// Sets a value; setting the value it already has changes nothing.
    pub fn set(&self, name: &SecretName, secret: &Secret) -> Result<u32, StoreFault> {
        let writing = self.writing.lock().expect("no panic happens while the store is written");
        self.put(&writing, name, secret)
    }

    fn put(&self, _: &MutexGuard<'_, ()>, name: &SecretName, secret: &Secret) -> Result<u32, StoreFault> {
        let mut disk = self.load()?;
        let version = match disk.values.get(name.as_str()) {
            Some(entry) if secret.matches(entry.value.as_bytes()) => return Ok(entry.version),
            Some(entry) => entry.version + 1,
            None => 1,
        };
        disk.values.insert(name.as_str().to_owned(), Entry { version, value: secret.expose().to_owned() });
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
        Ok(Versioned { secret: fresh, version })
    }

    pub fn names(&self) -> Result<Vec<SecretName>, StoreFault> {
        Ok(self.load()?.values.keys().map(SecretName::new).collect())
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
