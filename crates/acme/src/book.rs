//! What was tried and what was advised, kept across restarts: a loop that forgets asks too often.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::clock::Timestamp;
use host::files::{self, Access, FileFault};
use serde::{Deserialize, Serialize};

use crate::renewal::PATIENCE;

/// The book of one root.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Book {
    /// By the address of the directory.
    #[serde(default)]
    pub standing: BTreeMap<String, Standing>,
    /// Which orders succeeded where nobody believes the authority: what was ordered, by where it is ordered in earnest.
    #[serde(default)]
    pub rehearsed: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    pub advice: Option<Advice>,
    /// The newest generation that was seen at our own door.
    #[serde(default)]
    pub settled: u64,
    #[serde(default)]
    pub issued_at: Option<Timestamp>,
    /// An order that was begun, where its end is not known.
    #[serde(default)]
    pub under_way: Option<String>,
}

/// How things stand with one authority.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// In a row.
    pub failures: u32,
    /// Orders in a row that ended with the process that placed them.
    #[serde(default)]
    pub cut_off: u32,
    pub last: Option<Setback>,
}

/// A failed attempt, and for how long there is no other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setback {
    pub at: Timestamp,
    pub wait_ms: u64,
    pub why: String,
    /// Whether the authority said that it was asked too often, by whatever order.
    #[serde(default)]
    pub limited: bool,
}

impl Setback {
    /// When it may be tried again. A clock that was set back by more than the pause does not make the pause longer.
    pub fn over(&self, now: Timestamp) -> Option<Timestamp> {
        let wait = i64::try_from(self.wait_ms).unwrap_or(i64::MAX);
        let at = self.at.unix_millis();
        let until = at.saturating_add(wait);
        let now = now.unix_millis();
        (now < until && now >= at.saturating_sub(wait)).then_some(Timestamp::from_unix_millis(until))
    }
}

/// What an authority said of when to renew a certificate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advice {
    /// Serial number of the certificate, as it is encoded.
    pub serial: Vec<u8>,
    /// `None`: it does not say.
    pub window: Option<(Timestamp, Timestamp)>,
    pub asked_at: Timestamp,
    pub ask_again_ms: u64,
}

impl Advice {
    /// When it is to be asked for again.
    pub fn stale(&self) -> Timestamp {
        let wait = i64::try_from(self.ask_again_ms).unwrap_or(i64::MAX);
        Timestamp::from_unix_millis(self.asked_at.unix_millis().saturating_add(wait))
    }
}

/// How long nobody is asked after the book was lost: what was tried before is not known.
const AFTER_A_LOSS: Duration = Duration::from_secs(60);

impl Book {
    fn path(folder: &Path) -> PathBuf {
        folder.join("book.json")
    }

    /// The book in this folder. A damaged one is not an empty one: nobody in it is asked for a minute.
    pub fn read(folder: &Path, directories: &[String], now: Timestamp) -> Result<Self, FileFault> {
        let path = Self::path(folder);
        let Some(bytes) = files::read_if_exists(&path)? else { return Ok(Self::default()) };
        Ok(serde_json::from_slice(&bytes).unwrap_or_else(|error| {
            tracing::error!(path = %path.display(), %error, "what was tried is lost: going on with care");
            let why = "the book of earlier attempts is damaged".to_owned();
            let wait_ms = u64::try_from(AFTER_A_LOSS.as_millis()).unwrap_or(u64::MAX);
            let lost = Standing {
                failures: 1,
                last: Some(Setback { at: now, wait_ms, why, limited: false }),
                ..Standing::default()
            };
            Self { standing: directories.iter().map(|url| (url.clone(), lost.clone())).collect(), ..Self::default() }
        }))
    }

    pub fn write(&self, folder: &Path) -> Result<(), FileFault> {
        files::create_dir(folder, Access::Owner)?;
        let bytes = serde_json::to_vec_pretty(self).expect("texts and numbers encode");
        files::write_durable(&Self::path(folder), &bytes, Access::Owner)
    }

    /// Authorities that say they are asked too often, and until when, with what they said.
    pub fn limits(&self) -> impl Iterator<Item = (&String, &Setback)> {
        let all = self.standing.iter().filter_map(|(url, standing)| Some((url, standing.last.as_ref()?)));
        all.filter(|(_, setback)| setback.limited)
    }

    /// Takes over that an authority wants not to be asked, by whatever order it said so.
    pub fn heeds(&mut self, directory: &str, limit: &Setback) {
        let standing = self.standing.entry(directory.to_owned()).or_default();
        if standing.last.as_ref().is_none_or(|last| last.at < limit.at) {
            standing.failures = standing.failures.max(PATIENCE);
            standing.last = Some(limit.clone());
        }
    }

    /// The newest failure that nothing has made good.
    pub fn last_setback(&self) -> Option<(&String, &Setback)> {
        let all = self.standing.iter().filter_map(|(url, standing)| Some((url, standing.last.as_ref()?)));
        all.max_by_key(|(_, setback)| setback.at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_unix_millis(1_795_000_000_000);

    #[test]
    fn a_damaged_book_is_not_an_empty_one() {
        let folder = tempfile::tempdir().unwrap();
        let all = ["https://ca.example/".to_owned()];
        assert_eq!(Book::read(folder.path(), &all, NOW).unwrap(), Book::default());
        let book = Book { settled: 3, ..Book::default() };
        book.write(folder.path()).unwrap();
        assert_eq!(Book::read(folder.path(), &all, NOW).unwrap(), book);
        files::write(&folder.path().join("book.json"), b"{\"settled\":", Access::Owner).unwrap();
        let lost = Book::read(folder.path(), &all, NOW).unwrap();
        let setback = lost.standing[&all[0]].last.as_ref().unwrap();
        assert_eq!(setback.over(NOW), Some(Timestamp::from_unix_millis(NOW.unix_millis() + 60_000)));
    }

    #[test]
    fn who_was_asked_too_often_for_one_is_left_alone_for_all() {
        let all = ["https://ca.example/".to_owned()];
        let limit = Setback { at: NOW, wait_ms: 60_000, why: "too many".to_owned(), limited: true };
        let mut one = Book::default();
        one.heeds(&all[0], &limit);
        assert_eq!(one.limits().collect::<Vec<_>>(), [(&all[0], &limit)]);
        let situation = crate::Situation { directories: &all, hosts: &[], held: None, now: NOW };
        assert!(matches!(crate::next(&situation, &one), crate::Next::Wait { .. }));
    }

    #[test]
    fn a_pause_ends_and_a_clock_that_is_set_back_does_not_make_it_longer() {
        let setback = Setback { at: NOW, wait_ms: 60_000, why: String::new(), limited: false };
        let at = |millis: i64| Timestamp::from_unix_millis(NOW.unix_millis() + millis);
        assert!(setback.over(at(59_999)).is_some());
        assert!(setback.over(at(60_000)).is_none());
        assert!(setback.over(at(-1_000)).is_some());
        assert!(setback.over(at(-86_400_000)).is_none());
    }
}
