//! From when until when.

use std::time::Duration;

use host::clock::Timestamp;
use serde::{Deserialize, Serialize};

/// How long a certificate holds. Both ends are in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Life {
    #[serde(rename = "not_before_ms")]
    pub begin: Timestamp,
    #[serde(rename = "not_after_ms")]
    pub end: Timestamp,
}

impl Life {
    /// `length` from `now` on. It begins an hour before, for clocks that are not quite right.
    pub fn from(now: Timestamp, length: Duration) -> Self {
        Self { begin: earlier(now, Duration::from_hours(1)), end: later(now, length) }
    }

    /// Whether it is time for another one: two thirds are over. Also before its beginning, when a clock was set back.
    pub fn is_due(self, now: Timestamp) -> bool {
        let two_thirds = later(self.begin, self.end.since(self.begin) * 2 / 3);
        !(self.begin..two_thirds).contains(&now)
    }
}

pub(crate) fn later(time: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_unix_millis(time.unix_millis().saturating_add(millis(by)))
}

pub(crate) fn earlier(time: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_unix_millis(time.unix_millis().saturating_sub(millis(by)))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_795_000_000_000);

    #[test]
    fn another_is_due_after_two_thirds_and_when_the_clock_was_set_back() {
        let life = Life::from(NOW, Duration::from_hours(299));
        assert!(!life.is_due(NOW));
        assert!(!life.is_due(later(NOW, Duration::from_hours(198))));
        assert!(life.is_due(later(NOW, Duration::from_hours(200))));
        assert!(life.is_due(earlier(NOW, Duration::from_hours(2))));
    }
}
