//! Visits and requests, and how many of them ended in a crash: what tells a bad release from a good one.

use rusqlite::{Connection, OptionalExtension, Transaction, params};
use serde::{Deserialize, Serialize};

use super::lenient::{List, Part, Text};
use super::record::RecordHead;

const HOUR: i64 = 3_600_000;

/// Sessions that one item may count, so that no single one outweighs everything.
const MOST: i64 = 1_000_000;

/// How a release is doing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReleaseHealth {
    pub app: String,
    pub release: String,
    pub sessions: i64,
    /// Something went wrong that did not end it.
    pub errored: i64,
    /// It ended by an error that nobody caught.
    pub crashed: i64,
}

impl ReleaseHealth {
    /// The share that did not crash, between 0 and 1; nothing where there were none.
    #[allow(clippy::cast_precision_loss, reason = "counts of sessions are far below 2^52")]
    pub fn crash_free(&self) -> Option<f64> {
        (self.sessions > 0).then(|| 1.0 - self.crashed.min(self.sessions) as f64 / self.sessions as f64)
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Session<'s> {
    #[serde(borrow)]
    sid: Text<'s>,
    #[serde(borrow)]
    status: Text<'s>,
    #[serde(borrow)]
    errors: Text<'s>,
    #[serde(borrow)]
    attrs: Part<Attributes<'s>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Attributes<'s> {
    #[serde(borrow)]
    release: Text<'s>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Aggregates<'s> {
    #[serde(borrow)]
    aggregates: List<Part<Counted<'s>>>,
    #[serde(borrow)]
    attrs: Part<Attributes<'s>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Counted<'s> {
    #[serde(borrow)]
    exited: Text<'s>,
    #[serde(borrow)]
    errored: Text<'s>,
    #[serde(borrow)]
    crashed: Text<'s>,
    #[serde(borrow)]
    unhandled: Text<'s>,
    #[serde(borrow)]
    abnormal: Text<'s>,
}

/// How a session stands; it only gets worse.
const FINE: i64 = 0;
const ERRORED: i64 = 1;
const CRASHED: i64 = 2;

/// One session, reported at its beginning and whenever it changes.
pub(crate) fn one(transaction: &Transaction<'_>, head: &RecordHead, json: &[u8]) -> rusqlite::Result<()> {
    let Ok(session) = serde_json::from_slice::<Session<'_>>(json) else { return Ok(()) };
    let (Some(sid), Some(release)) = (session.sid.get(), session.attrs.0.release.get()) else { return Ok(()) };
    let sid = &sid[..sid.floor_char_boundary(64)];
    let errors = session.errors.get().and_then(|errors| errors.parse::<i64>().ok()).unwrap_or(0);
    let now = match session.status.get() {
        Some("crashed" | "unhandled" | "abnormal") => CRASHED,
        _ if errors > 0 => ERRORED,
        _ => FINE,
    };
    let known = "SELECT outcome FROM open_sessions WHERE app = ?1 AND sid = ?2";
    let before =
        transaction.prepare_cached(known)?.query_row(params![head.app, sid], |row| row.get::<_, i64>(0)).optional()?;
    if before.is_some_and(|before| before >= now) {
        return Ok(());
    }
    let sql = "INSERT OR REPLACE INTO open_sessions (app, sid, outcome, at) VALUES (?1, ?2, ?3, ?4)";
    transaction.prepare_cached(sql)?.execute(params![head.app, sid, now, head.received])?;
    let errored = i64::from(now == ERRORED) - i64::from(before == Some(ERRORED));
    add(transaction, head, release, (i64::from(before.is_none()), errored, i64::from(now == CRASHED)))
}

/// Requests of a server, counted by the minute.
pub(crate) fn aggregated(transaction: &Transaction<'_>, head: &RecordHead, json: &[u8]) -> rusqlite::Result<()> {
    let Ok(found) = serde_json::from_slice::<Aggregates<'_>>(json) else { return Ok(()) };
    let Some(release) = found.attrs.0.release.get() else { return Ok(()) };
    for Part(one) in &found.aggregates.0 {
        let number = |text: &Text<'_>| text.get().and_then(|text| text.parse::<i64>().ok()).unwrap_or(0).clamp(0, MOST);
        let (exited, errored) = (number(&one.exited), number(&one.errored));
        let crashed = number(&one.crashed) + number(&one.unhandled) + number(&one.abnormal);
        add(transaction, head, release, (exited + errored + crashed, errored, crashed))?;
    }
    Ok(())
}

fn add(
    transaction: &Transaction<'_>,
    head: &RecordHead,
    release: &str,
    (sessions, errored, crashed): (i64, i64, i64),
) -> rusqlite::Result<()> {
    let release = &release[..release.floor_char_boundary(200)];
    let sql = "INSERT INTO sessions (app, release, hour, sessions, errored, crashed) VALUES (?1, ?2, ?3, ?4, ?5, ?6)
               ON CONFLICT DO UPDATE SET sessions = sessions + excluded.sessions, errored = errored + excluded.errored,
               crashed = crashed + excluded.crashed";
    transaction.prepare_cached(sql)?.execute(params![
        head.app,
        release,
        head.received / HOUR,
        sessions,
        errored,
        crashed
    ])?;
    Ok(())
}

/// Per app and release, the latest first.
pub(crate) fn health(connection: &Connection, app: Option<&str>, since: i64) -> rusqlite::Result<Vec<ReleaseHealth>> {
    let sql = "SELECT app, release, sum(sessions), sum(errored), sum(crashed) FROM sessions
               WHERE (?1 IS NULL OR app = ?1) AND hour >= ?2 GROUP BY app, release ORDER BY max(hour) DESC, app, release LIMIT 200";
    let mut statement = connection.prepare(sql)?;
    let rows = statement.query_map(params![app, since / HOUR], |row| {
        Ok(ReleaseHealth {
            app: row.get(0)?,
            release: row.get(1)?,
            sessions: row.get(2)?,
            errored: row.get(3)?,
            crashed: row.get(4)?,
        })
    })?;
    rows.collect()
}
