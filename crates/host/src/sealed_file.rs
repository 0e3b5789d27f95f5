//! A file in memory that nobody can change: how a process is handed what must be on no disk and in no environment.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;

use rustix::fs::{MemfdFlags, Mode, SealFlags, fchmod, fcntl_add_seals, memfd_create};

/// Shown in `/proc/PID/fd`; what is in it is nobody's business.
const NAME: &CStr = c"roadbed";

/// Makes one. It has no path: who holds the descriptor reads it, at `/proc/self/fd/N` as often as wanted.
pub fn sealed_file(bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(memfd_create(NAME, MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?);
    file.write_all(bytes)?;
    // Only who may look into the process gets at it at all; its own user must be able to open it anew.
    fchmod(&file, Mode::RUSR | Mode::RGRP | Mode::ROTH)?;
    fcntl_add_seals(&file, SealFlags::WRITE | SealFlags::GROW | SealFlags::SHRINK | SealFlags::SEAL)?;
    Ok(file.into())
}

/// Where a process finds a descriptor that it was handed as number `number`.
pub fn path_of(number: i32) -> String {
    format!("/proc/self/fd/{number}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::fd::AsRawFd;

    #[test]
    fn it_is_read_again_and_again_and_never_written() {
        let file = sealed_file(b"hunter2").unwrap();
        let path = path_of(file.as_raw_fd());
        assert_eq!(fs::read(&path).unwrap(), b"hunter2");
        assert_eq!(fs::read(&path).unwrap(), b"hunter2");
        assert!(File::from(file.try_clone().unwrap()).write_all(b"x").is_err());
        assert!(File::from(file).set_len(0).is_err());
    }
}
