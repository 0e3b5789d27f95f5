//! How many requests came in from outside: by that control tells whether anybody visits an environment, and when to wake it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use host::clock::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::timeout;

/// Requests of visitors that were let in, since this edge started. Those of apps among themselves, of whoever looks at a candidate
/// and those that were refused or redirected do not count.
#[derive(Debug)]
pub struct Arrivals {
    edge: i64,
    count: AtomicU64,
    came: Notify,
}

/// What the edge says of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrived {
    /// When the edge that counts was started, milliseconds: another one begins anew, and may by chance have come as far.
    pub edge: i64,
    pub count: u64,
}

impl Arrived {
    /// Whether somebody came since `known` was told.
    pub fn is_after(self, known: Self) -> bool {
        if self.edge == known.edge { self.count != known.count } else { self.count > 0 }
    }
}

impl Arrivals {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self { edge: now.unix_millis(), count: AtomicU64::default(), came: Notify::new() }
    }

    pub(crate) fn count_one(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
        self.came.notify_waiters();
    }

    fn now(&self) -> Arrived {
        Arrived { edge: self.edge, count: self.count.load(Ordering::Acquire) }
    }

    /// As soon as it is not what is known, at the latest after `longest`.
    pub(crate) async fn other_than(&self, known: Arrived, longest: Duration) -> Arrived {
        let is_other = async {
            loop {
                // Asked to be told before the look, so that nobody comes in between unnoticed.
                let came = self.came.notified();
                if self.now() != known {
                    return;
                }
                came.await;
            }
        };
        let _ = timeout(longest, is_other).await;
        self.now()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_edge_that_counted_as_far_is_somebody_who_came() {
        let of = |edge, count| Arrived { edge, count };
        assert!(!of(1, 8).is_after(of(1, 8)));
        assert!(of(1, 9).is_after(of(1, 8)));
        assert!(of(2, 8).is_after(of(1, 8)), "it was started anew, and eight came since");
        assert!(!of(2, 0).is_after(of(1, 8)));
    }
}
