//! Whether a file is still the one that it was.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{FileFault, Named, Result};

/// Tells whether a file is still the one that was looked at before, unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Stamp {
    inode: u64,
    length: u64,
    changed: (i64, i64),
}

/// The stamp of a file as it is now; `None` if there is none.
pub fn stamp(path: &Path) -> Result<Option<Stamp>> {
    match fs::metadata(path) {
        Ok(meta) => {
            Ok(Some(Stamp { inode: meta.ino(), length: meta.len(), changed: (meta.mtime(), meta.mtime_nsec()) }))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(FileFault::new("look at", path, error)),
    }
}

/// As [`stamp`], in words that hold for other processes and after a boot too: with the device, and with the time that nobody can set,
/// which tells a file from another that was put into its place with the length and the times of the first.
pub fn lasting_stamp(path: &Path) -> Result<String> {
    let meta = fs::metadata(path).named("look at", path)?;
    let (modified, changed) = ((meta.mtime(), meta.mtime_nsec()), (meta.ctime(), meta.ctime_nsec()));
    Ok(format!(
        "{} {} {} {}.{:09} {}.{:09}",
        meta.dev(),
        meta.ino(),
        meta.len(),
        modified.0,
        modified.1,
        changed.0,
        changed.1
    ))
}
