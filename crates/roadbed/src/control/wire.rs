//! What goes over control's socket. HTTP/1.1 with JSON; long work answers with one JSON object per line while it goes on.
//!
//! | request | body | answer |
//! | --- | --- | --- |
//! | `POST /converge` | [`Wanted`](crate::wanted::Wanted) | lines of [`Message`], last one `converged` or `refused` |
//! | `POST /plan` | as above | lines of [`Message`], last one `planned` or `refused` |
//! | `POST /ready` | [`ReadyRequest`] | lines of [`Message`], last one `report` or `refused` |
//! | `POST /explain` | as above | a list of [`Explained`] |
//! | `POST /rotate` | [`RotateRequest`] | lines of [`Message`], last one `rotated` or `refused` |
//! | `POST /smoke` | [`SmokeRequest`] | one line of [`Message`], `smoked` or `refused` |
//! | `POST /process-model` | [`ProcessModelRequest`](crate::process_model::ProcessModelRequest) | as `POST /ready` |
//! | `GET /status` | | [`Status`] |
//! | `POST /deployments` | [`Ask`](super::delivering::Ask) | the deployment |
//! | `GET /deployments/ID/since/LINE` | | [`Happening`](super::delivering::Happening), from that line on |
//! | `POST /tokens` | [`ToCreate`](super::api::ToCreate) | [`Created`](super::api::Created), the only time a token is seen |
//! | `GET /tokens` | | [`Shown`](super::api::Shown) |
//! | `POST /tokens/ID/revoke` | the name of who does it | the token |
//! | `POST /rollback` | [`ToRollBack`](super::delivering::ToRollBack) | [`WayBack`](super::delivering::WayBack) |

use std::collections::BTreeMap;
use std::path::PathBuf;

use gate::{Evidence, Report};
use host::clock::Timestamp;
use reconcile::loaded::Loaded;
use reconcile::ports::{Confined, Observed, UnitKind, UnitState, UnitStatus};
use reconcile::{Event, Fault, Planned};
use serde::{Deserialize, Serialize};
use stores::mongo::members::MemberReport;

use super::api::Listening;
use super::renewing::CertificateStatus;
use super::sleeping::Sleep;

/// Which checks to run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadyRequest {
    /// Ids or tasks (`T3`); empty means all.
    pub only: Vec<String>,
}

/// What one check promises.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    pub task: String,
    pub id: String,
    pub claim: String,
    /// Whether it breaks something for a moment to see it heal.
    pub disrupts: bool,
    /// What to do when it does not hold.
    pub hint: String,
}

impl From<&gate::Claim> for Explained {
    fn from(claim: &gate::Claim) -> Self {
        Self {
            task: claim.task.to_owned(),
            id: claim.id.to_owned(),
            claim: claim.claim.to_owned(),
            disrupts: claim.impact == gate::Impact::Disrupts,
            hint: claim.hint.to_owned(),
        }
    }
}

/// Which smoke pages to look at.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SmokeRequest {
    /// Empty means all.
    pub apps: Vec<String>,
    /// Path of Chromium.
    pub browser: Option<PathBuf>,
    /// Where pictures and consoles go, instead of the root's own place for the last ones.
    pub keep: Option<PathBuf>,
}

/// What to rotate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotateRequest {
    pub which: Which,
    pub manner: Manner,
}

/// Which variables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Which {
    Named(Vec<String>),
    /// Whatever is overdue.
    Due,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Manner {
    InEarnest,
    /// Says what would be rotated.
    Rehearse,
}

/// How far the rotation of one variable has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rotated {
    pub name: String,
    pub kind: String,
    /// The version that processes get now.
    pub version: Option<u32>,
    #[serde(flatten)]
    pub stands: Stands,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "stands")]
pub enum Stands {
    Done,
    /// The new value is in use; the one before is let in until then.
    HoldsUntil {
        until: Timestamp,
    },
    /// The new value may be used in so many seconds.
    WaitsFor {
        seconds: u64,
    },
    /// These hold an old value or are not as they should be. Every value that they may hold is let in.
    Held {
        by: Vec<String>,
    },
    WouldRotate,
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
        status: Box<Status>,
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
    /// The end of `POST /smoke`.
    Smoked {
        environment: String,
        report: smoke::Report,
    },
    /// The end of `POST /rotate`.
    Rotated {
        rotations: Vec<Rotated>,
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
    /// Address of the console; absent where there is none, or nothing is served.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console: Option<String>,
    pub ca_file: PathBuf,
    pub units: Vec<Unit>,
    /// Whether the machine's packet filter holds the network rules, as observed; absent where nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<Observed>,
    /// What all units use together of what they may, as the kernel tells it; absent where the manifest sets no limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub together: Option<Observed>,
    /// Members of MongoDB's replica set, with what each says that it is; empty where there is one member.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mongodb: Vec<MemberReport>,
    /// When it ends by itself and is purged, unless it is brought up again before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<Timestamp>,
    /// The certificate that an authority issued; absent where certificates are the environment's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateStatus>,
    /// Set while it sleeps, or is being woken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sleep: Option<Sleep>,
    /// Secrets that are older than the manifest lets them be.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub overdue: Vec<Overdue>,
    /// What others changed at data services and packet filter, as the last look found it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<Drift>,
    /// Where it is asked from elsewhere; absent: nowhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<Listening>,
    /// Apps that have as many instances as there is work for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scaled: Vec<Scaled>,
    /// Why this is only what the keeper knows: control cannot say more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trouble: Option<Fault>,
}

/// How many instances of an app there are, and may be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scaled {
    pub app: String,
    pub running: u32,
    /// Visitors reach so many of them.
    pub routed: u32,
    pub wanted: u32,
    /// When another number was wanted last.
    pub since: Timestamp,
    pub min: u32,
    pub max: u32,
    /// Requests under way that one does well.
    pub in_flight: u32,
}

/// What differs from the manifest though nobody changed the manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drift {
    pub resource: String,
    /// What the next convergence does about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub would: Vec<String>,
    /// What stays so until somebody says otherwise.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<String>,
}

/// A secret that is older than the manifest lets it be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overdue {
    pub name: String,
    pub since: Timestamp,
}

/// What one of several data services is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    Primary,
    Replica,
}

/// One process that the keeper keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    pub name: String,
    pub kind: UnitKind,
    pub state: UnitState,
    pub pid: Option<u32>,
    pub restarts: u32,
    /// What it is among several that hold the same; absent where there is but one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub role: Option<Role>,
    /// Which version of which secret it was started with; absent while it does not run, or where nobody noted it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaded: Option<Loaded>,
    /// What keeps it to its own business, as observed; absent while it does not run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confinement: Option<Confined>,
}

impl Unit {
    /// The units of an environment, each with what was observed of it.
    pub fn all(
        units: Vec<UnitStatus>,
        mut confined: BTreeMap<String, Confined>,
        roles: &BTreeMap<String, Role>,
    ) -> Vec<Self> {
        let unit = |unit: UnitStatus| Self {
            confinement: confined.remove(&unit.name),
            role: roles.get(&unit.name).copied(),
            ..Self::from(unit)
        };
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
            role: None,
            loaded: unit.loaded,
            confinement: None,
        }
    }
}
