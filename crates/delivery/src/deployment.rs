//! A deployment: one release on its way to one environment's visitors.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use host::clock::{Moment, Timestamp};
use reconcile::Fault;
use serde::{Deserialize, Serialize};

use crate::policy::{Approval, Policy};
use crate::release::{NoId, ReleaseId, numbered};
use crate::slot::Place;

/// `d7`: the deployments of an environment are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DeploymentId(pub i64);

impl fmt::Display for DeploymentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("d{}", self.0))
    }
}

impl FromStr for DeploymentId {
    type Err = NoId;

    fn from_str(text: &str) -> Result<Self, NoId> {
        numbered(text, 'd').map(Self)
    }
}

impl TryFrom<String> for DeploymentId {
    type Error = NoId;

    fn try_from(text: String) -> Result<Self, NoId> {
        text.parse()
    }
}

impl From<DeploymentId> for String {
    fn from(id: DeploymentId) -> Self {
        id.to_string()
    }
}

/// What is being done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// A new release.
    Deploy,
    /// A release that served before, because somebody says so.
    Rollback,
}

macro_rules! states {
    ($($(#[$doc:meta])* $name:ident = $text:literal),* $(,)?) => {
        /// Where a deployment is. Each is on disk before anything is done for it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum State {
            $($(#[$doc])* #[serde(rename = $text)] $name,)*
        }

        impl State {
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$name => $text,)*
                }
            }
        }
    };
}

states! {
    /// Another one is under way.
    Queued = "queued",
    /// Artifacts are verified and unpacked, data services made as its manifest says.
    Preparing = "preparing",
    /// Somebody else than its author has to say yes.
    AwaitingApproval = "awaiting-approval",
    /// Its instances start in the free slot, until each is ready three times in a row.
    Starting = "starting",
    /// Its pages are looked at through the edge, by a way that visitors do not have.
    Smoking = "smoking",
    /// The edge gets the next route table: from here on visitors reach it.
    Switching = "switching",
    /// It serves visitors and is watched.
    Verifying = "verifying",
    /// The release before ends what it has under way.
    Draining = "draining",
    /// It serves.
    Live = "live",
    /// Its instances are being stopped; visitors saw nothing of it.
    Aborting = "aborting",
    Aborted = "aborted",
    /// Visitors go back to the release before.
    Reverting = "reverting",
    RolledBack = "rolled-back",
    /// Neither forward nor back: a person is needed. Nothing more is done by itself.
    Frozen = "frozen",
    Cancelled = "cancelled",
    /// A newer one was asked for while it waited.
    Superseded = "superseded",
}

impl State {
    /// Nothing more happens to it.
    pub fn is_over(self) -> bool {
        matches!(
            self,
            Self::Live | Self::Aborted | Self::RolledBack | Self::Frozen | Self::Cancelled | Self::Superseded
        )
    }

    /// Whether somebody may still call it off: visitors have seen nothing of it.
    pub fn can_be_cancelled(self) -> bool {
        matches!(self, Self::Queued | Self::Preparing | Self::AwaitingApproval | Self::Starting | Self::Smoking)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for State {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.iter().copied().find(|state| state.as_str() == text).ok_or_else(|| format!("no state {text:?}"))
    }
}

/// A deployment as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deployment {
    pub id: DeploymentId,
    pub kind: Kind,
    pub release: ReleaseId,
    /// What visitors reached when it began; `None` where they reached nothing, or what was built in the project.
    pub previous: Option<ReleaseId>,
    /// Where its release goes, once that is decided.
    pub place: Option<Place>,
    pub state: State,
    pub since: Timestamp,
    /// When the state counts as failed, as the wall clock was when it began.
    pub deadline: Option<Timestamp>,
    /// The same as `since`, from which its times are counted. Absent in what an earlier program wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entered: Option<Moment>,
    pub asked_at: Timestamp,
    pub asked_by: String,
    /// Who called it off, if somebody did.
    pub cancelled_by: Option<String>,
    /// Why it did not go live.
    pub fault: Option<Fault>,
    pub policy: Policy,
    pub approvals: Vec<Approval>,
    /// What approvers approve of: a digest over release and environment.
    pub digest: String,
}

impl Deployment {
    /// What is left of its state's time; `None`: it has none.
    pub fn left(&self, now: &Moment) -> Option<Duration> {
        self.deadline.map(|deadline| self.left_of(deadline.since(self.since), now))
    }

    /// What is left of `lasts` since its state began, whoever sets the wall clock meanwhile.
    pub fn left_of(&self, lasts: Duration, now: &Moment) -> Duration {
        match &self.entered {
            Some(entered) => entered.left_of(lasts, now),
            None => lasts.saturating_sub(now.wall.since(self.since)),
        }
    }
}

/// One line of what happened to a deployment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Happened {
    pub number: i64,
    pub at: Timestamp,
    /// The state it was in.
    pub state: State,
    pub what: String,
}
