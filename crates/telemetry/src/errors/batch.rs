//! One transaction of the database: the events of many envelopes, written so that what they share is written once.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{OptionalExtension, Transaction, params};

use super::event::Event;
use super::grouping::{self, Group};
use super::projects::ErrorLimits;
use super::record::RecordHead;
use super::sessions;
use super::symbols::Symbols;

/// Releases known by one app; names come from strangers, too.
const MAX_NAME: usize = 200;

/// What all errors above the number of issues that is kept are kept as.
const OVERFLOW: &str = "More different errors than are kept apart";

/// Work on one transaction.
pub(crate) struct Batch<'t> {
    pub(crate) transaction: &'t Transaction<'t>,
    limits: &'t ErrorLimits,
    symbols: &'t mut Symbols,
    compressor: &'t mut zstd::bulk::Compressor<'static>,
    touched: HashMap<(String, [u8; 16]), Touched>,
    issues_of: BTreeMap<String, u64>,
    pub(crate) stored: u64,
}

/// What is to be written of an issue when the batch ends.
struct Touched {
    id: i64,
    events: i64,
    kept: i64,
    first_seen: i64,
    last_seen: i64,
    unhandled: bool,
    level: String,
    status: Status,
    releases: BTreeMap<String, (i64, i64, i64)>,
    added: i64,
}

#[derive(Debug)]
enum Status {
    Open,
    Ignored,
    Resolved {
        at: i64,
        release: Option<String>,
    },
    Snoozed {
        until: Option<i64>,
        until_events: Option<i64>,
    },
    /// It was settled and is not any more.
    Back {
        regressed: Option<i64>,
    },
}

impl<'t> Batch<'t> {
    pub(crate) fn new(
        transaction: &'t Transaction<'t>,
        limits: &'t ErrorLimits,
        symbols: &'t mut Symbols,
        compressor: &'t mut zstd::bulk::Compressor<'static>,
    ) -> Self {
        Self {
            transaction,
            limits,
            symbols,
            compressor,
            touched: HashMap::new(),
            issues_of: BTreeMap::new(),
            stored: 0,
        }
    }

    /// An event, once, however often it was sent.
    pub(crate) fn event(&mut self, head: &RecordHead, json: &[u8]) -> rusqlite::Result<()> {
        let Ok(event) = serde_json::from_slice::<Event<'_>>(json) else {
            return count(self.transaction, &head.app, "not-an-event", head.received, 1);
        };
        let said = event.event_id.get().and_then(super::event_id::bytes);
        let Some(event_id) = said.or_else(|| super::event_id::bytes(&head.event_id)) else { return Ok(()) };
        let is_known = "SELECT 1 FROM events WHERE event_id = ?1 AND app = ?2";
        if self.transaction.prepare_cached(is_known)?.exists(params![event_id, head.app])? {
            return Ok(());
        }
        let located = self.symbols.locate(&head.app, &event);
        let group = grouping::group(&event, &located);
        let at = event.at(head.received);
        let release = event.release.get().map(|release| &release[..release.floor_char_boundary(MAX_NAME)]);
        let (key, issue) = self.issue(head, &event, group, at, release)?;
        let body = self.compressor.compress(json).unwrap_or_default();
        let symbols = located.iter().flatten().any(|one| one.place.is_some());
        let symbols = symbols.then(|| super::symbols::written(&located));
        let sql =
            "INSERT INTO events (event_id, app, issue, at, received, release, request_id, trace_id, symbols, body)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
        self.transaction.prepare_cached(sql)?.execute(params![
            event_id,
            head.app,
            issue,
            at,
            head.received,
            release,
            event.request_id(),
            event.trace_id(),
            symbols,
            body
        ])?;
        self.stored += 1;
        let touched = self.touched.get_mut(&key).expect("an issue that was found is touched");
        touched.happened(head.received, at, release, &event);
        self.regress(&key, head, at, release)
    }

    fn issue(
        &mut self,
        head: &RecordHead,
        event: &Event<'_>,
        group: Group,
        at: i64,
        release: Option<&str>,
    ) -> rusqlite::Result<((String, [u8; 16]), i64)> {
        let mut key = (head.app.clone(), group.key);
        if let Some(touched) = self.touched.get(&key) {
            return Ok((key, touched.id));
        }
        if let Some(found) = self.find(&key)? {
            let id = found.id;
            self.touched.insert(key.clone(), found);
            return Ok((key, id));
        }
        let mut group = group;
        if self.count_of_issues(&head.app)? >= u64::from(self.limits.issues_per_app) {
            // One for all of them, so that a million different errors are one line and no million rows.
            key.1 = [0xff; 16];
            group = Group { key: key.1, title: OVERFLOW.to_owned(), culprit: String::new() };
            if let Some(touched) = self.touched.get(&key) {
                return Ok((key, touched.id));
            }
            if let Some(found) = self.find(&key)? {
                let id = found.id;
                self.touched.insert(key.clone(), found);
                return Ok((key, id));
            }
        }
        if let Some(release) = release {
            let sql = "INSERT OR IGNORE INTO releases (app, release, first_seen) VALUES (?1, ?2, ?3)";
            self.transaction.prepare_cached(sql)?.execute(params![head.app, release, head.received])?;
        }
        let level = level(event);
        let sql = "INSERT INTO issues (app, key, way, title, culprit, level, platform, unhandled, status, first_seen, last_seen, events, kept)
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'open', ?9, ?9, 0, 0)";
        let platform = event.platform.get().unwrap_or("other");
        let platform = &platform[..platform.floor_char_boundary(40)];
        self.transaction.prepare_cached(sql)?.execute(params![
            head.app,
            group.key,
            grouping::VERSION,
            group.title,
            group.culprit,
            level,
            platform,
            event.is_unhandled(),
            at
        ])?;
        let id = self.transaction.last_insert_rowid();
        *self.issues_of.entry(head.app.clone()).or_default() += 1;
        let touched = Touched {
            id,
            events: 0,
            kept: 0,
            first_seen: at,
            last_seen: at,
            unhandled: false,
            level: level.to_owned(),
            status: Status::Open,
            releases: BTreeMap::new(),
            added: 0,
        };
        self.touched.insert(key.clone(), touched);
        Ok((key, id))
    }

    fn find(&self, key: &(String, [u8; 16])) -> rusqlite::Result<Option<Touched>> {
        let sql = "SELECT id, events, kept, first_seen, last_seen, unhandled, level, status, until, until_events, resolved_at, resolved_in
                   FROM issues WHERE app = ?1 AND key = ?2";
        self.transaction
            .prepare_cached(sql)?
            .query_row(params![key.0, key.1], |row| {
                let status = match row.get_ref(7)?.as_str()? {
                    "ignored" => Status::Ignored,
                    "resolved" => {
                        Status::Resolved { at: row.get::<_, Option<i64>>(10)?.unwrap_or(0), release: row.get(11)? }
                    }
                    "snoozed" => Status::Snoozed { until: row.get(8)?, until_events: row.get(9)? },
                    _ => Status::Open,
                };
                Ok(Touched {
                    id: row.get(0)?,
                    events: row.get(1)?,
                    kept: row.get(2)?,
                    first_seen: row.get(3)?,
                    last_seen: row.get(4)?,
                    unhandled: row.get(5)?,
                    level: row.get(6)?,
                    status,
                    releases: BTreeMap::new(),
                    added: 0,
                })
            })
            .optional()
    }

    fn count_of_issues(&mut self, app: &str) -> rusqlite::Result<u64> {
        if let Some(count) = self.issues_of.get(app) {
            return Ok(*count);
        }
        let sql = "SELECT count(*) FROM issues WHERE app = ?1";
        let count: u64 = self.transaction.prepare_cached(sql)?.query_row([app], |row| row.get(0))?;
        self.issues_of.insert(app.to_owned(), count);
        Ok(count)
    }

    /// What was settled and happens again is open again.
    fn regress(
        &mut self,
        key: &(String, [u8; 16]),
        head: &RecordHead,
        at: i64,
        release: Option<&str>,
    ) -> rusqlite::Result<()> {
        let touched = self.touched.get_mut(key).expect("an issue that was found is touched");
        let back = match &touched.status {
            Status::Open | Status::Ignored | Status::Back { .. } => None,
            Status::Snoozed { until, until_events } => {
                let enough = until_events.is_some_and(|events| touched.events >= events);
                let awake = until.is_some_and(|until| head.received >= until);
                (enough || awake).then_some(Status::Back { regressed: None })
            }
            Status::Resolved { at: resolved, release: None } => {
                (at > *resolved).then_some(Status::Back { regressed: Some(head.received) })
            }
            Status::Resolved { release: Some(fixed), .. } => {
                // Older releases, which still run somewhere, may have it for as long as they live.
                let since = "SELECT first_seen FROM releases WHERE app = ?1 AND release = ?2";
                let mut since = self.transaction.prepare_cached(since)?;
                let mut since =
                    |of: &str| since.query_row(params![head.app, of], |row| row.get::<_, i64>(0)).optional();
                let fixed_since = since(fixed)?;
                let this_since = release.map(&mut since).transpose()?.flatten();
                let is_older = matches!((this_since, fixed_since), (Some(this), Some(fixed)) if this < fixed)
                    || fixed_since.is_none() && this_since.is_some() && release != Some(fixed.as_str());
                (!is_older).then_some(Status::Back { regressed: Some(head.received) })
            }
        };
        if let Some(back) = back {
            touched.status = back;
        }
        Ok(())
    }

    pub(crate) fn session(&mut self, head: &RecordHead, json: &[u8]) -> rusqlite::Result<()> {
        sessions::one(self.transaction, head, json)
    }

    pub(crate) fn sessions(&mut self, head: &RecordHead, json: &[u8]) -> rusqlite::Result<()> {
        sessions::aggregated(self.transaction, head, json)
    }

    /// Writes what was gathered.
    pub(crate) fn finish(mut self) -> rusqlite::Result<u64> {
        for ((app, _), touched) in &self.touched {
            touched.write(self.transaction, app)?;
        }
        let most = i64::from(self.limits.events_per_issue).max(2);
        for touched in self.touched.values_mut().filter(|touched| touched.kept > most + most / 8 + 10) {
            super::retention::thin(self.transaction, touched.id, most)?;
        }
        Ok(self.stored)
    }
}

impl Touched {
    fn happened(&mut self, received: i64, at: i64, release: Option<&str>, event: &Event<'_>) {
        self.events += 1;
        self.kept += 1;
        self.added += 1;
        self.first_seen = self.first_seen.min(at);
        self.last_seen = self.last_seen.max(at);
        self.unhandled |= event.is_unhandled();
        level(event).clone_into(&mut self.level);
        if let Some(release) = release {
            let seen = self.releases.entry(release.to_owned()).or_insert((received, received, 0));
            *seen = (seen.0.min(received), seen.1.max(received), seen.2 + 1);
        }
    }

    fn write(&self, transaction: &Transaction<'_>, app: &str) -> rusqlite::Result<()> {
        let sql = "UPDATE issues SET events = ?2, kept = ?3, first_seen = ?4, last_seen = ?5, unhandled = ?6, level = ?7 WHERE id = ?1";
        transaction.prepare_cached(sql)?.execute(params![
            self.id,
            self.events,
            self.kept,
            self.first_seen,
            self.last_seen,
            self.unhandled,
            self.level
        ])?;
        if let Status::Back { regressed } = self.status {
            let sql = "UPDATE issues SET status = 'open', until = NULL, until_events = NULL, resolved_at = NULL,
                       resolved_in = NULL, regressed_at = coalesce(?2, regressed_at) WHERE id = ?1";
            transaction.prepare_cached(sql)?.execute(params![self.id, regressed])?;
        }
        for (release, (first, last, events)) in &self.releases {
            let sql = "INSERT INTO issue_releases (issue, release, first_seen, last_seen, events) VALUES (?1, ?2, ?3, ?4, ?5)
                       ON CONFLICT DO UPDATE SET last_seen = max(last_seen, excluded.last_seen), events = events + excluded.events";
            transaction.prepare_cached(sql)?.execute(params![self.id, release, first, last, events])?;
            let sql = "INSERT OR IGNORE INTO releases (app, release, first_seen) VALUES (?1, ?2, ?3)";
            transaction.prepare_cached(sql)?.execute(params![app, release, first])?;
        }
        Ok(())
    }
}

fn level<'e>(event: &'e Event<'_>) -> &'e str {
    let known = ["fatal", "error", "warning", "info", "debug"];
    event.level.get().filter(|level| known.contains(level)).unwrap_or("error")
}

/// Counts what is not kept.
pub(crate) fn count(
    transaction: &Transaction<'_>,
    app: &str,
    what: &str,
    now: i64,
    count: u64,
) -> rusqlite::Result<()> {
    let sql = "INSERT INTO counts (app, what, day, count) VALUES (?1, ?2, ?3, ?4)
               ON CONFLICT DO UPDATE SET count = count + excluded.count";
    transaction.prepare_cached(sql)?.execute(params![app, what, now / 86_400_000, count])?;
    Ok(())
}
