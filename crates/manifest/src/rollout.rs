//! How an environment gets new releases.

use std::time::Duration;

use crate::id::PersonName;
use crate::record::record;
use crate::scalars::{Age, Count};
use crate::source::At;

record! {
    /// How an environment gets new releases.
    pub(crate) struct RolloutTable {
        /// How many people have to approve a release, none of them its author. Default: none.
        approvals: Option<At<Count>>,
        /// Who may approve. Default: everybody in `[people]`.
        approvers: Vec<At<PersonName>> = [],
        /// After this long without an approval a release is given up.
        approval_lasts: Age = "24h",
        /// How long a release is watched before it counts as live: what fails or slows down meanwhile is taken back.
        verify: Age = "10s",
        /// How long the release before stays ready to be switched back to at once.
        keep_warm: Age = "15m",
        /// Longest time for requests under way at the release before, until it is stopped.
        drain: Age = "30s",
        /// How many releases that served well can be rolled back to.
        keep_releases: Count = 5,
    }
}

/// How an environment gets new releases, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rollout {
    /// 0: nobody is asked.
    pub approvals: u32,
    /// Everybody who may approve, by name.
    pub approvers: Vec<PersonName>,
    pub approval_lasts: Duration,
    pub verify: Duration,
    pub keep_warm: Duration,
    pub drain: Duration,
    pub keep_releases: u32,
}

impl RolloutTable {
    /// `people` is everybody whom the manifest knows.
    pub(crate) fn resolve(&self, people: impl Iterator<Item = PersonName>) -> Rollout {
        let named: Vec<PersonName> = self.approvers.iter().map(|person| person.value.clone()).collect();
        Rollout {
            approvals: self.approvals.as_ref().map_or(0, |approvals| approvals.value.0),
            approvers: if named.is_empty() { people.collect() } else { named },
            approval_lasts: self.approval_lasts.0,
            verify: self.verify.0,
            keep_warm: self.keep_warm.0,
            drain: self.drain.0,
            keep_releases: self.keep_releases.0,
        }
    }
}
