//! What goes over control's socket. HTTP/1.1 with JSON; long work answers with one JSON object per line while it goes on.
//!
//! | request | body | answer |
//! | --- | --- | --- |
//! | `POST /converge` | [`Wanted`](crate::wanted::Wanted) | lines of [`Message`], last one `converged` or `refused` |
//! | `POST /plan` | as above | lines of [`Message`], last one `planned` or `refused` |
//! | `POST /ready` | [`ReadyRequest`] | lines of [`Message`], last one `report` or `refused` |
//! | `GET /status` | | [`Status`] |

use std::collections::BTreeMap;
use std::path::PathBuf;

use gate::{Evidence, Report};
use reconcile::loaded::Loaded;
use reconcile::ports::{Confined, Observed, UnitKind, UnitState, UnitStatus};
use reconcile::{Event, Fault, Planned};
use serde::{Deserialize, Serialize};

/// Which checks to run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyRequest {
    /// Ids or tasks (`T3`); empty means all.
    pub only: Vec<String>,
}

/// One line of a long answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "message")]
pub enum Message {
    Progress {
        progress: Event,
    },
    /// The end of `POST /converge`.
    Converged {
        steps: u32,
        failed: Vec<String>,
        skipped: Vec<String>,
        took_ms: u64,
        status: Status,
    },
    /// The end of `POST /plan`.
    Planned {
        resources: Vec<Planned>,
    },
    Evidence {
        evidence: Evidence,
    },
    /// The end of `POST /ready`.
    Report {
        report: Report,
    },
    /// The end of anything that could not be begun.
    Refused {
        fault: Fault,
    },
}

/// What `roadbed status --json` prints.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub environment: String,
    pub root: PathBuf,
    /// App name to public address. Empty while nothing is served.
    pub urls: BTreeMap<String, String>,
    pub ca_file: PathBuf,
    pub units: Vec<Unit>,
    /// Whether the machine's packet filter holds the network rules, as observed; absent where nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Observed>,
    /// Why this is only what the keeper knows: control cannot say more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Fault>,
}

/// One process that the keeper keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    pub name: String,
    pub kind: UnitKind,
    pub state: UnitState,
    pub pid: Option<u32>,
    pub restarts: u32,
    /// Which version of which secret it was started with; absent while it does not run, or where nobody noted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded: Option<Loaded>,
    /// What keeps it to its own business, as observed; absent while it does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confinement: Option<Confined>,
}

impl Unit {
    /// The units of an environment, each with what was observed of it.
    pub fn all(units: Vec<UnitStatus>, mut confined: BTreeMap<String, Confined>) -> Vec<Self> {
        let unit = |unit: UnitStatus| Self { confinement: confined.remove(&unit.name), ..Self::from(unit) };
        units.into_iter().map(unit).collect()
    }
}

impl From<UnitStatus> for Unit {
    fn from(unit: UnitStatus) -> Self {
        Self {
            name: unit.name,
            kind: unit.kind,
            state: unit.state,
            pid: unit.pid,
            restarts: unit.restarts,
            loaded: unit.loaded,
            confinement: None,
        }
    }
}
