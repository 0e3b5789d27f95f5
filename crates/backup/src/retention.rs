//! What is kept: so many of the newest of each hour, day, week and month. Pure.

use std::collections::BTreeSet;
use std::time::Duration;

use host::clock::Timestamp;

use crate::contents::ClusterTime;
use crate::oplog::beginning;
use crate::repository::{Kind, Snapshot};

/// How many are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Keep {
    pub hourly: u32,
    pub daily: u32,
    pub weekly: u32,
    pub monthly: u32,
    /// For so long any second can be restored.
    pub any_second: Duration,
}

/// For so many backups more what any second needs stays: a clock that was set ahead by a year makes no more than the last of them say so.
const WRONG_CLOCKS: usize = 2;

/// Names of snapshots that are over, of all that there are, oldest first. The newest base, what is held, and each slice that
/// a kept base within `any_second` needs, never are.
pub fn doomed(snapshots: &[Snapshot], keep: &Keep, now: Timestamp) -> Vec<String> {
    let bases: Vec<&Snapshot> = snapshots.iter().filter(|snapshot| snapshot.is_base()).collect();
    let mut kept: BTreeSet<&str> = bases.iter().filter(|base| base.held).map(|base| base.name.as_str()).collect();
    kept.extend(bases.last().map(|base| base.name.as_str()));
    // Where the clock was set back it is another one; what MongoDB takes for time never goes back.
    let moment = |base: &&&Snapshot| match base.kind {
        Kind::Base { at } => at,
        Kind::Oplog { .. } => None,
    };
    kept.extend(bases.iter().max_by_key(moment).map(|base| base.name.as_str()));
    // Monday is a week's first day: the first of January 1970 was a Thursday.
    let hour = |time: Timestamp| time.unix_millis().div_euclid(3_600_000);
    let day = |time: Timestamp| time.unix_millis().div_euclid(86_400_000);
    let week = |time: Timestamp| (day(time) + 3).div_euclid(7);
    let month = |time: Timestamp| {
        let date = time.calendar();
        i64::from(date.year()) * 12 + i64::from(u8::from(date.month()))
    };
    let periods: [(u32, &dyn Fn(Timestamp) -> i64); 4] =
        [(keep.hourly, &hour), (keep.daily, &day), (keep.weekly, &week), (keep.monthly, &month)];
    for (count, period) in periods {
        let mut seen = BTreeSet::new();
        for base in bases.iter().rev() {
            if seen.len() >= count as usize && !seen.contains(&period(base.taken)) {
                break;
            }
            if seen.insert(period(base.taken)) {
                kept.insert(&base.name);
            }
        }
    }
    // Any second since then can be restored from the newest base before, so that one stays too.
    let before = bases.iter().rev().nth(WRONG_CLOCKS).map_or(now, |base| base.taken.min(now));
    let since =
        Timestamp::from_unix_millis(before.unix_millis() - i64::try_from(keep.any_second.as_millis()).unwrap_or(0));
    let first = bases.iter().rev().find(|base| base.taken <= since).or(bases.first());
    kept.extend(first.map(|base| base.name.as_str()));
    let needed_from = first.and_then(|base| match base.kind {
        Kind::Base { at } => at,
        Kind::Oplog { .. } => None,
    });
    let is_over = |snapshot: &&Snapshot| match snapshot.kind {
        Kind::Base { .. } => !kept.contains(snapshot.name.as_str()),
        Kind::Oplog { to, .. } => !snapshot.held && needed_from.is_some_and(|from: ClusterTime| to < beginning(from)),
    };
    snapshots.iter().filter(is_over).map(|snapshot| snapshot.name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn base(hour: i64, held: bool) -> Snapshot {
        let taken = Timestamp::from_unix_millis(hour * HOUR);
        let at = ClusterTime { seconds: u32::try_from(hour * 3600).unwrap(), increment: 1 };
        Snapshot {
            name: format!("base {hour}"),
            kind: Kind::Base { at: Some(at) },
            taken,
            bytes: 0,
            held,
            id: String::new(),
        }
    }

    fn slice(hour: i64) -> Snapshot {
        let at = |hour: i64| ClusterTime { seconds: u32::try_from(hour * 3600).unwrap(), increment: 1 };
        let kind = Kind::Oplog { from: at(hour - 1), to: at(hour) };
        let taken = Timestamp::from_unix_millis(hour * HOUR);
        Snapshot { name: format!("slice {hour}"), kind, taken, bytes: 0, held: false, id: String::new() }
    }

    #[test]
    fn hours_and_days_are_kept_and_what_is_held_stays() {
        let keep = Keep { hourly: 3, daily: 2, weekly: 0, monthly: 0, any_second: Duration::from_secs(2 * 3600) };
        let mut all: Vec<Snapshot> = (1..=60).map(|hour| base(hour, hour == 5)).collect();
        all.extend((1..=60).map(slice));
        let doomed = doomed(&all, &keep, Timestamp::from_unix_millis(60 * HOUR));
        let kept: Vec<&str> =
            all.iter().map(|one| one.name.as_str()).filter(|name| !doomed.iter().any(|gone| gone == name)).collect();
        assert_eq!(
            kept,
            [
                "base 5", "base 47", "base 56", "base 58", "base 59", "base 60", "slice 56", "slice 57", "slice 58",
                "slice 59", "slice 60"
            ],
            "three hours, the last of each of two days, what is held, and slices from the base before the two hours, by the clock of \
             the third backup from the end"
        );
    }

    #[test]
    fn a_clock_that_is_wrong_for_two_backups_ends_nothing_that_any_second_needs() {
        let keep = Keep { hourly: 24, daily: 7, weekly: 5, monthly: 12, any_second: Duration::from_secs(20 * 3600) };
        let mut all: Vec<Snapshot> = (100..=124).map(|hour| base(hour, false)).collect();
        all.extend((100..=124).map(slice));
        // What the last 20 hours need, by a clock that is right.
        let needed: Vec<String> = (105..=124).map(|hour| format!("slice {hour}")).collect();
        // A year ahead, twice.
        for hour in [9000, 9001] {
            all.push(base(hour, false));
            let now = Timestamp::from_unix_millis(hour * HOUR);
            let after = doomed(&all, &keep, now);
            assert!(after.iter().all(|name| !needed.contains(name)), "{after:?}");
            assert!(!after.contains(&"base 124".to_owned()));
        }
        // A third would: then nobody can tell it from a machine that was off for a year.
        all.push(base(9002, false));
        let after = doomed(&all, &keep, Timestamp::from_unix_millis(9002 * HOUR));
        assert!(needed.iter().any(|slice| after.contains(slice)), "{after:?}");
    }

    #[test]
    fn a_clock_that_was_set_back_does_not_end_the_backup_that_was_just_taken() {
        let keep = Keep { hourly: 2, daily: 0, weekly: 0, monthly: 0, any_second: Duration::ZERO };
        let mut all: Vec<Snapshot> = (100..=110).map(|hour| base(hour, false)).collect();
        // Its clock says hour 3, MongoDB goes on at 111.
        let back = Snapshot { kind: base(111, false).kind, ..base(3, false) };
        all.insert(0, back);
        let ended = doomed(&all, &keep, Timestamp::from_unix_millis(3 * HOUR));
        assert!(!ended.contains(&"base 3".to_owned()) && ended.contains(&"base 105".to_owned()), "{ended:?}");
    }

    #[test]
    fn one_backup_alone_is_never_over() {
        let keep = Keep { hourly: 0, daily: 0, weekly: 0, monthly: 0, any_second: Duration::ZERO };
        assert_eq!(doomed(&[base(1, false)], &keep, Timestamp::from_unix_millis(9000 * HOUR)), Vec::<String>::new());
    }
}
