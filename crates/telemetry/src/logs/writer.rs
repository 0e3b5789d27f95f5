//! The one who writes: a thread that reads on in all log files, takes what comes over OTLP, and puts both into days.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use host::clock::{Clock, Timestamp};
use host::database::DatabaseFault;
use host::files;
use reconcile::Root;
use tokio::sync::oneshot;

use super::State;
use super::day::{Batch, Day};
use super::days::Days;
use super::line::{self, ACCESS, Read};
use super::origins::Origins;
use super::record::{Level, Record, Source};
use super::tail::{Identity, Position, Tail};
use crate::metrics::Metrics;
use crate::redaction::Redaction;

/// How often log files are looked at while nothing is in them: a line is found within a fraction of a second.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// How often days are packed and pruned, and the disk is looked at.
const TIDY_EVERY: Duration = Duration::from_mins(1);

/// How long is waited after something could not be written.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Between two warnings of the same log.
const WARN_EVERY: Duration = Duration::from_mins(1);

/// Lines in one transaction: enough that the transaction costs nothing, few enough to be in memory.
const BATCH: usize = 4_000;

/// Pieces of one log before the next has its turn.
const PIECES: usize = 4;

/// What the thread is asked for.
#[derive(Debug)]
pub(super) enum Order {
    /// Lines that came by another way than a file. Answered when they are on disk.
    Store(Vec<Read>, oneshot::Sender<Result<(), String>>),
    Stop,
}

/// All that it works with.
#[derive(Debug)]
pub(super) struct Writer {
    root: Root,
    days: Days,
    clock: Arc<dyn Clock>,
    state: Arc<Mutex<State>>,
    metrics: Arc<Metrics>,
    redaction: Arc<Redaction>,
    origins: Origins,
    tails: Vec<Tail>,
    open: Option<(String, Day)>,
    /// What is on disk of each file, and what will be with the next batch.
    stored: HashMap<Identity, Position>,
    known: HashMap<Identity, Position>,
    floods: Floods,
    batch: Batch,
    batch_day: String,
    last_time: HashMap<String, Timestamp>,
    /// When it was last said of a log that it cannot be read.
    warned: HashMap<String, Instant>,
    is_paused_until: Option<Instant>,
    tidied: Option<Instant>,
    tidying: Option<JoinHandle<()>>,
}

/// Why a batch is not on disk.
enum Unstored {
    Damaged(String),
    Refused(String),
}

impl Writer {
    pub(super) fn new(
        (root, apps): (Root, &[String]),
        days: Days,
        clock: Arc<dyn Clock>,
        (state, metrics, redaction): (Arc<Mutex<State>>, Arc<Metrics>, Arc<Redaction>),
    ) -> Self {
        let origins = Origins::new(&root, apps);
        let floods = Floods { most: days.keeping.most_lines_a_second, units: HashMap::new() };
        Self {
            root,
            days,
            clock,
            state,
            metrics,
            redaction,
            origins,
            tails: Vec::new(),
            open: None,
            stored: HashMap::new(),
            known: HashMap::new(),
            floods,
            batch: Batch::default(),
            batch_day: String::new(),
            last_time: HashMap::new(),
            warned: HashMap::new(),
            is_paused_until: None,
            tidied: None,
            tidying: None,
        }
    }

    /// Until it is told to stop; then what lies in the files is taken once more.
    pub(super) fn run(mut self, orders: &Receiver<Order>) {
        self.remember();
        loop {
            self.tidy();
            let is_busy = self.turn();
            let order = if is_busy {
                orders.try_recv().map_err(|error| error == TryRecvError::Disconnected)
            } else {
                orders.recv_timeout(LOOK_EVERY).map_err(|error| error == RecvTimeoutError::Disconnected)
            };
            match order {
                Ok(Order::Store(lines, done)) => {
                    let _ = done.send(self.take(lines));
                }
                Err(false) => {}
                Ok(Order::Stop) | Err(true) => break,
            }
        }
        // As much as there is now; who writes faster than this ends with the next role.
        for _ in 0..16 {
            if !self.turn() {
                break;
            }
        }
        if let Some(tidying) = self.tidying.take() {
            let _ = tidying.join();
        }
    }

    /// How far everything was read.
    fn remember(&mut self) {
        let Ok(all) = self.days.all() else { return };
        let mut known: HashMap<Identity, Position> = HashMap::new();
        for (name, files) in all {
            let Some(path) = files.hot else { continue };
            let positions = Day::open(&path).map_err(|fault| Self::unopened(&fault));
            let positions = positions.and_then(|day| day.positions().map_err(|error| unstored(&error)));
            match positions {
                Ok(positions) => {
                    for (identity, at) in positions {
                        if known.get(&identity).is_none_or(|before| before.bytes < at.bytes) {
                            known.insert(identity, at);
                        }
                    }
                }
                Err(Unstored::Damaged(what)) => self.set_aside(&name, &what),
                Err(Unstored::Refused(what)) => tracing::warn!(day = name, what, "cannot read how far logs were read"),
            }
        }
        self.stored = known.clone();
        self.known = known;
    }

    /// One look at everything. Returns whether there may be more at once.
    fn turn(&mut self) -> bool {
        let now = self.clock.instant();
        if self.is_paused_until.is_some_and(|until| now < until) {
            return false;
        }
        match self.days.has_room() {
            Ok(true) => {}
            // What is in the log files stays there meanwhile, as long as they are kept.
            Ok(false) => return self.pause("the disk is nearly full"),
            Err(fault) => return self.pause(&fault.to_string()),
        }
        self.origins.look();
        self.find_logs();
        let mut tails = std::mem::take(&mut self.tails);
        let outcome = self.read(&mut tails).and_then(|is_busy| self.flush().map(|()| is_busy));
        self.tails = tails;
        match outcome {
            Ok(is_busy) => {
                self.resume();
                is_busy
            }
            Err(unstored) => self.step_back(unstored),
        }
    }

    fn find_logs(&mut self) {
        let Ok(paths) = files::list(&self.root.logs()) else { return };
        for path in paths {
            let is_log = path.extension().is_some_and(|extension| extension == "log");
            let Some(log) = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).filter(|_| is_log) else {
                continue;
            };
            if self.tails.iter().all(|tail| tail.log != log) {
                self.tails.push(Tail::new(log, path));
            }
        }
    }

    fn read(&mut self, tails: &mut [Tail]) -> Result<bool, Unstored> {
        let needles = self.redaction.needles();
        let mut is_busy = false;
        for tail in tails.iter_mut() {
            for turn in 0..PIECES {
                let piece = match tail.next(&self.known) {
                    Ok(Some(piece)) => piece,
                    Ok(None) => break,
                    Err(error) => {
                        self.unreadable(&tail.log, &error);
                        tail.rewind();
                        break;
                    }
                };
                is_busy |= turn + 1 == PIECES;
                if piece.has_gap {
                    self.state().gaps += 1;
                    self.say(&tail.log, "lines before these were not read in time and are lost")?;
                }
                self.state().cut += piece.cut;
                for (raw, bytes) in piece.lines {
                    if !raw.is_empty() {
                        let raw = needles.as_ref().map_or(Cow::Borrowed(raw.as_str()), |needles| needles.redact(&raw));
                        let before = self.last_time.get(&tail.log).copied().unwrap_or_else(|| self.clock.now());
                        let read = line::read(&tail.log, &raw, before);
                        self.last_time.insert(tail.log.clone(), read.record.time);
                        self.add(read)?;
                    }
                    let position = Position { log: tail.log.clone(), bytes };
                    self.known.insert(piece.identity, position.clone());
                    self.batch.positions.insert(piece.identity, position);
                }
            }
        }
        // What was removed after it was read is not looked for any more.
        self.known.retain(|identity, position| tails.iter().all(|tail| tail.log != position.log || tail.has(identity)));
        Ok(is_busy)
    }

    /// Tells of a log that cannot be read: it is tried ten times a second, and one that stays so would fill the logs with that.
    fn unreadable(&mut self, log: &str, error: &dyn std::fmt::Display) {
        let now = self.clock.instant();
        if self.warned.get(log).is_none_or(|at| now.saturating_duration_since(*at) >= WARN_EVERY) {
            self.warned.insert(log.to_owned(), now);
            tracing::warn!(log, %error, "cannot read a log");
        }
    }

    /// A line into the next batch.
    fn add(&mut self, mut read: Read) -> Result<(), Unstored> {
        self.origins.enrich(&mut read.record.source);
        match self.floods.count(&read.record) {
            Flood::Within => {}
            Flood::Over => {
                self.state().dropped += 1;
                return Ok(());
            }
            Flood::Ended { dropped } => {
                let unit = read.record.source.unit.clone();
                self.put(remark(
                    &unit,
                    read.record.time,
                    &format!("{dropped} lines of one second were more than are kept"),
                ))?;
            }
        }
        self.put(read)
    }

    fn put(&mut self, read: Read) -> Result<(), Unstored> {
        let Some(day) = self.days.day_for(read.record.time, self.clock.now()) else {
            self.state().late += 1;
            return Ok(());
        };
        if day != self.batch_day || self.batch.lines.len() >= BATCH {
            self.flush()?;
            self.batch_day = day;
        }
        self.batch.lines.push(read);
        Ok(())
    }

    fn say(&mut self, unit: &str, text: &str) -> Result<(), Unstored> {
        self.put(remark(unit, self.clock.now(), text))
    }

    /// Writes the batch.
    fn flush(&mut self) -> Result<(), Unstored> {
        if self.batch.is_empty() {
            return Ok(());
        }
        if self.batch_day.is_empty() {
            self.batch_day = super::days::name_of(self.clock.now());
        }
        let mut batch = std::mem::take(&mut self.batch);
        if self.open.as_ref().is_none_or(|(name, _)| *name != self.batch_day) {
            let day = Day::open(&self.days.database(&self.batch_day)).map_err(|fault| Self::unopened(&fault))?;
            for (identity, at) in &self.stored {
                if self.known.contains_key(identity) {
                    batch.positions.entry(*identity).or_insert_with(|| at.clone());
                }
            }
            self.open = Some((self.batch_day.clone(), day));
        }
        let (_, day) = self.open.as_mut().expect("it was opened above");
        day.store(&batch).map_err(|error| unstored(&error))?;
        for read in &batch.lines {
            if let Some(access) = &read.access {
                self.metrics.request(access, read.record.time);
            }
        }
        self.state().lines += batch.lines.len() as u64;
        self.stored.extend(batch.positions);
        Ok(())
    }

    /// What came over OTLP: on disk, or refused.
    fn take(&mut self, lines: Vec<Read>) -> Result<(), String> {
        let now = self.clock.instant();
        if self.is_paused_until.is_some_and(|until| now < until) {
            return Err(self.state().paused.clone().unwrap_or_else(|| "nothing can be written".into()));
        }
        let outcome = lines.into_iter().try_for_each(|read| self.add(read)).and_then(|()| self.flush());
        outcome.map_err(|unstored| {
            let what = unstored.to_string();
            self.step_back(unstored);
            what
        })
    }

    /// Nothing of the batch is on disk: everything is read again from where it is known to be.
    fn step_back(&mut self, unstored: Unstored) -> bool {
        self.batch = Batch::default();
        self.known.clone_from(&self.stored);
        self.tails.iter_mut().for_each(Tail::rewind);
        self.open = None;
        match unstored {
            Unstored::Damaged(what) => {
                let day = self.batch_day.clone();
                self.set_aside(&day, &what);
                // What the other days say is true still: the lost lines come again, as far as files have them.
                self.remember();
                true
            }
            Unstored::Refused(what) => self.pause(&what),
        }
    }

    fn set_aside(&mut self, day: &str, what: &str) {
        match self.days.set_aside(day, self.clock.now()) {
            Ok(aside) => {
                tracing::error!(day, what, aside = %aside.display(), "the lines of a day are damaged: moved aside, and begun anew")
            }
            Err(fault) => {
                tracing::error!(day, what, %fault, "the lines of a day are damaged and cannot be moved aside")
            }
        }
        self.state().damaged.push(day.to_owned());
    }

    fn pause(&mut self, why: &str) -> bool {
        let mut state = self.state();
        if state.paused.as_deref() != Some(why) {
            tracing::error!(why, "logs are not kept for now");
        }
        state.paused = Some(why.to_owned());
        drop(state);
        self.is_paused_until = Some(self.clock.instant() + RETRY_AFTER);
        false
    }

    fn resume(&mut self) {
        self.is_paused_until = None;
        if self.state().paused.take().is_some() {
            tracing::info!("logs are kept again");
        }
    }

    /// Packs and prunes beside everything else: a large day takes seconds.
    fn tidy(&mut self) {
        let now = self.clock.instant();
        let is_due = self.tidied.is_none_or(|at| now.saturating_duration_since(at) >= TIDY_EVERY);
        if !is_due || self.tidying.as_ref().is_some_and(|thread| !thread.is_finished()) {
            return;
        }
        self.tidied = Some(now);
        // A day that gets cold must not be open here.
        self.open = None;
        let (days, clock, state) = (self.days.clone(), Arc::clone(&self.clock), Arc::clone(&self.state));
        let thread = std::thread::Builder::new().name("log-days".into()).spawn(move || {
            match days.tidy(clock.now()) {
                Ok(faults) => {
                    for (day, what) in faults {
                        tracing::warn!(day, what, "cannot pack the lines of a day");
                    }
                }
                Err(fault) => tracing::warn!(%fault, "cannot tidy the kept lines"),
            }
            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
            state.bytes = days.total_bytes().unwrap_or(state.bytes);
        });
        self.tidying = thread.ok();
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unopened(fault: &DatabaseFault) -> Unstored {
        match fault {
            DatabaseFault::Damaged { what, .. } => Unstored::Damaged(what.clone()),
            DatabaseFault::Sqlite { source, .. } => unstored(source),
            other => Unstored::Refused(other.to_string()),
        }
    }
}

impl std::fmt::Display for Unstored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Damaged(what) | Self::Refused(what) => f.write_str(what),
        }
    }
}

fn unstored(error: &rusqlite::Error) -> Unstored {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    match error.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => Unstored::Damaged(error.to_string()),
        _ => Unstored::Refused(error.to_string()),
    }
}

/// A line of our own among those of a unit.
fn remark(unit: &str, time: Timestamp, text: &str) -> Read {
    let line = format!("roadbed: {text}");
    let stream = if unit == ACCESS { ACCESS } else { "err" };
    let source = Source { unit: unit.to_owned(), stream: stream.to_owned(), ..Source::default() };
    let level = Some(Level::Warn);
    let record = Record { time, source, level, request_id: None, trace_id: None, span_id: None, line: line.clone() };
    Read { record, words: line, access: None }
}

/// How many lines each unit had in the second of its last one. By the lines' own time, so that it comes out the same when they are
/// read again, and what waited while we were away is no flood.
#[derive(Debug)]
struct Floods {
    most: u32,
    units: HashMap<String, Second>,
}

#[derive(Debug, Default)]
struct Second {
    second: i64,
    lines: u32,
    dropped: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Flood {
    Within,
    Over,
    /// This one is of another second, and so many of the one before were dropped.
    Ended {
        dropped: u64,
    },
}

impl Floods {
    fn count(&mut self, record: &Record) -> Flood {
        let second = record.time.unix_millis().div_euclid(1000);
        if !self.units.contains_key(&record.source.unit) {
            self.units.insert(record.source.unit.clone(), Second::default());
        }
        let unit = self.units.get_mut(&record.source.unit).expect("it was put there above");
        if unit.second != second {
            let before = std::mem::replace(unit, Second { second, lines: 1, dropped: 0 });
            return if before.dropped > 0 { Flood::Ended { dropped: before.dropped } } else { Flood::Within };
        }
        if unit.lines >= self.most {
            unit.dropped += 1;
            return Flood::Over;
        }
        unit.lines += 1;
        Flood::Within
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_counted_and_told_once_it_is_over() {
        let mut floods = Floods { most: 2, units: HashMap::new() };
        let mut at = |millis| floods.count(&remark("api-1", Timestamp::from_unix_millis(millis), "x").record);
        assert_eq!([at(0), at(1), at(2), at(999)], [Flood::Within, Flood::Within, Flood::Over, Flood::Over]);
        assert_eq!(at(1000), Flood::Ended { dropped: 2 });
        assert_eq!(at(2000), Flood::Within);
    }
}
