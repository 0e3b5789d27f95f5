//! Slots: where the apps of a release run, side by side with those of another.

use std::fmt;
use std::str::FromStr;

use host::clock::{Moment, Timestamp};
use serde::{Deserialize, Serialize};

use crate::release::ReleaseId;

/// Which place. There are two slots for releases, so that ports and sockets are known beforehand and none is left behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// Apps as they were built in the project's folder: before the first deployment.
    Project,
    Blue,
    Green,
    /// Instances that are tried out beside those that serve. Never in the book, and never reached by visitors.
    Trial,
}

impl Place {
    pub const ALL: [Self; 4] = [Self::Project, Self::Blue, Self::Green, Self::Trial];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Blue => "blue",
            Self::Green => "green",
            Self::Trial => "trial",
        }
    }

    /// What its units are told apart by: `api-blue-1`. Those of the project have none.
    pub fn tag(self) -> Option<&'static str> {
        (self != Self::Project).then_some(self.as_str())
    }

    /// Where the next release goes while this place is taken.
    pub fn other(self) -> Self {
        match self {
            Self::Project | Self::Green | Self::Trial => Self::Blue,
            Self::Blue => Self::Green,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// What is no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("there is no slot {0:?}")]
pub struct NoPlace(String);

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        Self::ALL.into_iter().find(|place| place.as_str() == text).ok_or_else(|| NoPlace(text.to_owned()))
    }
}

/// What a slot is to visitors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Looked at before visitors get it, by a door of its own.
    Candidate,
    /// Visitors reach it. At most one slot is.
    Live,
    /// Ends what it has under way, and stands ready to be switched back to.
    Warm,
    /// Nobody reaches it; it is being stopped.
    Leaving,
}

impl Role {
    pub const ALL: [Self; 4] = [Self::Candidate, Self::Live, Self::Warm, Self::Leaving];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Candidate => "candidate",
            Self::Live => "live",
            Self::Warm => "warm",
            Self::Leaving => "leaving",
        }
    }
}

/// A slot that is taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Slot {
    pub place: Place,
    /// `None` for the project's own.
    pub release: Option<ReleaseId>,
    pub role: Role,
    /// When a warm one is given up, as the wall clock was when its time began.
    pub until: Option<Timestamp>,
    /// When that time began. Absent in what an earlier program wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Moment>,
}

impl Slot {
    /// Whether its time is over. A wall clock that is set meanwhile changes nothing about it.
    pub fn is_over(&self, now: &Moment) -> bool {
        match (&self.since, self.until) {
            (Some(since), Some(until)) => since.left_of(until.since(since.wall), now).is_zero(),
            (None, Some(until)) => until <= now.wall,
            (_, None) => false,
        }
    }
}
