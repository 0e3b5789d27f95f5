//! Requests and failures of each app by the minute, for three days: what burn rates and charts are made of.

use std::collections::BTreeMap;
use std::path::PathBuf;

use host::clock::Timestamp;
use host::files::{self, Access as FileAccess};
use serde::{Deserialize, Serialize};

use crate::logs::line::Access;

/// The longest window of a burn rate.
const MOST_MINUTES: usize = 3 * 24 * 60;

/// Apps in one minute; a manifest has fewer.
const MOST_APPS: usize = 200;

/// What was asked of an app in a minute.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Minute {
    /// Since 1970.
    pub minute: i64,
    pub app: String,
    pub requests: u64,
    /// Answered with 500 and above.
    pub failed: u64,
    pub seconds: f64,
}

/// All minutes.
#[derive(Debug)]
pub(super) struct Minutes {
    path: PathBuf,
    apps: BTreeMap<(i64, String), Minute>,
    has_changed: bool,
}

impl Minutes {
    /// What cannot be read is begun anew: it is a picture, and no state.
    pub(super) fn read(path: PathBuf) -> Self {
        let kept = files::read_if_exists(&path).ok().flatten();
        let kept: Vec<Minute> = kept.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let apps = kept.into_iter().map(|minute| ((minute.minute, minute.app.clone()), minute)).collect();
        Self { path, apps, has_changed: false }
    }

    pub(super) fn count(&mut self, access: &Access, time: Timestamp) {
        let Some(app) = &access.app else { return };
        let at = time.unix_millis().div_euclid(60_000);
        let key = (at, app.clone());
        if !self.apps.contains_key(&key) {
            let newest = self.apps.last_key_value().map_or(at, |((newest, _), _)| (*newest).max(at));
            let oldest = newest - i64::try_from(MOST_MINUTES).expect("three days of minutes");
            self.apps = self.apps.split_off(&(oldest, String::new()));
            if at < oldest || self.apps.range((at, String::new())..(at + 1, String::new())).count() >= MOST_APPS {
                return;
            }
        }
        let minute =
            self.apps.entry(key).or_insert_with(|| Minute { minute: at, app: app.clone(), ..Minute::default() });
        minute.requests += 1;
        minute.failed += u64::from(access.status >= 500);
        minute.seconds += access.ms / 1000.0;
        self.has_changed = true;
    }

    pub(super) fn all(&self) -> Vec<Minute> {
        self.apps.values().cloned().collect()
    }

    pub(super) fn write(&mut self) {
        if !std::mem::take(&mut self.has_changed) {
            return;
        }
        let text = serde_json::to_vec(&self.all()).expect("minutes are plain data");
        if let Err(fault) = files::write_durable(&self.path, &text, FileAccess::Owner) {
            tracing::warn!(%fault, "cannot keep the minutes");
        }
    }
}
