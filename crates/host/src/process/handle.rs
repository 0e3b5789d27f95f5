//! A running process, held by pidfd: it cannot be mistaken for a later one with the same number.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{
    Pid, PidfdFlags, WaitId, WaitIdOptions, kill_process_group, pidfd_open, pidfd_send_signal, waitid,
};
use serde::{Deserialize, Serialize};

use super::table;
use crate::readiness;

pub use rustix::process::Signal;

/// Names one process for as long as the machine runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    pub pid: u32,
    /// Clock ticks after boot.
    pub start_time: u64,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal(i32),
    /// It was not our child, or somebody else took note of its end.
    Unseen,
}

impl fmt::Display for Exit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "exit code {code}"),
            Self::Signal(signal) => match signal_name(*signal) {
                Some(name) => write!(f, "killed by {name}"),
                None => write!(f, "killed by signal {signal}"),
            },
            Self::Unseen => f.write_str("ended, how is not known"),
        }
    }
}

fn signal_name(signal: i32) -> Option<&'static str> {
    let names = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::TERM, "SIGTERM"),
        (Signal::XCPU, "SIGXCPU"),
        (Signal::SYS, "SIGSYS"),
    ];
    names.iter().find(|(known, _)| known.as_raw() == signal).map(|(_, name)| *name)
}

/// A process and its pidfd. Dropping it does nothing to the process.
#[derive(Debug)]
pub struct Process {
    identity: Identity,
    pidfd: OwnedFd,
}

impl Process {
    /// The living process with this identity; `None` if it is dead, a zombie, or if its number belongs to another by now.
    pub fn find(identity: Identity) -> Option<Self> {
        let process = Self::open(identity.pid).ok()?;
        // The pidfd was opened before this look: if the start time is right, the pidfd is the right process.
        // The table's state is not asked: a process whose first thread ended is shown as a zombie while the others go on.
        let entry = table::entry(identity.pid)?;
        (entry.start_time == identity.start_time && process.is_alive()).then_some(process)
    }

    /// Whatever has this number now.
    pub fn open(pid: u32) -> io::Result<Self> {
        let pidfd = pidfd_open(raw_pid(pid)?, PidfdFlags::empty())?;
        let entry = table::entry(pid).ok_or(Errno::SRCH)?;
        Ok(Self { identity: Identity { pid, start_time: entry.start_time }, pidfd })
    }

    pub fn identity(&self) -> Identity {
        self.identity
    }

    pub fn pid(&self) -> u32 {
        self.identity.pid
    }

    pub fn is_alive(&self) -> bool {
        let mut descriptors = [PollFd::new(&self.pidfd, PollFlags::IN)];
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        matches!(poll(&mut descriptors, Some(&at_once)), Ok(0))
    }

    /// Returns when the process is dead, be it our child or not. A zombie is dead.
    pub async fn ended(&self) -> io::Result<()> {
        // A copy, so that two may wait at once: epoll takes each descriptor only once.
        let watched = readiness::watch(self.pidfd.try_clone()?)?;
        watched.readable().await?.retain_ready();
        Ok(())
    }

    /// Signals this process only. One that is gone already is fine.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        gone_is_fine(pidfd_send_signal(&self.pidfd, signal))
    }

    /// Signals the process group that this process leads, also after its own death. An empty group is fine.
    pub fn signal_group(&self, signal: Signal) -> io::Result<()> {
        match signal_group_by_pidfd(&self.pidfd, signal) {
            // Before Linux 6.9. The number still names our group unless somebody else has it by now.
            Err(Errno::INVAL) => {
                let ours = table::entry(self.pid()).is_none_or(|entry| entry.start_time == self.identity.start_time);
                if ours { gone_is_fine(kill_process_group(raw_pid(self.pid())?, signal)) } else { Ok(()) }
            }
            other => gone_is_fine(other),
        }
    }

    /// How our child ended; takes the zombie away. `None` while it lives.
    pub fn reap(&self) -> io::Result<Option<Exit>> {
        match waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED | WaitIdOptions::NOHANG) {
            Ok(Some(status)) => Ok(Some(match (status.exit_status(), status.terminating_signal()) {
                (Some(code), _) => Exit::Code(code),
                (None, Some(signal)) => Exit::Signal(signal),
                (None, None) => Exit::Unseen,
            })),
            Ok(None) => Ok(None),
            Err(Errno::CHILD) => Ok((!self.is_alive()).then_some(Exit::Unseen)),
            Err(errno) => Err(errno.into()),
        }
    }

    /// Waits, blocking, until our child is dead, and takes the zombie away.
    pub fn wait_blocking(&self) {
        let _ = waitid(WaitId::PidFd(self.pidfd.as_fd()), WaitIdOptions::EXITED);
    }
}

fn raw_pid(pid: u32) -> io::Result<Pid> {
    i32::try_from(pid)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, format!("{pid} is no process id")))
}

fn gone_is_fine(result: Result<(), Errno>) -> io::Result<()> {
    match result {
        Err(errno) if errno != Errno::SRCH => Err(errno.into()),
        _ => Ok(()),
    }
}

/// `PIDFD_SIGNAL_PROCESS_GROUP` of the kernel's interface; names the group by the pidfd of its leader.
const TO_GROUP: libc::c_uint = 1 << 2;

#[expect(unsafe_code, reason = "no safe wrapper passes the flag that addresses the whole group")]
fn signal_group_by_pidfd(pidfd: &OwnedFd, signal: Signal) -> Result<(), Errno> {
    // SAFETY: the descriptor is open for the duration of the call; a null siginfo is allowed and means "as kill(2) would".
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            signal.as_raw(),
            std::ptr::null::<libc::siginfo_t>(),
            TO_GROUP,
        )
    };
    if result == 0 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    Err(Errno::from_io_error(&error).unwrap_or(Errno::INVAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_reads_as_a_person_would_say_it() {
        assert_eq!(Exit::Code(1).to_string(), "exit code 1");
        assert_eq!(Exit::Signal(9).to_string(), "killed by SIGKILL");
        assert_eq!(Exit::Signal(64).to_string(), "killed by signal 64");
    }

    #[test]
    fn the_right_number_with_the_wrong_start_time_is_nobody() {
        let own = Process::open(std::process::id()).unwrap().identity();
        assert!(Process::find(own).is_some());
        assert!(Process::find(Identity { start_time: own.start_time + 1, ..own }).is_none());
        assert!(Process::find(Identity { pid: u32::MAX, start_time: 0 }).is_none());
        assert!(Process::find(Identity { pid: 0, start_time: 0 }).is_none());
    }
}
