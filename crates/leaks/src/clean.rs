//! Which blobs held nothing, remembered between runs.
//!
//! A list of object ids under the fingerprint of everything that decides: rules, engine, set of values. What does not fit, is
//! damaged or was written by another version counts as empty, so the worst a lost cache costs is time. Blobs with a hit are not
//! remembered: they are few, and their findings must be made anew to be shown.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use gix_hash::ObjectId;
use hmac::{Hmac, KeyInit, Mac};
use host::files::{self, Access, FileFault};
use sha2::{Digest, Sha256};

use crate::allow::hex;
use crate::scan::{ENGINE, Scanner};

const MAGIC: &[u8; 8] = b"rbclean1";
const ID: usize = 20;
const KEY: usize = 32;
const CHECKSUM: usize = 32;

/// Each change of rules or values begins another list; older ones than these go.
const LISTS: usize = 4;

/// The blobs that are known to hold nothing.
#[derive(Debug)]
pub struct Clean {
    path: PathBuf,
    key: Vec<u8>,
    known: HashSet<ObjectId>,
    fresh: usize,
}

impl Clean {
    /// Opens the list for what `scanner` looks for, in a folder that only this user reads.
    pub fn open(folder: &Path, scanner: &Scanner) -> Result<Self, FileFault> {
        files::create_dir(folder, Access::Owner)?;
        let key = key(folder)?;
        let mut all = Sha256::new();
        all.update(ENGINE);
        all.update(scanner.rules().fingerprint());
        if let Some(values) = scanner.values() {
            all.update(values.fingerprint(&key));
        }
        let path = folder.join(format!("clean-{}.ids", &hex(&all.finalize())[..32]));
        let known = files::read_if_exists(&path)?.and_then(|bytes| read(&bytes, &key)).unwrap_or_default();
        Ok(Self { path, key, known, fresh: 0 })
    }

    pub fn holds(&self, id: &ObjectId) -> bool {
        self.known.contains(id)
    }

    pub(crate) fn add(&mut self, ids: impl IntoIterator<Item = ObjectId>) {
        for id in ids {
            self.fresh += usize::from(self.known.insert(id));
        }
    }

    /// Writes the list whole, in one swap, and drops lists of times gone by.
    pub fn save(&self) -> Result<(), FileFault> {
        if self.fresh == 0 {
            return Ok(());
        }
        let mut ids: Vec<&ObjectId> = self.known.iter().collect();
        ids.sort_unstable();
        let mut bytes = MAGIC.to_vec();
        bytes.extend(ids.iter().flat_map(|id| id.as_bytes()));
        let sum = checksum(&bytes, &self.key);
        bytes.extend(sum);
        files::write_durable(&self.path, &bytes, Access::Owner)?;
        self.drop_old()
    }

    fn drop_old(&self) -> Result<(), FileFault> {
        let folder = self.path.parent().expect("the list is in a folder");
        let mut lists = Vec::new();
        for path in files::list(folder)? {
            if path.extension().is_some_and(|extension| extension == "ids") && path != self.path {
                lists.push((files::metadata(&path)?.modified().ok(), path));
            }
        }
        lists.sort();
        let surplus = lists.len().saturating_sub(LISTS - 1);
        lists.iter().take(surplus).try_for_each(|(_, path)| files::remove(path))
    }
}

/// Random, made at first use: the fingerprint of values and the checksum are worth nothing elsewhere.
fn key(folder: &Path) -> Result<Vec<u8>, FileFault> {
    let path = folder.join("key");
    match files::read_if_exists(&path)? {
        Some(key) if key.len() == KEY => Ok(key),
        _ => {
            let mut key = [0; KEY];
            getrandom::fill(&mut key)
                .map_err(|error| FileFault::new("make", path.clone(), std::io::Error::other(error)))?;
            files::write_durable(&path, &key, Access::Owner)?;
            Ok(key.to_vec())
        }
    }
}

fn checksum(bytes: &[u8], key: &[u8]) -> [u8; CHECKSUM] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.update(bytes);
    mac.finalize().into_bytes().into()
}

fn read(bytes: &[u8], key: &[u8]) -> Option<HashSet<ObjectId>> {
    let (body, sum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM)?)?;
    let ids = body.strip_prefix(MAGIC)?;
    if checksum(body, key) != *sum || ids.len() % ID != 0 {
        return None;
    }
    Some(ids.chunks(ID).map(ObjectId::from_bytes_or_panic).collect())
}
