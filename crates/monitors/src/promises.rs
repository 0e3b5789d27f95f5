//! Promises of the gate that do not hold, as control tells them: somebody must know of these too.

use serde::{Deserialize, Serialize};

use crate::alerts::Severity;
use crate::alerts::plan::Condition;

/// What the subjects of their alerts begin with. No name of the manifest has a slash.
const PROMISE: &str = "promise/";

/// Whether it is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Certainty {
    /// It does not hold.
    Broken,
    /// It cannot be told: nobody is told of it for that, and who was told of it before is not told that it is over.
    Unknown,
}

/// A promise that does not hold, or of which that cannot be told.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BrokenPromise {
    /// The task that it comes from, such as `T13`.
    pub task: String,
    /// The check that looks after it.
    pub id: String,
    /// What is promised.
    pub claim: String,
    /// What was seen instead.
    pub why: String,
    /// Who answers for it; empty where nobody is named.
    pub owner: String,
    /// Since when it is so, in milliseconds since 1970.
    pub since: i64,
    pub certainty: Certainty,
}

pub(crate) fn is_of_promise(subject: &str) -> bool {
    subject.starts_with(PROMISE)
}

/// One for each. What holds is not among them, so its alert ends as that of a monitor that nobody looks after any more.
pub(crate) fn conditions(promises: &[BrokenPromise], is_paused: impl Fn(&str) -> bool) -> Vec<Condition> {
    let condition = |promise: &BrokenPromise| {
        let subject = format!("{PROMISE}{}", promise.id);
        Condition {
            fires: promise.certainty == Certainty::Broken && !is_paused(&subject),
            subject,
            title: format!("{} does not hold: {}", promise.task, promise.claim),
            why: promise.why.clone(),
            // What visitors feel has a monitor, which wakes somebody.
            severity: Severity::Ticket,
            owner: promise.owner.clone(),
            release: None,
            since: promise.since,
            is_over: false,
            flapping: false,
        }
    };
    promises.iter().map(condition).collect()
}
