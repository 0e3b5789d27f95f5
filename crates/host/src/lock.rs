//! A lock that its owner's death releases: `flock` on a file whose content says who holds it.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::files::{FileFault, Result};

/// The outcome of asking for a lock.
#[derive(Debug)]
pub enum Lock {
    /// Ours until the value is dropped or the process dies.
    Ours(Held),
    /// Somebody else's; the text is what they wrote about themselves.
    HeldBy(String),
}

/// A lock that this process holds.
#[derive(Debug)]
pub struct Held {
    file: File,
}

impl Held {
    /// Replaces what others read about the holder.
    pub fn describe(&mut self, holder: &str) -> std::io::Result<()> {
        self.file.seek(SeekFrom::Start(0))?;
        self.file.set_len(0)?;
        self.file.write_all(holder.as_bytes())
    }
}

impl Held {
    /// To be handed to the program that follows in this process, for which it stays locked.
    pub fn as_descriptor(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// The lock at `path`, handed over by the program before this one. `None`: the descriptor is of something else.
    pub fn taken_over(descriptor: OwnedFd, path: &Path) -> Option<Self> {
        let file = File::from(descriptor);
        let (ours, there) = (file.metadata().ok()?, std::fs::metadata(path).ok()?);
        let is_it = (ours.dev(), ours.ino()) == (there.dev(), there.ino());
        // Ours by the descriptor: taking it again changes nothing, and tells where it is not.
        let is_held = flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok();
        (is_it && is_held).then_some(Self { file })
    }
}

/// Tries to take the lock at `path` without waiting. `holder` is shown to whoever comes second.
pub fn try_lock(path: &Path, holder: &str) -> Result<Lock> {
    let fault = |source| FileFault::new("lock", path, source);
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path).map_err(fault)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {
            let mut held = Held { file };
            held.describe(holder).map_err(fault)?;
            Ok(Lock::Ours(held))
        }
        Err(Errno::WOULDBLOCK) => {
            let mut by = String::new();
            file.read_to_string(&mut by).map_err(fault)?;
            Ok(Lock::HeldBy(by))
        }
        Err(errno) => Err(fault(errno.into())),
    }
}
