//! Room for the audit log on a disk that is full, so that an environment that runs can go on to read its secrets.

use std::path::PathBuf;

use host::files;

use crate::fault::StoreFault;
use crate::seat::{Seat, Via};

/// 16 MiB: some 60,000 rows, and each version is noted once for each process that reads it.
const SIZE: u64 = 16 << 20;

/// A disk that is nearly full is not to be filled by a reserve.
const ROOM: u64 = 4 * SIZE;

fn path(seat: &Seat) -> PathBuf {
    seat.file.with_file_name("reserve")
}

/// Makes the reserve if there is none and the disk has room for it. That there is none is no fault.
pub(super) fn keep(seat: &Seat) {
    let path = path(seat);
    let folder = path.parent().map_or_else(|| PathBuf::from("."), PathBuf::from);
    if seat.actor.via == Via::Control
        && !files::exists(&path)
        && files::free_bytes(&folder).is_ok_and(|free| free > ROOM)
    {
        let _ = files::occupy(&path, SIZE);
    }
}

/// Gives the reserve up for a service; people wait until there is room. Whether there was one.
pub(super) fn release(seat: &Seat) -> Result<bool, StoreFault> {
    let path = path(seat);
    if seat.actor.via != Via::Control || !files::exists(&path) {
        return Ok(false);
    }
    files::remove(&path)?;
    Ok(true)
}
