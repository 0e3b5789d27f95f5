//! A source of the repository's library that is fed from elsewhere, in files whose size is known before they begin.
//!
//! Sources of unknown size would be saved with size 0, which restic restores as empty files; and errors of a source are logged
//! and left out by the library. So parts come here whole, and only the last of them opens the way for the snapshot.

use std::ffi::OsStr;
use std::io::Cursor;
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

/// A file of a snapshot.
#[derive(Debug)]
struct Part {
    path: PathBuf,
    content: Bytes,
    is_last: bool,
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
        self.bytes += content.len() as u64;
        let part = Part { path: Path::new("/").join(path), content: content.into(), is_last };
        self.sender.send(part).await.map_err(|_| Fault::new(TOOK_NO_MORE))
    }
}

/// The other end.
#[derive(Debug)]
pub(crate) struct Source {
    receiver: Mutex<Option<Receiver<Part>>>,
    is_whole: Arc<AtomicBool>,
    taken: Timestamp,
}

/// Two ends: one part waits while one is being packed, so that memory stays bounded.
pub(crate) fn pair(is_whole: Arc<AtomicBool>, taken: Timestamp) -> (Sink, Source) {
    let (sender, receiver) = channel(1);
    (Sink { sender, bytes: 0 }, Source { receiver: Mutex::new(Some(receiver)), is_whole, taken })
}

#[derive(Debug)]
pub(crate) struct Entries {
    receiver: Option<Receiver<Part>>,
    is_whole: Arc<AtomicBool>,
    taken: Timestamp,
}

impl Iterator for Entries {
    type Item = RusticResult<ReadSourceEntry<Cursor<Bytes>>>;

    fn next(&mut self) -> Option<Self::Item> {
        let part = self.receiver.as_mut()?.blocking_recv()?;
        let time = rustic_core::jiff::Timestamp::from_millisecond(self.taken.unix_millis()).ok();
        let metadata = Metadata {
            mode: Some(0o600),
            mtime: time,
            atime: time,
            ctime: time,
            size: part.content.len() as u64,
            ..Metadata::default()
        };
        let name = part.path.file_name().unwrap_or(OsStr::new("part"));
        let node = Node::new_node(name, NodeType::File, metadata);
        if part.is_last {
            self.is_whole.store(true, Ordering::Release);
        }
        Some(Ok(ReadSourceEntry { path: part.path, node, open: Some(Cursor::new(part.content)) }))
    }
}

impl ReadSource for Source {
    type Open = Cursor<Bytes>;
    type Iter = Entries;

    fn size(&self) -> RusticResult<Option<u64>> {
        Ok(None)
    }

    fn entries(&self) -> Entries {
        let receiver = self.receiver.lock().unwrap_or_else(PoisonError::into_inner).take();
        Entries { receiver, is_whole: self.is_whole.clone(), taken: self.taken }
    }
}
