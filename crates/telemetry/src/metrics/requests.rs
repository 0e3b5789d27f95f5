//! Rate, errors and duration of requests, by app, door, route class and kind of answer.

use std::collections::BTreeMap;

use super::MOST_SERIES;
use super::exposition::{Kind, Page};
use crate::logs::line::Access;

/// Upper bounds in milliseconds: what a cache, a page, a slow page and a timeout take.
const BOUNDS: [f64; 11] = [5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0, 2500.0, 5000.0, 10_000.0];

/// What requests are told apart by. None of it is a visitor's word: apps, doors and classes are the manifest's.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    app: String,
    door: String,
    route: String,
    answer: &'static str,
}

#[derive(Debug, Default)]
struct Durations {
    /// Not summed up; the last for all that took longer.
    buckets: [u64; BOUNDS.len() + 1],
    seconds: f64,
    count: u64,
}

/// Since the role started. What Prometheus makes of a counter that begins anew is its business, and it knows how.
#[derive(Debug, Default)]
pub(super) struct Requests {
    series: BTreeMap<Key, Durations>,
    /// Lines that the edge could not write.
    unlogged: u64,
}

impl Requests {
    pub(super) fn count(&mut self, access: &Access) {
        self.unlogged += access.dropped.unwrap_or(0);
        let word = |word: &Option<String>| word.clone().unwrap_or_else(|| "-".to_owned());
        let mut key = Key {
            app: word(&access.app),
            door: word(&access.scheme),
            route: word(&access.route),
            answer: kind_of(access.status),
        };
        if self.series.len() >= MOST_SERIES && !self.series.contains_key(&key) {
            // Somebody edits manifests all day.
            key = Key { app: "-".into(), door: "-".into(), route: "-".into(), ..key };
        }
        let durations = self.series.entry(key).or_default();
        let bucket = BOUNDS.iter().position(|bound| access.ms <= *bound).unwrap_or(BOUNDS.len());
        durations.buckets[bucket] += 1;
        durations.seconds += access.ms / 1000.0;
        durations.count += 1;
    }

    #[expect(clippy::cast_precision_loss, reason = "a sample of Prometheus is a double")]
    pub(super) fn show(&self, page: &mut Page) {
        let help = "Requests that the edge has answered, by app, door (https, http, internal), class of [rate_limits] and answer.";
        let mut family = page.family("roadbed_http_requests_total", help, Kind::Counter);
        for (key, durations) in &self.series {
            family.sample(&key.labels(), durations.count as f64);
        }
        let help = "From a request's first byte to its answer's last.";
        let mut family = page.family("roadbed_http_request_duration_seconds", help, Kind::Histogram);
        for (key, durations) in &self.series {
            let mut sum = 0;
            for (at, count) in durations.buckets.iter().enumerate() {
                sum += count;
                let bound = BOUNDS.get(at).map_or_else(|| "+Inf".to_owned(), |bound| (bound / 1000.0).to_string());
                let mut labels = key.labels().to_vec();
                labels.push(("le", &bound));
                family.part("_bucket", &labels, sum as f64);
            }
            family.part("_sum", &key.labels(), durations.seconds);
            family.part("_count", &key.labels(), durations.count as f64);
        }
        let help = "Requests of which the edge could not write a line.";
        page.family("roadbed_edge_unlogged_total", help, Kind::Counter).sample(&[], self.unlogged as f64);
    }
}

impl Key {
    fn labels(&self) -> [(&str, &str); 4] {
        [("app", &self.app), ("door", &self.door), ("route", &self.route), ("answer", self.answer)]
    }
}

fn kind_of(status: u16) -> &'static str {
    match status {
        100..=199 => "1xx",
        200..=299 => "2xx",
        300..=399 => "3xx",
        400..=499 => "4xx",
        _ => "5xx",
    }
}
