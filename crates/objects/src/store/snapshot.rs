//! All objects as they are at one moment, for a backup.

use std::fs::File;
use std::path::PathBuf;

use host::files::FileFault;
use rusqlite::{Connection, OptionalExtension};

use super::gets::{HEAD_COLUMNS, blobs_of, head_row};
use super::{Content, Digest, Fault, Head, Result, Store, VersionId};

/// One content of an object, and where it lies for as long as the snapshot lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    pub digest: Digest,
    pub size: u64,
    pub path: PathBuf,
}

/// An object of a snapshot: what it holds is its pieces, one behind the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotEntry {
    pub bucket: String,
    pub head: Head,
    pub pieces: Vec<Piece>,
}

/// All objects of all buckets at one moment, by bucket and key. While it lives, no sweep takes anything away, in whatever process.
#[derive(Debug)]
pub struct Snapshot<'a> {
    store: &'a Store,
    rows: Connection,
    /// Of buckets that are still to come, the next one last.
    buckets: Vec<(i64, String)>,
    after: String,
    page: std::vec::IntoIter<SnapshotEntry>,
    lock: File,
}

/// Keeps every sweep from what a snapshot has, for longer than the snapshot itself lives.
#[derive(Debug)]
pub struct Hold(#[expect(dead_code, reason = "the lock is held for as long as the file is open")] File);

/// Objects that are looked up at once.
const PAGE: usize = 500;

impl Store {
    /// Begins a snapshot. What is put, overwritten or deleted from now on is not in it.
    ///
    /// # Errors
    /// Where the rows cannot be read.
    pub fn snapshot(&self) -> Result<Snapshot<'_>> {
        let lock = self.blobs.lock_file()?;
        // A sweep that runs is waited for: it takes seconds.
        lock.lock_shared().map_err(|error| FileFault::new("lock the sweep of", self.blobs.folder(), error))?;
        let rows = self.reader()?;
        rows.execute_batch("BEGIN")?;
        let mut buckets = {
            let mut statement = rows.prepare("SELECT id, name FROM bucket ORDER BY name DESC")?;
            let buckets = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?;
            buckets.collect::<rusqlite::Result<Vec<(i64, String)>>>()?
        };
        buckets.shrink_to_fit();
        Ok(Snapshot { store: self, rows, buckets, after: String::new(), page: Vec::new().into_iter(), lock })
    }
}

impl Snapshot<'_> {
    /// Buckets of the snapshot that have not been gone through, by name.
    pub fn buckets(&self) -> impl Iterator<Item = &str> {
        self.buckets.iter().rev().map(|(_, name)| name.as_str())
    }

    /// An object of it, looked up again.
    ///
    /// # Errors
    /// Where it is none of this snapshot's.
    pub fn entry(&self, bucket: &str, version: VersionId) -> Result<SnapshotEntry> {
        let none = || Fault::NoVersion { bucket: bucket.to_owned(), version: version.to_string() };
        let head = self
            .rows
            .prepare_cached(&format!("SELECT {HEAD_COLUMNS} FROM version WHERE id = ?1 AND gone IS NULL"))?
            .query_row([version.0], head_row)
            .optional()?;
        self.described(bucket, head.ok_or_else(none)?)
    }

    /// What an object of it holds, to be read. It needs the snapshot, or a [`Hold`] of it.
    ///
    /// # Errors
    /// Where the rows cannot be read.
    pub fn content(&self, entry: &SnapshotEntry) -> Result<Content> {
        let pieces = blobs_of(&self.rows, entry.head.version)?;
        Ok(Content::new(&self.store.blobs, pieces, &entry.bucket, &entry.head.key))
    }

    /// Keeps sweeps away until it is dropped.
    ///
    /// # Errors
    /// Where this process has too many files open.
    pub fn hold(&self) -> Result<Hold> {
        // Both are one lock, which goes with the last of them.
        let lock = self.lock.try_clone().map_err(|error| FileFault::new("hold", self.store.blobs.folder(), error))?;
        Ok(Hold(lock))
    }

    fn described(&self, bucket: &str, head: Head) -> Result<SnapshotEntry> {
        let pieces = blobs_of(&self.rows, head.version)?.into_iter();
        let pieces = pieces.map(|blob| Piece {
            digest: blob.digest,
            size: blob.size,
            path: self.store.blobs.path(&blob.digest),
        });
        Ok(SnapshotEntry { bucket: bucket.to_owned(), head, pieces: pieces.collect() })
    }

    fn next_page(&mut self) -> Result<()> {
        while let Some((id, name)) = self.buckets.last() {
            let mut statement = self.rows.prepare_cached(&format!(
                "SELECT {HEAD_COLUMNS} FROM version WHERE bucket = ?1 AND gone IS NULL AND key > ?2 ORDER BY key LIMIT ?3"
            ))?;
            let heads =
                statement.query_map((id, &self.after, PAGE), head_row)?.collect::<rusqlite::Result<Vec<Head>>>()?;
            if let Some(last) = heads.last() {
                self.after.clone_from(&last.key);
                let mut page = Vec::with_capacity(heads.len());
                for head in heads {
                    page.push(self.described(name, head)?);
                }
                self.page = page.into_iter();
                return Ok(());
            }
            self.after.clear();
            self.buckets.pop();
        }
        Ok(())
    }
}

impl Iterator for Snapshot<'_> {
    type Item = Result<SnapshotEntry>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.page.len() == 0 {
            match self.next_page() {
                Ok(()) => {}
                Err(fault) => {
                    // Once said, it is over: what comes behind would not be all.
                    self.buckets.clear();
                    return Some(Err(fault));
                }
            }
        }
        self.page.next().map(Ok)
    }
}
