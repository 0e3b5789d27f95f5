//! Objects that come in parts.

use aws_lc_rs::digest::{self, SHA256};
use host::clock::Timestamp;
use md5::Md5;
use md5::digest::Digest as _;
use rusqlite::{Connection, OptionalExtension};

use super::buckets::{self, BucketRow};
use super::object::hex;
use super::puts::{Fresh, adopt, judge, live, replace};
use super::{Checksum, Digest, Expect, Fault, Head, Metadata, Result, Store, Written, check_key};

/// Bytes that each part but the last has at least, as S3 has it.
pub const MIN_PART: u64 = 5 << 20;

/// Parts of one object, as S3 has it.
pub const MOST_PARTS: u32 = 10_000;

/// An upload that is not complete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    pub id: String,
    pub key: String,
    pub begun: Timestamp,
    pub metadata: Metadata,
}

/// A part that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    pub number: u32,
    pub size: u64,
    pub etag: String,
    pub checksum: Option<Checksum>,
    pub modified: Timestamp,
}

/// A part as whoever completes an upload names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartRef {
    pub number: u32,
    pub etag: String,
    /// In base64; compared where the part came with one.
    pub checksum: Option<String>,
}

impl Store {
    /// Begins an upload of an object in parts.
    ///
    /// # Errors
    /// Where the bucket is not there.
    pub fn begin_upload(&self, bucket: &str, key: &str, metadata: &Metadata) -> Result<String> {
        check_key(key)?;
        let mut random = [0; 20];
        getrandom::fill(&mut random).expect("the kernel gives random bytes");
        let (id, now) = (hex(&random), self.now());
        self.write(|rows| {
            let bucket = buckets::find(rows, bucket)?.id;
            rows.prepare_cached("INSERT INTO upload (id, bucket, key, metadata, begun) VALUES (?1, ?2, ?3, ?4, ?5)")?
                .execute((
                    &id,
                    bucket,
                    key,
                    serde_json::to_string(metadata).expect("texts are JSON"),
                    now.unix_millis(),
                ))?;
            Ok(())
        })?;
        Ok(id)
    }

    /// An upload of this object.
    ///
    /// # Errors
    /// Where there is none.
    pub fn upload(&self, bucket: &str, key: &str, id: &str) -> Result<Upload> {
        self.read(|rows| upload(rows, &buckets::find(rows, bucket)?, key, id))
    }

    /// Takes a part, in place of one of its number.
    ///
    /// # Errors
    /// Where there is no such upload, or the bucket would hold too much.
    pub fn commit_part(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
        number: u32,
        written: Written,
        checksum: Option<&Checksum>,
    ) -> Result<Part> {
        let (modified, blobs, checksum) = (self.now(), self.blobs.clone(), checksum.cloned());
        let (bucket, key, id) = (bucket.to_owned(), key.to_owned(), id.to_owned());
        self.together(move |rows, dirty| {
            let mut bucket = buckets::find(rows, &bucket)?;
            upload(rows, &bucket, &key, &id)?;
            let old: Option<u64> = rows
                .prepare_cached("SELECT size FROM part WHERE upload = ?1 AND number = ?2")?
                .query_row((&id, number), |row| row.get(0))
                .optional()?;
            bucket.usage.part_bytes = (bucket.usage.part_bytes - old.unwrap_or(0)).saturating_add(written.size);
            bucket.refuse_over_quota()?;
            let blob = adopt(rows, &blobs, &written, dirty)?;
            rows.prepare_cached(
                "INSERT OR REPLACE INTO part (upload, number, blob, size, md5, checksum, modified) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?
            .execute((
                &id,
                number,
                blob,
                written.size,
                &written.md5[..],
                checksum.as_ref().map(|checksum| serde_json::to_string(checksum).expect("texts are JSON")),
                modified.unix_millis(),
            ))?;
            bucket.store(rows)?;
            Ok(Part { number, size: written.size, etag: written.etag(), checksum, modified })
        })
    }

    /// Makes these parts one object, in this order, and forgets the others. `checksum` makes that of the whole from those of the parts.
    ///
    /// # Errors
    /// Where a part is not what is named, or as [`Store::commit`].
    pub fn complete_upload(
        &self,
        bucket: &str,
        key: &str,
        id: &str,
        parts: &[PartRef],
        expect: &Expect,
        checksum: impl FnOnce(&[Part]) -> Option<Checksum>,
    ) -> Result<Head> {
        let now = self.now();
        self.write(|rows| {
            let mut bucket = buckets::find(rows, bucket)?;
            let upload = upload(rows, &bucket, key, id)?;
            if parts.is_empty() || !parts.is_sorted_by(|one, next| one.number < next.number) {
                return Err(Fault::PartOrder);
            }
            let (mut pieces, mut came) = (Vec::with_capacity(parts.len()), Vec::with_capacity(parts.len()));
            let mut md5 = Md5::new();
            let mut whole = digest::Context::new(&SHA256);
            let mut statement = rows.prepare_cached(
                "SELECT blob, part.size, md5, checksum, modified, digest FROM part JOIN blob ON blob.id = part.blob \
                 WHERE upload = ?1 AND number = ?2",
            )?;
            for (index, named) in parts.iter().enumerate() {
                let bad = || Fault::BadPart { number: named.number };
                let found = statement
                    .query_row((id, named.number), |row| {
                        let (hash, checksum): ([u8; 16], Option<String>) = (row.get(2)?, row.get(3)?);
                        let part = Part {
                            number: named.number,
                            size: row.get(1)?,
                            etag: hex(&hash),
                            checksum: checksum.and_then(|checksum| serde_json::from_str(&checksum).ok()),
                            modified: Timestamp::from_unix_millis(row.get(4)?),
                        };
                        Ok((row.get::<_, i64>(0)?, part, hash, row.get::<_, [u8; 32]>(5)?))
                    })
                    .optional()?;
                let (blob, part, hash, digest) = found.ok_or_else(bad)?;
                let other_checksum = match (&named.checksum, &part.checksum) {
                    (Some(named), Some(known)) => *named != known.value,
                    _ => false,
                };
                if part.etag != named.etag || other_checksum {
                    return Err(bad());
                }
                if part.size < MIN_PART && index + 1 < parts.len() {
                    return Err(Fault::SmallPart { number: named.number, size: part.size });
                }
                md5.update(hash);
                whole.update(&digest);
                pieces.push(blob);
                came.push(part);
            }
            let old = live(rows, bucket.id, key)?;
            judge(expect, old.as_ref())?;
            let count = u32::try_from(parts.len()).expect("no more than may be uploaded");
            let mut metadata = upload.metadata;
            metadata.checksum = checksum(&came);
            let fresh = Fresh {
                key,
                size: came.iter().map(|part| part.size).sum(),
                etag: format!("{}-{count}", hex(&md5.finalize())),
                digest: Digest(whole.finish().as_ref().try_into().expect("SHA-256 has 32 bytes")),
                parts: count,
                metadata,
                modified: now,
                pieces: &pieces,
            };
            bucket.usage.part_bytes -= forget(rows, id)?;
            let head = replace(rows, &mut bucket, old, fresh)?;
            bucket.refuse_over_quota()?;
            bucket.store(rows)?;
            Ok(head)
        })
    }

    /// The object that these parts have become, where it is still there: whoever completes an upload and hears no answer asks again.
    ///
    /// # Errors
    /// Where the bucket is not there.
    pub fn completed(&self, bucket: &str, key: &str, parts: &[PartRef]) -> Result<Option<Head>> {
        let mut md5 = Md5::new();
        for part in parts {
            let digits = part.etag.as_bytes().chunks(2).map(|two| std::str::from_utf8(two).ok());
            let bytes = digits.map(|two| two.and_then(|two| u8::from_str_radix(two, 16).ok()));
            let Some(bytes) = bytes.collect::<Option<Vec<u8>>>().filter(|bytes| bytes.len() == 16) else {
                return Ok(None);
            };
            md5.update(bytes);
        }
        let etag = format!("{}-{}", hex(&md5.finalize()), parts.len());
        match self.head(bucket, key) {
            Ok(head) => Ok(Some(head).filter(|head| head.etag == etag)),
            Err(Fault::NoObject { .. }) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Forgets an upload and its parts.
    ///
    /// # Errors
    /// Where there is none.
    pub fn abort_upload(&self, bucket: &str, key: &str, id: &str) -> Result<()> {
        self.write(|rows| {
            let mut bucket = buckets::find(rows, bucket)?;
            upload(rows, &bucket, key, id)?;
            bucket.usage.part_bytes -= forget(rows, id)?;
            bucket.store(rows)
        })
    }

    /// Parts of an upload whose numbers are behind `after`, at most so many.
    ///
    /// # Errors
    /// Where there is no such upload.
    pub fn parts(&self, bucket: &str, key: &str, id: &str, after: u32, limit: usize) -> Result<Vec<Part>> {
        self.read(|rows| {
            upload(rows, &buckets::find(rows, bucket)?, key, id)?;
            let mut statement = rows.prepare_cached(
                "SELECT number, size, md5, checksum, modified FROM part WHERE upload = ?1 AND number > ?2 \
                 ORDER BY number LIMIT ?3",
            )?;
            let parts = statement.query_map((id, after, limit), |row| {
                let (hash, checksum): ([u8; 16], Option<String>) = (row.get(2)?, row.get(3)?);
                Ok(Part {
                    number: row.get(0)?,
                    size: row.get(1)?,
                    etag: hex(&hash),
                    checksum: checksum.and_then(|checksum| serde_json::from_str(&checksum).ok()),
                    modified: Timestamp::from_unix_millis(row.get(4)?),
                })
            })?;
            Ok(parts.collect::<rusqlite::Result<_>>()?)
        })
    }

    /// Uploads whose keys begin with `prefix`, behind one that is named by its key and id, at most so many.
    ///
    /// # Errors
    /// Where the bucket is not there.
    pub fn uploads(&self, bucket: &str, prefix: &str, after: (&str, &str), limit: usize) -> Result<Vec<Upload>> {
        self.read(|rows| {
            let bucket = buckets::find(rows, bucket)?.id;
            let mut statement = rows.prepare_cached(
                "SELECT id, key, begun, metadata FROM upload WHERE bucket = ?1 AND (key, id) > (?2, ?3) \
                 AND key >= ?4 ORDER BY key, id",
            )?;
            let mut found = statement.query((bucket, after.0, after.1, prefix))?;
            let mut uploads = Vec::new();
            while let Some(row) = found.next()? {
                let key: String = row.get(1)?;
                if !key.starts_with(prefix) || uploads.len() == limit {
                    break;
                }
                uploads.push(Upload {
                    id: row.get(0)?,
                    key,
                    begun: Timestamp::from_unix_millis(row.get(2)?),
                    metadata: metadata(&row.get::<_, String>(3)?)?,
                });
            }
            Ok(uploads)
        })
    }
}

fn metadata(text: &str) -> Result<Metadata> {
    serde_json::from_str(text).map_err(|_| Fault::Row("what is said about an upload is no JSON"))
}

fn upload(rows: &Connection, bucket: &BucketRow, key: &str, id: &str) -> Result<Upload> {
    let found = rows
        .prepare_cached("SELECT begun, metadata FROM upload WHERE id = ?1 AND bucket = ?2 AND key = ?3")?
        .query_row((id, bucket.id, key), |row| Ok((row.get(0)?, row.get::<_, String>(1)?)))
        .optional()?;
    let (begun, text) = found.ok_or_else(|| Fault::NoUpload(id.to_owned()))?;
    Ok(Upload {
        id: id.to_owned(),
        key: key.to_owned(),
        begun: Timestamp::from_unix_millis(begun),
        metadata: metadata(&text)?,
    })
}

/// Takes an upload's rows away, and says how many bytes its parts had.
pub(super) fn forget(rows: &Connection, id: &str) -> Result<u64> {
    let bytes = rows
        .prepare_cached("SELECT COALESCE(SUM(size), 0) FROM part WHERE upload = ?1")?
        .query_row([id], |row| row.get(0))?;
    rows.prepare_cached("DELETE FROM part WHERE upload = ?1")?.execute([id])?;
    rows.prepare_cached("DELETE FROM upload WHERE id = ?1")?.execute([id])?;
    Ok(bytes)
}
