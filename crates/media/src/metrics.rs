//! What happened, as numbers for Prometheus.

use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counted since the start.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    pub(crate) memory_hits: Counter,
    pub(crate) disk_hits: Counter,
    pub(crate) misses: Counter,
    pub(crate) stale: Counter,
    pub(crate) made: Counter,
    pub(crate) faults: Counter,
    pub(crate) refused: Counter,
    pub(crate) purged: Counter,
    pub(crate) origin_errors: Counter,
}

#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    pub(crate) fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn one(&self) {
        self.add(1);
    }

    fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// What others count or hold.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Beside {
    pub(crate) worker_deaths: u64,
    pub(crate) memory_bytes: u64,
    pub(crate) disk_bytes: u64,
}

impl Metrics {
    /// In Prometheus's text format.
    pub(crate) fn text(&self, beside: Beside) -> String {
        let mut text = String::new();
        let mut row = |name: &str, kind: &str, help: &str, value: u64| {
            let _ = write!(
                text,
                "# HELP roadbed_media_{name} {help}\n# TYPE roadbed_media_{name} {kind}\nroadbed_media_{name} {value}\n"
            );
        };
        row("memory_hits_total", "counter", "Answers that were in memory.", self.memory_hits.value());
        row("disk_hits_total", "counter", "Answers that were on the disk.", self.disk_hits.value());
        row("misses_total", "counter", "Answers that were not there.", self.misses.value());
        row("stale_total", "counter", "Answers given while the origin was asked again.", self.stale.value());
        row("variants_made_total", "counter", "Pictures that workers made.", self.made.value());
        row("faults_total", "counter", "Objects that are no picture that can be made.", self.faults.value());
        row("refused_total", "counter", "Requests that could not be read or are not allowed.", self.refused.value());
        row("purged_total", "counter", "Answers that were taken back.", self.purged.value());
        row("origin_errors_total", "counter", "Times that the origin did not answer.", self.origin_errors.value());
        row("worker_deaths_total", "counter", "Workers that died or were ended.", beside.worker_deaths);
        row("memory_bytes", "gauge", "Bytes of answers in memory.", beside.memory_bytes);
        row("disk_bytes", "gauge", "Bytes of answers on the disk.", beside.disk_bytes);
        text
    }
}
