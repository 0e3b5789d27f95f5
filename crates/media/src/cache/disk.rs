//! Answers on a disk: a file each, facts first.
//!
//! A file has a name of its own and is never changed, so that what is pushed out can be removed while its successor is written. They can
//! be made again, so nothing waits for the disk; a file that a crash cut off is not what its digest says, and goes when it is read.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use host::clock::{Clock, SystemClock};
use host::files::{self, Access, FileFault};
use quick_cache::sync::Cache as Kept;
use quick_cache::{Lifecycle, OptionsBuilder, Weighter};
use serde::{Deserialize, Serialize};

use super::{About, Entry, Selector, items};

/// The format of files. Others are removed.
const MAGIC: &[u8; 8] = b"rb-med1\n";

/// Facts are hardly longer than a key.
const MOST_FACTS: usize = 64 * 1024;

#[derive(Debug, Serialize, Deserialize)]
struct Facts {
    key: String,
    about: About,
}

#[derive(Clone, Debug)]
struct Item {
    file: PathBuf,
    bytes: u64,
    object: Arc<str>,
    tags: Arc<[String]>,
}

#[derive(Clone, Debug)]
struct Weight;

impl Weighter<String, Item> for Weight {
    fn weight(&self, _: &String, item: &Item) -> u64 {
        item.bytes
    }
}

/// Whoever puts something in removes the files of what it pushed out.
#[derive(Clone, Debug)]
struct PushedOut;

impl Lifecycle<String, Item> for PushedOut {
    type RequestState = Vec<PathBuf>;

    fn on_evict(&self, state: &mut Vec<PathBuf>, _: String, item: Item) {
        state.push(item.file);
    }
}

#[derive(Debug)]
pub(super) struct Disk {
    folder: PathBuf,
    index: Kept<String, Item, Weight, std::hash::RandomState, PushedOut>,
    next: AtomicU64,
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// As it is in [`About::digest`].
pub(crate) fn digest_of(bytes: &[u8]) -> String {
    hex(digest(&SHA256, bytes).as_ref())
}

impl Disk {
    /// Reads what is there; the oldest first, so that it goes first where there is too much.
    pub(super) fn open(folder: &Path, most: u64) -> Result<Self, FileFault> {
        files::create_dir(folder, Access::Owner)?;
        let options = OptionsBuilder::new()
            // One share: it is held for an insertion, never for a read of a file.
            .shards(1)
            .estimated_items_capacity(items(most))
            .weight_capacity(most)
            .build()
            .expect("all that is needed is given");
        let index = Kept::with_options(options, Weight, std::hash::RandomState::new(), PushedOut);
        let began = u64::try_from(SystemClock.now().unix_millis()).unwrap_or(0) << 16;
        let disk = Self { folder: folder.to_owned(), index, next: AtomicU64::new(began) };
        for file in files::list(folder)? {
            match disk.read_facts(&file) {
                Some((facts, bytes)) => disk.take(facts.key, file, bytes, &facts.about),
                None => remove(&file),
            }
        }
        Ok(disk)
    }

    /// What a file is, without its bytes.
    fn read_facts(&self, file: &Path) -> Option<(Facts, u64)> {
        let size = files::metadata(file).ok().filter(std::fs::Metadata::is_file)?.len();
        let head = files::read_prefix(file, MAGIC.len() + 4 + MOST_FACTS).ok()??;
        let (facts, _) = facts(&head)?;
        Some((facts, size))
    }

    fn take(&self, key: String, file: PathBuf, bytes: u64, about: &About) {
        let item = Item { file, bytes, object: about.object.as_str().into(), tags: about.tags.clone().into() };
        let mut pushed_out = Vec::new();
        self.index.insert_with_lifecycle(key, item, &mut pushed_out);
        pushed_out.iter().for_each(|file| remove(file));
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.index.contains_key(key)
    }

    pub(super) fn get(&self, key: &str) -> Option<Entry> {
        let item = self.index.get(key)?;
        let entry = files::read(&item.file).ok().and_then(|bytes| entry(key, bytes));
        if entry.is_none() {
            self.remove_if(key, &item.file);
        }
        entry
    }

    pub(super) fn put(&self, key: &str, entry: &Entry) -> Result<(), FileFault> {
        let facts = Facts { key: key.to_owned(), about: entry.about.clone() };
        let facts = serde_json::to_vec(&facts).expect("facts are texts and numbers");
        let length = u32::try_from(facts.len()).ok().filter(|length| *length as usize <= MOST_FACTS);
        // A key of a kilobyte with very many tags is made anew each time.
        let Some(length) = length else { return Ok(()) };
        let mut bytes = Vec::with_capacity(MAGIC.len() + 4 + facts.len() + entry.body.len());
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&facts);
        bytes.extend_from_slice(&entry.body);
        let file = self.folder.join(format!("{:016x}", self.next.fetch_add(1, Ordering::Relaxed)));
        if let Err(fault) = files::write(&file, &bytes, Access::Owner) {
            remove(&file);
            return Err(fault);
        }
        self.take(key.to_owned(), file, bytes.len() as u64, &entry.about);
        Ok(())
    }

    pub(super) fn remove(&self, key: &str) {
        if let Some((_, item)) = self.index.remove(key) {
            remove(&item.file);
        }
    }

    fn remove_if(&self, key: &str, file: &Path) {
        if let Some((_, item)) = self.index.remove_if(key, |item| item.file == file) {
            remove(&item.file);
        }
    }

    /// The keys of what was removed.
    pub(super) fn purge(&self, selector: &Selector) -> Vec<String> {
        let selected = self.index.iter().filter(|(_, item)| selector.selects(&item.object, &item.tags));
        let keys: Vec<String> = selected.map(|(key, _)| key).collect();
        keys.iter().for_each(|key| self.remove(key));
        keys
    }

    pub(super) fn bytes(&self) -> u64 {
        self.index.weight()
    }
}

/// What cannot be removed now is removed at the next start, where it is one too many.
fn remove(file: &Path) {
    if let Err(fault) = files::remove(file) {
        tracing::warn!(%fault, why = %fault.source, "a file of the cache stays");
    }
}

fn facts(bytes: &[u8]) -> Option<(Facts, usize)> {
    let rest = bytes.strip_prefix(MAGIC)?;
    let (length, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length <= MOST_FACTS)?;
    let facts = serde_json::from_slice(rest.get(..length)?).ok()?;
    Some((facts, MAGIC.len() + 4 + length))
}

fn entry(key: &str, bytes: Vec<u8>) -> Option<Entry> {
    let (facts, at) = facts(&bytes)?;
    let body = Bytes::from(bytes).slice(at..);
    (facts.key == key && facts.about.digest == digest_of(&body)).then_some(Entry { about: facts.about, body })
}
