//! When each check is due, without anybody asking. Pure: time is passed in, and jitter comes from the check's name.
//!
//! Checks that began together would stay together: each is due at its own moment, first after about one period, then after periods that
//! differ by up to a fifth.

use std::collections::BTreeMap;
use std::time::Duration;

/// Of a hundred parts of time, so many go into looking: the environment is there for its visitors.
const SHARE: u32 = 10;

/// When each check is due, counted from a moment of the caller's.
#[derive(Debug, Default)]
pub struct Schedule {
    due: BTreeMap<&'static str, (Duration, u32)>,
    /// Before that nothing is looked at.
    rest: Duration,
}

impl Schedule {
    /// The check that is overdue most, of those with a period. One that was not known yet is due after about one period.
    pub fn next(
        &mut self,
        now: Duration,
        checks: impl IntoIterator<Item = (&'static str, Duration)>,
    ) -> Option<&'static str> {
        let mut next: Option<(Duration, &'static str)> = None;
        for (id, period) in checks {
            let (due, _) = *self.due.entry(id).or_insert_with(|| (now + jittered(id, 0, period), 1));
            if due <= now && next.is_none_or(|(earliest, _)| due < earliest) {
                next = Some((due, id));
            }
        }
        next.filter(|_| now >= self.rest).map(|(_, id)| id)
    }

    /// A look was taken: it is due again after its period, and all rest so long that looking stays within its share.
    pub fn looked(&mut self, now: Duration, id: &'static str, period: Duration, took: Duration) {
        let (_, times) = self.due.get(id).copied().unwrap_or_default();
        self.due.insert(id, (now + jittered(id, times, period), times.wrapping_add(1)));
        self.rest = now + took * (100 / SHARE - 1);
    }
}

/// The period, a tenth more or less.
fn jittered(id: &str, times: u32, period: Duration) -> Duration {
    // FNV-1a: any hash does, and this one is the same in every run.
    let bytes = id.bytes().chain(times.to_be_bytes());
    let hash = bytes.fold(0x811c_9dc5_u32, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    let per_mille = 900 + hash % 200;
    period * per_mille / 1000
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECKS: [(&str, Duration); 3] =
        [("a", Duration::from_secs(300)), ("b", Duration::from_secs(300)), ("c", Duration::from_secs(3600))];

    #[test]
    fn each_is_looked_at_about_once_in_its_period_and_never_at_the_start() {
        let mut schedule = Schedule::default();
        let mut looks: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
        for second in 0..36_000 {
            let now = Duration::from_secs(second);
            if let Some(id) = schedule.next(now, CHECKS) {
                let period = CHECKS.iter().find(|(known, _)| *known == id).unwrap().1;
                schedule.looked(now, id, period, Duration::from_millis(500));
                looks.entry(id).or_default().push(second);
            }
        }
        assert!(looks.values().all(|times| times[0] > 200), "{looks:?}");
        for (id, times) in [("a", 108..=134), ("b", 108..=134), ("c", 9..=11)] {
            assert!(times.contains(&looks[id].len()), "{id}: {}", looks[id].len());
        }
        assert_ne!(looks["a"][0], looks["b"][0], "they do not begin together");
    }

    #[test]
    fn looking_takes_a_tenth_of_the_time_however_long_a_look_takes() {
        let mut schedule = Schedule::default();
        let slow = [("slow", Duration::from_secs(10)), ("slower", Duration::from_secs(10))];
        let (mut looking, mut second) = (0, 0);
        while second < 10_000 {
            let now = Duration::from_secs(second);
            second += 1;
            if let Some(id) = schedule.next(now, slow) {
                let took = 20;
                second += took;
                looking += took;
                let (after, took) = (Duration::from_secs(second), Duration::from_secs(took));
                schedule.looked(after, id, Duration::from_secs(10), took);
            }
        }
        assert!((700..=1050).contains(&looking), "{looking} of {second}");
    }
}
