//! A program in the foreground of whoever runs us: same terminal, same session, same process group.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Signal, getppid, ioctl_tiocsctty, set_parent_process_death_signal, setsid};

use super::terminal::Screen;
use super::{Process, ProcessFault};

/// What to run. It inherits our environment, our working folder and our stdin.
#[derive(Clone, Debug)]
pub struct Foreground {
    pub program: PathBuf,
    pub args: Vec<String>,
    /// Beside what is inherited, and before it.
    pub env: BTreeMap<String, String>,
    pub output: Output,
}

/// Where its output goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Output {
    /// Where ours goes.
    AsOurs,
    /// To us, stdout and stderr apart.
    ToUs,
    /// To a terminal of its own, which it reads from too, in a session of its own.
    Terminal,
}

/// A running one. What it writes, if it writes to us.
#[derive(Debug)]
pub struct Running {
    pub process: Process,
    pub stdout: Option<OwnedFd>,
    pub stderr: Option<OwnedFd>,
    /// Its terminal, if it has one of its own.
    pub screen: Option<Screen>,
}

/// Starts a program in the foreground. When we die, however that comes, it is asked to end: it holds what we lent it.
///
/// # Errors
/// Where the program cannot be started.
pub fn start(spec: &Foreground) -> Result<Running, ProcessFault> {
    let fault = |source| ProcessFault::Start { program: spec.program.clone(), source };
    let mut command = Command::new(&spec.program);
    command.args(&spec.args).envs(&spec.env);
    let mut screen = None;
    match spec.output {
        Output::AsOurs => {}
        Output::ToUs => drop(command.stdout(Stdio::piped()).stderr(Stdio::piped())),
        Output::Terminal => {
            let (ours, theirs) = Screen::open().map_err(fault)?;
            let copy = || theirs.try_clone().map(Stdio::from).map_err(fault);
            command.stdin(copy()?).stdout(copy()?).stderr(copy()?);
            screen = Some(ours);
        }
    }
    end_with_us(&mut command, spec.output);
    let mut child = command.spawn().map_err(fault)?;
    let (stdout, stderr) = (child.stdout.take().map(OwnedFd::from), child.stderr.take().map(OwnedFd::from));
    let process = Process::open(child.id()).map_err(fault)?;
    Ok(Running { process, stdout, stderr, screen })
}

#[expect(unsafe_code, reason = "what must happen between fork and exec")]
fn end_with_us(command: &mut Command, output: Output) {
    let parent = rustix::process::getpid();
    // SAFETY: the closure makes only system calls.
    unsafe {
        command.pre_exec(move || {
            set_parent_process_death_signal(Some(Signal::TERM))?;
            // We may have died before the line above.
            if getppid() != Some(parent) {
                return Err(io::Error::from_raw_os_error(libc::ECANCELED));
            }
            if output == Output::Terminal {
                setsid()?;
                ioctl_tiocsctty(rustix::stdio::stdin())?;
            }
            Ok(())
        });
    }
}

/// The path at which processes of this user find a file that this process has open, for as long as it lives.
pub fn path_of_ours(file: &OwnedFd) -> PathBuf {
    use std::os::fd::AsRawFd;
    Path::new("/proc").join(super::super::own::pid().to_string()).join("fd").join(file.as_raw_fd().to_string())
}

/// What reading came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    Bytes(usize),
    /// Nothing came in time.
    Idle,
    End,
}

/// Reads what is there; waits for it no longer than `patience`.
pub fn read_within(from: &OwnedFd, buffer: &mut [u8], patience: Duration) -> io::Result<Read> {
    let timeout = Timespec::try_from(patience).map_err(io::Error::other)?;
    match poll(&mut [PollFd::new(&from.as_fd(), PollFlags::IN)], Some(&timeout)) {
        Ok(0) | Err(rustix::io::Errno::INTR) => return Ok(Read::Idle),
        Ok(_) => {}
        Err(errno) => return Err(errno.into()),
    }
    match rustix::io::read(from, buffer) {
        // A terminal whose program has gone says EIO.
        Ok(0) | Err(rustix::io::Errno::IO) => Ok(Read::End),
        Ok(count) => Ok(Read::Bytes(count)),
        Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => Ok(Read::Idle),
        Err(errno) => Err(errno.into()),
    }
}
