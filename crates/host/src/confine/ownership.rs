//! Users without a name, and what files they are given.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, Stat, Uid};

use crate::files::{FileFault, Result};

/// A user and a group of the same number. It needs no entry in `/etc/passwd`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct User(pub u32);

/// What it takes to start a process as another user and to go on looking after it: giving it files, emptying its folders, ending it,
/// becoming it, and recognising it by its environment, which the kernel shows to nobody else.
const NEEDED: [(u32, &str); 7] = [
    (0, "CAP_CHOWN"),
    (1, "CAP_DAC_OVERRIDE"),
    (3, "CAP_FOWNER"),
    (5, "CAP_KILL"),
    (6, "CAP_SETGID"),
    (7, "CAP_SETUID"),
    (19, "CAP_SYS_PTRACE"),
];

/// Which of the capabilities that it takes to look after other users' processes are missing here: a container's root may lack some.
pub fn missing_capabilities() -> Vec<&'static str> {
    let effective = crate::process::table::credentials(std::process::id()).map_or(0, |own| own.effective);
    NEEDED.into_iter().filter(|(bit, _)| effective >> bit & 1 == 0).map(|(_, name)| name).collect()
}

/// The ids that exist here, as ranges: in a user namespace not all of them do.
pub fn mapped_ids() -> Vec<std::ops::Range<u64>> {
    let read = |file| fs::read_to_string(file).unwrap_or_default();
    let (users, groups) = (ranges(&read("/proc/self/uid_map")), ranges(&read("/proc/self/gid_map")));
    let both = users
        .iter()
        .flat_map(|user| groups.iter().map(move |group| user.start.max(group.start)..user.end.min(group.end)));
    both.filter(|range| range.start < range.end).collect()
}

fn ranges(map: &str) -> Vec<std::ops::Range<u64>> {
    map.lines()
        .filter_map(|line| {
            let mut numbers = line.split_ascii_whitespace().map(str::parse::<u64>);
            let (Some(Ok(start)), _, Some(Ok(length))) = (numbers.next(), numbers.next(), numbers.next()) else {
                return None;
            };
            Some(start..start.saturating_add(length))
        })
        .collect()
}

impl User {
    fn ids(self) -> (Uid, Gid) {
        (Uid::from_raw(self.0), Gid::from_raw(self.0))
    }

    /// Async-signal-safe. From then on nothing brings the old privileges back.
    pub(super) fn become_it(self) -> io::Result<()> {
        drop_bounding_set();
        let (user, group) = self.ids();
        rustix::thread::set_thread_groups(&[])?;
        rustix::thread::set_thread_res_gid(group, group, group)?;
        rustix::thread::set_thread_res_uid(user, user, user)?;
        Ok(())
    }

    /// Whether it may pass through this folder, by the folder's mode.
    pub fn may_pass(self, folder: &Path) -> bool {
        self.may(folder, 0o1)
    }

    /// Whether it may read this file, or list and pass this folder, by the mode.
    pub fn may_read(self, path: &Path) -> bool {
        self.may(path, if path.is_dir() { 0o5 } else { 0o4 })
    }

    pub fn may_write(self, path: &Path) -> bool {
        self.may(path, 0o2)
    }

    fn may(self, path: &Path, bits: u32) -> bool {
        fs::metadata(path).is_ok_and(|meta| {
            let shift = if meta.uid() == self.0 {
                6
            } else if meta.gid() == self.0 {
                3
            } else {
                0
            };
            meta.mode() >> shift & bits == bits
        })
    }
}

/// No capability can come back, not by any program that has some.
#[expect(unsafe_code, reason = "system call")]
fn drop_bounding_set() {
    for capability in 0..=63 {
        // SAFETY: a plain system call without pointers; it refuses numbers that the kernel does not know.
        if unsafe { libc::prctl(libc::PR_CAPBSET_DROP, capability, 0, 0, 0) } < 0 {
            return;
        }
    }
}

/// What becomes of a folder that a user is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gift {
    /// All of it is the user's own.
    Whole,
    /// The files are the user's to read; none can be added, renamed or removed by it.
    ToRead,
}

/// Gives a folder to a user. Links are not followed, and what has a second name elsewhere stays whose it is: who could write
/// here before must not get hold of a stranger's file by it.
pub fn give(folder: &Path, to: User, gift: Gift) -> Result<()> {
    let fault = |errno: rustix::io::Errno| FileFault::new("give away", folder, errno.into());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::openat(CWD, folder, flags, Mode::empty()).map_err(fault)?;
    let stat = rustix::fs::fstat(&opened).map_err(fault)?;
    // The folder itself changes hands last: then all of it has, also if we were killed meanwhile.
    if gift == Gift::Whole && stat.st_uid == to.0 && stat.st_gid == to.0 {
        return Ok(());
    }
    give_opened(&opened, &stat, to, gift).map_err(fault)
}

fn give_opened(folder: &rustix::fd::OwnedFd, stat: &Stat, to: User, gift: Gift) -> rustix::io::Result<()> {
    let (user, group) = to.ids();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let stat = match rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(rustix::io::Errno::NOENT) => continue,
            stat => stat?,
        };
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let inner = rustix::fs::openat(folder, name, flags, Mode::empty())?;
                give_opened(&inner, &stat, to, gift)?;
            }
            FileType::RegularFile if stat.st_nlink > 1 && stat.st_uid != to.0 => {}
            _ if stat.st_uid == to.0 && stat.st_gid == to.0 => {}
            _ => rustix::fs::chownat(folder, name, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)?,
        }
    }
    match gift {
        Gift::Whole => rustix::fs::fchown(folder, Some(user), Some(group)),
        Gift::ToRead if stat.st_gid == to.0 && stat.st_mode & 0o777 == 0o750 => Ok(()),
        Gift::ToRead => {
            rustix::fs::fchown(folder, None, Some(group))?;
            rustix::fs::fchmod(folder, Mode::from_raw_mode(0o750))
        }
    }
}

/// Gives one file or pipe to a user.
pub fn give_file(path: &Path, to: User) -> Result<()> {
    let (user, group) = to.ids();
    rustix::fs::chownat(CWD, path, Some(user), Some(group), AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|errno| FileFault::new("give away", path, errno.into()))
}

/// Lets everybody pass through a folder of ours, and no more.
pub fn let_pass(folder: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let fault = |source| FileFault::new("open a way through", folder, source);
    let mode = fs::metadata(folder).map_err(fault)?.mode();
    fs::set_permissions(folder, fs::Permissions::from_mode(mode & 0o7777 | 0o011)).map_err(fault)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_of_ids_is_read_and_half_a_line_is_none() {
        let starts_and_ends = |map| ranges(map).into_iter().map(|range| (range.start, range.end)).collect::<Vec<_>>();
        assert_eq!(starts_and_ends("         0          0 4294967295\n"), [(0, 4_294_967_295)]);
        assert_eq!(starts_and_ends("0 100000 65536\n70000 7\n"), [(0, 65_536)]);
        assert_eq!(starts_and_ends(""), []);
    }

    #[test]
    fn what_is_given_is_all_of_it_and_nothing_of_a_stranger() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        let stranger = folder.path().join("stranger");
        fs::create_dir_all(data.join("inner")).unwrap();
        fs::write(data.join("inner/file"), b"").unwrap();
        fs::write(&stranger, b"").unwrap();
        fs::hard_link(&stranger, data.join("second-name")).unwrap();
        std::os::unix::fs::symlink(&stranger, data.join("link")).unwrap();
        let user = User(1_900_000_000);
        let given = give(&data, user, Gift::Whole);
        if !crate::own::is_root() {
            assert!(given.is_err(), "only root gives files away");
            return;
        }
        given.unwrap();
        for path in [data.clone(), data.join("inner"), data.join("inner/file")] {
            assert_eq!(fs::metadata(&path).unwrap().uid(), user.0, "{}", path.display());
        }
        assert_eq!(fs::metadata(&stranger).unwrap().uid(), 0);

        let conf = folder.path().join("conf");
        fs::create_dir(&conf).unwrap();
        fs::write(conf.join("key"), b"").unwrap();
        give(&conf, user, Gift::ToRead).unwrap();
        assert!(user.may_read(&conf.join("key")) && user.may_pass(&conf) && !user.may_write(&conf));
    }
}
