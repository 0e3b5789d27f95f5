//! What became of requests and answers, since the cache began.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use crate::request::Bypass;
use crate::storable::Refused;

/// What is counted, as it is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counted {
    /// Answered from here, the app not being asked.
    pub hits: u64,
    /// Of these, those that waited for one who asked for the same.
    pub collapsed: u64,
    /// Of these, those that were over, and given while a newer one was got or because the app did not answer.
    pub stale: u64,
    /// Asked of the app for want of anything to give.
    pub misses: u64,
    /// Answered from here after the app said that it is still right.
    pub validated: u64,
    pub stored: u64,
    /// Requests that the cache has nothing to do with, by reason.
    pub bypassed: BTreeMap<String, u64>,
    /// Answers that were not kept, by reason.
    pub refused: BTreeMap<String, u64>,
    /// Answers that were taken back, by a purge or by a request that changed something.
    pub taken_back: u64,
    /// Addresses that have an answer now.
    pub kept: u64,
    pub bytes: u64,
}

#[derive(Debug, Default)]
pub struct Counters {
    pub(crate) hits: AtomicU64,
    pub(crate) collapsed: AtomicU64,
    pub(crate) stale: AtomicU64,
    pub(crate) misses: AtomicU64,
    pub(crate) validated: AtomicU64,
    pub(crate) stored: AtomicU64,
    pub(crate) taken_back: AtomicU64,
    /// Reasons are few; each has its place from the first time on.
    reasons: Mutex<Reasons>,
}

#[derive(Debug, Default)]
struct Reasons {
    bypassed: BTreeMap<Bypass, u64>,
    refused: BTreeMap<Refused, u64>,
}

impl Counters {
    /// Answered without the app; `collapsed`: after waiting for somebody else's.
    pub fn hit(&self, kind: Hit) {
        add(&self.hits, 1);
        match kind {
            Hit::Fresh => {}
            Hit::Collapsed => add(&self.collapsed, 1),
            Hit::Stale => add(&self.stale, 1),
        }
    }

    pub fn missed(&self) {
        add(&self.misses, 1);
    }

    pub fn validated(&self) {
        add(&self.validated, 1);
    }

    pub fn bypassed(&self, why: Bypass) {
        *self.reasons.lock().unwrap_or_else(PoisonError::into_inner).bypassed.entry(why).or_default() += 1;
    }

    pub fn refused(&self, why: Refused) {
        *self.reasons.lock().unwrap_or_else(PoisonError::into_inner).refused.entry(why).or_default() += 1;
    }

    pub(crate) fn counted(&self) -> Counted {
        let of = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let reasons = self.reasons.lock().unwrap_or_else(PoisonError::into_inner);
        Counted {
            hits: of(&self.hits),
            collapsed: of(&self.collapsed),
            stale: of(&self.stale),
            misses: of(&self.misses),
            validated: of(&self.validated),
            stored: of(&self.stored),
            bypassed: reasons.bypassed.iter().map(|(why, count)| (why.word().to_owned(), *count)).collect(),
            refused: reasons.refused.iter().map(|(why, count)| (why.word().to_owned(), *count)).collect(),
            taken_back: of(&self.taken_back),
            kept: 0,
            bytes: 0,
        }
    }
}

/// How an answer was had without the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hit {
    Fresh,
    Collapsed,
    Stale,
}

pub(crate) fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}
