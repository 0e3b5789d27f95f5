//! What goes over the keeper's socket, beside the types of `reconcile::ports`.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use host::files::Stamp;
use reconcile::ports::{Ensured, Limits, Observed, Safeguard};
use serde::{Deserialize, Serialize};

/// `GET /health`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub pid: u32,
    pub state: KeeperState,
    /// What this keeper found damaged, sentences for people.
    pub faults: Vec<String>,
    /// The keeper's own file, to tell quickly whether somebody else runs the same.
    #[serde(default)]
    pub stamp: Option<Stamp>,
    /// Safeguards that no unit can have here, and why.
    #[serde(default)]
    pub missing: BTreeMap<Safeguard, String>,
}

/// Where the keeper is in its own life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeeperState {
    Running,
    Stopping,
}

/// `GET /together`: what all units may use together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Together {
    /// What this keeper was told; `None`: nothing.
    pub wanted: Option<Limits>,
    pub observed: Observed,
}

/// Answer to `PUT /units/NAME`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct EnsureAnswer {
    pub(super) ensured: Ensured,
}

/// Body of and answer to `PUT /sockets/NAME`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Listening {
    pub(super) address: SocketAddr,
}

/// Body of `POST /become`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Become {
    pub(super) program: PathBuf,
}

/// Body of `POST /shutdown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Shutdown {
    pub(super) manner: Manner,
}

/// How an environment goes down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Manner {
    /// In order, each with its grace.
    Gracefully,
    /// Everything by SIGKILL.
    Now,
}

/// What a role says when it takes hold of the lifeline. The descriptors of the sockets come with it, in the same order.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    pub(super) pid: u32,
    pub(super) sockets: Vec<String>,
}
