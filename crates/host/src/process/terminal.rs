//! A terminal between a person and a program: the program has one of its own, and what it shows passes through us.
//!
//! ```text
//!   keyboard ─► our terminal, raw ─► Screen ─► the program's terminal ─► program
//!   screen   ◄─ whoever passes it on ◄─ Screen ◄──────┘
//! ```
//!
//! Ctrl-C and the like are bytes on the way in; the program's own terminal makes signals of them, for the program alone.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

/// Our side of a program's terminal: what it shows is read here, what it is to read is written here.
#[derive(Debug)]
pub struct Screen {
    ours: OwnedFd,
}

impl Screen {
    /// Makes a terminal. Returns our side and the program's.
    pub fn open() -> io::Result<(Self, OwnedFd)> {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
        grantpt(&ours)?;
        unlockpt(&ours)?;
        let path = ptsname(&ours, Vec::new())?;
        let theirs = open(path.as_c_str(), OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?;
        Ok((Self { ours }, theirs))
    }

    /// Makes it as large as another terminal.
    pub fn fit(&self, other: impl AsFd) -> io::Result<()> {
        Ok(tcsetwinsize(&self.ours, tcgetwinsize(other)?)?)
    }

    /// A second descriptor of our side: one thread reads what another writes.
    pub fn side(&self) -> io::Result<OwnedFd> {
        self.ours.try_clone()
    }
}

/// Our own terminal while it is raw: every byte that is typed comes through, and none is shown by itself. As before when dropped.
#[derive(Debug)]
pub struct Raw<'t> {
    terminal: BorrowedFd<'t>,
    before: Termios,
}

impl<'t> Raw<'t> {
    pub fn make(terminal: BorrowedFd<'t>) -> io::Result<Self> {
        let before = tcgetattr(terminal)?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(terminal, OptionalActions::Now, &raw)?;
        Ok(Self { terminal, before })
    }
}

impl Drop for Raw<'_> {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = tcsetattr(self.terminal, OptionalActions::Now, &self.before);
    }
}

/// The terminal of whoever runs us, if there is one to type into and to look at.
pub fn is_there() -> bool {
    rustix::termios::isatty(rustix::stdio::stdin()) && rustix::termios::isatty(rustix::stdio::stdout())
}

/// Where somebody types, if [`is_there`].
pub fn stdin() -> BorrowedFd<'static> {
    rustix::stdio::stdin()
}
