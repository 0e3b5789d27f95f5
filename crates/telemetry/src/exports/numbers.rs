//! Numbers as they are from time to time: each look is a file until it was taken, so that a receiver that was away has no gap.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use host::clock::Clock;
use host::files::{self, Access};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use secrets::Secret;

use super::remote_write::{self, Labels};
use super::{Export, Parcel, Source};
use crate::logs::Logs;
use crate::metrics::Metrics;

/// Looks that wait, and bytes of them: an hour at the default, and never more than the disk of a small server has.
const MOST_LOOKS: usize = 240;
const BOUND: u64 = 64 << 20;

/// A look that was not taken yet.
#[derive(Debug)]
struct Look {
    path: PathBuf,
    samples: u64,
    bytes: u64,
}

/// An export of numbers.
pub(super) struct Numbers {
    export: Export,
    environment: String,
    folder: PathBuf,
    page: (Arc<Metrics>, Arc<Logs>),
    clock: Arc<dyn Clock>,
    looked: Option<Instant>,
    /// Series of the last look.
    before: BTreeSet<Labels>,
    waiting: VecDeque<Look>,
}

impl Numbers {
    pub(super) fn new(
        export: &Export,
        environment: &str,
        folder: PathBuf,
        page: (Arc<Metrics>, Arc<Logs>),
        clock: Arc<dyn Clock>,
    ) -> Result<Self, String> {
        files::create_dir(&folder, Access::Owner).map_err(|fault| fault.to_string())?;
        // Names begin with the time, so they are in order.
        let found = files::list(&folder).map_err(|fault| fault.to_string())?;
        let look = |path: PathBuf| {
            let (_, samples) = path.file_stem()?.to_str()?.split_once('-')?;
            let samples = samples.parse().ok().filter(|_| path.extension().is_some_and(|ending| ending == "look"))?;
            Some(Look { bytes: files::metadata(&path).ok()?.len(), samples, path })
        };
        let waiting = found.into_iter().filter_map(look).collect();
        let (export, environment) = (export.clone(), environment.to_owned());
        Ok(Self { export, environment, folder, page, clock, looked: None, before: BTreeSet::new(), waiting })
    }

    fn look(&mut self) -> Result<(), String> {
        let now = self.clock.instant();
        let every = Duration::from_millis(self.export.every_ms);
        if self.looked.is_some_and(|at| now.saturating_duration_since(at) < every) {
            return Ok(());
        }
        self.looked = Some(now);
        let (metrics, logs) = &self.page;
        let time = self.clock.now().unix_millis();
        // A series that is told twice has one number: receivers refuse two.
        let mut all: BTreeMap<Labels, f64> = metrics
            .samples(logs)
            .into_iter()
            .map(|sample| (remote_write::labels(&self.environment, sample.name, sample.labels), sample.value))
            .collect();
        let names: BTreeSet<Labels> = all.keys().cloned().collect();
        // What is gone is said to be gone, or it would be believed to go on for minutes.
        all.extend(self.before.difference(&names).map(|labels| (labels.clone(), remote_write::stale())));
        let samples = all.len() as u64;
        let body = remote_write::packed(all, time)?;
        let path = self.folder.join(format!("{time:016}-{samples}.look"));
        files::write_durable(&path, &body, Access::Owner).map_err(|fault| fault.to_string())?;
        self.waiting.push_back(Look { path, samples, bytes: body.len() as u64 });
        self.before = names;
        Ok(())
    }
}

impl Source for Numbers {
    fn next(&mut self, secret: Option<&Secret>) -> Result<Option<Parcel>, String> {
        let Some(look) = self.waiting.front() else { return Ok(None) };
        let mut headers = self.export.headers(secret)?;
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("snappy"));
        headers.insert("x-prometheus-remote-write-version", HeaderValue::from_static("0.1.0"));
        let body = Bytes::from(files::read(&look.path).map_err(|fault| fault.to_string())?);
        Ok(Some(Parcel { url: self.export.address()?, headers, body, items: look.samples }))
    }

    fn done(&mut self) -> Result<(), String> {
        if let Some(look) = self.waiting.front() {
            files::remove(&look.path).map_err(|fault| fault.to_string())?;
            self.waiting.pop_front();
        }
        Ok(())
    }

    fn look_after(&mut self) -> Result<u64, String> {
        self.look()?;
        let mut dropped = 0;
        let bytes = |waiting: &VecDeque<Look>| waiting.iter().map(|look| look.bytes).sum::<u64>();
        while self.waiting.len() > MOST_LOOKS || bytes(&self.waiting) > BOUND {
            dropped += self.waiting.front().map_or(0, |look| look.samples);
            self.done()?;
        }
        Ok(dropped)
    }

    fn waiting(&self) -> u64 {
        self.waiting.iter().map(|look| look.samples).sum()
    }
}
