//! Another program in this very process: its number, its children and what it is told to keep open stay.

use std::env;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::io::{FdFlags, fcntl_getfd, fcntl_setfd};

/// `PID NAME=DESCRIPTOR …`. The number says for whom: children inherit variables.
const KEPT: &str = "ROADBED_KEPT";

/// Replaces this program by another. Returns only if that fails, and then nothing has changed.
#[expect(clippy::disallowed_methods, reason = "the one place where this process becomes another program")]
pub fn replace(program: &Path, args: &[String], kept: &[(String, BorrowedFd<'_>)]) -> io::Error {
    let names = kept.iter().map(|(name, descriptor)| format!(" {name}={}", descriptor.as_raw_fd()));
    let kept_by = format!("{}{}", crate::own::pid(), names.collect::<String>());
    let keep = |flags| kept.iter().try_for_each(|(_, descriptor)| fcntl_setfd(descriptor, flags));
    let failed = match keep(FdFlags::empty()) {
        Ok(()) => Command::new(program).args(args).env(KEPT, kept_by).exec(),
        Err(errno) => errno.into(),
    };
    // We go on, and what we start is to inherit nothing.
    let _ = keep(FdFlags::CLOEXEC);
    failed
}

/// What the program before this one kept open for it, by name. Each descriptor is given once.
#[expect(unsafe_code, reason = "descriptors that arrive as numbers")]
pub fn kept() -> Vec<(String, OwnedFd)> {
    static TAKEN: std::sync::atomic::AtomicBool = std::sync::atomic::AtomicBool::new(false);
    let named = env::var(KEPT).map(|text| parse(&text, crate::own::pid())).unwrap_or_default();
    if named.is_empty() || TAKEN.swap(true, std::sync::atomic::Ordering::SeqCst) {
        return Vec::new();
    }
    let open = named.into_iter().filter(|(_, descriptor)| {
        // SAFETY: only looked at; a number that is not open makes the call fail.
        let borrowed = unsafe { BorrowedFd::borrow_raw(*descriptor) };
        // One that closes on exec was opened by this very program, under a number that was free.
        fcntl_getfd(borrowed).is_ok_and(|flags| !flags.contains(FdFlags::CLOEXEC))
            && fcntl_setfd(borrowed, FdFlags::CLOEXEC).is_ok()
    });
    // SAFETY: open, inherited by the word of the program before us, and taken once.
    open.map(|(name, descriptor)| (name, unsafe { OwnedFd::from_raw_fd(descriptor) })).collect()
}

fn parse(text: &str, own_pid: u32) -> Vec<(String, RawFd)> {
    let mut words = text.split(' ');
    if words.next().and_then(|pid| pid.parse().ok()) != Some(own_pid) {
        return Vec::new();
    }
    let of = |word: &str| {
        let (name, number) = word.split_once('=')?;
        // Never the standard streams.
        Some((name.to_owned(), number.parse().ok().filter(|number| *number > 2)?))
    };
    words.filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_was_kept_for_this_very_process_is_taken() {
        assert_eq!(parse("7 lock=3 https=12", 7), [("lock".to_owned(), 3), ("https".to_owned(), 12)]);
        assert_eq!(parse("7 lock=3", 8), []);
        assert_eq!(parse("7 lock=1 https=-3 http=x nothing", 7), []);
        assert_eq!(parse("", 7), []);
    }
}
