//! Every content, read and compared with its digest.

use std::io::Read;

use aws_lc_rs::digest;
use host::files;
use rusqlite::Connection;

use super::{Digest, Fault, Result, Store, VersionId};

/// An object, or a version that is kept, whose content is not what was put.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    pub bucket: String,
    pub key: String,
    pub version: VersionId,
    /// Whether it is the object, and not what it was.
    pub is_live: bool,
    pub digest: Digest,
    pub what: String,
}

/// What a scrub saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scrubbed {
    pub blobs: u64,
    pub bytes: u64,
    pub damaged: Vec<Damage>,
}

impl Store {
    /// Reads every content that something refers to. `pace` hears how many bytes were read each time, and may wait.
    ///
    /// # Errors
    /// Where the rows cannot be read. A content that cannot be read is damage.
    pub fn scrub(&self, mut pace: impl FnMut(u64)) -> Result<Scrubbed> {
        let (mut scrubbed, mut after) = (Scrubbed::default(), 0_i64);
        loop {
            let blobs = self.read(|rows| {
                let mut statement =
                    rows.prepare_cached("SELECT id, digest, size FROM blob WHERE id > ?1 ORDER BY id LIMIT 100")?;
                let blobs = statement.query_map([after], |row| Ok((row.get(0)?, Digest(row.get(1)?), row.get(2)?)))?;
                Ok(blobs.collect::<rusqlite::Result<Vec<(i64, Digest, u64)>>>()?)
            })?;
            let Some((last, ..)) = blobs.last() else { return Ok(scrubbed) };
            after = *last;
            for (id, digest, size) in blobs {
                scrubbed.blobs += 1;
                scrubbed.bytes += size;
                if let Some(what) = self.verify(&digest, size, &mut pace) {
                    // What was swept meanwhile is named by nothing.
                    scrubbed.damaged.extend(self.read(|rows| victims(rows, id, digest, &what))?);
                }
            }
        }
    }

    /// What is wrong with a content.
    fn verify(&self, digest: &Digest, size: u64, pace: &mut impl FnMut(u64)) -> Option<String> {
        let mut file = match files::open(&self.blobs.path(digest)) {
            Ok(file) => file,
            Err(fault) if fault.is_not_found() => return Some("its file is missing".to_owned()),
            Err(fault) => return Some(format!("its file cannot be opened: {}", fault.source)),
        };
        let (mut context, mut read) = (digest::Context::new(&digest::SHA256), 0_u64);
        let mut buffer = vec![0; 256 << 10];
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(length) => {
                    context.update(&buffer[..length]);
                    read += length as u64;
                    pace(length as u64);
                }
                Err(error) => return Some(format!("its file cannot be read after {read} bytes: {error}")),
            }
        }
        if read != size {
            return Some(format!("its file has {read} bytes and not {size}"));
        }
        (context.finish().as_ref() != digest.0).then(|| "its file has other bytes now".to_owned())
    }

    /// Puts a content back whose file was damaged or is missing: from a backup.
    ///
    /// # Errors
    /// Where `content` is another one, or none of this digest is known.
    pub fn heal(&self, digest: &Digest, mut content: impl Read) -> Result<()> {
        let mut writer = self.writer()?;
        let mut buffer = vec![0; 64 << 10];
        loop {
            match content.read(&mut buffer).map_err(Fault::Source)? {
                0 => break,
                length => writer.write(&buffer[..length])?,
            }
        }
        let written = writer.finish()?;
        if written.digest != *digest {
            return Err(Fault::OtherContent);
        }
        let (digest, blobs) = (*digest, self.blobs.clone());
        self.together(move |rows, dirty| {
            let is_known = rows.prepare_cached("SELECT 1 FROM blob WHERE digest = ?1")?.exists([&digest.0[..]])?;
            if is_known { blobs.adopt(&written, dirty) } else { Err(Fault::OtherContent) }
        })
    }
}

fn victims(rows: &Connection, blob: i64, digest: Digest, what: &str) -> Result<Vec<Damage>> {
    let mut statement = rows.prepare_cached(
        "SELECT DISTINCT bucket.name, key, version.id, gone FROM piece JOIN version ON version.id = piece.version \
         JOIN bucket ON bucket.id = version.bucket WHERE piece.blob = ?1 ORDER BY version.id",
    )?;
    let damaged = statement.query_map([blob], |row| {
        Ok(Damage {
            bucket: row.get(0)?,
            key: row.get(1)?,
            version: VersionId(row.get(2)?),
            is_live: row.get::<_, Option<i64>>(3)?.is_none(),
            digest,
            what: what.to_owned(),
        })
    })?;
    Ok(damaged.collect::<rusqlite::Result<_>>()?)
}
