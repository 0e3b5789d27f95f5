//! What the kernel's process table says, read from `/proc`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::files::{self, FileFault};
use crate::intruder::User;

/// One process as `/proc/PID/stat` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    pub pid: u32,
    pub state: char,
    pub parent: u32,
    pub group: u32,
    pub session: u32,
    /// Clock ticks after boot: together with the pid it names one process for as long as the machine runs.
    pub start_time: u64,
}

impl Entry {
    /// Its first thread is dead. As good as always the whole process is, and only waits for its parent to take note;
    /// [`super::Process::is_alive`] knows for sure.
    pub fn is_dead(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x')
    }
}

/// The entry of one process; `None` if there is none.
pub fn entry(pid: u32) -> Option<Entry> {
    // Bytes, not text: the program name in the middle is whatever the program chose.
    parse_stat(&fs::read(format!("/proc/{pid}/stat")).ok()?)
}

/// `pid (name) state ppid pgrp session … starttime(22) …`. The name may hold spaces and parentheses: count from the last `)`.
fn parse_stat(stat: &[u8]) -> Option<Entry> {
    let open = stat.iter().position(|byte| *byte == b'(')?;
    let close = stat.iter().rposition(|byte| *byte == b')')?;
    let pid = std::str::from_utf8(&stat[..open]).ok()?.trim().parse().ok()?;
    let rest = std::str::from_utf8(stat.get(close + 1..)?).ok()?;
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    // Field 3 of the manual page is the first here.
    let number = |field: usize| fields.get(field - 3).and_then(|text| text.parse::<i64>().ok());
    let id = |field: usize| number(field).map(|value| u32::try_from(value).unwrap_or(0));
    Some(Entry {
        pid,
        state: fields.first()?.chars().next()?,
        parent: id(4)?,
        group: id(5)?,
        session: id(6)?,
        start_time: u64::try_from(number(22)?).ok()?,
    })
}

/// Every process of the machine that we can see.
pub fn entries() -> Vec<Entry> {
    let Ok(folder) = fs::read_dir("/proc") else { return Vec::new() };
    folder
        .flatten()
        .filter_map(|found| found.file_name().to_str().and_then(|name| name.parse().ok()))
        .filter_map(entry)
        .collect()
}

/// The environment a process was started with; empty if it is not ours to read. A program may have written over it.
pub fn environment(pid: u32) -> BTreeMap<String, String> {
    let bytes = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
    bytes
        .split(|byte| *byte == 0)
        .filter_map(|pair| std::str::from_utf8(pair).ok()?.split_once('='))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The command line of every process that we can see, with its arguments separated by NUL: what any user of the machine sees.
pub fn command_lines() -> files::Result<Vec<(u32, Vec<u8>)>> {
    let mut lines = Vec::new();
    for entry in entries() {
        let path = PathBuf::from(format!("/proc/{}/cmdline", entry.pid));
        // Gone meanwhile.
        if let Some(line) = files::read_if_exists(&path).or_else(gone)? {
            lines.push((entry.pid, line));
        }
    }
    Ok(lines)
}

/// A process may end while its files are read; the kernel then says ESRCH.
fn gone<T>(fault: FileFault) -> files::Result<Option<T>> {
    if fault.source.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) { Ok(None) } else { Err(fault) }
}

/// What an open file descriptor of a process refers to; `None` if it is closed or not ours to see.
pub fn open_file(pid: u32, descriptor: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{pid}/fd/{descriptor}")).ok()
}

/// As whom a process acts; `None` if there is none.
pub fn user(pid: u32) -> Option<User> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let effective = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_ascii_whitespace().nth(1)?.parse().ok()
    };
    Some(User { uid: effective("Uid:")?, gid: effective("Gid:")? })
}

/// Resident memory of a process, bytes.
pub fn resident_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib * 1024)
}

/// Who a process is and what it may become, as `/proc/PID/status` tells.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Real, effective, saved and of the file system.
    pub users: Vec<u32>,
    pub groups: Vec<u32>,
    /// Capabilities that it has or may get, of all sets together.
    pub capabilities: u64,
    /// Those that it can use now.
    pub effective: u64,
    pub no_new_privileges: bool,
}

/// `None` if there is no such process.
pub fn credentials(pid: u32) -> Option<Credentials> {
    Some(parse_credentials(&fs::read_to_string(format!("/proc/{pid}/status")).ok()?))
}

fn parse_credentials(status: &str) -> Credentials {
    let mut found = Credentials::default();
    for (key, value) in status.lines().filter_map(|line| line.split_once(':')) {
        let numbers = || value.split_ascii_whitespace().filter_map(|word| word.parse().ok()).collect();
        match key {
            "Uid" => found.users = numbers(),
            "Groups" => found.groups = numbers(),
            "NoNewPrivs" => found.no_new_privileges = value.trim() == "1",
            "CapEff" => found.effective = u64::from_str_radix(value.trim(), 16).unwrap_or(0),
            // All bits set if it cannot be read: rather too many than too few.
            "CapPrm" | "CapBnd" | "CapAmb" => {
                found.capabilities |= u64::from_str_radix(value.trim(), 16).unwrap_or(u64::MAX);
            }
            _ => {}
        }
    }
    found
}

/// A soft limit of a process by its name in `/proc/PID/limits` (`Max open files`): `unlimited` or a number.
pub fn limit(pid: u32, name: &str) -> Option<String> {
    let limits = fs::read_to_string(format!("/proc/{pid}/limits")).ok()?;
    let line = limits.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_ascii_whitespace().next().map(str::to_owned)
}

/// Whether a path, as this process sees it, is the very folder or file that we see at `ours`.
pub fn sees(pid: u32, path: &Path, ours: &Path) -> bool {
    let seen = seen_at(pid, path).and_then(|seen| fs::metadata(seen).ok());
    let identity = |meta: &fs::Metadata| (meta.dev(), meta.ino());
    match (seen, fs::metadata(ours)) {
        (Some(seen), Ok(ours)) => identity(&seen) == identity(&ours),
        _ => false,
    }
}

/// Whether the file system that holds a path, as this process sees it, can be written; `None` if it sees no such path.
pub fn is_read_only(pid: u32, path: &Path) -> Option<bool> {
    let stat = rustix::fs::statvfs(seen_at(pid, path)?).ok()?;
    Some(stat.f_flag.contains(rustix::fs::StatVfsMountFlags::RDONLY))
}

fn seen_at(pid: u32, path: &Path) -> Option<PathBuf> {
    Some(PathBuf::from(format!("/proc/{pid}/root")).join(path.strip_prefix("/").ok()?))
}

/// The command line of a process, separated by blanks.
pub fn command_line(pid: u32) -> String {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<_> =
        bytes.split(|byte| *byte == 0).map(|word| OsStr::from_bytes(word).to_string_lossy().into_owned()).collect();
    words.join(" ").trim_end().to_owned()
}

/// Names this boot of the machine: start times count from it.
pub fn boot_id() -> Result<String, FileFault> {
    Ok(files::read_string("/proc/sys/kernel/random/boot_id".as_ref())?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_blanks_and_parentheses_does_not_shift_the_fields() {
        let line = b"4242 (a) S 1 (b)) Z 7 4242 4240 0 -1 4194560 1 0 0 0 2 3 0 0 20 0 1 0 987654 1000 20";
        let entry = parse_stat(line).unwrap();
        assert_eq!(entry, Entry { pid: 4242, state: 'Z', parent: 7, group: 4242, session: 4240, start_time: 987_654 });
        assert!(entry.is_dead());
    }

    #[test]
    fn a_name_that_is_no_text_is_read() {
        let line = b"12 (\xff\xfe) S 1 12 12 0 -1 4194560 1 0 0 0 2 3 0 0 20 0 1 0 55 1000 20";
        assert_eq!(parse_stat(line).unwrap().start_time, 55);
    }

    #[test]
    fn half_a_line_is_no_entry() {
        assert_eq!(parse_stat(b""), None);
        assert_eq!(parse_stat(b"12 (sh"), None);
        assert_eq!(parse_stat(b"12 (sh) S 1 12"), None);
    }

    #[test]
    fn one_capability_in_any_set_is_one() {
        let status = "Name:\tnode\nUid:\t77\t77\t77\t77\nGroups:\t \nCapPrm:\t0000000000000000\nCapBnd:\t0000000000000400\n\
                      NoNewPrivs:\t1\n";
        let found = parse_credentials(status);
        assert_eq!((found.users, found.groups, found.capabilities), (vec![77; 4], vec![], 0x400));
        assert!(found.no_new_privileges);
        assert!(is_read_only(std::process::id(), Path::new("/proc/self")) == Some(false));
        assert!(sees(std::process::id(), Path::new("/tmp"), Path::new("/tmp")));
    }

    #[test]
    fn we_find_ourselves() {
        let own = entry(std::process::id()).unwrap();
        // Its first thread sleeps in one look and runs in the next.
        let lasts = |entry: &Entry| (entry.pid, entry.start_time, entry.parent, entry.group, entry.session);
        assert!(entries().iter().any(|found| lasts(found) == lasts(&own)));
        assert!(!own.is_dead());
        assert!(!boot_id().unwrap().is_empty());
        assert!(resident_bytes(own.pid).unwrap() > 100_000);
        assert!(command_line(own.pid).contains("host"));
    }
}
