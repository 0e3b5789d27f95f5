//! How many requests came in from outside: by that control tells whether anybody visits an environment, and when to wake it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::timeout;

/// Requests of visitors that were let in, since this edge started. Those of apps among themselves, of whoever looks at a candidate
/// and those that were refused or redirected do not count.
#[derive(Debug, Default)]
pub struct Arrivals {
    count: AtomicU64,
    came: Notify,
}

/// What the edge says of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Arrived {
    /// 0 when the edge has just started.
    pub count: u64,
}

impl Arrivals {
    pub(crate) fn count_one(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
        self.came.notify_waiters();
    }

    /// As soon as it is another number than `known`, at the latest after `longest`.
    pub(crate) async fn other_than(&self, known: u64, longest: Duration) -> Arrived {
        let is_other = async {
            loop {
                // Asked to be told before the look, so that nobody comes in between unnoticed.
                let came = self.came.notified();
                if self.count.load(Ordering::Acquire) != known {
                    return;
                }
                came.await;
            }
        };
        let _ = timeout(longest, is_other).await;
        Arrived { count: self.count.load(Ordering::Acquire) }
    }
}
