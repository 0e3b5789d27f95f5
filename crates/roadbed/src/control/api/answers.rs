//! What answers hold: a contract of version 1, apart from what control and its command line tell each other, so that neither changes
//! with the other. Times are RFC 3339.

use std::collections::BTreeMap;

use delivery::deployment::Happened;
use delivery::{Role as SlotRole, State};
use gate::{Evidence, Verdict};
use host::clock::Timestamp;
use reconcile::Fault;
use reconcile::ports::{UnitKind, UnitState};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::authorise::{Role, Standing};
use super::questions::{DeploymentName, ReleaseName};
use super::tokens::Kept;
use crate::control::delivering::{Listed, WayBack as Way};
use crate::control::wire;

macro_rules! words {
    ($($(#[doc = $doc:literal])* $name:ident of $from:ty { $($there:ident => $here:ident),* $(,)? })*) => { $(
        $(#[doc = $doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($here),* }

        impl From<$from> for $name {
            fn from(from: $from) -> Self {
                match from { $(<$from>::$there => Self::$here),* }
            }
        }
    )* };
}

words! {
    /// What a process is for.
    Kind of UnitKind { App => App, Edge => Edge, Store => Store, Telemetry => Telemetry, Control => Control }
    /// How a process is.
    ProcessState of UnitState {
        Running => Running, Adopted => Adopted, Backoff => Backoff, CrashLoop => CrashLoop, Stopping => Stopping, Held => Held,
        Lost => Lost,
    }
    /// Whether a promise holds.
    Holds of Verdict { Holds => Holds, Fails => Fails, Inconclusive => Inconclusive }
    /// What a release is to visitors.
    ReleaseRole of SlotRole { Live => Live, Warm => Warm, Candidate => Candidate, Leaving => Leaving }
    /// What a deployment does.
    Doing of delivery::Kind { Deploy => Deploy, Rollback => Rollback }
    /// Where a deployment is.
    DeploymentState of State {
        Queued => Queued, Preparing => Preparing, AwaitingApproval => AwaitingApproval, Starting => Starting, Smoking => Smoking,
        Switching => Switching, Verifying => Verifying, Draining => Draining, Live => Live, Aborting => Aborting, Aborted => Aborted,
        Reverting => Reverting, RolledBack => RolledBack, Frozen => Frozen, Cancelled => Cancelled, Superseded => Superseded,
    }
    /// Whether a token holds.
    TokenStanding of Standing { Holds => Holds, Expired => Expired, Revoked => Revoked }
}

fn time(at: Timestamp) -> String {
    at.to_string()
}

/// A token, as its bearer may know it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TokenAnswer {
    pub id: String,
    /// For whom or what it was made.
    pub name: String,
    pub role: Role,
    /// Whom it stands for.
    pub person: Option<String>,
    /// The only commit that may be deployed with it.
    pub commit: Option<String>,
    pub environment: String,
    pub made_by: String,
    pub made_at: String,
    pub until: String,
    pub used_at: Option<String>,
    pub standing: TokenStanding,
}

impl TokenAnswer {
    pub(super) fn of(kept: &Kept, now: Timestamp) -> Self {
        Self {
            id: kept.id.to_string(),
            name: kept.name.clone(),
            role: kept.role,
            person: kept.person.as_ref().map(ToString::to_string),
            commit: kept.commit.clone(),
            environment: kept.scope.environment.clone(),
            made_by: kept.made_by.clone(),
            made_at: time(kept.made_at),
            until: time(kept.until),
            used_at: kept.used_at.map(time),
            standing: kept.standing(now).into(),
        }
    }
}

/// What a run of the CI gets for the token that it showed. Its `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exchanged {
    /// The token: this is the only time that it is seen.
    pub token: String,
    #[serde(flatten)]
    pub about: TokenAnswer,
}

impl std::fmt::Debug for Exchanged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Exchanged").field("about", &self.about).finish_non_exhaustive()
    }
}

/// An environment as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusAnswer {
    pub environment: String,
    /// App to public address.
    pub urls: BTreeMap<String, String>,
    pub processes: Vec<Process>,
    /// When it ends by itself.
    pub ends: Option<String>,
    /// Secrets that are older than they may be.
    pub overdue: Vec<String>,
    /// What others changed, as the last look found it.
    pub drift: Vec<String>,
}

/// A process of an environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Process {
    pub name: String,
    pub kind: Kind,
    pub state: ProcessState,
    pub restarts: u32,
}

impl From<wire::Status> for StatusAnswer {
    fn from(status: wire::Status) -> Self {
        let process = |unit: wire::Unit| Process {
            name: unit.name,
            kind: unit.kind.into(),
            state: unit.state.into(),
            restarts: unit.restarts,
        };
        Self {
            environment: status.environment,
            urls: status.urls,
            processes: status.units.into_iter().map(process).collect(),
            ends: status.ends.map(time),
            overdue: status.overdue.into_iter().map(|overdue| overdue.name).collect(),
            drift: status.drift.into_iter().map(|drift| drift.resource).collect(),
        }
    }
}

/// The releases of an environment, the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Releases {
    pub releases: Vec<Release>,
}

/// What is deployed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Release {
    pub id: ReleaseName,
    /// As apps and logs call it.
    pub name: String,
    pub made_at: String,
    pub author: String,
    /// What it is to visitors now; absent: nothing.
    pub role: Option<ReleaseRole>,
    /// It served well once: one can go back to it.
    pub stable: bool,
    pub commit: Option<String>,
    pub branch: Option<String>,
    /// First lines of the commits since the release before.
    pub changes: Vec<String>,
    pub artifacts: Vec<Artifact>,
    /// SHA-256 of the manifest that it is run by.
    pub manifest: String,
}

/// One app's part of a release.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Artifact {
    pub app: String,
    /// SHA-256.
    pub digest: String,
    pub bytes: u64,
}

impl From<Listed> for Release {
    fn from(listed: Listed) -> Self {
        let Listed { release, role } = listed;
        let name = release.name();
        let contents = release.contents;
        let artifact = |artifact: delivery::Artifact| Artifact {
            app: artifact.app,
            digest: artifact.digest,
            bytes: artifact.bytes,
        };
        Self {
            id: ReleaseName(release.id),
            name,
            made_at: time(release.made_at),
            author: contents.author,
            role: role.map(Into::into),
            stable: release.stable,
            commit: contents.origin.commit,
            branch: contents.origin.branch,
            changes: contents.origin.changes,
            artifacts: contents.artifacts.into_iter().map(artifact).collect(),
            manifest: contents.manifest_digest,
        }
    }
}

/// The deployments of an environment, the newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deployments {
    pub deployments: Vec<Deployment>,
}

/// A release on its way to visitors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Deployment {
    pub id: DeploymentName,
    pub kind: Doing,
    pub release: ReleaseName,
    /// What visitors reached when it began.
    pub previous: Option<ReleaseName>,
    pub state: DeploymentState,
    /// Nothing more happens to it.
    pub is_over: bool,
    pub since: String,
    pub asked_at: String,
    pub asked_by: String,
    pub cancelled_by: Option<String>,
    /// Why it did not go live.
    pub fault: Option<WhatWentWrong>,
    pub approvals: Approvals,
    /// What approvers approve of.
    pub digest: String,
}

/// Who said yes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Approvals {
    pub wanted: u32,
    pub given_by: Vec<String>,
}

/// Why something failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WhatWentWrong {
    pub message: String,
    pub causes: Vec<String>,
    pub hint: Option<String>,
}

impl From<Fault> for WhatWentWrong {
    fn from(fault: Fault) -> Self {
        Self { message: fault.message, causes: fault.causes, hint: fault.hint }
    }
}

impl From<delivery::Deployment> for Deployment {
    fn from(deployment: delivery::Deployment) -> Self {
        Self {
            id: DeploymentName(deployment.id),
            kind: deployment.kind.into(),
            release: ReleaseName(deployment.release),
            previous: deployment.previous.map(ReleaseName),
            is_over: deployment.state.is_over(),
            state: deployment.state.into(),
            since: time(deployment.since),
            asked_at: time(deployment.asked_at),
            asked_by: deployment.asked_by,
            cancelled_by: deployment.cancelled_by,
            fault: deployment.fault.map(Into::into),
            approvals: Approvals {
                wanted: deployment.policy.approvals,
                given_by: deployment.approvals.into_iter().map(|word| word.by).collect(),
            },
            digest: deployment.digest,
        }
    }
}

/// A deployment, and what happened since the event that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Events {
    pub deployment: Deployment,
    pub events: Vec<Event>,
}

/// Something that happened to a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Events of an environment are counted; ask for what comes after the last.
    pub number: u64,
    pub at: String,
    /// The state that the deployment was in.
    pub state: DeploymentState,
    /// Empty: it came into that state.
    pub what: String,
}

impl From<Happened> for Event {
    fn from(happened: Happened) -> Self {
        Self {
            number: u64::try_from(happened.number).unwrap_or(0),
            at: time(happened.at),
            state: happened.state.into(),
            what: happened.what,
        }
    }
}

/// What a rollback does, or would do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WayBack {
    /// Absent: what was built in the project.
    pub from: Option<ReleaseName>,
    pub to: ReleaseName,
    /// Whether it stands ready and is switched to at once.
    pub warm: bool,
    /// What it goes through, where nothing fails.
    pub states: Vec<DeploymentState>,
    /// Absent where it was only asked what would be done.
    pub deployment: Option<Deployment>,
}

impl From<Way> for WayBack {
    fn from(way: Way) -> Self {
        Self {
            from: way.from.map(ReleaseName),
            to: ReleaseName(way.to),
            warm: way.warm,
            states: way.course.states.into_iter().map(Into::into).collect(),
            deployment: way.deployment.map(Into::into),
        }
    }
}

/// How the promises of the environment stand.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Gate {
    /// Whether a run that was asked for here is under way.
    pub is_running: bool,
    /// Why the last run that was asked for here came to no end, if so.
    pub trouble: Option<WhatWentWrong>,
    /// Whether every promise that was looked at holds; absent where none was.
    pub holds: Option<bool>,
    /// The newest look at each promise, whoever asked for it.
    pub checks: Vec<CheckAnswer>,
}

/// One look at one promise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CheckAnswer {
    pub id: String,
    pub task: String,
    pub claim: String,
    pub verdict: Holds,
    /// What was seen.
    pub observed: Vec<String>,
    pub at: String,
    pub took_ms: u64,
    pub hint: Option<String>,
}

impl From<Evidence> for CheckAnswer {
    fn from(evidence: Evidence) -> Self {
        Self {
            id: evidence.id,
            task: evidence.task,
            claim: evidence.claim,
            verdict: evidence.verdict.into(),
            observed: evidence.observed,
            at: time(evidence.at),
            took_ms: evidence.took_ms,
            hint: evidence.hint,
        }
    }
}
