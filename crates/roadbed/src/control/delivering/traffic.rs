//! Whether a release does as well for visitors as the one before. Pure.

use std::collections::BTreeMap;

use delivery::Policy;
use reconcile::ports::Traffic;

/// Fewer requests than this say nothing about a share of them.
const ENOUGH: u64 = 20;

/// Faster than this is fast, however much faster something else was: milliseconds.
const FAST: u64 = 256;

/// What several instances did, together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sum {
    answered: u64,
    failed: u64,
    by_time: Vec<u64>,
}

impl Sum {
    /// Of these instances, less what they had done `before`.
    pub(super) fn of(all: &[Traffic], instances: &[String], before: &BTreeMap<String, Traffic>) -> Self {
        let mut sum = Self::default();
        for traffic in all.iter().filter(|traffic| instances.contains(&traffic.instance)) {
            let earlier = before.get(&traffic.instance);
            // An edge that was started meanwhile counts from nothing: then all of it is new.
            let earlier = earlier.filter(|earlier| earlier.answered <= traffic.answered);
            sum.answered += traffic.answered - earlier.map_or(0, |earlier| earlier.answered);
            sum.failed += traffic.failed.saturating_sub(earlier.map_or(0, |earlier| earlier.failed));
            sum.by_time.resize(sum.by_time.len().max(traffic.by_time.len()), 0);
            for (at, count) in traffic.by_time.iter().enumerate() {
                let earlier = earlier.and_then(|earlier| earlier.by_time.get(at)).copied().unwrap_or_default();
                sum.by_time[at] += count.saturating_sub(earlier);
            }
        }
        sum
    }

    fn failed_per_mille(&self) -> u64 {
        (self.failed * 1000).checked_div(self.answered).unwrap_or_default()
    }

    /// The time, in milliseconds, within which 99 of 100 answers began.
    fn slowest_but_one_in_hundred(&self) -> u64 {
        let all: u64 = self.by_time.iter().sum();
        let mut seen = 0;
        for (class, count) in self.by_time.iter().enumerate() {
            seen += count;
            if seen * 100 >= all * 99 {
                return 1 << class;
            }
        }
        0
    }
}

/// What is wrong with a release, if something is.
pub(super) fn complaint(policy: &Policy, before: &Sum, now: &Sum) -> Option<String> {
    if now.answered < ENOUGH {
        return None;
    }
    let (failed, failed_before) = (now.failed_per_mille(), before.failed_per_mille());
    if failed > failed_before + u64::from(policy.most_failed_per_mille) {
        return Some(format!(
            "{} of {} requests failed; of the release before it were {failed_before} of 1000",
            now.failed, now.answered
        ));
    }
    let (slow, slow_before) = (now.slowest_but_one_in_hundred(), before.slowest_but_one_in_hundred());
    let is_compared = before.answered >= ENOUGH && now.answered >= 100;
    if is_compared && slow > FAST && slow > slow_before * u64::from(policy.most_slower) {
        return Some(format!("99 of 100 answers take up to {slow} ms; those of the release before {slow_before} ms"));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn traffic(instance: &str, answered: u64, failed: u64, class: usize) -> Traffic {
        let mut by_time = vec![0; 16];
        by_time[class] = answered;
        Traffic { instance: instance.into(), in_flight: 0, streams: 0, answered, failed, by_time }
    }

    fn sum(answered: u64, failed: u64, class: usize) -> Sum {
        Sum::of(&[traffic("a", answered, failed, class)], &["a".into()], &BTreeMap::new())
    }

    #[test]
    fn more_failures_than_before_are_a_complaint_and_as_many_are_not() {
        let policy = Policy::default();
        assert_eq!(complaint(&policy, &sum(1000, 0, 3), &sum(1000, 5, 3)), None);
        assert!(complaint(&policy, &sum(1000, 0, 3), &sum(1000, 30, 3)).is_some());
        assert_eq!(complaint(&policy, &sum(1000, 30, 3), &sum(1000, 30, 3)), None, "it is no worse");
        assert_eq!(complaint(&policy, &sum(1000, 0, 3), &sum(10, 10, 3)), None, "too few to tell");
        assert!(complaint(&policy, &Sum::default(), &sum(100, 50, 3)).is_some(), "nothing before it");
    }

    #[test]
    fn much_slower_is_a_complaint_and_fast_is_not_however_fast_the_other_was() {
        let policy = Policy::default();
        assert_eq!(complaint(&policy, &sum(1000, 0, 1), &sum(1000, 0, 7)), None);
        assert!(complaint(&policy, &sum(1000, 0, 7), &sum(1000, 0, 10)).is_some());
        assert_eq!(complaint(&policy, &sum(1000, 0, 9), &sum(1000, 0, 11)), None, "four times is not more than four");
        assert_eq!(complaint(&policy, &sum(5, 0, 1), &sum(1000, 0, 14)), None, "nothing to compare with");
    }

    #[test]
    fn only_what_came_since_counts_and_only_of_these_instances() {
        let before = BTreeMap::from([("a".to_owned(), traffic("a", 100, 100, 3))]);
        let now = [traffic("a", 130, 101, 3), traffic("b", 1000, 1000, 3)];
        let sum = Sum::of(&now, &["a".into()], &before);
        assert_eq!((sum.answered, sum.failed, sum.by_time[3]), (30, 1, 30));
        // Counted anew since.
        let again = Sum::of(&[traffic("a", 7, 2, 3)], &["a".into()], &before);
        assert_eq!((again.answered, again.failed), (7, 2));
    }
}
