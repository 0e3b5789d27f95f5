//! What a process may still ask of the kernel, once it only computes.

use std::io;

use libc::{c_long, sock_filter, sock_fprog};

/// Memory, the pipes that are open, time, its own end. The list of what one would not think of is long; this one is not.
const COMPUTING: &[c_long] = &[
    libc::SYS_read,
    libc::SYS_write,
    libc::SYS_readv,
    libc::SYS_writev,
    libc::SYS_close,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_rt_sigreturn,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigaction,
    libc::SYS_sigaltstack,
    libc::SYS_clock_gettime,
    libc::SYS_getrandom,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_restart_syscall,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Of the kernel's `struct seccomp_data`.
const NUMBER: u32 = 0;
const ARCHITECTURE: u32 = 4;
const FIRST_ARGUMENT: u32 = 16;

/// Of `linux/audit.h`; elsewhere numbers of calls are others, and there is no filter.
#[cfg(target_arch = "x86_64")]
const OURS: Option<u32> = Some(0xc000_003e);
#[cfg(target_arch = "aarch64")]
const OURS: Option<u32> = Some(0xc000_00b7);
#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
const OURS: Option<u32> = None;

/// Whether the kernel holds a process to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Held {
    Yes,
    /// The kernel was built without filters, or this machine's calls have other numbers.
    NotHere,
}

/// From now on every call but those of a computation fails with `EPERM`: also signals to others, and limits of others. It cannot be
/// taken back. New privileges are off already, or it is root that asks.
///
/// # Errors
/// Where the kernel refuses.
#[expect(unsafe_code, reason = "system call")]
pub fn only_compute() -> io::Result<Held> {
    let Some(ours) = OURS else { return Ok(Held::NotHere) };
    let mut filter = program(ours);
    let program =
        sock_fprog { len: u16::try_from(filter.len()).map_err(io::Error::other)?, filter: filter.as_mut_ptr() };
    // SAFETY: the program is as long as it says and lives until the kernel has copied it.
    let refused = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) } < 0;
    match io::Error::last_os_error() {
        error if refused && error.raw_os_error() == Some(libc::EINVAL) => Ok(Held::NotHere),
        error if refused => Err(error),
        _ => Ok(Held::Yes),
    }
}

fn program(ours: u32) -> Vec<sock_filter> {
    let load = |at: u32| step(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, at, 0, 0);
    let equal = |value: u32, yes: u8, no: u8| step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, value, yes, no);
    let end = |with: u32| step(libc::BPF_RET | libc::BPF_K, with, 0, 0);
    let refuse = libc::SECCOMP_RET_ERRNO | libc::EPERM.unsigned_abs();
    let number = |call: c_long| u32::try_from(call).unwrap_or(u32::MAX);

    // Through another table of calls the same numbers would mean something else.
    let mut program = vec![load(ARCHITECTURE), equal(ours, 1, 0), end(libc::SECCOMP_RET_KILL_PROCESS), load(NUMBER)];
    for &call in COMPUTING {
        program.extend([equal(number(call), 0, 1), end(libc::SECCOMP_RET_ALLOW)]);
    }
    // Limits, its own alone: those of another process are that process's.
    program.extend([equal(number(libc::SYS_prlimit64), 1, 0), end(refuse), load(FIRST_ARGUMENT), equal(0, 0, 1)]);
    program.extend([end(libc::SECCOMP_RET_ALLOW), end(refuse)]);
    program
}

fn step(code: u32, value: u32, yes: u8, no: u8) -> sock_filter {
    sock_filter { code: u16::try_from(code).unwrap_or(u16::MAX), jt: yes, jf: no, k: value }
}
