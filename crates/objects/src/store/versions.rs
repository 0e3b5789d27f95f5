//! What objects were, for as long as their bucket keeps it, and how it becomes what they are again.

use host::clock::Timestamp;
use rusqlite::OptionalExtension;

use super::gets::{HEAD_COLUMNS, head_row};
use super::{Expect, Fault, Head, Put, Result, Store, VersionId, buckets};

/// A version that was overwritten or deleted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptVersion {
    pub head: Head,
    pub gone: Timestamp,
    /// When it can no longer be put back, unless room is needed before.
    pub until: Timestamp,
}

/// What [`Store::restore_as_of`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Restored {
    /// Objects that are again what they were.
    pub restored: u64,
    /// Objects that were not there then, and are deleted (and kept) now.
    pub removed: u64,
}

impl Store {
    /// Versions of objects whose keys begin with `prefix` that can be put back, behind one that is named by key and version, at most so
    /// many: by key, then the oldest first.
    ///
    /// # Errors
    /// Where the bucket is not there.
    pub fn kept(
        &self,
        bucket: &str,
        prefix: &str,
        after: Option<(&str, VersionId)>,
        limit: usize,
    ) -> Result<Vec<KeptVersion>> {
        self.read(|rows| {
            let bucket = buckets::find(rows, bucket)?;
            let (after_key, after_id) = after.map_or(("", i64::MIN), |(key, id)| (key, id.0));
            let mut statement = rows.prepare_cached(&format!(
                "SELECT {HEAD_COLUMNS}, gone FROM version WHERE bucket = ?1 AND gone IS NOT NULL \
                 AND (key, id) > (?2, ?3) AND key >= ?4 ORDER BY key, id"
            ))?;
            let mut found = statement.query((bucket.id, after_key, after_id, prefix))?;
            let mut kept = Vec::new();
            while let Some(row) = found.next()? {
                let head = head_row(row)?;
                if !head.key.starts_with(prefix) || kept.len() == limit {
                    break;
                }
                let gone: i64 = row.get(8)?;
                let until = Timestamp::from_unix_millis(gone.saturating_add(bucket.undo_ms));
                kept.push(KeptVersion { head, gone: Timestamp::from_unix_millis(gone), until });
            }
            Ok(kept)
        })
    }

    /// Makes a kept version the object again, as a new version. What is there now is kept in turn.
    ///
    /// # Errors
    /// Where the version is gone, or the bucket would hold too much.
    pub fn restore(&self, bucket: &str, version: VersionId) -> Result<Head> {
        let head = self.get_version(bucket, version)?.head;
        let put = Put { metadata: head.metadata, expect: Expect::Anything, etag: None };
        self.copy((bucket, version), bucket, &head.key, put)
    }

    /// Makes all objects whose keys begin with `prefix` what they were at a moment. Each on its own: after a crash it can be done again.
    ///
    /// # Errors
    /// Where the bucket is not there, it keeps nothing for so long, or it would hold too much.
    pub fn restore_as_of(&self, bucket: &str, prefix: &str, then: Timestamp) -> Result<Restored> {
        let mut done = Restored::default();
        let mut after = String::new();
        loop {
            // One key after the other: whatever key has a version at all.
            let next: Option<String> = self.read(|rows| {
                let id = buckets::find(rows, bucket)?.id;
                Ok(rows
                    .prepare_cached("SELECT MIN(key) FROM version WHERE bucket = ?1 AND key > ?2 AND key >= ?3")?
                    .query_row((id, &after, prefix), |row| row.get(0))?)
            })?;
            let Some(key) = next.filter(|key| key.starts_with(prefix)) else { return Ok(done) };
            let was: Option<(i64, Option<i64>)> = self.read(|rows| {
                let id = buckets::find(rows, bucket)?.id;
                Ok(rows
                    .prepare_cached(
                        "SELECT id, gone FROM version WHERE bucket = ?1 AND key = ?2 AND modified <= ?3 \
                         AND (gone IS NULL OR gone > ?3) ORDER BY id DESC LIMIT 1",
                    )?
                    .query_row((id, &key, then.unix_millis()), |row| Ok((row.get(0)?, row.get(1)?)))
                    .optional()?)
            })?;
            match was {
                Some((_, None)) => {}
                Some((version, Some(_))) => match self.restore(bucket, VersionId(version)) {
                    Ok(_) => done.restored += 1,
                    // Let go meanwhile.
                    Err(fault @ Fault::NoVersion { .. }) => return Err(fault),
                    Err(fault) => return Err(fault),
                },
                None => done.removed += u64::from(self.delete(bucket, &key, &Expect::Anything)?),
            }
            after = key;
        }
    }
}
