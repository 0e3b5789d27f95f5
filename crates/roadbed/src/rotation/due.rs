//! How old a value is, and whether another one is due.

use std::time::Duration;

use host::clock::Timestamp;
use secrets::{VersionRow, VersionState};
use serde::{Deserialize, Serialize};

use super::next::later;
use super::subject::Subject;

/// Whether a new value is due.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "due")]
pub enum Due {
    /// There is no value that could grow old.
    NoValue,
    Later {
        at: Timestamp,
    },
    Overdue {
        since: Timestamp,
    },
}

/// The time that is at least: a clock that was set back must not make anything young again. `noted` is the newest time that
/// anybody wrote down.
pub fn no_earlier_than(noted: Option<Timestamp>, rows: &[VersionRow], now: Timestamp) -> Timestamp {
    let known = rows.iter().flat_map(|row| [row.created, row.changed]).chain(noted);
    known.fold(now, Ord::max)
}

/// By how much the clock was set back, if it was by more than clocks that follow others are.
pub fn set_back(noted: Option<Timestamp>, rows: &[VersionRow], now: Timestamp) -> Option<Duration> {
    const USUAL: Duration = Duration::from_secs(60);
    Some(no_earlier_than(noted, rows, now).since(now)).filter(|by| *by > USUAL)
}

/// Whether a new value of `subject` is due, at a time that [`no_earlier_than`] gave.
pub fn due(subject: &Subject, rows: &[VersionRow], now: Timestamp) -> Due {
    let current = subject.versions(rows).filter(|row| row.state == VersionState::Current).map(|row| row.created).min();
    let Some(made) = current else { return Due::NoValue };
    let at = later(made, subject.rotation.every);
    if now >= at { Due::Overdue { since: at } } else { Due::Later { at } }
}

#[cfg(test)]
mod tests {
    use manifest::{EnvRef, Source};

    use super::*;
    use crate::rotation::subjects;

    const DAY: i64 = 24 * 60 * 60 * 1000;

    fn session_secret() -> Subject {
        session_secret_of(include_str!("../../../../roadbed.toml").to_owned())
    }

    fn session_secret_of(text: String) -> Subject {
        let (manifest, _) = manifest::parse(&Source::new("roadbed.toml", text));
        let environment = manifest.unwrap().resolve(&"local".parse::<EnvRef>().unwrap()).unwrap();
        subjects(&environment).into_iter().find(|subject| subject.name() == "SESSION_SECRET").unwrap()
    }

    fn made_on_day_one(subject: &Subject) -> Vec<VersionRow> {
        let made = Timestamp::from_unix_millis(DAY);
        let name = subject.secrets[0].as_str().to_owned();
        let state = VersionState::Current;
        vec![VersionRow { name, version: 1, class: "auth".to_owned(), state, created: made, changed: made }]
    }

    #[test]
    fn a_value_is_due_when_it_has_the_age_that_the_manifest_names() {
        let subject = session_secret();
        let rows = made_on_day_one(&subject);
        let on = |day: i64| due(&subject, &rows, Timestamp::from_unix_millis(day * DAY));
        let at = Timestamp::from_unix_millis(91 * DAY);
        assert_eq!(on(1), Due::Later { at });
        assert_eq!(on(91), Due::Overdue { since: at });
        assert_eq!(due(&subject, &[], at), Due::NoValue);
    }

    #[test]
    fn where_the_variable_does_not_say_its_class_does() {
        let text = include_str!("../../../../roadbed.toml")
            .replace("kind = \"keyring\", every = \"90d\"", "kind = \"keyring\"");
        let every = |table: &str| session_secret_of(format!("{text}\n{table}")).rotation.every.as_secs() / 86_400;
        assert_eq!(every(""), 90);
        assert_eq!(every("[rotation]\nauth = \"30d\"\nsecret = \"7d\""), 30);
    }

    #[test]
    fn what_was_overdue_stays_overdue_when_the_clock_is_set_back() {
        let subject = session_secret();
        let rows = made_on_day_one(&subject);
        let (today, noted) = (Timestamp::from_unix_millis(5 * DAY), Some(Timestamp::from_unix_millis(100 * DAY)));
        let at_least = no_earlier_than(noted, &rows, today);
        assert!(matches!(due(&subject, &rows, at_least), Due::Overdue { .. }));
        assert_eq!(set_back(noted, &rows, today), Some(Duration::from_secs(95 * 24 * 60 * 60)));
        assert_eq!(set_back(None, &rows, today), None);
        // Even where nothing but the store knows better.
        let before = Timestamp::from_unix_millis(0);
        assert_eq!(no_earlier_than(None, &rows, before), rows[0].created);
        assert!(set_back(None, &rows, before).is_some());
    }
}
