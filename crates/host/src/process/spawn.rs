//! Starting a program in a session of its own, with nothing inherited that was not named.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::{fs::File, thread};

use rustix::io::fcntl_dupfd_cloexec;
use rustix::pipe::{PipeFlags, pipe_with};

use super::{Process, ProcessFault};
use crate::confine::{Confine, Prepared};
use crate::files;

/// The first descriptor of the handed-over ones, as in systemd's protocol.
pub const FIRST_INHERITED: RawFd = 3;

/// What to start. Nothing is inherited: the environment is given whole, stdin is `/dev/null`, signals are as after boot.
#[derive(Debug)]
pub struct Spawn<'a> {
    /// A path, not a name: see [`super::find_in_path`].
    pub program: &'a Path,
    pub args: &'a [String],
    pub cwd: &'a Path,
    pub env: &'a BTreeMap<String, String>,
    pub stdout: OwnedFd,
    pub stderr: OwnedFd,
    /// These become descriptors 3, 4, … of the child.
    pub inherited: &'a [BorrowedFd<'a>],
    pub limits: Limits,
    /// `None`: it runs as we do, and sees what we see.
    pub confine: Option<&'a Confine>,
}

/// Resource limits; `None` leaves our own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    pub open_files: Option<u64>,
    pub address_space: Option<u64>,
    /// Processes and threads of its user: of use for a user of its own.
    pub processes: Option<u64>,
}

/// Starts a program as leader of a new session and process group.
///
/// `before_exec` runs when the process exists and waits, before the program begins: whoever must never lose track of a child
/// writes its identity down there. If it fails, or if we die meanwhile, the program never begins.
///
/// Whoever hands descriptors over must not have other threads that close descriptors meanwhile: the numbers that the child gets
/// are kept free in this process until it runs. The keeper has one thread for this reason too.
pub fn spawn(
    spec: Spawn<'_>,
    before_exec: &mut (dyn FnMut(&Process) -> io::Result<()> + Send),
) -> Result<Process, ProcessFault> {
    if !files::is_dir(spec.cwd) {
        return Err(ProcessFault::NoFolder { program: spec.program.to_owned(), cwd: spec.cwd.to_owned() });
    }
    let program = spec.program.to_owned();
    start(spec, before_exec).map_err(|source| ProcessFault::Start { program, source })
}

fn start(spec: Spawn<'_>, before_exec: &mut (dyn FnMut(&Process) -> io::Result<()> + Send)) -> io::Result<Process> {
    let above = FIRST_INHERITED + RawFd::try_from(spec.inherited.len()).unwrap_or(RawFd::MAX);
    // The standard library opens a pipe of its own for the child's errors. Were it among the numbers that we are going to
    // overwrite, a failed exec would go unnoticed: so occupy those.
    let reserved = occupy_below(above)?;
    let sources =
        spec.inherited.iter().map(|fd| fcntl_dupfd_cloexec(fd, above)).collect::<Result<Vec<OwnedFd>, _>>()?;
    let (ready_read, ready_write) = pipe_with(PipeFlags::CLOEXEC)?;
    let (go_read, go_write) = pipe_with(PipeFlags::CLOEXEC)?;
    // Another thread may have freed a low number meanwhile: the child's ends must be out of reach of what it is handed, or it
    // would report to a stranger and wait for ever.
    let (ready_write, go_read) = (fcntl_dupfd_cloexec(ready_write, above)?, fcntl_dupfd_cloexec(go_read, above)?);
    let child = ChildSide {
        sources,
        ready: ready_write,
        go: go_read,
        limits: spec.limits,
        confine: spec.confine.map(|confine| confine.prepare(spec.cwd)).transpose()?,
        parent: i32::try_from(std::process::id()).unwrap_or(0),
        first_not_inherited: above,
    };

    let mut command = Command::new(spec.program);
    command.args(spec.args).current_dir(spec.cwd).env_clear().envs(spec.env);
    command.stdin(Stdio::null()).stdout(spec.stdout).stderr(spec.stderr);
    set_up_child(&mut command, child);

    // `Command::spawn` returns only after exec, and exec waits for us: so it needs a thread of its own.
    thread::scope(|scope| {
        let spawning = thread::Builder::new().stack_size(128 * 1024).spawn_scoped(scope, move || {
            let spawned = command.spawn();
            // Closes our copies of the child's pipe ends, so that a child which never came to be reads as end of file.
            drop(command);
            spawned.map(drop)
        })?;
        let met = meet(File::from(ready_read), File::from(go_write), before_exec);
        drop(reserved);
        let spawned = spawning.join().unwrap_or_else(|_| Err(io::Error::other("the spawning thread panicked")));
        match (met, spawned) {
            (Ok(process), Ok(())) => Ok(process),
            // Why the caller refused says more than that the child was told to give up.
            (Err(Meeting::Refused(error)), _) => Err(error),
            (_, Err(error)) => Err(error),
            (Err(Meeting::NoShow(error)), Ok(())) => Err(error),
        }
    })
}

enum Meeting {
    /// The child did not come to the meeting point.
    NoShow(io::Error),
    /// It did, and was sent away.
    Refused(io::Error),
}

fn meet(
    mut ready: File,
    mut go: File,
    before_exec: &mut (dyn FnMut(&Process) -> io::Result<()> + Send),
) -> Result<Process, Meeting> {
    let mut pid = [0; 4];
    ready.read_exact(&mut pid).map_err(Meeting::NoShow)?;
    let met = Process::open(u32::from_ne_bytes(pid)).and_then(|process| before_exec(&process).map(|()| process));
    let answer = if met.is_ok() { GO } else { GIVE_UP };
    let _ = go.write_all(&[answer]);
    met.map_err(Meeting::Refused)
}

const GO: u8 = 1;
const GIVE_UP: u8 = 0;

fn occupy_below(above: RawFd) -> io::Result<Vec<File>> {
    let mut occupied = Vec::new();
    loop {
        let file = File::open("/dev/null")?;
        if file.as_raw_fd() >= above {
            return Ok(occupied);
        }
        occupied.push(file);
    }
}

struct ChildSide {
    sources: Vec<OwnedFd>,
    ready: OwnedFd,
    go: OwnedFd,
    limits: Limits,
    confine: Option<Prepared>,
    parent: libc::pid_t,
    first_not_inherited: RawFd,
}

#[expect(unsafe_code, reason = "what must happen between fork and exec")]
fn set_up_child(command: &mut Command, mut child: ChildSide) {
    // SAFETY: the closure runs between fork and exec and makes only async-signal-safe calls: no allocation, no lock.
    unsafe {
        command.pre_exec(move || child.set_up());
    }
}

impl ChildSide {
    /// Async-signal-safe: system calls only.
    fn set_up(&mut self) -> io::Result<()> {
        // Until the program begins, our parent's death is ours: nobody may have written us down yet.
        die_with(self.parent)?;
        new_session()?;
        default_signals()?;
        set_limit(libc::RLIMIT_NOFILE, self.limits.open_files)?;
        set_limit(libc::RLIMIT_AS, self.limits.address_space)?;
        set_limit(libc::RLIMIT_NPROC, self.limits.processes)?;
        no_new_privileges()?;
        for (target, source) in (FIRST_INHERITED..).zip(&self.sources) {
            duplicate(source.as_raw_fd(), target)?;
        }
        close_on_exec_from(self.first_not_inherited);
        wait_for_go(self.ready.as_raw_fd(), self.go.as_raw_fd())?;
        // After the meeting: our parent has put us into our group by now, which only root may do with whoever we become.
        if let Some(confine) = &mut self.confine {
            confine.take_on()?;
        }
        live_on()
    }
}

fn check(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[expect(unsafe_code, reason = "system call")]
fn die_with(parent: libc::pid_t) -> io::Result<()> {
    // SAFETY: plain system calls without pointers.
    unsafe {
        check(libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL))?;
        // The parent may have died before the line above.
        if libc::getppid() != parent {
            libc::_exit(1);
        }
    }
    Ok(())
}

#[expect(unsafe_code, reason = "system call")]
fn live_on() -> io::Result<()> {
    // SAFETY: a plain system call without pointers.
    check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, 0) })
}

#[expect(unsafe_code, reason = "system call")]
fn new_session() -> io::Result<()> {
    // SAFETY: a plain system call; it cannot fail in a fresh child, which leads no group.
    check(unsafe { libc::setsid() })
}

#[expect(unsafe_code, reason = "system calls")]
fn default_signals() -> io::Result<()> {
    // The kernel's own sigaction is at most this long on 64-bit machines, and all zero means the default action. The system
    // call, not the library's function: that one refuses the signals which the library uses itself, and those are inherited too.
    let default = [0_u64; 4];
    let none = 0_u64;
    let mask_size = size_of_val(&none);
    // SAFETY: the structures are local, valid and of the sizes that the kernel expects; null means that the old is not wanted.
    unsafe {
        // SIGKILL and SIGSTOP refuse, which is as well.
        for signal in 1..=64 {
            let nothing = std::ptr::null_mut::<u64>();
            libc::syscall(libc::SYS_rt_sigaction, signal, default.as_ptr(), nothing, mask_size);
        }
        let nothing = std::ptr::null_mut::<u64>();
        let set = libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const none, nothing, mask_size);
        if set < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }
}

/// Whoever started us may have left descriptors open for us; they are none of the child's business.
#[expect(unsafe_code, reason = "system call")]
fn close_on_exec_from(first: RawFd) {
    // SAFETY: a plain system call; it closes nothing before exec. Before Linux 5.11 it fails, and then descriptors that were
    // opened without the flag by others stay open: untidy, not wrong.
    unsafe {
        libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, libc::CLOSE_RANGE_CLOEXEC);
    }
}

#[expect(unsafe_code, reason = "system calls")]
fn set_limit(resource: libc::__rlimit_resource_t, value: Option<u64>) -> io::Result<()> {
    let Some(value) = value else { return Ok(()) };
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is valid for writes and reads.
    unsafe {
        check(libc::getrlimit(resource, &raw mut limit))?;
        // Only root may go above the hard limit: as much as we may is better than not starting.
        limit.rlim_cur = value.min(limit.rlim_max);
        limit.rlim_max = limit.rlim_cur;
        check(libc::setrlimit(resource, &raw const limit))
    }
}

#[expect(unsafe_code, reason = "system call")]
fn no_new_privileges() -> io::Result<()> {
    // SAFETY: a plain system call without pointers.
    check(unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) })
}

#[expect(unsafe_code, reason = "system call on raw descriptors")]
fn duplicate(source: RawFd, target: RawFd) -> io::Result<()> {
    // SAFETY: `source` is open; `target` is one of the occupied numbers, which nobody in this child uses.
    check(unsafe { libc::dup2(source, target) })
}

#[expect(unsafe_code, reason = "system calls on raw descriptors")]
fn wait_for_go(ready: RawFd, go: RawFd) -> io::Result<()> {
    // SAFETY: the buffers are local and of the given sizes.
    unsafe {
        let pid = libc::getpid().to_ne_bytes();
        if libc::write(ready, pid.as_ptr().cast(), pid.len()) != 4 {
            return Err(io::Error::last_os_error());
        }
        let mut answer = GIVE_UP;
        loop {
            match libc::read(go, (&raw mut answer).cast(), 1) {
                1 if answer == GO => return Ok(()),
                -1 if io::Error::last_os_error().raw_os_error() == Some(libc::EINTR) => {}
                _ => return Err(io::Error::from_raw_os_error(libc::ECANCELED)),
            }
        }
    }
}
