//! The slow lane: pictures in AVIF, made when somebody has asked for them and has got another format meanwhile.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use host::clock::{Clock, SystemClock};

/// Pictures that wait. More are not noted: who asks again later gets them noted then.
const MOST: usize = 256;

/// What could not be made is not tried again for so long; its other formats are there all the same.
const AGAIN: Duration = Duration::from_secs(600);

#[derive(Debug, Default)]
pub(crate) struct Lane(Mutex<HashMap<String, Place>>);

#[derive(Clone, Copy, Debug)]
enum Place {
    Waits,
    Failed(Instant),
}

/// Leaves the lane when it is dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    lane: Arc<Lane>,
    name: String,
}

impl Lane {
    /// `None` where it waits already, failed lately, or the lane is full.
    pub(crate) fn enter(self: &Arc<Self>, name: &str) -> Option<Ticket> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let now = SystemClock.instant();
        if places.len() >= MOST {
            places.retain(|_, place| {
                matches!(place, Place::Failed(since) if now.duration_since(*since) < AGAIN)
                    || matches!(place, Place::Waits)
            });
        }
        let is_free = match places.get(name) {
            Some(Place::Waits) => false,
            Some(Place::Failed(since)) => now.duration_since(*since) >= AGAIN,
            None => places.len() < MOST,
        };
        is_free.then(|| {
            places.insert(name.to_owned(), Place::Waits);
            Ticket { lane: self.clone(), name: name.to_owned() }
        })
    }
}

impl Ticket {
    pub(crate) fn failed(self) {
        let mut places = self.lane.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.insert(self.name.clone(), Place::Failed(SystemClock.instant()));
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut places = self.lane.0.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(places.get(&self.name), Some(Place::Waits)) {
            places.remove(&self.name);
        }
    }
}
