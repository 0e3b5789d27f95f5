//! Objects looked up.

use host::clock::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row};

use super::content::Blob;
use super::{Content, Digest, Fault, Head, Object, Result, Store, VersionId, buckets};

pub(super) const HEAD_COLUMNS: &str = "id, key, size, etag, digest, parts, metadata, modified";

pub(super) fn head_row(row: &Row<'_>) -> rusqlite::Result<Head> {
    let metadata: String = row.get(6)?;
    Ok(Head {
        version: VersionId(row.get(0)?),
        key: row.get(1)?,
        size: row.get(2)?,
        etag: row.get(3)?,
        digest: Digest(row.get(4)?),
        parts: row.get(5)?,
        metadata: serde_json::from_str(&metadata).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(6, rusqlite::types::Type::Text, Box::new(error))
        })?,
        modified: Timestamp::from_unix_millis(row.get(7)?),
    })
}

impl Store {
    /// What is known of an object.
    ///
    /// # Errors
    /// Where there is none.
    pub fn head(&self, bucket: &str, key: &str) -> Result<Head> {
        self.read(|rows| look_up(rows, bucket, key))
    }

    /// An object, to be read.
    ///
    /// # Errors
    /// Where there is none.
    pub fn get(&self, bucket: &str, key: &str) -> Result<Object> {
        self.read(|rows| {
            let head = look_up(rows, bucket, key)?;
            let content = Content::new(&self.blobs, blobs_of(rows, head.version)?, bucket, key);
            Ok(Object { head, content })
        })
    }

    /// A version of an object, to be read: the one that is there, or one that was.
    ///
    /// # Errors
    /// Where there is none.
    pub fn get_version(&self, bucket: &str, version: VersionId) -> Result<Object> {
        self.read(|rows| {
            let found = rows
                .prepare_cached(&format!("SELECT {HEAD_COLUMNS} FROM version WHERE id = ?1 AND bucket = ?2"))?
                .query_row((version.0, buckets::find(rows, bucket)?.id), head_row)
                .optional()?;
            let none = || Fault::NoVersion { bucket: bucket.to_owned(), version: version.to_string() };
            let head = found.ok_or_else(none)?;
            let content = Content::new(&self.blobs, blobs_of(rows, version)?, bucket, &head.key);
            Ok(Object { head, content })
        })
    }
}

fn look_up(rows: &Connection, bucket: &str, key: &str) -> Result<Head> {
    let id = buckets::find(rows, bucket)?.id;
    rows.prepare_cached(&format!("SELECT {HEAD_COLUMNS} FROM version WHERE bucket = ?1 AND key = ?2 AND gone IS NULL"))?
        .query_row((id, key), head_row)
        .optional()?
        .ok_or_else(|| Fault::NoObject { bucket: bucket.to_owned(), key: key.to_owned() })
}

pub(super) fn blobs_of(rows: &Connection, version: VersionId) -> Result<Vec<Blob>> {
    let mut statement = rows.prepare_cached(
        "SELECT digest, size, chunks FROM piece JOIN blob ON blob.id = piece.blob WHERE version = ?1 ORDER BY number",
    )?;
    let blobs = statement.query_map([version.0], |row| {
        Ok(Blob { digest: Digest(row.get(0)?), size: row.get(1)?, chunks: row.get(2)? })
    })?;
    Ok(blobs.collect::<rusqlite::Result<_>>()?)
}
