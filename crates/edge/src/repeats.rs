//! How many requests of an app may be sent a second time: a share of all, so that an app in trouble is not asked ever more.

use std::sync::atomic::{AtomicI64, Ordering};

/// What a repeat costs; each request pays in a fifth of it.
const PRICE: i64 = 5;

/// Repeats at once of an app that was hardly asked before, such as all that were under way when its process died.
const AT_FIRST: i64 = 20;

/// No more is saved up, however long all went well.
const MOST: i64 = 200;

/// The repeats of one app.
#[derive(Debug)]
pub struct Repeats(AtomicI64);

impl Default for Repeats {
    fn default() -> Self {
        Self(AtomicI64::new(AT_FIRST * PRICE))
    }
}

impl Repeats {
    /// A request came.
    pub fn pay_in(&self) {
        if self.0.load(Ordering::Relaxed) < MOST * PRICE {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether one may be sent again.
    pub fn take(&self) -> bool {
        let paid = self.0.fetch_sub(PRICE, Ordering::Relaxed) >= PRICE;
        if !paid {
            self.0.fetch_add(PRICE, Ordering::Relaxed);
        }
        paid
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fifth_of_the_requests_may_be_repeated_and_no_more_than_that() {
        let repeats = Repeats::default();
        assert_eq!((0..1000).filter(|_| repeats.take()).count(), 20);
        let mut repeated = 0;
        for _ in 0..1000 {
            repeats.pay_in();
            repeated += u32::from(repeats.take());
        }
        assert_eq!(repeated, 200);
        (0..100_000).for_each(|_| repeats.pay_in());
        assert_eq!((0..1000).filter(|_| repeats.take()).count(), 200, "good times do not save up for a storm");
    }
}
