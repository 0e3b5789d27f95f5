//! What an object holds, read and compared with its digests.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use aws_lc_rs::digest::{self, SHA256};
use bytes::{Bytes, BytesMut};
use host::files;

use super::blobs::{Blobs, CHUNK_DIGEST};
use super::{CHUNK, Digest, Fault, Result};

/// One content of which an object is made.
#[derive(Clone, Debug)]
pub(super) struct Blob {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) chunks: Vec<u8>,
}

/// Bytes of an object, from one place to another. What it reads stays on the disk for as long as it lives.
pub struct Content {
    blobs: Arc<Blobs>,
    pieces: Vec<Blob>,
    /// The piece that is open, by its number.
    open: Option<(usize, File)>,
    at: u64,
    end: u64,
    name: (String, String),
}

impl std::fmt::Debug for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Content").field("of", &self.name).field("at", &self.at).field("end", &self.end).finish()
    }
}

impl Content {
    pub(super) fn new(blobs: &Arc<Blobs>, pieces: Vec<Blob>, bucket: &str, key: &str) -> Self {
        blobs.pin(pieces.iter().map(|piece| piece.digest));
        let end = pieces.iter().map(|piece| piece.size).sum();
        Self { blobs: blobs.clone(), pieces, open: None, at: 0, end, name: (bucket.to_owned(), key.to_owned()) }
    }

    /// Only these bytes of it, from here on. What is beyond its end is left out.
    pub fn narrow(&mut self, from: u64, length: u64) {
        let from = self.at.saturating_add(from).min(self.end);
        self.end = from.saturating_add(length).min(self.end);
        self.at = from;
    }

    /// Bytes that are still to come.
    pub fn left(&self) -> u64 {
        self.end - self.at
    }

    /// The next bytes, at most [`CHUNK`] of them; `None` at the end.
    ///
    /// # Errors
    /// Where they are not what was put, or cannot be read.
    pub fn chunk(&mut self) -> Result<Option<Bytes>> {
        if self.at >= self.end {
            return Ok(None);
        }
        let mut start = 0;
        let (number, piece) = self
            .pieces
            .iter()
            .enumerate()
            .find(|(_, piece)| {
                let is_it = self.at < start + piece.size;
                if !is_it {
                    start += piece.size;
                }
                is_it
            })
            .expect("the end is that of the last piece");
        let inside = self.at - start;
        let chunk = inside / CHUNK as u64;
        let first = chunk * CHUNK as u64;
        let length = usize::try_from((piece.size - first).min(CHUNK as u64)).expect("a chunk fits in memory");
        if self.open.as_ref().is_none_or(|(open, _)| *open != number) {
            let file = match files::open(&self.blobs.path(&piece.digest)) {
                Err(fault) if fault.is_not_found() => return Err(self.damaged(number, "is missing")),
                file => file?,
            };
            self.open = Some((number, file));
        }
        let file = &self.open.as_ref().expect("opened above").1;
        let mut bytes = BytesMut::zeroed(length);
        if let Err(error) = file.read_exact_at(&mut bytes, first) {
            tracing::error!(%error, digest = piece.digest.hex(), "a content cannot be read");
            return Err(self.damaged(number, "cannot be read to its end"));
        }
        let at = usize::try_from(chunk).expect("chunks of a file are counted in memory") * CHUNK_DIGEST;
        let expected = piece.chunks.get(at..at + CHUNK_DIGEST);
        if expected != Some(&digest::digest(&SHA256, &bytes).as_ref()[..CHUNK_DIGEST]) {
            return Err(self.damaged(number, "has other bytes now"));
        }
        let skip = usize::try_from(inside - first).expect("less than a chunk");
        let wanted = usize::try_from((self.end - self.at).min((length - skip) as u64)).expect("less than a chunk");
        self.at += wanted as u64;
        Ok(Some(bytes.freeze().slice(skip..skip + wanted)))
    }

    fn damaged(&self, number: usize, what: &'static str) -> Fault {
        let (bucket, key) = self.name.clone();
        Fault::Damaged { bucket, key, digest: self.pieces[number].digest, what }
    }

    /// All that is left of it.
    ///
    /// # Errors
    /// As [`Content::chunk`].
    pub fn read_all(mut self) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(bytes) = self.chunk()? {
            all.extend_from_slice(&bytes);
        }
        Ok(all)
    }
}

impl Drop for Content {
    fn drop(&mut self) {
        self.blobs.unpin(self.pieces.iter().map(|piece| piece.digest));
    }
}
