//! Taking away the zombies of processes that were left to us.

use std::io;
use std::mem::MaybeUninit;

use rustix::process::{Pid, set_child_subreaper};

/// From now on, descendants whose parent died become our children instead of init's.
pub fn become_subreaper() -> io::Result<()> {
    // The value only has to be other than zero.
    Ok(set_child_subreaper(Some(Pid::INIT))?)
}

/// Takes away dead children until one is found for which `is_known` says that somebody waits for its exit code.
pub fn reap_strangers(is_known: &dyn Fn(u32) -> bool) {
    while let Some(pid) = peek_dead_child() {
        if is_known(pid) {
            return;
        }
        take_away(pid);
    }
}

#[expect(unsafe_code, reason = "the safe wrapper of waitid does not tell whose end it saw")]
fn peek_dead_child() -> Option<u32> {
    let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
    // SAFETY: `info` is valid for writes; WNOWAIT leaves the child as it is.
    let result =
        unsafe { libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), libc::WEXITED | libc::WNOHANG | libc::WNOWAIT) };
    if result != 0 {
        return None;
    }
    // SAFETY: waitid succeeded. All-zero bytes are a valid siginfo_t and mean that no child is dead.
    let pid = unsafe { info.assume_init().si_pid() };
    u32::try_from(pid).ok().filter(|pid| *pid != 0)
}

fn take_away(pid: u32) {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::NOHANG);
}
