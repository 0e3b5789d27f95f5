//! What is going on, told while it goes on.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Fault;

/// Something worth showing to whoever waits. One stream of these is what `roadbed up` draws, and what `--json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "event")]
pub enum Event {
    /// Work on a resource began.
    Started {
        resource: String,
    },
    /// A step of the plan begins; the text is its `Display`.
    Step {
        resource: String,
        step: String,
    },
    /// A transfer moves on. `total` is 0 while unknown.
    Bytes {
        resource: String,
        done: u64,
        total: u64,
    },
    /// A line from a build or an install.
    Output {
        resource: String,
        line: String,
    },
    /// The resource is as specified; `steps` is 0 if it already was.
    Converged {
        resource: String,
        steps: u32,
        took_ms: u64,
    },
    Failed {
        resource: String,
        fault: Fault,
    },
    /// Something that nobody asked for and everybody should know: an address that changed.
    Noted {
        note: String,
    },
    /// Not tried, since something it needs failed.
    Skipped {
        resource: String,
        because: String,
    },
}

/// Where events go. Cheap, never blocks, never fails.
pub trait Progress: Send + Sync + fmt::Debug {
    fn emit(&self, event: Event);
}

/// Nobody watches.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unwatched;

impl Progress for Unwatched {
    fn emit(&self, _event: Event) {}
}
