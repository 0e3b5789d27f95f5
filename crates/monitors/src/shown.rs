//! How everything stands, for people.

use std::collections::BTreeMap;
use std::sync::Arc;

use reconcile::Fault;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};

use crate::alerts::plan;
use crate::book::{self, Window};
use crate::objective::{self, ObjectiveState};
use crate::settings::Monitor;
use crate::standing::{Health, Standing};
use crate::watch::{Monitors, Settling};

/// What a monitor is shown as.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Shown {
    /// Nobody knows yet.
    New,
    Up,
    Down,
    /// It is down, and so is what it stands behind.
    Hidden,
    /// We cannot find out.
    Unknown,
    /// Somebody said that nobody is to be told.
    Paused,
}

impl Shown {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Up => "up",
            Self::Down => "down",
            Self::Hidden => "hidden",
            Self::Unknown => "unknown",
            Self::Paused => "paused",
        }
    }
}

/// One monitor, as `roadbed monitors --json` shows it: a contract. Times are milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MonitorState {
    pub name: String,
    pub kind: String,
    pub target: String,
    pub shown: Shown,
    /// What it is taken for, whatever it is shown as.
    pub health: Health,
    pub since: i64,
    pub looked: Option<i64>,
    pub why: Option<String>,
    pub ms: Option<u64>,
    pub flapping: bool,
    pub release: Option<String>,
    pub app: Option<String>,
    pub owner: String,
    pub parent: Option<String>,
    pub every_ms: u64,
    /// Who works on it, and why nobody is told.
    pub window: Option<String>,
    /// Percent of the looks of the last day that were good; `None`: there were none.
    pub day: Option<f64>,
    #[serde(skip)]
    pub(crate) public: Option<String>,
}

const DAY_MINUTES: i64 = 24 * 60;

/// The days of an objective.
const MONTH_MINUTES: i64 = 30 * DAY_MINUTES;

impl Monitors {
    /// All, in the order of the settings.
    pub(crate) async fn states(self: &Arc<Self>) -> Result<Vec<MonitorState>, Fault> {
        let (now, monitors, trouble) = (self.now(), self.all_monitors(), self.trouble());
        let looked = self.book.on(move |book| {
            let standings = book::standings(book)?;
            let windows = book::windows(book, now)?;
            let state = |monitor: &Monitor| state(book, monitor, (&monitors, &standings, &windows), now);
            monitors.iter().map(state).collect::<rusqlite::Result<Vec<_>>>()
        });
        let mut states = match (looked.await, &trouble) {
            (Ok(states), _) => states,
            // Nothing can be read: all is unknown, and none of it down.
            (Err(_), Some(_)) => {
                self.all_monitors().iter().map(|monitor| shown(monitor, &Standing::new(now), None, None)).collect()
            }
            (Err(fault), None) => return Err(fault),
        };
        if let Some(trouble) = trouble {
            for state in &mut states {
                state.shown = Shown::Unknown;
                state.why = Some(trouble.clone());
            }
        }
        Ok(states)
    }

    pub(crate) async fn objectives(self: &Arc<Self>) -> Result<Vec<ObjectiveState>, Fault> {
        let (now, objectives, settling) = (self.now(), self.settings.objectives.clone(), Settling::of(self));
        let looked = self.book.on(move |book| {
            let state = |one: &objective::Objective| {
                let month = book::share(book, &one.monitor, now.div_euclid(60_000) - MONTH_MINUTES)?;
                let any = month.all > 0;
                Ok(ObjectiveState {
                    app: one.app.clone(),
                    target: f64::from(one.target) / 1000.0,
                    availability: any.then(|| (1.0 - month.bad_ratio()) * 100.0),
                    budget_left: any.then(|| (1.0 - month.bad_ratio() / objective::allowed(one.target)) * 100.0),
                    burns: settling.burns(book, one, now)?,
                })
            };
            objectives.iter().map(state).collect::<rusqlite::Result<Vec<_>>>()
        });
        looked.await
    }
}

type Known<'a> = (&'a [Monitor], &'a BTreeMap<String, Standing>, &'a [Window]);

fn state(
    book: &Connection,
    monitor: &Monitor,
    (monitors, standings, windows): Known<'_>,
    now: i64,
) -> rusqlite::Result<MonitorState> {
    let new = Standing::new(now);
    let standing = standings.get(&monitor.name).unwrap_or(&new);
    let window = windows.iter().find(|window| window.covers(&monitor.name));
    let day = book::share(book, &monitor.name, now.div_euclid(60_000) - DAY_MINUTES)?;
    let day = (day.all > 0).then(|| (1.0 - day.bad_ratio()) * 100.0);
    let mut state = shown(monitor, standing, window, day);
    if state.shown == Shown::Down && plan::is_hidden(monitor, monitors, standings) {
        state.shown = Shown::Hidden;
    }
    Ok(state)
}

fn shown(monitor: &Monitor, standing: &Standing, window: Option<&Window>, day: Option<f64>) -> MonitorState {
    let is_paused = window.is_some_and(|window| window.kind == "pause");
    let shown = match standing.health {
        _ if is_paused => Shown::Paused,
        _ if standing.unknown.is_some() => Shown::Unknown,
        Health::New => Shown::New,
        Health::Up => Shown::Up,
        Health::Down => Shown::Down,
    };
    let is_bad = standing.health == Health::Down || standing.is_in_doubt();
    let why = standing.unknown.clone().or_else(|| standing.why.clone().filter(|_| is_bad));
    let window = window.map(|window| format!("{} by {}: {}", window.kind, window.who, window.reason));
    MonitorState {
        name: monitor.name.clone(),
        kind: monitor.probe.kind().to_owned(),
        target: monitor.probe.target(),
        shown,
        health: standing.health,
        since: standing.since,
        looked: standing.looked,
        why,
        ms: standing.ms,
        flapping: standing.is_flapping(),
        release: standing.release.clone(),
        app: monitor.app.clone(),
        owner: monitor.owner.clone(),
        parent: monitor.parent.clone(),
        every_ms: monitor.every_ms,
        window,
        day,
        public: monitor.public.clone(),
    }
}
