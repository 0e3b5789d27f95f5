//! How it goes with each export: what was taken, what went, what waits, and what is wrong.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use super::ExportKind;

/// One export.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportState {
    pub name: String,
    pub kind: ExportKind,
    /// Events, lines or samples that were taken, since the role started.
    pub sent: u64,
    /// Such as will never be, by reason: `refused` by the receiver, or too much for the `bound`.
    pub dropped: BTreeMap<String, u64>,
    /// Of errors bytes, of lines lines, of numbers samples.
    pub waiting: u64,
    /// Why nothing is taken for now.
    pub trouble: Option<String>,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Standings(Mutex<BTreeMap<String, ExportState>>);

impl Standings {
    pub(super) fn know(&self, name: &str, kind: ExportKind) {
        let state =
            ExportState { name: name.to_owned(), kind, sent: 0, dropped: BTreeMap::new(), waiting: 0, trouble: None };
        self.lock().insert(name.to_owned(), state);
    }

    pub(crate) fn all(&self) -> Vec<ExportState> {
        self.lock().values().cloned().collect()
    }

    pub(super) fn sent(&self, name: &str, items: u64) {
        self.change(name, |state| state.sent += items);
    }

    pub(super) fn dropped(&self, name: &str, reason: &str, items: u64) {
        if items > 0 {
            self.change(name, |state| *state.dropped.entry(reason.to_owned()).or_default() += items);
        }
    }

    pub(super) fn waits(&self, name: &str, items: u64) {
        self.change(name, |state| state.waiting = items);
    }

    /// Whether it is another one than before.
    pub(super) fn trouble(&self, name: &str, why: &str) -> bool {
        let mut is_new = false;
        self.change(name, |state| {
            is_new = state.trouble.as_deref() != Some(why);
            state.trouble = Some(why.to_owned());
        });
        is_new
    }

    /// Whether there was one.
    pub(super) fn is_well(&self, name: &str) -> bool {
        let mut was = false;
        self.change(name, |state| was = state.trouble.take().is_some());
        was
    }

    fn change(&self, name: &str, change: impl FnOnce(&mut ExportState)) {
        if let Some(state) = self.lock().get_mut(name) {
            change(state);
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, ExportState>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
