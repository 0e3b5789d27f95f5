//! How long a value that nobody is let in with is kept, so that it is still found where it should not be.

use std::time::Duration;

use host::clock::Timestamp;
use secrets::{VersionRow, VersionState};

use super::next::later;

/// So many retired values of a secret are kept at most: with the shortest schedule that makes sense, a month, most of a year.
pub const MOST: usize = 10;

/// Logs and backups are rarely older, and what is in them opens nothing.
pub const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The retired versions that are to be destroyed: by name and number. Who holds one is asked by the caller.
pub fn beyond(rows: &[VersionRow], now: Timestamp) -> Vec<(&str, u32)> {
    let is_retired = |row: &&VersionRow| row.state == VersionState::Retired;
    let newer = |row: &VersionRow| {
        rows.iter().filter(is_retired).filter(|other| other.name == row.name && other.version > row.version).count()
    };
    let is_beyond = |row: &&VersionRow| newer(row) >= MOST || now >= later(row.changed, LONGEST);
    rows.iter().filter(is_retired).filter(is_beyond).map(|row| (row.name.as_str(), row.version)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: i64 = 24 * 60 * 60 * 1000;

    fn row(name: &str, version: u32, state: VersionState, day: i64) -> VersionRow {
        let time = Timestamp::from_unix_millis(day * DAY);
        VersionRow { name: name.to_owned(), version, class: "auth".to_owned(), state, created: time, changed: time }
    }

    #[test]
    fn the_newest_ten_are_kept_for_a_year_and_nothing_that_is_in_use_ever_goes() {
        let today = Timestamp::from_unix_millis(400 * DAY);
        let mut rows: Vec<VersionRow> = (1..=12).map(|version| row("a", version, VersionState::Retired, 390)).collect();
        rows.push(row("a", 13, VersionState::Current, 0));
        rows.push(row("b", 1, VersionState::Retired, 10));
        rows.push(row("b", 2, VersionState::Previous, 0));
        rows.push(row("b", 3, VersionState::Pending, 0));
        rows.push(row("c", 1, VersionState::Destroyed, 0));
        assert_eq!(beyond(&rows, today), [("a", 1), ("a", 2), ("b", 1)]);
        // Set back, the clock lets everything live longer.
        assert_eq!(beyond(&rows, Timestamp::from_unix_millis(20 * DAY)), [("a", 1), ("a", 2)]);
    }
}
