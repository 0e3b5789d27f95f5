//! Looks at everything again and again, and puts on record what was seen.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use host::clock::Clock;
use reconcile::Fault;
use rusqlite::Connection;
use secrets::Secret;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::alerts::plan::{self, Condition};
use crate::alerts::{Severity, record, send};
use crate::book::{self, Book};
use crate::drill::Drill;
use crate::objective::{self, AppMinute, Burn, Objective, Share};
use crate::probe;
use crate::promises::{self, BrokenPromise};
use crate::settings::{Channel, Monitor, MonitorSettings, Probe};
use crate::standing::{Health, Rules, Seen, Standing};

/// Between two comparisons of what ought to be told with what is on record, where no look comes in between.
const SETTLE_EVERY: Duration = Duration::from_secs(1);

/// Between two sweeps of what is too old.
const FORGET_EVERY: u32 = 3600;

/// What is in doubt is looked at again after this, or after a third of its interval if that is sooner: so that what is down is known
/// within two intervals.
const DOUBT: Duration = Duration::from_secs(5);

/// Changes are remembered for so many looks.
const FLAPPING_LOOKS: i64 = 40;

/// What the role that watches has.
pub struct Surroundings {
    /// Where the book is.
    pub folder: PathBuf,
    pub environment: String,
    pub clock: Arc<dyn Clock>,
    /// Requests as the edge saw them, for objectives.
    pub minutes: Arc<dyn Fn() -> Vec<AppMinute> + Send + Sync>,
}

impl fmt::Debug for Surroundings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Surroundings").field("folder", &self.folder).finish_non_exhaustive()
    }
}

/// All that is watched in one environment.
pub struct Monitors {
    pub(crate) settings: MonitorSettings,
    pub(crate) environment: String,
    pub(crate) folder: PathBuf,
    pub(crate) book: Arc<Book>,
    pub(crate) drills: Mutex<BTreeMap<String, Drill>>,
    clock: Arc<dyn Clock>,
    minutes: Arc<dyn Fn() -> Vec<AppMinute> + Send + Sync>,
    started: i64,
    secrets: Mutex<Option<BTreeMap<String, Arc<Secret>>>>,
    releases: Mutex<BTreeMap<String, String>>,
    /// `None` until control says which do not hold.
    promises: Mutex<Option<Vec<BrokenPromise>>>,
    /// Why nothing can be kept.
    trouble: Mutex<Option<String>>,
}

impl fmt::Debug for Monitors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitors").field("environment", &self.environment).finish_non_exhaustive()
    }
}

/// Ends with whoever holds it. What was seen is on record, so nothing has to be waited for.
#[derive(Debug)]
pub struct Watching(Vec<JoinHandle<()>>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.iter().for_each(JoinHandle::abort);
    }
}

impl Monitors {
    /// Begins to watch, and to tell. Needs a runtime.
    pub fn start(settings: MonitorSettings, surroundings: Surroundings) -> (Arc<Self>, Watching) {
        let Surroundings { folder, environment, clock, minutes } = surroundings;
        let monitors = Arc::new(Self {
            book: Book::new(folder.join("monitors.db")),
            settings,
            environment,
            folder,
            drills: Mutex::default(),
            started: clock.now().unix_millis(),
            clock,
            minutes,
            secrets: Mutex::default(),
            releases: Mutex::default(),
            promises: Mutex::default(),
            trouble: Mutex::default(),
        });
        let mut tasks = vec![tokio::spawn(settle_again_and_again(Arc::clone(&monitors)))];
        for monitor in &monitors.settings.monitors {
            tasks.push(tokio::spawn(watch(Arc::clone(&monitors), monitor.clone())));
        }
        for channel in &monitors.settings.channels {
            tasks.push(tokio::spawn(send::carry_on(Arc::clone(&monitors), channel.clone())));
        }
        (monitors, Watching(tasks))
    }

    /// Milliseconds since 1970.
    pub(crate) fn now(&self) -> i64 {
        self.clock.now().unix_millis()
    }

    pub(crate) fn clock(&self) -> &dyn Clock {
        self.clock.as_ref()
    }

    /// What opens the channels, all of it.
    pub(crate) fn told_secrets(&self, all: BTreeMap<String, Arc<Secret>>) {
        *lock(&self.secrets) = Some(all);
    }

    pub(crate) fn knows_secrets(&self) -> bool {
        lock(&self.secrets).is_some()
    }

    /// Which release visitors get, by app.
    pub(crate) fn told_releases(&self, all: BTreeMap<String, String>) {
        *lock(&self.releases) = all;
    }

    /// Which promises do not hold.
    pub(crate) fn told_promises(&self, all: Option<Vec<BrokenPromise>>) {
        *lock(&self.promises) = all;
    }

    pub(crate) fn secret_of(&self, channel: &Channel) -> Option<Arc<Secret>> {
        if let Some(drill) = lock(&self.drills).values().find(|drill| drill.channel.name == channel.name) {
            return Some(Arc::clone(&drill.secret));
        }
        lock(&self.secrets).as_ref()?.get(&channel.name).cloned()
    }

    pub(crate) fn trouble(&self) -> Option<String> {
        lock(&self.trouble).clone()
    }

    /// Of the manifest, and what is tried out.
    pub(crate) fn all_monitors(&self) -> Vec<Monitor> {
        let drills: Vec<Monitor> = lock(&self.drills).values().map(|drill| drill.monitor.clone()).collect();
        self.settings.monitors.iter().cloned().chain(drills).collect()
    }

    fn all_channels(&self) -> Vec<Channel> {
        let drills: Vec<Channel> = lock(&self.drills).values().map(|drill| drill.channel.clone()).collect();
        self.settings.channels.iter().cloned().chain(drills).collect()
    }

    /// Puts on record what a look saw, and what follows from it.
    pub(crate) async fn take(self: &Arc<Self>, monitor: &Monitor, seen: Seen) -> Result<Standing, Fault> {
        let now = self.now();
        let rules = rules(monitor);
        let name = monitor.name.clone();
        let release = monitor.app.as_ref().and_then(|app| lock(&self.releases).get(app).cloned());
        let seen = match seen {
            Seen::Good { ms, release: None } => Seen::Good { ms, release },
            seen => seen,
        };
        let settling = Settling::of(self);
        let taken = self.book.on(move |book| {
            let before = book::standings(book)?.remove(&name).unwrap_or_else(|| Standing::new(now));
            let health = before.health;
            let after = before.after(&seen, rules, now);
            book::put_standing(book, &name, &after)?;
            if after.worked {
                book::count(book, &name, &seen, now)?;
            }
            if after.health != health {
                book::change(book, &name, &after, now)?;
            }
            settling.settle(book, now)?;
            Ok(after)
        });
        let taken = taken.await;
        self.note_trouble(taken.as_ref().err());
        taken
    }

    async fn settle(self: &Arc<Self>, sweeps: bool) {
        let (now, settling) = (self.now(), Settling::of(self));
        let settled = self.book.on(move |book| {
            if sweeps {
                book::forget(book, now)?;
            }
            settling.settle(book, now)
        });
        let settled = settled.await;
        self.note_trouble(settled.as_ref().err());
    }

    fn note_trouble(&self, fault: Option<&Fault>) {
        let text = fault.map(|fault| {
            std::iter::once(&fault.message).chain(&fault.causes).map(String::as_str).collect::<Vec<_>>().join(": ")
        });
        let mut trouble = lock(&self.trouble);
        if *trouble != text
            && let Some(text) = &text
        {
            tracing::warn!("monitors see nothing that can be kept: {text}");
        }
        *trouble = text;
    }
}

/// What alerts are worked out from, apart from the book.
pub(crate) struct Settling {
    monitors: Vec<Monitor>,
    channels: Vec<Channel>,
    objectives: Vec<Objective>,
    minutes: Vec<AppMinute>,
    promises: Option<Vec<BrokenPromise>>,
    started: i64,
}

impl Settling {
    pub(crate) fn of(monitors: &Monitors) -> Self {
        Self {
            monitors: monitors.all_monitors(),
            channels: monitors.all_channels(),
            objectives: monitors.settings.objectives.clone(),
            minutes: if monitors.settings.objectives.is_empty() { Vec::new() } else { (monitors.minutes)() },
            promises: lock(&monitors.promises).clone(),
            started: monitors.started,
        }
    }

    /// Makes the alerts on record those that there ought to be.
    fn settle(&self, book: &Connection, now: i64) -> rusqlite::Result<()> {
        let standings = book::standings(book)?;
        let windows = book::windows(book, now)?;
        let is_covered = |monitor: &Monitor| windows.iter().any(|window| window.covers(&monitor.name));
        let mut conditions = plan::of_monitors(&self.monitors, &standings, is_covered, (now, self.started));
        for objective in &self.objectives {
            let told_already =
                standings.get(&objective.monitor).is_some_and(|standing| standing.health == Health::Down);
            let is_worked_on = windows.iter().any(|window| window.covers(&objective.monitor));
            let burns = self.burns(book, objective, now)?;
            conditions.extend(of_burns(objective, &burns, told_already || is_worked_on, now));
        }
        let mut open = record::open_alerts(book)?;
        match &self.promises {
            Some(promises) => {
                let is_paused = |subject: &str| windows.iter().any(|window| window.covers(subject));
                conditions.extend(promises::conditions(promises, is_paused));
            }
            // Whoever was just started is told within seconds; until then nothing is over.
            None => open.retain(|alert| !promises::is_of_promise(&alert.subject)),
        }
        let acts = plan::plan(conditions, &open);
        record::put(book, acts, &self.channels, now)
    }

    pub(crate) fn burns(&self, book: &Connection, objective: &Objective, now: i64) -> rusqlite::Result<Vec<Burn>> {
        let minute = now.div_euclid(60_000);
        let mut looks = BTreeMap::new();
        for minutes in objective::PACES.iter().flat_map(|pace| [pace.long_minutes, pace.short_minutes]) {
            looks.insert(minutes, book::share(book, &objective.monitor, minute - minutes)?);
        }
        let by_looks =
            objective::burns(objective, "monitor", |minutes| looks.get(&minutes).copied().unwrap_or_default());
        let requests = |minutes: i64| {
            let within = |one: &&AppMinute| one.app == objective.app && one.minute > minute - minutes;
            self.minutes.iter().filter(within).fold(Share::default(), |share, one| Share {
                all: share.all + one.requests,
                bad: share.bad + one.failed,
            })
        };
        let by_requests = objective::burns(objective, "requests", requests);
        Ok(by_looks.into_iter().chain(by_requests).collect())
    }
}

/// One condition for each pace, whatever says so.
fn of_burns(objective: &Objective, burns: &[Burn], is_silent: bool, now: i64) -> Vec<Condition> {
    let condition = |pace: &objective::Pace| {
        let of_pace: Vec<&Burn> = burns.iter().filter(|burn| burn.pace == pace.name).collect();
        let worst = of_pace.iter().filter(|burn| burn.fires).max_by(|one, other| one.long.total_cmp(&other.long));
        let why = worst.map(|burn| {
            format!(
                "by {}: {:.1} times as fast as its budget allows in the long window, {:.1} in the short",
                burn.by, burn.long, burn.short
            )
        });
        Condition {
            subject: format!("objective/{}/{}", objective.app, pace.name),
            title: format!("{} uses up what it may fail, {}", objective.app, pace.name),
            why: why.unwrap_or_default(),
            severity: if pace.name == "fast" { Severity::Page } else { Severity::Ticket },
            owner: objective.owner.clone(),
            release: None,
            since: now,
            fires: worst.is_some() && !is_silent,
            is_over: worst.is_none(),
            flapping: false,
        }
    };
    objective::PACES.iter().map(condition).collect()
}

pub(crate) fn rules(monitor: &Monitor) -> Rules {
    let every = i64::try_from(monitor.every_ms).unwrap_or(i64::MAX);
    Rules {
        failures: monitor.failures,
        successes: monitor.successes,
        flapping_ms: every.saturating_mul(FLAPPING_LOOKS),
    }
}

async fn settle_again_and_again(monitors: Arc<Monitors>) {
    for round in 0_u32.. {
        monitors.settle(round % FORGET_EVERY == 0).await;
        sleep(SETTLE_EVERY).await;
    }
}

/// Looks at one thing until the task is aborted.
pub(crate) async fn watch(monitors: Arc<Monitors>, monitor: Monitor) {
    let every = Duration::from_millis(monitor.every_ms);
    // Not all in one moment, and in the same order after each start.
    sleep(offset(&monitor.name, every)).await;
    loop {
        let seen = match &monitor.probe {
            Probe::Heartbeat { within_ms, .. } => heard(&monitors, &monitor.name, *within_ms).await,
            _ => probe::look(&monitor, &monitors.settings.trusted, monitors.clock()).await,
        };
        let in_doubt = monitors.take(&monitor, seen).await.is_ok_and(|standing| standing.is_in_doubt());
        sleep(if in_doubt { DOUBT.min(every / 3) } else { every }).await;
    }
}

/// Whether whoever was to say that he lives has said so in time.
async fn heard(monitors: &Arc<Monitors>, name: &str, within_ms: u64) -> Seen {
    let monitor = name.to_owned();
    let known = monitors.book.on(move |book| {
        let since = book::standings(book)?.remove(&monitor).map(|standing| standing.since);
        Ok((book::last_beat(book, &monitor)?, since))
    });
    match known.await {
        Err(fault) => Seen::Unknown { why: fault.to_string() },
        Ok((beat, since)) => {
            let now = monitors.now();
            // Who never said anything has as long as everybody else, from when we began to listen.
            let last = beat.or(since).unwrap_or(now);
            let ago = u64::try_from(now - last).unwrap_or(0);
            match beat {
                Some(_) if ago <= within_ms => Seen::Good { ms: 0, release: None },
                None if ago <= within_ms => Seen::Unknown { why: "nobody has said anything yet".to_owned() },
                _ => Seen::Bad { why: format!("nobody said anything for {} s", ago / 1000) },
            }
        }
    }
}

/// Within the first second, or the interval.
fn offset(name: &str, every: Duration) -> Duration {
    let most = u64::try_from(every.as_millis()).unwrap_or(1000).clamp(1, 1000);
    let sum = name.bytes().fold(7_u64, |sum, byte| sum.wrapping_mul(31).wrapping_add(u64::from(byte)));
    Duration::from_millis(sum % most)
}

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
