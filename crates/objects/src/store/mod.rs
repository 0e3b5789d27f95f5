//! Objects on a disk: rows that name them, files that hold what they are.
//!
//! Several processes may have one store open: SQLite's lock is the one for all that is written, and what is read is kept from the sweep
//! by a pin in this process and by a time of grace beyond it. All calls block: from async code, give them a thread.

mod schema;
mod fault;
mod object;
mod blobs;
mod content;
mod buckets;
mod group;
mod puts;
mod gets;
mod listing;
mod uploads;
mod versions;
mod sweep;
mod scrub;
mod snapshot;
mod returns;

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use host::clock::{Clock, SystemClock, Timestamp};
use host::database::{self, Presence};
use host::files::{self, Access};
use rusqlite::{Connection, TransactionBehavior};

pub use blobs::{CHUNK, Writer, Written};
pub use buckets::{BucketInfo, Settled, Usage};
pub use content::Content;
pub use fault::{BadKey, Fault};
pub use listing::{List, Listed, Page};
pub use object::{Checksum, Digest, Expect, Head, Metadata, Object, VersionId};
pub use puts::Put;
pub use returns::Returning;
pub use scrub::{Damage, Scrubbed};
pub use snapshot::{Hold, Piece, Snapshot, SnapshotEntry};
pub use sweep::{Sweep, Swept};
pub use uploads::{MIN_PART, MOST_PARTS, Part, PartRef, Upload};
pub use versions::{KeptVersion, Restored};

pub(crate) use object::hex;

use blobs::Blobs;
use schema::SCHEMA;

/// Bytes of a key, as S3 has it.
pub const MOST_KEY: usize = 1024;

/// Connections that are kept for the next who reads. Each has three files open.
const IDLE_READERS: usize = 16;

type Result<T> = std::result::Result<T, Fault>;

/// A store of objects in a folder.
#[derive(Debug)]
pub struct Store {
    database: PathBuf,
    blobs: Arc<Blobs>,
    clock: Arc<dyn Clock>,
    changes: Mutex<Connection>,
    queue: group::Queue,
    /// Those that nobody uses now.
    readers: Mutex<Vec<Connection>>,
}

impl Store {
    /// Opens the store in `folder`, and makes it where there is none. A store whose rows are gone is a fault and no new one.
    ///
    /// # Errors
    /// Where the folder cannot be used, or the rows are missing, damaged or a newer program's.
    pub fn open(folder: &Path) -> Result<Self> {
        Self::open_with(folder, Arc::new(SystemClock))
    }

    /// As [`Store::open`], with the clock that says when things were put and how long they are kept.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_with(folder: &Path, clock: Arc<dyn Clock>) -> Result<Self> {
        files::create_dir(folder, Access::Owner)?;
        let database = folder.join("objects.db");
        let blobs = Arc::new(Blobs::at(folder));
        // The folder of blobs is made after the rows, so where it is, rows have been.
        let presence = if blobs.are_there() { Presence::MustExist } else { Presence::MayBeNew };
        let changes = database::open(&database, SCHEMA, presence)?;
        blobs.make()?;
        Ok(Self {
            database,
            blobs,
            clock,
            changes: Mutex::new(changes),
            queue: group::Queue::default(),
            readers: Mutex::default(),
        })
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn alone(&self) -> MutexGuard<'_, Connection> {
        // A panic in the midst of a transaction rolls it back.
        self.changes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does `change` wholly or not at all, and alone: no other process writes meanwhile.
    fn write<T>(&self, change: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let mut connection = self.alone();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let done = change(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }

    /// Does `look` on one state of all rows.
    fn read<T>(&self, look: impl FnOnce(&Connection) -> Result<T>) -> Result<T> {
        let idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let mut connection = match idle {
            Some(connection) => connection,
            None => self.reader()?,
        };
        let transaction = connection.transaction()?;
        let seen = look(&transaction);
        drop(transaction);
        let mut idle = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < IDLE_READERS {
            idle.push(connection);
        }
        seen
    }

    fn reader(&self) -> Result<Connection> {
        let reader = database::open_to_read(&self.database, SCHEMA)?;
        reader.ok_or_else(|| {
            let missing = database::DatabaseFault::Missing { path: self.database.clone() };
            Fault::Open(missing)
        })
    }

    /// Whether rows and blobs can be written now.
    ///
    /// # Errors
    /// What is in the way.
    pub fn check(&self) -> Result<()> {
        let mut probe = self.blobs.writer()?;
        probe.write(b"probe")?;
        drop(probe.finish()?);
        let now = self.now();
        self.write(|rows| {
            rows.execute("INSERT OR REPLACE INTO probe (only, at) VALUES (1, ?1)", [now.unix_millis()])?;
            Ok(())
        })
    }
}

/// Whether a key can name an object.
///
/// # Errors
/// Why it cannot.
pub fn check_key(key: &str) -> std::result::Result<(), BadKey> {
    if key.is_empty() {
        return Err(BadKey::Empty);
    }
    if key.len() > MOST_KEY {
        return Err(BadKey::Long(key.len()));
    }
    if key.contains('\0') {
        return Err(BadKey::Nul);
    }
    // No path is made of it here; what copies a bucket into a folder elsewhere would make one.
    if key.split('/').any(|segment| segment == "." || segment == "..") {
        return Err(BadKey::Dots);
    }
    Ok(())
}
