//! Answers that are kept: in memory, and on a disk over restarts.
//!
//! ```text
//!   get: memory ─► disk (its digest is looked at) ─► nobody has it
//!   put: memory and disk; what is pushed out of one goes for itself
//! ```
//!
//! Both are `quick_cache`, whose S3-FIFO lets a crawler that asks for everything once push out nothing that is asked for again.

mod disk;

pub(crate) use disk::digest_of;

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use host::clock::{Clock, SystemClock, Timestamp};
use host::files::FileFault;
use quick_cache::sync::{Cache as Kept, DefaultLifecycle};
use quick_cache::{OptionsBuilder, Weighter};
use serde::{Deserialize, Serialize};

use crate::{Format, Settings};
use disk::Disk;

/// An answer, ready to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) about: About,
    pub(crate) body: Bytes,
}

/// What is known of an answer beside its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct About {
    /// Bucket and key, as `BUCKET/KEY`.
    pub(crate) object: String,
    pub(crate) content: Content,
    /// SHA-256 of the bytes, in hexadecimal.
    pub(crate) digest: String,
    /// Of the object that it was made of.
    pub(crate) origin_etag: String,
    pub(crate) tags: Vec<String>,
    /// When the origin said last that it is right.
    pub(crate) checked: Timestamp,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Content {
    Picture(Format),
    /// As it came, of this type; to be saved and not to be shown.
    File(String),
}

/// Which answers are taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Selector {
    /// `BUCKET/KEY`.
    Key(String),
    /// What `BUCKET/KEY` begins with.
    Prefix(String),
    /// A word of the object's metadata `tags`.
    Tag(String),
}

impl Selector {
    pub(crate) fn selects(&self, object: &str, tags: &[String]) -> bool {
        match self {
            Self::Key(key) => key == object,
            Self::Prefix(prefix) => object.starts_with(prefix.as_str()),
            Self::Tag(tag) => tags.contains(tag),
        }
    }
}

/// Where an answer was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Memory,
    Disk,
}

/// What an entry costs beside its bytes: key, facts and the tables.
const AROUND: u64 = 512;

/// A cache has so many shares at least of this size, so that one answer is never too large for its share.
const SHARE: u64 = 64 << 20;

#[derive(Clone, Debug)]
struct Weight;

impl Weighter<String, Arc<Entry>> for Weight {
    fn weight(&self, _: &String, entry: &Arc<Entry>) -> u64 {
        entry.body.len() as u64 + AROUND
    }
}

type Memory = Kept<String, Arc<Entry>, Weight, std::hash::RandomState, DefaultLifecycle<String, Arc<Entry>>>;

/// Both places, and what was taken back lately.
#[derive(Debug)]
pub(crate) struct Cache {
    memory: Memory,
    disk: Option<Arc<Disk>>,
    purges: Mutex<Purges>,
}

/// So that what was asked for before a purge is not kept after it.
#[derive(Debug, Default)]
struct Purges {
    count: u64,
    latest: std::collections::VecDeque<(u64, Selector)>,
}

/// Purges that are remembered. What takes longer to make than it takes for so many purges is not kept at all.
const REMEMBERED: usize = 1024;

/// How many purges there had been when something was begun.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun(u64);

impl Cache {
    pub(crate) fn open(settings: &Settings) -> Result<Self, FileFault> {
        let memory = OptionsBuilder::new()
            .shards(shares(settings.memory_bytes))
            .estimated_items_capacity(items(settings.memory_bytes))
            .weight_capacity(settings.memory_bytes)
            .build()
            .expect("all that is needed is given");
        let memory = Memory::with_options(memory, Weight, std::hash::RandomState::new(), DefaultLifecycle::default());
        let disk = settings.folder.as_deref().map(|folder| Disk::open(folder, settings.disk_bytes)).transpose()?;
        Ok(Self { memory, disk: disk.map(Arc::new), purges: Mutex::default() })
    }

    pub(crate) fn begin(&self) -> Begun {
        Begun(self.purges.lock().unwrap_or_else(PoisonError::into_inner).count)
    }

    pub(crate) async fn get(&self, key: &str) -> Option<(Arc<Entry>, Place)> {
        if let Some(entry) = self.memory.get(key) {
            return Some((entry, Place::Memory));
        }
        let disk = self.disk.clone().filter(|disk| disk.has(key))?;
        let begun = self.begin();
        let name = key.to_owned();
        let entry = tokio::task::spawn_blocking(move || disk.get(&name)).await.ok()??;
        let entry = Arc::new(entry);
        self.keep(key, &entry, begun, false).await;
        Some((entry, Place::Disk))
    }

    pub(crate) async fn put(&self, key: &str, entry: &Arc<Entry>, begun: Begun) {
        self.keep(key, entry, begun, true).await;
    }

    /// The origin says that it is still right, or did not answer and is to be asked again at another time.
    pub(crate) async fn touch(&self, key: &str, entry: &Entry, checked: Timestamp, begun: Begun) -> Arc<Entry> {
        let about = About { checked, ..entry.about.clone() };
        let entry = Arc::new(Entry { about, body: entry.body.clone() });
        self.keep(key, &entry, begun, false).await;
        entry
    }

    async fn keep(&self, key: &str, entry: &Arc<Entry>, begun: Begun, on_disk: bool) {
        if let Some(disk) = self.disk.clone().filter(|_| on_disk) {
            let (key, entry) = (key.to_owned(), entry.clone());
            // A full disk takes nothing from visitors: the answer is in memory, or is made again.
            let written = tokio::task::spawn_blocking(move || disk.put(&key, &entry)).await;
            if let Ok(Err(fault)) = written {
                tracing::warn!(%fault, why = %fault.source, "an answer is not kept on the disk");
            }
        }
        self.memory.insert(key.to_owned(), entry.clone());
        // A purge that came meanwhile either finds it, or is found here.
        if self.was_purged(begun, &entry.about) {
            self.forget(key).await;
        }
    }

    fn was_purged(&self, begun: Begun, about: &About) -> bool {
        let purges = self.purges.lock().unwrap_or_else(PoisonError::into_inner);
        let since = purges.latest.iter().filter(|(number, _)| *number > begun.0);
        let remembers_all = purges.latest.front().is_none_or(|(number, _)| *number <= begun.0 + 1);
        !remembers_all || since.into_iter().any(|(_, selector)| selector.selects(&about.object, &about.tags))
    }

    /// The object is gone.
    pub(crate) async fn forget(&self, key: &str) {
        self.memory.remove(key);
        if let Some(disk) = self.disk.clone() {
            let key = key.to_owned();
            let _ = tokio::task::spawn_blocking(move || disk.remove(&key)).await;
        }
    }

    /// Takes answers back, and says how many keys they had.
    pub(crate) async fn purge(&self, selector: &Selector) -> usize {
        {
            let mut purges = self.purges.lock().unwrap_or_else(PoisonError::into_inner);
            purges.count += 1;
            let count = purges.count;
            purges.latest.push_back((count, selector.clone()));
            if purges.latest.len() > REMEMBERED {
                purges.latest.pop_front();
            }
        }
        let selected = |about: &About| selector.selects(&about.object, &about.tags);
        let in_memory = self.memory.iter().filter(|(_, entry)| selected(&entry.about)).map(|(key, _)| key);
        let mut keys: std::collections::BTreeSet<String> = in_memory.collect();
        for key in &keys {
            self.memory.remove(key);
        }
        if let Some(disk) = self.disk.clone() {
            let selector = selector.clone();
            keys.extend(tokio::task::spawn_blocking(move || disk.purge(&selector)).await.unwrap_or_default());
        }
        keys.len()
    }

    pub(crate) fn memory_bytes(&self) -> u64 {
        self.memory.weight()
    }

    pub(crate) fn disk_bytes(&self) -> u64 {
        self.disk.as_ref().map_or(0, |disk| disk.bytes())
    }
}

impl About {
    /// How long ago the origin said that it is right.
    pub(crate) fn age(&self) -> std::time::Duration {
        SystemClock.now().since(self.checked)
    }
}

fn shares(bytes: u64) -> usize {
    usize::try_from(bytes / SHARE).unwrap_or(1).clamp(1, 16)
}

/// Answers have some 40 kilobytes; a guess only makes the tables.
fn items(bytes: u64) -> usize {
    usize::try_from(bytes / 40_960).unwrap_or(0).clamp(64, 1 << 20)
}
