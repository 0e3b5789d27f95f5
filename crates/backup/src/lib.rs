//! Backups of an environment, and the proof that they can be restored.
//!
//! ```text
//!   mongod ─ snapshot of one cluster time ─┐                         ┌─► scratch mongod ─ oplog up to T ─► compared with
//!   oplog  ─ slices, each where the last   ├─► repository (restic's ─┤      contents.json ─► copied where it is wanted
//!   ended  ────────────────────────────────┤   format, encrypted)    └─► scratch redis-server, store of objects
//!   objects, of one moment ────────────────┤
//!   redis's append-only log, files,        │
//!   releases ──────────────────────────────┘
//! ```
//!
//! **Invariants.** What could not be read whole leaves no snapshot. A snapshot without its contents is not restorable. Nothing is
//! ever loaded into a living database that was not restored and compared in a scratch one before. A chain of oplog slices has no
//! gap, or says so.

mod append_only_log;
mod base;
mod buckets;
mod contents;
mod copies;
mod course;
mod damage;
mod digest;
mod drill;
mod dump;
mod keys;
mod large_files;
mod load;
mod oplog;
mod parts;
mod probe;
mod releases;
mod replay;
mod repository;
mod restore;
mod retention;
mod scratch;
mod shelf;
mod telemetry;
mod verification;
mod whole;

pub use append_only_log::{log_of, put_log, start};
pub use base::{MongoSource, RedisSource, Sources, Taken, take, take_along};
pub use buckets::{ObjectsRestored, ObjectsWanted, Put, restore_objects, restore_store};
pub use contents::{
    ClusterTime, Contents, FORMAT, OfBucket, OfCollection, OfFile, OfMongo, OfObjects, OfRedis, OfRelease, OfReleases,
    OfTelemetry,
};
pub use copies::{Brought, absent, bring};
pub use course::{Course, watched};
pub use digest::Digest;
pub use drill::{Drill, DrillRecord, Engines, rehearse};
pub use keys::{KeysRestored, put_back_keys};
pub use large_files::FileSource;
pub use oplog::{Slice, SliceTaken, append, chain_end, oldest};
pub use probe::Probe;
pub use releases::{ReleaseSources, put_of_release, read_of_release};
pub use repository::{Freed, Kind, Reader, Repository, Snapshot};
pub use restore::{Copied, Naming, Restored, put_back, rebuild};
pub use retention::{Keep, doomed};
pub use scratch::{Program, Scratch};
pub use shelf::{Destination, Place};
pub use telemetry::{TelemetrySources, put_telemetry};
pub use verification::Verification;
pub use whole::{base_for, files_of};

use reconcile::Fault;

/// What a library of the repository says, in one line, without its advice to report it to somebody.
pub(crate) fn told(error: &rustic_core::RusticError) -> String {
    let text = error.display_log();
    let first = text.lines().next().unwrap_or_default();
    first.strip_prefix("Error: ").unwrap_or(first).to_owned()
}

/// A fault of the repository.
pub(crate) fn repository_fault(what: impl Into<String>, error: &rustic_core::RusticError) -> Fault {
    Fault::new(what).cause(told(error))
}

/// A fault of MongoDB, without the wire's bytes.
pub(crate) fn mongo_fault(what: impl Into<String>, error: &mongodb::error::Error) -> Fault {
    use mongodb::error::ErrorKind;
    let why = match error.kind.as_ref() {
        // What the server says may show documents: of that no more than where it begins.
        ErrorKind::Command(command) => {
            let said: String = command.message.chars().take(160).collect();
            format!("{said} ({})", command.code_name)
        }
        ErrorKind::Authentication { message, .. } | ErrorKind::ServerSelection { message, .. } => message.clone(),
        kind => kind.to_string(),
    };
    Fault::new(what).cause(why)
}
