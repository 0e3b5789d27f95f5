//! Secrets of one environment in a file that only its owner reads. The sealed store will replace this file behind the same
//! calls.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;

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
    #[error("cannot get random numbers from the kernel")]
    Random(#[from] getrandom::Error),
}

const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct OnDisk {
    version: u32,
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
        Self { path, writing: Mutex::new(()) }
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
        let _writing = self.writing.lock().expect("no panic happens while the store is written");
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
        if let Some(found) = self.get(name)? {
            return Ok(found);
        }
        let fresh = generate::credential()?;
        let version = self.set(name, &fresh)?;
        Ok(Versioned { secret: fresh, version })
    }

    pub fn names(&self) -> Result<Vec<SecretName>, StoreFault> {
        Ok(self.load()?.values.keys().map(SecretName::new).collect())
    }

    fn load(&self) -> Result<OnDisk, StoreFault> {
        let Some(mut bytes) = files::read_if_exists(&self.path)? else {
            return Ok(OnDisk { version: VERSION, values: BTreeMap::new() });
        };
        let parsed = serde_json::from_slice::<OnDisk>(&bytes);
        bytes.zeroize();
        let disk = parsed.map_err(|source| StoreFault::Damaged { path: self.path.clone(), source })?;
        if disk.version != VERSION {
            return Err(StoreFault::Version { path: self.path.clone(), found: disk.version });
        }
        Ok(disk)
    }

    fn save(&self, disk: &OnDisk) -> Result<(), StoreFault> {
        let mut bytes = serde_json::to_vec_pretty(disk)
            .map_err(|source| StoreFault::Damaged { path: self.path.clone(), source })?;
        let written = files::write_durable(&self.path, &bytes, Access::Owner);
        bytes.zeroize();
        Ok(written?)
    }
}
