//! What was not kept, and why, until the writer writes it down.

use std::collections::BTreeMap;
use std::mem;
use std::sync::{Mutex, PoisonError};

/// By app and reason.
pub(crate) type Counted = BTreeMap<(String, String), u64>;

#[derive(Debug, Default)]
pub(crate) struct Counts(Mutex<Counted>);

/// Kinds of items come from strangers: no more different ones than this are told apart.
const MOST: usize = 500;

impl Counts {
    pub(crate) fn add(&self, app: &str, what: &str, count: u64) {
        let mut counted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (app.to_owned(), what.to_owned());
        let key =
            if counted.len() < MOST || counted.contains_key(&key) { key } else { (app.to_owned(), "other".into()) };
        let known = counted.entry(key).or_default();
        *known = known.saturating_add(count);
    }

    pub(crate) fn take(&self) -> Counted {
        mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn give_back(&self, counted: Counted) {
        for ((app, what), count) in counted {
            self.add(&app, &what, count);
        }
    }
}
