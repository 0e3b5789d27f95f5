//! Whether an app may run as several processes that come and go: proved with two instances of it that nobody else reaches.
//!
//! ```text
//!   two instances ─► a session made at the first goes on at the second
//!                 ─► the first has a request under way and is told to go: not ready any more, answered, gone in time, exit code 0
//!                 ─► the second has nothing to do and is told to go: gone in time, exit code 0
//!                 ─► neither wrote into what it runs from
//! ```
//!
//! The instances get everything that those of the app get that serves: variables, data services, confinement. They are of the world
//! (`world::fleet`, `Place::Trial`), so whoever converges next stops what a killed control left of them.

mod ask;
mod going;
mod session;
mod writing;

use std::path::PathBuf;
use std::time::Duration;

use gate::{Claim, Impact};
use serde::{Deserialize, Serialize};

pub(crate) use ask::Visit;
pub(crate) use going::{busy, idle};
pub(crate) use session::session;
pub(crate) use writing::{Before, writing};

/// What is to be proved.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessModelRequest {
    /// Absent: every app that is a process.
    pub app: Option<String>,
    /// Requests beside those for the smoke pages.
    pub visits: Vec<String>,
}

/// Two instances of an app that only we reach.
#[derive(Clone, Debug)]
pub(crate) struct Pair {
    pub(crate) app: String,
    /// As visitors name it.
    pub(crate) host: String,
    pub(crate) instances: [One; 2],
    /// Path that says whether it is ready.
    pub(crate) ready: String,
    pub(crate) drain: Duration,
    pub(crate) visits: Vec<Visit>,
    /// Where the app runs, and what it was made to run from.
    pub(crate) folder: PathBuf,
}

/// One of the two.
#[derive(Clone, Debug)]
pub(crate) struct One {
    pub(crate) name: String,
    pub(crate) port: u16,
}

/// What the rows claim, in the order in which they are proved.
pub(crate) const STARTS: Claim = Claim {
    task: "T5",
    id: "starts-beside-itself",
    claim: "Two more instances start beside those that serve",
    hint: "an instance listens on PORT at HOST, and keeps to itself what only one process may hold",
    impact: Impact::Disrupts,
};

pub(crate) const SESSION: Claim = Claim {
    task: "T5",
    id: "session-is-outside",
    claim: "What a visitor began at one instance goes on at the other",
    hint: "keep sessions in Redis and not in memory; a secret that signs cookies comes from the environment",
    impact: Impact::Disrupts,
};

pub(crate) const BUSY: Claim = Claim {
    task: "T5",
    id: "ends-what-is-under-way",
    claim: "Told to go, an instance is no longer ready, answers what it has begun, and ends in time",
    hint: "on SIGTERM let the readiness page answer 503, close the server and the idle connections, and exit when the last answer is out",
    impact: Impact::Disrupts,
};

pub(crate) const IDLE: Claim = Claim {
    task: "T5",
    id: "goes-when-told",
    claim: "An instance that has nothing to do goes at once when it is told to",
    hint: "on SIGTERM close idle connections, timers and connections to data services, then exit with code 0",
    impact: Impact::Disrupts,
};

pub(crate) const WRITING: Claim = Claim {
    task: "T5",
    id: "writes-nothing-of-its-own",
    claim: "An instance writes no file that the next one would miss",
    hint: "keep data in the data services; what lives as long as a process belongs into TMPDIR",
    impact: Impact::Disrupts,
};
