//! What a check saw.

use host::clock::Timestamp;
use serde::{Deserialize, Serialize};

/// Whether a promise holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Holds,
    Fails,
    /// The check could not be made here; never counted as holding.
    Inconclusive,
}

/// What a check returns: its verdict and the observations it rests on, each a sentence with the figures in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    pub verdict: Verdict,
    pub observed: Vec<String>,
}

impl Outcome {
    pub fn holds(observed: Vec<String>) -> Self {
        Self { verdict: Verdict::Holds, observed }
    }

    pub fn fails(observed: Vec<String>) -> Self {
        Self { verdict: Verdict::Fails, observed }
    }

    pub fn inconclusive(why: impl Into<String>) -> Self {
        Self { verdict: Verdict::Inconclusive, observed: vec![why.into()] }
    }
}

/// Gathers observations; the promise holds if each of them does.
#[derive(Debug, Default)]
pub struct Findings {
    observed: Vec<String>,
    failed: bool,
    unproven: bool,
}

impl Findings {
    /// Notes something that is as promised.
    pub fn good(&mut self, sentence: impl Into<String>) {
        self.observed.push(sentence.into());
    }

    /// Notes something that breaks the promise.
    pub fn bad(&mut self, sentence: impl Into<String>) {
        self.failed = true;
        self.observed.push(format!("BROKEN: {}", sentence.into()));
    }

    /// Notes something of which nobody can say whether it is as promised.
    pub fn unproven(&mut self, sentence: impl Into<String>) {
        self.unproven = true;
        self.observed.push(format!("UNPROVEN: {}", sentence.into()));
    }

    /// A check that looked at nothing proves nothing. What is broken is worse than what is not known.
    pub fn outcome(self) -> Outcome {
        match (self.failed, self.unproven, self.observed.is_empty()) {
            (true, _, _) => Outcome::fails(self.observed),
            (false, _, true) => Outcome::inconclusive("there was nothing to look at"),
            (false, true, false) => Outcome { verdict: Verdict::Inconclusive, observed: self.observed },
            (false, false, false) => Outcome::holds(self.observed),
        }
    }
}

/// One run of one check, as it is kept and reported.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// The task of the requirements that the claim comes from, for example `T3`.
    pub task: String,
    /// The check's own id, stable across versions, for example `stores-refuse-strangers`.
    pub id: String,
    pub claim: String,
    pub verdict: Verdict,
    pub observed: Vec<String>,
    pub at: Timestamp,
    pub took_ms: u64,
    /// Where to look; only where the promise does not hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}
