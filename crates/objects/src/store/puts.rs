//! Objects put, copied and deleted. Each is one transaction, which the disk has before it is acknowledged.

use std::io::Read;

use host::clock::Timestamp;
use rusqlite::{Connection, OptionalExtension};

use super::blobs::Blobs;
use super::buckets::{self, BucketRow};
use super::group::Dirty;
use super::{Digest, Expect, Fault, Head, Metadata, Result, Store, VersionId, Writer, Written, check_key};

/// What is said about an object that is put.
#[derive(Clone, Debug, Default)]
pub struct Put {
    pub metadata: Metadata,
    pub expect: Expect,
    /// The ETag it is to have: for what is put back as it was. Otherwise it is the MD5 of the content.
    pub etag: Option<String>,
}

/// A version that is to be an object's.
pub(super) struct Fresh<'a> {
    pub(super) key: &'a str,
    pub(super) size: u64,
    pub(super) etag: String,
    pub(super) digest: Digest,
    pub(super) parts: u32,
    pub(super) metadata: Metadata,
    pub(super) modified: Timestamp,
    /// Of its blobs.
    pub(super) pieces: &'a [i64],
}

impl Store {
    /// A place for a content that comes.
    ///
    /// # Errors
    /// Where none can be made.
    pub fn writer(&self) -> Result<Writer> {
        self.blobs.writer()
    }

    /// Makes what was written an object, in place of one that has this key.
    ///
    /// # Errors
    /// Where the bucket is not there or would hold too much, or the object is not as expected.
    pub fn commit(&self, bucket: &str, key: &str, written: Written, put: Put) -> Result<Head> {
        check_key(key)?;
        let (modified, blobs) = (self.now(), self.blobs.clone());
        let (bucket, key) = (bucket.to_owned(), key.to_owned());
        self.together(move |rows, dirty| {
            let (mut bucket, key) = (buckets::find(rows, &bucket)?, key.as_str());
            let etag = put.etag.unwrap_or_else(|| written.etag());
            // Looked at before the file gets its name, so that what is refused leaves none.
            let old = live(rows, bucket.id, key)?;
            judge(&put.expect, old.as_ref())?;
            bucket.refuse_in_place_of(old.as_ref().map_or(0, |old| old.size), written.size)?;
            let blob = adopt(rows, &blobs, &written, dirty)?;
            let fresh = Fresh {
                key,
                size: written.size,
                etag,
                digest: written.digest,
                parts: 0,
                metadata: put.metadata,
                modified,
                pieces: &[blob],
            };
            let head = replace(rows, &mut bucket, old, fresh)?;
            bucket.store(rows)?;
            Ok(head)
        })
    }

    /// Puts all that `content` gives.
    ///
    /// # Errors
    /// As [`Store::commit`], and where `content` cannot be read.
    pub fn put(&self, bucket: &str, key: &str, mut content: impl Read, put: Put) -> Result<Head> {
        check_key(key)?;
        let mut writer = self.writer()?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            match content.read(&mut buffer).map_err(Fault::Source)? {
                0 => break,
                length => writer.write(&buffer[..length])?,
            }
        }
        self.commit(bucket, key, writer.finish()?, put)
    }

    /// Whether an object of so many bytes has room: to refuse it before it comes. [`Store::commit`] is what decides.
    ///
    /// # Errors
    /// Where it has none, or the object that is there is not as expected.
    pub fn permit(&self, bucket: &str, key: &str, size: u64, expect: &Expect) -> Result<()> {
        check_key(key)?;
        self.read(|rows| {
            let bucket = buckets::find(rows, bucket)?;
            let old = live(rows, bucket.id, key)?;
            judge(expect, old.as_ref())?;
            bucket.refuse_in_place_of(old.map_or(0, |old| old.size), size)
        })
    }

    /// Makes a version of one object another object, in place of one that has this key. Nothing is copied on the disk.
    ///
    /// # Errors
    /// As [`Store::commit`], and where the version is gone.
    pub fn copy(&self, from: (&str, VersionId), bucket: &str, key: &str, put: Put) -> Result<Head> {
        check_key(key)?;
        let modified = self.now();
        self.write(|rows| {
            let source = buckets::find(rows, from.0)?;
            let mut bucket = buckets::find(rows, bucket)?;
            let found = rows
                .prepare_cached("SELECT size, etag, digest, parts FROM version WHERE id = ?1 AND bucket = ?2")?
                .query_row((from.1.0, source.id), |row| {
                    Ok((row.get(0)?, row.get::<_, String>(1)?, Digest(row.get(2)?), row.get(3)?))
                })
                .optional()?;
            let Some((size, etag, digest, parts)) = found else {
                return Err(Fault::NoVersion { bucket: source.name, version: from.1.to_string() });
            };
            let pieces = rows
                .prepare_cached("SELECT blob FROM piece WHERE version = ?1 ORDER BY number")?
                .query_map([from.1.0], |row| row.get(0))?
                .collect::<rusqlite::Result<Vec<i64>>>()?;
            let old = live(rows, bucket.id, key)?;
            judge(&put.expect, old.as_ref())?;
            let etag = put.etag.unwrap_or(etag);
            let fresh = Fresh { key, size, etag, digest, parts, metadata: put.metadata, modified, pieces: &pieces };
            let head = replace(rows, &mut bucket, old, fresh)?;
            bucket.refuse_over_quota()?;
            bucket.store(rows)?;
            Ok(head)
        })
    }

    /// Deletes an object; `false` if there was none.
    ///
    /// # Errors
    /// Where the bucket is not there, or the object is not as expected.
    pub fn delete(&self, bucket: &str, key: &str, expect: &Expect) -> Result<bool> {
        let (now, bucket, key, expect) = (self.now(), bucket.to_owned(), key.to_owned(), expect.clone());
        self.together(move |rows, _| {
            let mut bucket = buckets::find(rows, &bucket)?;
            let old = live(rows, bucket.id, &key)?;
            judge(&expect, old.as_ref())?;
            if let Some(old) = &old {
                retire(rows, &mut bucket, old, now)?;
                bucket.store(rows)?;
            }
            Ok(old.is_some())
        })
    }

    /// Deletes several objects at once, each on its own: the order is that of the answers.
    ///
    /// # Errors
    /// Where the bucket is not there.
    pub fn delete_many(&self, bucket: &str, keys: &[(&str, &Expect)]) -> Result<Vec<Result<bool>>> {
        let now = self.now();
        self.write(|rows| {
            let mut bucket = buckets::find(rows, bucket)?;
            let mut done = Vec::with_capacity(keys.len());
            for (key, expect) in keys {
                let old = live(rows, bucket.id, key)?;
                if let Err(unmet) = judge(expect, old.as_ref()) {
                    done.push(Err(unmet));
                    continue;
                }
                done.push(Ok(old.is_some()));
                if let Some(old) = old {
                    retire(rows, &mut bucket, &old, now)?;
                }
            }
            bucket.store(rows)?;
            Ok(done)
        })
    }
}

/// Names a content and notes it. Under the lock of writers, so that no sweep is between.
pub(super) fn adopt(rows: &Connection, blobs: &Blobs, written: &Written, dirty: &mut Dirty) -> Result<i64> {
    blobs.adopt(written, dirty)?;
    Ok(rows
        .prepare_cached(
            "INSERT INTO blob (digest, size, chunks) VALUES (?1, ?2, ?3) \
             ON CONFLICT (digest) DO UPDATE SET freed = NULL RETURNING id",
        )?
        .query_row((&written.digest.0[..], written.size, &written.chunks), |row| row.get(0))?)
}

/// The object of a key.
pub(super) struct Live {
    pub(super) id: i64,
    pub(super) size: u64,
    pub(super) etag: String,
}

pub(super) fn live(rows: &Connection, bucket: i64, key: &str) -> Result<Option<Live>> {
    Ok(rows
        .prepare_cached("SELECT id, size, etag FROM version WHERE bucket = ?1 AND key = ?2 AND gone IS NULL")?
        .query_row((bucket, key), |row| Ok(Live { id: row.get(0)?, size: row.get(1)?, etag: row.get(2)? }))
        .optional()?)
}

pub(super) fn judge(expect: &Expect, there: Option<&Live>) -> Result<()> {
    let is_met = match (expect, there) {
        (Expect::Anything, _) | (Expect::Absent, None) | (Expect::Etag(None), Some(_)) => true,
        (Expect::Etag(Some(etag)), Some(there)) => *etag == there.etag,
        (Expect::Absent, Some(_)) | (Expect::Etag(_), None) => false,
    };
    if is_met { Ok(()) } else { Err(Fault::Unmet) }
}

/// Puts a version in the place of the one that was there.
pub(super) fn replace(rows: &Connection, bucket: &mut BucketRow, old: Option<Live>, fresh: Fresh<'_>) -> Result<Head> {
    if let Some(old) = old {
        retire(rows, bucket, &old, fresh.modified)?;
    }
    let metadata = serde_json::to_string(&fresh.metadata).expect("texts are JSON");
    rows.prepare_cached(
        "INSERT INTO version (bucket, key, size, etag, digest, parts, metadata, modified) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
    )?
    .execute((
        bucket.id,
        fresh.key,
        fresh.size,
        &fresh.etag,
        &fresh.digest.0[..],
        fresh.parts,
        metadata,
        fresh.modified.unix_millis(),
    ))?;
    let version = rows.last_insert_rowid();
    let mut insert = rows.prepare_cached("INSERT INTO piece (version, number, blob) VALUES (?1, ?2, ?3)")?;
    for (number, blob) in fresh.pieces.iter().enumerate() {
        insert.execute((version, number, blob))?;
    }
    bucket.usage.objects += 1;
    bucket.usage.bytes = bucket.usage.bytes.saturating_add(fresh.size);
    Ok(Head {
        key: fresh.key.to_owned(),
        version: VersionId(version),
        size: fresh.size,
        etag: fresh.etag,
        digest: fresh.digest,
        parts: fresh.parts,
        modified: fresh.modified,
        metadata: fresh.metadata,
    })
}

/// Makes an object one that was: kept where its bucket has undo, forgotten where not.
pub(super) fn retire(rows: &Connection, bucket: &mut BucketRow, old: &Live, now: Timestamp) -> Result<()> {
    bucket.usage.objects -= 1;
    bucket.usage.bytes -= old.size;
    if bucket.undo_ms == 0 {
        return forget(rows, old.id);
    }
    rows.prepare_cached("UPDATE version SET gone = ?2 WHERE id = ?1")?.execute((old.id, now.unix_millis()))?;
    bucket.usage.kept += 1;
    bucket.usage.kept_bytes += old.size;
    // Whoever overwrites one object for ever would fill the disk with what it was.
    while let Some(quota) = bucket.usage.quota
        && bucket.usage.kept_bytes > quota
    {
        let (oldest, size): (i64, u64) = rows
            .prepare_cached(
                "SELECT id, size FROM version WHERE bucket = ?1 AND gone IS NOT NULL ORDER BY gone, id LIMIT 1",
            )?
            .query_row([bucket.id], |row| Ok((row.get(0)?, row.get(1)?)))?;
        forget(rows, oldest)?;
        bucket.usage.kept -= 1;
        bucket.usage.kept_bytes -= size;
    }
    Ok(())
}

/// Takes a version's rows away. Its contents stay until the sweep.
pub(super) fn forget(rows: &Connection, version: i64) -> Result<()> {
    rows.prepare_cached("DELETE FROM piece WHERE version = ?1")?.execute([version])?;
    rows.prepare_cached("DELETE FROM version WHERE id = ?1")?.execute([version])?;
    Ok(())
}
