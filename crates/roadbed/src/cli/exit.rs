//! What a command's exit code says. Scripts rely on these numbers: they are part of the contract.

use std::process::ExitCode;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done, or every promise holds.
    Done = 0,
    /// A promise does not hold, or the work failed.
    Failed = 1,
    /// The command line or the manifest is wrong; nothing was changed.
    Usage = 2,
    /// Another command holds the root; nothing was changed.
    Held = 3,
    /// A deployment was aborted: visitors saw nothing of it.
    Aborted = 10,
    /// A deployment was taken back after visitors saw it.
    RolledBack = 11,
    /// A deployment goes neither forward nor back: a person is needed.
    Frozen = 12,
    /// A deployment was called off, or a newer one took its place.
    Cancelled = 13,
    /// A deployment waits for somebody to approve it, and goes on by itself then.
    Waiting = 14,
    /// Ctrl-C or SIGTERM; what was begun was stopped in order.
    Interrupted = 130,
}

impl Exit {
    pub const ALL: [Self; 10] = [
        Self::Done,
        Self::Failed,
        Self::Usage,
        Self::Held,
        Self::Aborted,
        Self::RolledBack,
        Self::Frozen,
        Self::Cancelled,
        Self::Waiting,
        Self::Interrupted,
    ];

    /// Where it is as good as done that somebody was asked: a push has nothing more to do.
    pub(crate) fn or_waiting(self) -> Self {
        if self == Self::Waiting { Self::Done } else { self }
    }

    pub fn code(self) -> u8 {
        self as u8
    }

    /// The line of the documentation.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done, or every promise holds",
            Self::Failed => "a promise does not hold, or the work failed",
            Self::Usage => "the command line or the manifest is wrong; nothing was changed",
            Self::Held => "another command holds the root (the message says who); nothing was changed",
            Self::Aborted => "a deployment was aborted; visitors saw nothing of it",
            Self::RolledBack => "a deployment was taken back after visitors saw it",
            Self::Frozen => "a deployment goes neither forward nor back; a person is needed",
            Self::Cancelled => "a deployment was called off, or a newer one took its place",
            Self::Waiting => "a deployment waits for somebody's approval (`--until-asked`), and goes on by itself then",
            Self::Interrupted => "interrupted; what was begun was stopped in order",
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
