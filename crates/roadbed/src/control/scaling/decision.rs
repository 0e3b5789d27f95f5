//! How many instances there should be, by what was under way. Pure: more at once, fewer after a long look.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use manifest::Scale;

/// More are started for what lasted this long; a burst that is shorter is over before they are ready.
const UP_AFTER: Duration = Duration::from_millis(1500);

/// So many looks at least.
const LOOKS: usize = 3;

/// Longer between two looks, and what was seen before says nothing about now.
const LONGEST_GAP: Duration = Duration::from_secs(10);

/// More are started when those that are there have so many hundredths of what they do well, and one is stopped only when the others
/// would have so many: between the two nothing changes, or one instance would come and go.
const UP_ABOVE: u64 = 110;
const DOWN_BELOW: u64 = 80;

/// What was under way lately.
#[derive(Debug, Default)]
pub(super) struct Load {
    /// Since when nothing is missing.
    since: Option<Instant>,
    looks: VecDeque<(Instant, u32)>,
}

impl Load {
    /// Notes what a look found. What is older than `keep` is forgotten.
    pub(super) fn saw(&mut self, now: Instant, in_flight: u32, keep: Duration) {
        if self.looks.back().is_none_or(|(last, _)| now.saturating_duration_since(*last) > LONGEST_GAP) {
            self.looks.clear();
            self.since = Some(now);
        }
        self.looks.push_back((now, in_flight));
        let keep = keep.max(UP_AFTER);
        while self.looks.front().is_some_and(|(at, _)| now.saturating_duration_since(*at) > keep) {
            self.looks.pop_front();
        }
    }

    /// Another number of instances: what was seen until now is no measure of it.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    fn within(&self, now: Instant, time: Duration) -> impl Iterator<Item = u32> + '_ {
        self.looks.iter().filter(move |(at, _)| now.saturating_duration_since(*at) <= time).map(|(_, seen)| *seen)
    }

    /// Whether the looks reach back so far.
    fn spans(&self, now: Instant, time: Duration) -> bool {
        self.since.is_some_and(|since| now.saturating_duration_since(since) >= time)
    }
}

/// How many instances there should be, where there are `present`.
pub(super) fn wanted(scale: &Scale, present: u32, load: &Load, now: Instant) -> u32 {
    let bounded = present.clamp(scale.min, scale.max);
    if bounded != present {
        return bounded;
    }
    let per_instance = u64::from(scale.in_flight);
    let lately: Vec<u32> = load.within(now, UP_AFTER).collect();
    if lately.len() >= LOOKS {
        let sum: u64 = lately.iter().copied().map(u64::from).sum();
        let looks = lately.len() as u64;
        if sum * 100 > per_instance * u64::from(present) * looks * UP_ABOVE {
            let enough = sum.div_ceil(per_instance * looks);
            return u32::try_from(enough).unwrap_or(u32::MAX).clamp(present, scale.max);
        }
    }
    // One at a time: each of the others then shows what it can bear.
    let fewer = present - 1;
    if fewer >= scale.min && load.spans(now, scale.down_after) {
        let most = load.within(now, scale.down_after).max().unwrap_or_default();
        if u64::from(most) * 100 <= per_instance * u64::from(fewer) * DOWN_BELOW {
            return fewer;
        }
    }
    present
}

#[cfg(test)]
mod tests {
    use host::clock::{Clock, SystemClock};
    use proptest::prelude::*;

    use super::*;

    const STEP: Duration = Duration::from_millis(500);

    /// What comes of a load over time: how many instances there are after each look.
    fn course(scale: &Scale, start: u32, loads: impl IntoIterator<Item = u32>) -> Vec<u32> {
        let mut now = SystemClock.instant();
        let (mut present, mut load) = (start, Load::default());
        let mut course = Vec::new();
        for in_flight in loads {
            load.saw(now, in_flight, scale.down_after);
            let next = wanted(scale, present, &load, now);
            if next != present {
                present = next;
                load.forget();
            }
            course.push(present);
            now += STEP;
        }
        course
    }

    fn scale() -> impl Strategy<Value = Scale> {
        (1_u32..5, 0_u32..8, 1_u32..20, 1_u64..30).prop_map(|(min, more, in_flight, down)| Scale {
            min,
            max: min + more,
            in_flight,
            down_after: Duration::from_secs(down),
        })
    }

    proptest! {
        #[test]
        fn whatever_comes_the_number_stays_within_bounds_and_falls_by_one_at_a_time(
            scale in scale(), loads in prop::collection::vec(0_u32..300, 1..300),
        ) {
            let course = course(&scale, scale.min, loads);
            let slowest = usize::try_from(scale.down_after.as_millis() / STEP.as_millis()).unwrap();
            let mut changed = 0;
            for (at, pair) in course.windows(2).enumerate() {
                prop_assert!((scale.min..=scale.max).contains(&pair[1]));
                prop_assert!(pair[1] + 1 >= pair[0], "{pair:?}");
                if pair[1] < pair[0] {
                    prop_assert!(at + 1 - changed >= slowest, "too soon after the last change");
                }
                if pair[1] != pair[0] {
                    changed = at + 1;
                }
            }
        }

        #[test]
        fn a_load_that_stays_brings_a_number_that_bears_it_and_stays(
            scale in scale(), in_flight in 0_u32..300, start in 0_u32..20,
        ) {
            let looks = usize::try_from(scale.down_after.as_secs()).unwrap() * 2 * 20 + 100;
            let course = course(&scale, start, std::iter::repeat_n(in_flight, looks));
            let last = *course.last().unwrap();
            let settled = looks - looks / 10;
            prop_assert!(course[settled..].iter().all(|count| *count == last), "it comes and goes: {course:?}");
            let bears = u64::from(last) * u64::from(scale.in_flight) * UP_ABOVE >= u64::from(in_flight) * 100;
            prop_assert!(bears || last == scale.max, "{last} for {in_flight}");
        }
    }

    const SCALE: Scale = Scale { min: 1, max: 4, in_flight: 10, down_after: Duration::from_secs(10) };

    #[test]
    fn it_grows_within_two_seconds_to_what_is_needed_and_not_for_a_moment() {
        assert_eq!(course(&SCALE, 1, [35; 4]), [1, 1, 4, 4]);
        assert_eq!(course(&SCALE, 1, [0, 0, 0, 0, 35, 0, 0]), [1; 7]);
        assert_eq!(course(&SCALE, 1, [500; 3]).last(), Some(&4));
    }

    #[test]
    fn whoever_has_seen_little_stops_nothing() {
        let course = course(&SCALE, 4, [0; 60]);
        assert!(course[..20].iter().all(|count| *count == 4), "a control that has just started: {course:?}");
        assert_eq!(course[59], 2);
    }

    #[test]
    fn looks_with_a_gap_between_them_are_not_one_long_look() {
        let now = SystemClock.instant();
        let mut load = Load::default();
        load.saw(now, 0, SCALE.down_after);
        let later = now + Duration::from_secs(30);
        load.saw(later, 0, SCALE.down_after);
        assert_eq!(wanted(&SCALE, 3, &load, later), 3);
    }
}
