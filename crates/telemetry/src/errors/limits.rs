//! How much each key may send, so that one app in trouble, or one visitor who plays, takes no room from the others.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::projects::{ErrorLimits, KeyOf};

/// A bucket for each key, in memory: after a start of the role they are full.
#[derive(Debug)]
pub(crate) struct SpikeGuard {
    burst: f64,
    per_second: f64,
    buckets: Mutex<HashMap<(u32, KeyOf), Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    left: f64,
    at: Instant,
}

/// What is said to a client that sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    Pass,
    /// It may come again after so many seconds.
    Wait(u64),
}

impl SpikeGuard {
    pub(crate) fn new(limits: &ErrorLimits) -> Self {
        let buckets = Mutex::default();
        Self { burst: f64::from(limits.burst), per_second: f64::from(limits.per_minute) / 60.0, buckets }
    }

    /// Takes one event of a key.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "seconds between 1 and 3600")]
    pub(crate) fn pass(&self, project: u32, key: KeyOf, now: Instant) -> Verdict {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry((project, key)).or_insert(Bucket { left: self.burst, at: now });
        let gained = now.saturating_duration_since(bucket.at).as_secs_f64() * self.per_second;
        bucket.left = (bucket.left + gained).min(self.burst);
        bucket.at = now;
        if bucket.left >= 1.0 {
            bucket.left -= 1.0;
            return Verdict::Pass;
        }
        // Until there is room for a few, so that not every event comes with a refusal of its own.
        let few = (self.burst * 0.01).max(1.0);
        Verdict::Wait((few / self.per_second.max(0.001)).ceil().clamp(1.0, 3600.0) as u64)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use host::clock::{Clock, SystemClock};

    use super::*;

    #[test]
    fn a_flood_from_pages_takes_nothing_from_the_server() {
        let guard = SpikeGuard::new(&ErrorLimits { burst: 10, per_minute: 60, ..ErrorLimits::default() });
        let now = SystemClock.instant();
        let passed = (0..100).filter(|_| guard.pass(1, KeyOf::Page, now) == Verdict::Pass).count();
        assert_eq!(passed, 10);
        assert_eq!(guard.pass(1, KeyOf::Server, now), Verdict::Pass);
        assert_eq!(guard.pass(2, KeyOf::Page, now), Verdict::Pass);
        assert_eq!(guard.pass(1, KeyOf::Page, now), Verdict::Wait(1));
        assert_eq!(guard.pass(1, KeyOf::Page, now + Duration::from_secs(2)), Verdict::Pass);
    }
}
