//! Opening a file that must lie below a folder, whatever its path says.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Component, Path};

use rustix::fs::{Mode, OFlags, open, openat};
use rustix::io::Errno;

/// Opens `relative` below `folder` for reading. Every step is taken from the open folder before it and follows no symbolic link,
/// so neither `..` nor a link (also one that is put there meanwhile) leads out: a link counts as absent. Anything but plain names
/// is `InvalidInput`.
pub fn open_beneath(folder: &Path, relative: &Path) -> io::Result<File> {
    let mut names: Vec<&OsStr> = Vec::new();
    for component in relative.components() {
        match component {
            Component::Normal(name) => names.push(name),
            Component::CurDir => {}
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        }
    }
    let mut at = open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let Some((last, folders)) = names.split_last() else {
        return Err(io::ErrorKind::IsADirectory.into());
    };
    for name in folders {
        at = openat(&at, *name, OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    }
    // NONBLOCK: a named pipe in the folder must not hold whoever opens it.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match openat(&at, *last, flags, Mode::empty()) {
        Ok(file) => Ok(File::from(file)),
        Err(Errno::LOOP) => Err(io::ErrorKind::NotFound.into()),
        Err(errno) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn only_plain_files_below_the_folder_open() {
        let folder = tempfile::tempdir().unwrap();
        let site = folder.path().join("site");
        std::fs::create_dir_all(site.join("a")).unwrap();
        std::fs::write(folder.path().join("outside"), "x").unwrap();
        std::fs::write(site.join("a/file"), "x").unwrap();
        symlink(folder.path().join("outside"), site.join("link")).unwrap();
        symlink(folder.path(), site.join("up")).unwrap();

        assert!(open_beneath(&site, Path::new("a/file")).is_ok());
        assert!(open_beneath(&site, Path::new("a/./file")).is_ok());
        for outside in ["../outside", "a/../../outside", "/etc/hostname", "link", "up/outside", "up/site/a/file", ""] {
            assert!(open_beneath(&site, Path::new(outside)).is_err(), "{outside:?} opened");
        }
    }
}
