//! A source of the repository's library that is fed from elsewhere, in files whose size is known before they begin.
//!
//! Sources of unknown size would be saved with size 0, which restic restores as empty files; and errors of a source are logged
//! and left out by the library. So parts come here whole, or of a size that is known before and with somebody who hears what cannot
//! be read of them, and only the last of them opens the way for the snapshot.

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use host::clock::Timestamp;
use reconcile::Fault;
use rustic_core::repofile::{Metadata, Node, NodeType};
use rustic_core::{ReadSource, ReadSourceEntry, RusticResult};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// So large is a part at most, but for one document more.
pub(crate) const PART_BYTES: usize = 16 << 20;

/// What the sink says where nobody takes any more: why, the repository says.
pub(crate) const TOOK_NO_MORE: &str = "the repository took no more";

/// So much that cannot be read is named; more of it says nothing more.
const MOST_LACKING: usize = 20;

/// Whether what is being saved is whole: its last part was put, and nothing of it that was read since could not be.
#[derive(Debug, Default)]
pub(crate) struct Wholeness {
    is_last_put: AtomicBool,
    lacking: Mutex<Vec<Fault>>,
}

impl Wholeness {
    pub(crate) fn is_whole(&self) -> bool {
        self.is_last_put.load(Ordering::Acquire) && self.lacking().is_empty()
    }

    /// Something could not be read.
    pub(crate) fn lacks(&self, fault: Fault) {
        self.lacking().push(fault);
    }

    pub(crate) fn is_hopeless(&self) -> bool {
        self.lacking().len() >= MOST_LACKING
    }

    /// Why it is not whole, where something that was put could not be read.
    pub(crate) fn fault(&self) -> Option<Fault> {
        let lacking = self.lacking();
        match lacking.as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            several => {
                let mut told = Fault::new(format!("cannot read {} objects for a backup", several.len()));
                told.hint = several.iter().find_map(|one| one.hint.clone());
                Some(several.iter().fold(told, |told, one| told.cause(format!("{}: {}", one, one.causes.join(": ")))))
            }
        }
    }

    fn lacking(&self) -> std::sync::MutexGuard<'_, Vec<Fault>> {
        self.lacking.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a part holds.
pub(crate) enum Holding {
    Bytes(Cursor<Bytes>),
    /// Read while it is packed: too large to be held. What goes wrong is told to the [`Wholeness`] by who reads.
    Reading(Box<dyn Read + Send>),
}

impl Read for Holding {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Bytes(bytes) => bytes.read(into),
            Self::Reading(reading) => reading.read(into),
        }
    }
}

/// A file of a snapshot.
struct Part {
    path: PathBuf,
    holding: Holding,
    size: u64,
    /// Absent for what is as old as the snapshot.
    modified: Option<Timestamp>,
    is_last: bool,
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Part").field("path", &self.path).field("size", &self.size).finish_non_exhaustive()
    }
}

/// Where parts are put, in the order of their paths.
#[derive(Debug)]
pub(crate) struct Sink {
    sender: Sender<Part>,
    pub(crate) bytes: u64,
}

impl Sink {
    /// Waits while the repository is busy with the parts before.
    pub(crate) async fn put(&mut self, path: &str, content: Vec<u8>) -> Result<(), Fault> {
        self.send(path, content, false).await
    }

    /// The last part: what it is put for is whole.
    pub(crate) async fn finish(&mut self, path: &str, content: Vec<u8>) -> Result<(), Fault> {
        self.send(path, content, true).await
    }

    async fn send(&mut self, path: &str, content: Vec<u8>, is_last: bool) -> Result<(), Fault> {
        let part = self.part(path, content, is_last);
        self.sender.send(part).await.map_err(|_| Fault::new(TOOK_NO_MORE))
    }

    fn part(&mut self, path: &str, content: Vec<u8>, is_last: bool) -> Part {
        let size = content.len() as u64;
        self.bytes += size;
        let holding = Holding::Bytes(Cursor::new(content.into()));
        Part { path: Path::new("/").join(path), holding, size, modified: None, is_last }
    }

    /// As [`Sink::put`], from a thread that may wait.
    pub(crate) fn put_now(&mut self, path: &str, content: Vec<u8>) -> Result<(), Fault> {
        let part = self.part(path, content, false);
        self.sender.blocking_send(part).map_err(|_| Fault::new(TOOK_NO_MORE))
    }

    /// Puts what is read later, of a size that is known now: from a thread that may wait.
    pub(crate) fn put_reading(
        &mut self,
        path: &str,
        size: u64,
        modified: Option<Timestamp>,
        reading: Box<dyn Read + Send>,
    ) -> Result<(), Fault> {
        self.bytes += size;
        let (path, holding) = (Path::new("/").join(path), Holding::Reading(reading));
        let part = Part { path, holding, size, modified, is_last: false };
        self.sender.blocking_send(part).map_err(|_| Fault::new(TOOK_NO_MORE))
    }

    /// Another one that leads to the same, and has counted nothing yet.
    pub(crate) fn another(&self) -> Self {
        Self { sender: self.sender.clone(), bytes: 0 }
    }
}

/// The other end.
#[derive(Debug)]
pub(crate) struct Source {
    receiver: Mutex<Option<Receiver<Part>>>,
    wholeness: Arc<Wholeness>,
    taken: Timestamp,
}

/// Two ends: one part waits while one is being packed, so that memory stays bounded.
pub(crate) fn pair(wholeness: Arc<Wholeness>, taken: Timestamp) -> (Sink, Source) {
    let (sender, receiver) = channel(1);
    (Sink { sender, bytes: 0 }, Source { receiver: Mutex::new(Some(receiver)), wholeness, taken })
}

#[derive(Debug)]
pub(crate) struct Entries {
    receiver: Option<Receiver<Part>>,
    wholeness: Arc<Wholeness>,
    taken: Timestamp,
}

impl Iterator for Entries {
    type Item = RusticResult<ReadSourceEntry<Holding>>;

    fn next(&mut self) -> Option<Self::Item> {
        let part = self.receiver.as_mut()?.blocking_recv()?;
        let time = part.modified.unwrap_or(self.taken);
        let time = rustic_core::jiff::Timestamp::from_millisecond(time.unix_millis()).ok();
        let metadata = Metadata {
            mode: Some(0o600),
            mtime: time,
            atime: time,
            ctime: time,
            size: part.size,
            ..Metadata::default()
        };
        let name = part.path.file_name().unwrap_or(OsStr::new("part"));
        let node = Node::new_node(name, NodeType::File, metadata);
        if part.is_last {
            self.wholeness.is_last_put.store(true, Ordering::Release);
        }
        Some(Ok(ReadSourceEntry { path: part.path, node, open: Some(part.holding) }))
    }
}

impl ReadSource for Source {
    type Open = Holding;
    type Iter = Entries;

    fn size(&self) -> RusticResult<Option<u64>> {
        Ok(None)
    }

    fn entries(&self) -> Entries {
        let receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take();
        Entries { receiver, wholeness: self.wholeness.clone(), taken: self.taken }
    }
}
