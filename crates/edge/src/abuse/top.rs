//! Who asks most, for what, with what outcome: of the last five minutes, in bounded memory.
//!
//! Counted by the thread that writes the access log, so no request waits for it. Each minute has a summary per question, by the
//! *space-saving* algorithm: 128 counters, and who is new takes the place of the least, with its count as the error. Whoever has more
//! than one request in 128 is there for certain. 5 minutes × 4 questions × 128 counters are some 700 kilobytes at most.

use std::collections::{BTreeMap, HashMap, VecDeque};

use host::clock::Timestamp;
use serde::{Deserialize, Serialize};

const MINUTES: usize = 5;
const COUNTERS: usize = 128;
/// Bytes of a key that are kept: the beginning of a path tells which it is.
const LONGEST_KEY: usize = 200;
const MINUTE_MS: i64 = 60_000;

/// By what requests are counted together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum By {
    Client,
    Path,
    App,
    Status,
}

impl By {
    pub const ALL: [Self; 4] = [Self::Client, Self::Path, Self::App, Self::Status];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Path => "path",
            Self::App => "app",
            Self::Status => "status",
        }
    }
}

/// One row of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    pub key: String,
    pub requests: u64,
    /// So many of them may be somebody else's.
    pub error: u64,
    /// Answered with 4xx or 5xx.
    pub failed: u64,
}

/// What is counted of one request.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    pub client: std::net::IpAddr,
    pub path: &'a str,
    pub app: Option<&'a str>,
    pub status: u16,
}

#[derive(Clone, Copy, Debug, Default)]
struct Counter {
    requests: u64,
    error: u64,
    failed: u64,
}

#[derive(Debug, Default)]
struct Summary(HashMap<String, Counter>);

impl Summary {
    fn count(&mut self, key: &str, is_failed: bool) {
        let key = shortened(key);
        let failed = u64::from(is_failed);
        if let Some(counter) = self.0.get_mut(key) {
            counter.requests += 1;
            counter.failed += failed;
            return;
        }
        let mut counter = Counter { requests: 1, error: 0, failed };
        if self.0.len() >= COUNTERS {
            let least = self.0.iter().min_by_key(|(_, counter)| counter.requests).map(|(key, _)| key.clone());
            if let Some(least) = least
                && let Some(before) = self.0.remove(&least)
            {
                counter = Counter { requests: before.requests + 1, error: before.requests, failed };
            }
        }
        self.0.insert(key.to_owned(), counter);
    }
}

/// The beginning, at the end of a letter.
fn shortened(key: &str) -> &str {
    let end = (0..=key.len().min(LONGEST_KEY)).rev().find(|at| key.is_char_boundary(*at)).unwrap_or(0);
    &key[..end]
}

#[derive(Debug)]
struct Minute {
    at: i64,
    by: [Summary; 4],
}

/// The counters.
#[derive(Debug, Default)]
pub struct Top {
    minutes: VecDeque<Minute>,
}

impl Top {
    pub fn count(&mut self, seen: &Seen<'_>, now: Timestamp) {
        let at = now.unix_millis().div_euclid(MINUTE_MS);
        // A clock that was set back goes on in the newest.
        if self.minutes.back().is_none_or(|minute| minute.at < at) {
            if self.minutes.len() >= MINUTES {
                self.minutes.pop_front();
            }
            self.minutes.push_back(Minute { at, by: Default::default() });
        }
        let Some(minute) = self.minutes.back_mut() else { return };
        let is_failed = seen.status >= 400;
        let mut key = String::with_capacity(64);
        for (by, summary) in By::ALL.into_iter().zip(&mut minute.by) {
            key.clear();
            match by {
                By::Client => key += &seen.client.to_string(),
                By::Path => {
                    key += seen.app.unwrap_or("-");
                    key.push(' ');
                    key += seen.path;
                }
                By::App => key += seen.app.unwrap_or("-"),
                By::Status => key += &seen.status.to_string(),
            }
            summary.count(&key, is_failed);
        }
    }

    /// The most frequent of the last five minutes.
    pub fn rows(&self, by: By, count: usize, now: Timestamp) -> Vec<Row> {
        let oldest = now.unix_millis().div_euclid(MINUTE_MS) - i64::try_from(MINUTES).unwrap_or(0);
        let at = By::ALL.iter().position(|known| *known == by).unwrap_or(0);
        let mut sums: BTreeMap<&str, Counter> = BTreeMap::new();
        for minute in self.minutes.iter().filter(|minute| minute.at > oldest) {
            for (key, counter) in &minute.by[at].0 {
                let sum = sums.entry(key).or_default();
                sum.requests += counter.requests;
                sum.error += counter.error;
                sum.failed += counter.failed;
            }
        }
        let row = |(key, counter): (&str, Counter)| Row {
            key: key.to_owned(),
            requests: counter.requests,
            error: counter.error,
            failed: counter.failed,
        };
        let mut rows: Vec<Row> = sums.into_iter().map(row).collect();
        rows.sort_by(|a, b| b.requests.cmp(&a.requests).then_with(|| a.key.cmp(&b.key)));
        rows.truncate(count);
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_unix_millis(1_800_000_000_000 + minute * MINUTE_MS)
    }

    #[test]
    fn the_loudest_is_found_among_a_hundred_thousand_and_memory_stays() {
        let mut top = Top::default();
        for at_client in 0..100_000_u32 {
            let quiet = Seen {
                client: std::net::Ipv4Addr::from(at_client).into(),
                path: &format!("/{at_client}"),
                app: Some("shop"),
                status: 200,
            };
            top.count(&quiet, at(0));
            if at_client % 50 == 0 {
                let loud =
                    Seen { client: [203, 0, 113, 7].into(), path: "/wp-login.php", app: Some("shop"), status: 404 };
                top.count(&loud, at(0));
            }
        }
        let rows = top.rows(By::Client, 3, at(0));
        assert_eq!(rows[0].key, "203.0.113.7");
        assert!(rows[0].requests - rows[0].error <= 2000 && rows[0].requests >= 2000, "{:?}", rows[0]);
        assert_eq!(top.rows(By::App, 10, at(0))[0].requests, 102_000);
        assert_eq!(
            top.rows(By::Status, 10, at(0))[1],
            Row { key: "404".into(), requests: 2000, error: 0, failed: 2000 }
        );
        for minute in 0..100 {
            top.count(&Seen { client: [192, 0, 2, 1].into(), path: "/", app: None, status: 200 }, at(minute));
        }
        assert!(top.minutes.len() <= MINUTES && top.minutes.iter().all(|m| m.by.iter().all(|s| s.0.len() <= COUNTERS)));
        assert_eq!(top.rows(By::App, 10, at(99))[0].requests, 5, "what is older counts no more");
        assert!(top.rows(By::App, 10, at(200)).is_empty());
        let mut long = Summary::default();
        long.count(&"é".repeat(LONGEST_KEY), false);
        assert!(long.0.keys().all(|key| key.len() <= LONGEST_KEY));
    }
}
