//! The arithmetic of one bucket: the generic cell rate algorithm, on one number.
//!
//! A bucket is the time at which it would be full again (its *theoretical arrival time*). Each request moves that time forward by
//! what one request is worth; one that would move it further than `burst` of them ahead of now is refused and moves nothing.
//! Microseconds, because that is what Redis tells the time in: [`shared`](super::shared) does the same sums there.

use std::time::Duration;

/// How much is let through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Quota {
    /// What one request is worth, in microseconds.
    pub emission: u64,
    /// So many at once, from a full bucket.
    pub burst: u64,
}

/// What a bucket says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Allowed {
        /// Until it is full again, in microseconds.
        debt: u64,
    },
    Denied {
        /// Until one more would be let through, in microseconds.
        wait: u64,
    },
}

impl Verdict {
    pub fn is_allowed(self) -> bool {
        matches!(self, Self::Allowed { .. })
    }
}

impl Quota {
    /// `count` per `period`, and `burst` of them at once. Nothing is let through slower than one in eleven days.
    pub fn new(count: u64, period: Duration, burst: u64) -> Self {
        let period = u64::try_from(period.as_micros()).unwrap_or(u64::MAX);
        Self { emission: (period / count.max(1)).clamp(1, 1_000_000_000_000), burst: burst.clamp(1, 1_000_000) }
    }

    /// The same for more, or for fewer: what all of a network may, what an edge alone may.
    #[must_use]
    pub fn times(self, factor: u64) -> Self {
        Self { emission: (self.emission / factor).max(1), burst: self.burst.saturating_mul(factor) }
    }

    #[must_use]
    pub fn half(self) -> Self {
        Self { emission: self.emission * 2, burst: (self.burst / 2).max(1) }
    }

    /// An empty bucket is full again after this, in microseconds.
    pub fn window(self) -> u64 {
        self.emission.saturating_mul(self.burst)
    }

    /// How many more a bucket with this debt lets through.
    pub fn remaining(self, debt: u64) -> u64 {
        self.window().saturating_sub(debt) / self.emission
    }

    /// What a bucket says at `now`, and what it is then. `cost` 0 only asks whether one more would be let through.
    pub fn judge(self, full_at: u64, now: u64, cost: u64) -> (Verdict, u64) {
        // Never further ahead than an empty bucket: a clock that was set back, or a quota that was made smaller, locks nobody out.
        let full_at = full_at.clamp(now, now + self.window());
        let next = full_at + self.emission;
        match (next - now).checked_sub(self.window()) {
            Some(wait) if wait > 0 => (Verdict::Denied { wait }, full_at),
            _ if cost == 0 => (Verdict::Allowed { debt: full_at - now }, full_at),
            _ => (Verdict::Allowed { debt: next - now }, next),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    /// What the algorithm stands for, said another way: a bucket of whole requests in fractions of which one drips back at a time.
    struct Leaky {
        quota: Quota,
        level: u64,
        at: u64,
    }

    impl Leaky {
        fn take(&mut self, now: u64) -> bool {
            self.level = self.level.saturating_sub(now - self.at);
            self.at = now;
            let fits = self.level + self.quota.emission <= self.quota.window();
            if fits {
                self.level += self.quota.emission;
            }
            fits
        }
    }

    proptest! {
        #[test]
        fn it_lets_through_what_a_leaking_bucket_does(
            count in 1_u64..1000, seconds in 1_u64..4000, burst in 1_u64..200,
            pauses in proptest::collection::vec(0_u64..3_000_000, 1..300),
        ) {
            let quota = Quota::new(count, Duration::from_secs(seconds), burst);
            let mut leaky = Leaky { quota, level: 0, at: 0 };
            let (mut bucket, mut now) = (0, 0);
            for pause in pauses {
                now += pause;
                let (verdict, next) = quota.judge(bucket, now, 1);
                bucket = next;
                prop_assert_eq!(verdict.is_allowed(), leaky.take(now));
                if let Verdict::Denied { wait } = verdict {
                    // The time that is told is exact: not a microsecond earlier.
                    let is_let_in = |at| quota.judge(bucket, at, 1).0.is_allowed();
                    prop_assert!(is_let_in(now + wait) && !is_let_in(now + wait - 1));
                }
            }
        }

        #[test]
        fn no_window_sees_more_than_the_burst_and_what_came_back(
            count in 1_u64..100, burst in 1_u64..50, pauses in proptest::collection::vec(0_u64..500_000, 1..400),
        ) {
            let quota = Quota::new(count, Duration::from_secs(10), burst);
            let (mut bucket, mut now) = (0, 0);
            let mut let_in: VecDeque<u64> = VecDeque::new();
            for pause in pauses {
                now += pause;
                let (verdict, next) = quota.judge(bucket, now, 1);
                bucket = next;
                if verdict.is_allowed() {
                    let_in.push_back(now);
                    for (sooner, began) in let_in.iter().rev().enumerate() {
                        let most = burst + (now - began) / quota.emission;
                        prop_assert!((sooner as u64) < most, "{} since {began}", sooner + 1);
                    }
                }
            }
        }

        #[test]
        fn a_clock_that_jumps_locks_nobody_out_for_longer_than_the_window(bucket in any::<u32>(), now in any::<u32>()) {
            let quota = Quota::new(10, Duration::from_mins(1), 10);
            let (bucket, now) = (u64::from(bucket) << 20, u64::from(now));
            if let (Verdict::Denied { wait }, _) = quota.judge(bucket, now, 1) {
                prop_assert!(wait <= quota.emission);
            }
        }
    }

    #[test]
    fn ten_a_minute_is_ten_at_once_and_then_one_each_six_seconds() {
        let quota = Quota::new(10, Duration::from_mins(1), 10);
        let mut bucket = 0;
        for left in (0..10).rev() {
            let (verdict, next) = quota.judge(bucket, 1_000, 1);
            let Verdict::Allowed { debt } = verdict else { panic!("refused with {left} left") };
            assert_eq!(quota.remaining(debt), left);
            bucket = next;
        }
        assert_eq!(quota.judge(bucket, 1_000, 1), (Verdict::Denied { wait: 6_000_000 }, bucket));
        assert_eq!(quota.judge(bucket, 1_000, 0), (Verdict::Denied { wait: 6_000_000 }, bucket));
        assert_eq!(quota.judge(bucket, 6_001_000, 0).1, bucket, "asking takes nothing");
    }
}
