//! Buckets: made and dropped as they are declared, and what is in them.

use host::clock::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};

use super::{Fault, Result, Store};
use crate::settings::{self, Bucket};

/// What is in a bucket.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub objects: u64,
    pub bytes: u64,
    /// Versions that were overwritten or deleted and can be put back.
    pub kept: u64,
    pub kept_bytes: u64,
    /// Of parts of uploads that are not complete.
    pub part_bytes: u64,
    pub quota: Option<u64>,
}

/// A bucket that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketInfo {
    pub name: String,
    pub made: Timestamp,
    pub usage: Usage,
}

/// What [`Store::settle`] did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    pub made: Vec<String>,
    pub dropped: Vec<String>,
}

/// A bucket's row.
pub(super) struct BucketRow {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) made: Timestamp,
    pub(super) undo_ms: i64,
    pub(super) usage: Usage,
}

const COLUMNS: &str = "id, name, made, quota, undo, objects, bytes, kept, kept_bytes, part_bytes";

fn bucket_row(row: &Row<'_>) -> rusqlite::Result<BucketRow> {
    Ok(BucketRow {
        id: row.get(0)?,
        name: row.get(1)?,
        made: Timestamp::from_unix_millis(row.get(2)?),
        undo_ms: row.get(4)?,
        usage: Usage {
            quota: row.get(3)?,
            objects: row.get(5)?,
            bytes: row.get(6)?,
            kept: row.get(7)?,
            kept_bytes: row.get(8)?,
            part_bytes: row.get(9)?,
        },
    })
}

/// The bucket of this name.
pub(super) fn find(rows: &Connection, name: &str) -> Result<BucketRow> {
    rows.prepare_cached(&format!("SELECT {COLUMNS} FROM bucket WHERE name = ?1"))?
        .query_row([name], bucket_row)
        .optional()?
        .ok_or_else(|| Fault::NoBucket(name.to_owned()))
}

impl BucketRow {
    /// Takes these sums down. What is kept gives way, oldest first, where it would take more than the quota once more.
    pub(super) fn store(&self, rows: &Connection) -> Result<()> {
        let Usage { objects, bytes, kept, kept_bytes, part_bytes, .. } = self.usage;
        rows.prepare_cached(
            "UPDATE bucket SET objects = ?2, bytes = ?3, kept = ?4, kept_bytes = ?5, part_bytes = ?6 WHERE id = ?1",
        )?
        .execute((self.id, objects, bytes, kept, kept_bytes, part_bytes))?;
        Ok(())
    }

    /// Refuses what makes it hold more than it may.
    pub(super) fn refuse_over_quota(&self) -> Result<()> {
        self.refuse_in_place_of(0, 0)
    }

    /// Refuses a change of so many bytes into so many that would make it hold more than it may.
    pub(super) fn refuse_in_place_of(&self, old: u64, fresh: u64) -> Result<()> {
        let would_be = (self.usage.bytes - old).saturating_add(fresh).saturating_add(self.usage.part_bytes);
        match self.usage.quota {
            Some(quota) if would_be > quota => Err(Fault::Quota { bucket: self.name.clone(), would_be, quota }),
            _ => Ok(()),
        }
    }
}

impl Store {
    /// Makes buckets that are declared, gives all of them the quota and the time for undo that is declared, and drops those that are
    /// no longer. What a dropped bucket kept for undo goes with it.
    ///
    /// # Errors
    /// Where one that is to be dropped has objects: then nothing is done at all.
    pub fn settle(&self, declared: &[Bucket]) -> Result<Settled> {
        if let Some(bad) = declared.iter().find(|bucket| !settings::is_bucket_name(&bucket.name)) {
            return Err(Fault::BadBucket(bad.name.clone()));
        }
        let now = self.now();
        self.write(|rows| {
            let mut settled = Settled::default();
            for there in all(rows)? {
                if declared.iter().any(|bucket| bucket.name == there.name) {
                    continue;
                }
                if there.usage.objects > 0 {
                    return Err(Fault::NotEmpty { bucket: there.name, objects: there.usage.objects });
                }
                drop_bucket(rows, there.id)?;
                settled.dropped.push(there.name);
            }
            for bucket in declared {
                let undo = i64::try_from(bucket.undo.as_millis()).unwrap_or(i64::MAX);
                let known = rows.execute(
                    "UPDATE bucket SET quota = ?2, undo = ?3 WHERE name = ?1",
                    (&bucket.name, bucket.quota_bytes, undo),
                )?;
                if known == 0 {
                    rows.execute(
                        "INSERT INTO bucket (name, made, quota, undo) VALUES (?1, ?2, ?3, ?4)",
                        (&bucket.name, now.unix_millis(), bucket.quota_bytes, undo),
                    )?;
                    settled.made.push(bucket.name.clone());
                }
            }
            Ok(settled)
        })
    }

    /// All buckets, by name.
    ///
    /// # Errors
    /// Where the rows cannot be read.
    pub fn buckets(&self) -> Result<Vec<BucketInfo>> {
        let rows = self.read(all)?;
        Ok(rows.into_iter().map(|row| BucketInfo { name: row.name, made: row.made, usage: row.usage }).collect())
    }

    /// What is in a bucket.
    ///
    /// # Errors
    /// Where there is none of this name.
    pub fn usage(&self, bucket: &str) -> Result<Usage> {
        self.read(|rows| Ok(find(rows, bucket)?.usage))
    }
}

fn all(rows: &Connection) -> Result<Vec<BucketRow>> {
    let mut statement = rows.prepare_cached(&format!("SELECT {COLUMNS} FROM bucket ORDER BY name"))?;
    let all = statement.query_map([], bucket_row)?;
    Ok(all.collect::<rusqlite::Result<_>>()?)
}

fn drop_bucket(rows: &Connection, id: i64) -> Result<()> {
    for statement in [
        "DELETE FROM piece WHERE version IN (SELECT id FROM version WHERE bucket = ?1)",
        "DELETE FROM version WHERE bucket = ?1",
        "DELETE FROM part WHERE upload IN (SELECT id FROM upload WHERE bucket = ?1)",
        "DELETE FROM upload WHERE bucket = ?1",
        "DELETE FROM bucket WHERE id = ?1",
    ] {
        rows.execute(statement, [id])?;
    }
    Ok(())
}
