//! A file's bytes, read piece by piece on threads that may wait for the disk.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::task::JoinHandle;

/// What is still to be sent of a file.
#[derive(Debug)]
pub struct Reading {
    file: Arc<File>,
    at: u64,
    left: u64,
    next: Option<JoinHandle<io::Result<Bytes>>>,
}

/// Large enough that the thread's cost does not show, small enough for many downloads at once.
const CHUNK: u64 = 128 * 1024;

impl Reading {
    pub fn new(file: Arc<File>, first: u64, length: u64) -> Self {
        Self { file, at: first, left: length, next: None }
    }

    pub fn left(&self) -> u64 {
        self.left
    }

    pub fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<io::Result<Bytes>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        let length = usize::try_from(self.left.min(CHUNK)).expect("a chunk fits in memory");
        let (file, at) = (&self.file, self.at);
        let next = self.next.get_or_insert_with(|| {
            let file = Arc::clone(file);
            tokio::task::spawn_blocking(move || {
                let mut chunk = vec![0; length];
                // A file that became shorter meanwhile is an error: its length was promised.
                file.read_exact_at(&mut chunk, at)?;
                Ok(Bytes::from(chunk))
            })
        });
        let chunk = ready!(Pin::new(next).poll(cx)).map_err(io::Error::other).flatten();
        self.next = None;
        if let Ok(chunk) = &chunk {
            self.at += chunk.len() as u64;
            self.left -= chunk.len() as u64;
        } else {
            self.left = 0;
        }
        Poll::Ready(Some(chunk))
    }
}
