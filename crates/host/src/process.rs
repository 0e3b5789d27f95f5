//! Child processes: started from an argument vector with a given environment, watched by pidfd, ended with their whole group.
//!
//! ```text
//!   run     ── short-lived: output line by line, a deadline, nothing left behind
//!   foreground ── in the terminal of whoever runs us, or in one between; not longer than we do
//!   dialogue ── spoken to over its stdin and stdout, as long as we like
//!   spawn   ── long-lived: identity known before the program runs, inherited descriptors, limits
//!   Process ── a pidfd and what to do with it: wait, signal, reap; works for processes that are not our children too
//!   table   ── what /proc says: start time, session, environment, open files
//! ```
//!
//! A process is its pid *and* its start time: a pid alone is a number that the kernel gives to somebody else later.

pub mod dialogue;
pub mod foreground;
pub mod handle;
pub mod line;
pub mod reaper;
mod run;
mod search;
pub mod terminal;
pub mod spawn;
pub mod table;

use std::path::PathBuf;
use std::time::Duration;
use std::{fmt, io};

pub use handle::{Exit, Identity, Process, Signal};
pub use run::{Finished, Run, TAIL_LINES, run};
pub use search::find_in_path;
pub use spawn::{Limits, Spawn, spawn};

/// Which of the two output streams of a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stream {
    Out,
    Err,
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Out => "out",
            Self::Err => "err",
        })
    }
}

/// A process that could not be started, watched or brought to its end.
#[derive(Debug, thiserror::Error)]
pub enum ProcessFault {
    #[error("cannot start {}", program.display())]
    Start {
        program: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("cannot start {}: its working folder {} does not exist", program.display(), cwd.display())]
    NoFolder { program: PathBuf, cwd: PathBuf },
    #[error("{} did not end within {} s and was killed", program.display(), deadline.as_secs_f32())]
    Deadline {
        program: PathBuf,
        deadline: Duration,
        /// The last lines it wrote.
        tail: Vec<String>,
    },
    #[error("cannot watch {}", program.display())]
    Watch {
        program: PathBuf,
        #[source]
        source: io::Error,
    },
}
