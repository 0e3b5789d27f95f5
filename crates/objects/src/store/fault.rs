//! What can be wrong with a request to the store, and with the store.

use std::io;

use host::database::DatabaseFault;
use host::files::FileFault;

use super::Digest;

/// Why something was not done. Nothing of it was.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("there is no bucket `{0}`")]
    NoBucket(String),
    #[error("there is no object `{key}` in `{bucket}`")]
    NoObject { bucket: String, key: String },
    #[error("there is no version {version} in `{bucket}`")]
    NoVersion { bucket: String, version: String },
    #[error("there is no upload `{0}`")]
    NoUpload(String),
    #[error("`{0}` cannot be a bucket's name")]
    BadBucket(String),
    #[error("no object can have this key: {0}")]
    BadKey(#[from] BadKey),
    #[error("the bucket `{bucket}` has {objects} objects")]
    NotEmpty { bucket: String, objects: u64 },
    #[error("`{bucket}` would hold {would_be} bytes, and its quota is {quota}")]
    Quota { bucket: String, would_be: u64, quota: u64 },
    #[error("the object is not what the request expects it to be")]
    Unmet,
    #[error("part {number} is not what was uploaded")]
    BadPart { number: u32 },
    #[error("the parts are not in ascending order, or there are none")]
    PartOrder,
    #[error("part {number} has {size} bytes and is not the last")]
    SmallPart { number: u32, size: u64 },
    #[error("what `{key}` in `{bucket}` holds is not what was put: {} {what}", digest.hex())]
    Damaged { bucket: String, key: String, digest: Digest, what: &'static str },
    #[error("the content is not the one that is asked for")]
    OtherContent,
    #[error("a snapshot is being taken, so nothing can be taken away")]
    Held,
    #[error(transparent)]
    Open(#[from] DatabaseFault),
    #[error("cannot use the rows of objects")]
    Rows(#[from] rusqlite::Error),
    #[error(transparent)]
    File(#[from] FileFault),
    #[error("cannot read what is to be put")]
    Source(#[source] io::Error),
    #[error("a row of objects cannot be read: {0}")]
    Row(&'static str),
}

impl Fault {
    /// Whether there is no room on the disk.
    pub fn is_full(&self) -> bool {
        match self {
            Self::File(fault) => matches!(
                fault.source.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge
            ),
            // The file of shared memory beside the rows cannot grow: SQLite calls it an I/O error of its own.
            Self::Rows(rusqlite::Error::SqliteFailure(error, _)) => {
                error.code == rusqlite::ErrorCode::DiskFull
                    || error.extended_code == rusqlite::ffi::SQLITE_IOERR_SHMSIZE
            }
            _ => false,
        }
    }

    /// Whether it is the machine's, and not the request's.
    pub fn is_ours(&self) -> bool {
        matches!(self, Self::Damaged { .. } | Self::Open(_) | Self::Rows(_) | Self::File(_) | Self::Row(_) | Self::Held)
    }
}

/// Why a key names no object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    #[error("it is empty")]
    Empty,
    #[error("it has {0} bytes, and 1024 is the most")]
    Long(usize),
    #[error("it has a NUL in it")]
    Nul,
    #[error("it has a segment `.` or `..`")]
    Dots,
    #[error("it is no UTF-8")]
    Unreadable,
}
