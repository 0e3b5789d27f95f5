//! What objects hold, from the repository into files of a store, and then under their names.

use std::io::{self, Write};

use objects::Store;
use objects::store::{Fault as StoreFault, Returning, Writer, Written};
use reconcile::Fault;
use rustic_core::repofile::Node;

use super::describe::{Line, Row};
use super::store_fault;
use crate::course;
use crate::repository::Reader;

/// Objects, and about as many bytes, that come under their names at once: the disk is waited for once.
const BATCH: usize = 64;
const BATCH_BYTES: u64 = 64 << 20;

/// What one object holds, on its way from the repository into the store.
struct Arriving<'s> {
    store: &'s Store,
    row: &'s Row,
    writer: Option<Writer>,
    done: Vec<Written>,
    /// Why the store took no more.
    fault: Option<StoreFault>,
}

impl<'s> Arriving<'s> {
    fn new(store: &'s Store, row: &'s Row) -> Self {
        Self { store, row, writer: None, done: Vec::new(), fault: None }
    }

    /// Takes some of the bytes, as many as the piece has that is being written.
    fn some(&mut self, bytes: &[u8]) -> Result<usize, StoreFault> {
        // What is more than all pieces is not what was saved.
        let Some(piece) = self.row.pieces.get(self.done.len()) else { return Err(StoreFault::OtherContent) };
        let mut writer = match self.writer.take() {
            Some(writer) => writer,
            None => self.store.writer()?,
        };
        let room = usize::try_from(piece.size - writer.size()).unwrap_or(usize::MAX);
        let length = room.min(bytes.len());
        writer.write(&bytes[..length])?;
        course::tell(|course| course.went(length as u64));
        if writer.size() == piece.size {
            self.done.push(writer.finish()?);
        } else {
            self.writer = Some(writer);
        }
        Ok(length)
    }

    /// All pieces, each seen to be what it was.
    fn end(mut self) -> Result<Vec<Written>, StoreFault> {
        // Those that hold nothing were not written to.
        while self.done.len() < self.row.pieces.len() && self.writer.is_none() {
            self.some(&[])?;
        }
        let is_whole = self.writer.is_none()
            && self.done.iter().zip(&self.row.pieces).all(|(written, piece)| written.digest.hex() == piece.sha256);
        if is_whole { Ok(self.done) } else { Err(StoreFault::OtherContent) }
    }
}

impl Write for Arriving<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.is_empty() {
            return Ok(0);
        }
        loop {
            match self.some(bytes) {
                // A piece that holds nothing.
                Ok(0) => {}
                Ok(length) => return Ok(length),
                Err(fault) => {
                    let told = io::Error::other(fault.to_string());
                    self.fault = Some(fault);
                    return Err(told);
                }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads what an object holds into files of the store that have no names yet.
pub(super) fn fetch(
    reader: &Reader,
    store: &Store,
    (line, node): (&Line, &Node),
    bucket: &str,
) -> Result<Vec<Written>, Fault> {
    let key = &line.row.key;
    let cannot = |fault: &StoreFault| match fault {
        StoreFault::OtherContent => Fault::new(format!("the backup of {key:?} in {bucket} is not what was saved"))
            .hint("`roadbed backup verify` looks for damage; an older backup may be whole"),
        fault => store_fault(format!("cannot put back {key:?} in {bucket}"), fault),
    };
    let mut arriving = Arriving::new(store, &line.row);
    let read = reader.dump(&line.path, node, &mut arriving);
    if let Some(fault) = arriving.fault.take() {
        return Err(cannot(&fault));
    }
    read?;
    arriving.end().map_err(|fault| cannot(&fault))
}

/// Those that come under their names together.
pub(super) struct Batch<'s> {
    store: &'s Store,
    all: Vec<Returning>,
    bytes: u64,
}

impl<'s> Batch<'s> {
    pub(super) fn new(store: &'s Store) -> Self {
        Self { store, all: Vec::new(), bytes: 0 }
    }

    pub(super) fn add(&mut self, one: Returning) -> Result<(), Fault> {
        self.bytes += one.head.size;
        self.all.push(one);
        if self.all.len() >= BATCH || self.bytes >= BATCH_BYTES { self.put() } else { Ok(()) }
    }

    /// Puts those that are left.
    pub(super) fn put(&mut self) -> Result<(), Fault> {
        self.bytes = 0;
        let all = std::mem::take(&mut self.all);
        let Some(bucket) = all.first().map(|one| one.bucket.clone()) else { return Ok(()) };
        let put = self.store.put_back(all);
        put.map(drop).map_err(|fault| {
            let told = store_fault(format!("cannot put objects back into {bucket}"), &fault);
            if fault.is_full() {
                told.hint("make room on the disk; then the same command again").retry_safe()
            } else {
                told
            }
        })
    }
}
