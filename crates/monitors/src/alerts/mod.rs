//! What somebody must know, and whether he was told.
//!
//! Nothing is told when something happens. After each change what ought to be known is compared with what is on record, as convergence
//! does it: whatever was lost in between is worked out again.

pub(crate) mod plan;
pub(crate) mod record;
pub(crate) mod message;
pub(crate) mod channel;
mod mail;
pub(crate) mod send;

use serde::{Deserialize, Serialize};

pub use channel::{SIGNATURE, signature};

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Somebody must look now.
    Page,
    /// Somebody must look soon.
    Ticket,
}

impl Severity {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Page => "page",
            Self::Ticket => "ticket",
        }
    }

    pub(crate) fn of(text: &str) -> Self {
        if text == "ticket" { Self::Ticket } else { Self::Page }
    }
}

/// Something that somebody must know. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    pub id: i64,
    /// The monitor, `objective/APP/PACE`, or `promise/CHECK`.
    pub subject: String,
    pub title: String,
    pub why: String,
    pub severity: Severity,
    pub owner: String,
    pub release: Option<String>,
    /// Since when it is so.
    pub since: i64,
    /// When it was noticed.
    pub opened: i64,
    pub resolved: Option<i64>,
    pub acknowledged: Option<i64>,
    pub acknowledged_by: Option<String>,
    pub flapping: bool,
}

/// A word to a channel. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Delivery {
    pub id: i64,
    pub alert: i64,
    pub channel: String,
    /// `opened`, `resolved`, `flapping`, `test`.
    pub about: String,
    pub state: DeliveryState,
    pub attempts: u32,
    /// When it is tried next, or was to be.
    pub due: i64,
    pub done: Option<i64>,
    /// Why it was not taken the last time.
    pub error: Option<String>,
}

/// What became of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DeliveryState {
    Waiting,
    /// The other side has taken it.
    Done,
    /// It was over, or somebody saw to it, before its time came.
    Spared,
    /// Not taken for a day.
    Failed,
}

impl DeliveryState {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Done => "done",
            Self::Spared => "spared",
            Self::Failed => "failed",
        }
    }

    pub(crate) fn of(text: &str) -> Self {
        match text {
            "done" => Self::Done,
            "spared" => Self::Spared,
            "failed" => Self::Failed,
            _ => Self::Waiting,
        }
    }
}
