//! What nobody wants any more, taken away.

use std::time::{Duration, SystemTime};

use host::clock::Timestamp;
use host::files;
use rusqlite::Connection;

use super::{Digest, Fault, Result, Store, puts, uploads};

/// How long things are left alone.
#[derive(Clone, Copy, Debug)]
pub struct Sweep {
    /// Contents that nothing refers to: so long, other processes may still read them.
    pub grace: Duration,
    /// Uploads that nobody completes, and files of contents that never came to their end.
    pub abandoned: Duration,
}

impl Default for Sweep {
    fn default() -> Self {
        // A download of the largest object over a slow line takes less than the one, an upload of it less than the other.
        Self { grace: Duration::from_secs(3600), abandoned: Duration::from_secs(24 * 3600) }
    }
}

/// What a sweep took away.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Versions whose time for undo is over.
    pub versions: u64,
    pub uploads: u64,
    pub blobs: u64,
    pub bytes: u64,
    /// Files that no row knew: of a process that died between the two.
    pub strays: u64,
    pub temporary: u64,
}

/// Rows of one transaction: others write in between.
const AT_ONCE: usize = 200;

impl Store {
    /// Takes away what nobody wants any more.
    ///
    /// # Errors
    /// Where a snapshot is being taken ([`Fault::Held`]: try later), or something cannot be taken away.
    pub fn sweep(&self, sweep: Sweep) -> Result<Swept> {
        let lock = self.blobs.lock_file()?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(std::fs::TryLockError::WouldBlock) => return Err(Fault::Held),
            Err(std::fs::TryLockError::Error(error)) => {
                return Err(files::FileFault::new("lock the sweep of", self.blobs.folder(), error).into());
            }
        }
        let now = self.now();
        let mut swept = Swept { versions: self.let_go(now)?, ..Swept::default() };
        swept.uploads = self.abandon(before(now, sweep.abandoned))?;
        self.free(now)?;
        self.take_away(before(now, sweep.grace), &mut swept)?;
        swept.strays = self.strays()?;
        swept.temporary = self.temporaries(now, sweep.abandoned)?;
        drop(lock);
        Ok(swept)
    }

    /// Versions whose time is over.
    fn let_go(&self, now: Timestamp) -> Result<u64> {
        let mut count = 0;
        loop {
            let some = self.write(|rows| {
                let mut statement = rows.prepare_cached(
                    "SELECT version.id, version.size, bucket.id FROM bucket CROSS JOIN version ON version.bucket = bucket.id \
                     WHERE gone IS NOT NULL AND gone <= ?1 - undo LIMIT ?2",
                )?;
                let found = statement.query_map((now.unix_millis(), AT_ONCE), |row| {
                    Ok((row.get(0)?, row.get::<_, u64>(1)?, row.get::<_, i64>(2)?))
                })?;
                let found = found.collect::<rusqlite::Result<Vec<_>>>()?;
                for (version, size, bucket) in &found {
                    puts::forget(rows, *version)?;
                    rows.prepare_cached(
                        "UPDATE bucket SET kept = kept - 1, kept_bytes = kept_bytes - ?2 WHERE id = ?1",
                    )?
                    .execute((bucket, size))?;
                }
                Ok(found.len())
            })?;
            count += some as u64;
            if some < AT_ONCE {
                return Ok(count);
            }
        }
    }

    fn abandon(&self, begun_before: Timestamp) -> Result<u64> {
        self.write(|rows| {
            // One whose last part came lately is still alive.
            let mut statement = rows.prepare_cached(
                "SELECT id, bucket FROM upload WHERE begun < ?1 \
                 AND NOT EXISTS (SELECT 1 FROM part WHERE upload = upload.id AND modified >= ?1)",
            )?;
            let found = statement
                .query_map([begun_before.unix_millis()], |row| Ok((row.get::<_, String>(0)?, row.get::<_, i64>(1)?)))?
                .collect::<rusqlite::Result<Vec<_>>>()?;
            for (id, bucket) in &found {
                let bytes = uploads::forget(rows, id)?;
                rows.prepare_cached("UPDATE bucket SET part_bytes = part_bytes - ?2 WHERE id = ?1")?
                    .execute((bucket, bytes))?;
            }
            Ok(found.len() as u64)
        })
    }

    /// Notes which contents nothing refers to, and which something does again.
    fn free(&self, now: Timestamp) -> Result<()> {
        self.write(|rows| {
            rows.execute(&format!("UPDATE blob SET freed = NULL WHERE freed IS NOT NULL AND NOT ({UNUSED})"), [])?;
            rows.execute(&format!("UPDATE blob SET freed = ?1 WHERE freed IS NULL AND {UNUSED}"), [now.unix_millis()])?;
            Ok(())
        })
    }

    fn take_away(&self, freed_before: Timestamp, swept: &mut Swept) -> Result<()> {
        let mut after = 0;
        loop {
            // The lock of writers is held until the files are gone too: nobody takes one for a content that is there.
            let some = self.write(|rows| {
                let found = unused(rows, freed_before, after)?;
                for (id, digest, size) in &found {
                    after = *id;
                    if self.blobs.is_pinned(digest) {
                        continue;
                    }
                    rows.prepare_cached("DELETE FROM blob WHERE id = ?1")?.execute([id])?;
                    files::remove(&self.blobs.path(digest))?;
                    swept.blobs += 1;
                    swept.bytes += size;
                }
                Ok(found.len())
            })?;
            if some < AT_ONCE {
                return Ok(());
            }
        }
    }

    /// Files of contents that no row knows.
    fn strays(&self) -> Result<u64> {
        let mut count = 0;
        for folder in files::list(self.blobs.folder())? {
            for folder in files::list(&folder)? {
                let mut suspects = Vec::new();
                self.read(|rows| {
                    for path in files::list(&folder)? {
                        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.parse().ok());
                        if name.is_none_or(|digest| !matches!(is_known(rows, digest), Ok(true))) {
                            suspects.push((path, name));
                        }
                    }
                    Ok(())
                })?;
                if suspects.is_empty() {
                    continue;
                }
                self.write(|rows| {
                    for (path, digest) in &suspects {
                        // Looked at again: it may have got its row meanwhile.
                        let is_known = match digest {
                            Some(digest) => is_known(rows, *digest)? || self.blobs.is_pinned(digest),
                            None => false,
                        };
                        if !is_known {
                            files::remove(path)?;
                            count += 1;
                        }
                    }
                    Ok(())
                })?;
            }
        }
        Ok(count)
    }

    fn temporaries(&self, now: Timestamp, older: Duration) -> Result<u64> {
        let now = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(now.unix_millis()).unwrap_or(0));
        let mut count = 0;
        for path in files::list(self.blobs.temporary())? {
            // What is being written is changed all the time.
            let changed = match files::metadata(&path) {
                Ok(metadata) => metadata.modified().ok(),
                Err(fault) if fault.is_not_found() => continue,
                Err(fault) => return Err(fault.into()),
            };
            if changed.is_some_and(|changed| now.duration_since(changed).is_ok_and(|age| age > older)) {
                files::remove(&path)?;
                count += 1;
            }
        }
        Ok(count)
    }
}

const UNUSED: &str = "NOT EXISTS (SELECT 1 FROM piece WHERE piece.blob = blob.id) \
                      AND NOT EXISTS (SELECT 1 FROM part WHERE part.blob = blob.id)";

fn before(now: Timestamp, duration: Duration) -> Timestamp {
    let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_unix_millis(now.unix_millis().saturating_sub(millis))
}

fn unused(rows: &Connection, freed_before: Timestamp, after: i64) -> Result<Vec<(i64, Digest, u64)>> {
    let mut statement = rows.prepare_cached(&format!(
        "SELECT id, digest, size FROM blob WHERE freed <= ?1 AND id > ?2 AND {UNUSED} ORDER BY id LIMIT ?3"
    ))?;
    let found = statement.query_map((freed_before.unix_millis(), after, AT_ONCE), |row| {
        Ok((row.get(0)?, Digest(row.get(1)?), row.get(2)?))
    })?;
    Ok(found.collect::<rusqlite::Result<_>>()?)
}

fn is_known(rows: &Connection, digest: Digest) -> Result<bool> {
    Ok(rows.prepare_cached("SELECT 1 FROM blob WHERE digest = ?1")?.exists([&digest.0[..]])?)
}
