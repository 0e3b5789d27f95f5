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
        /// Longest time for streams of events and WebSockets that are open at the release before. Default: `5m`, and no longer than
        /// `keep_warm`. Then the edge ends them, spread over the last part of it, so that clients do not come back all at once.
        drain_streams: Option<At<Age>>,
        /// How many releases that served well can be rolled back to.
        keep_releases: Count = 5,
    }
}

/// Long enough for most that people look at, and for a job to see its end.
const DRAIN_STREAMS: Duration = Duration::from_secs(5 * 60);

/// Streams are ended within the last half of their time, and within this: two hundred clients then come back at ten a second.
const LONGEST_SPREAD: Duration = Duration::from_secs(20);

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
    /// At most `keep_warm`.
    pub drain_streams: Duration,
    pub keep_releases: u32,
}

impl RolloutTable {
    /// `people` is everybody whom the manifest knows.
    pub(crate) fn resolve(&self, people: impl Iterator<Item = PersonName>) -> Rollout {
        let named: Vec<PersonName> = self.approvers.iter().map(|person| person.value.clone()).collect();
        let drain_streams = self.drain_streams.as_ref().map_or(DRAIN_STREAMS, |streams| streams.value.0);
        Rollout {
            approvals: self.approvals.as_ref().map_or(0, |approvals| approvals.value.0),
            approvers: if named.is_empty() { people.collect() } else { named },
            approval_lasts: self.approval_lasts.0,
            verify: self.verify.0,
            keep_warm: self.keep_warm.0,
            drain: self.drain.0,
            drain_streams: drain_streams.min(self.keep_warm.0),
            keep_releases: self.keep_releases.0,
        }
    }
}

impl Rollout {
    /// Over how long the ends of streams are spread.
    pub fn stream_spread(&self) -> Duration {
        (self.drain_streams / 2).min(LONGEST_SPREAD)
    }
}
