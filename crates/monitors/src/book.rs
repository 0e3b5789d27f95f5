//! The book: how everything stands, what was seen by the minute, what is to be told and to whom.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use host::database::{self, DatabaseFault, Presence, Schema};
use host::files;
use reconcile::Fault;
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use crate::objective::Share;
use crate::standing::{Seen, Standing};

const SCHEMA: Schema = Schema {
    application_id: 0x726d_6f6e,
    migrations: &["
CREATE TABLE standings (monitor TEXT PRIMARY KEY, standing TEXT NOT NULL) STRICT, WITHOUT ROWID;

CREATE TABLE minutes (
  monitor TEXT NOT NULL,
  minute INTEGER NOT NULL,
  good INTEGER NOT NULL,
  bad INTEGER NOT NULL,
  unknown INTEGER NOT NULL,
  PRIMARY KEY (monitor, minute)
) STRICT, WITHOUT ROWID;

CREATE TABLE changes (
  id INTEGER PRIMARY KEY,
  monitor TEXT NOT NULL,
  at INTEGER NOT NULL,
  health TEXT NOT NULL,
  why TEXT
) STRICT;
CREATE INDEX changes_by_monitor ON changes (monitor, at);

CREATE TABLE beats (monitor TEXT PRIMARY KEY, at INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- While somebody works on something nobody is told that it is down. No monitor: all of them.
CREATE TABLE windows (
  id INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  monitor TEXT,
  reason TEXT NOT NULL,
  who TEXT NOT NULL,
  since INTEGER NOT NULL,
  until INTEGER
) STRICT;

CREATE TABLE alerts (
  id INTEGER PRIMARY KEY,
  subject TEXT NOT NULL,
  title TEXT NOT NULL,
  why TEXT NOT NULL,
  severity TEXT NOT NULL,
  owner TEXT NOT NULL,
  release TEXT,
  since INTEGER NOT NULL,
  opened INTEGER NOT NULL,
  resolved INTEGER,
  acknowledged INTEGER,
  acknowledged_by TEXT,
  flapping INTEGER NOT NULL DEFAULT 0
) STRICT;
-- Of what is open there is one.
CREATE UNIQUE INDEX open_alerts ON alerts (subject) WHERE resolved IS NULL;

CREATE TABLE deliveries (
  id INTEGER PRIMARY KEY,
  alert INTEGER NOT NULL,
  channel TEXT NOT NULL,
  about TEXT NOT NULL,
  state TEXT NOT NULL,
  attempts INTEGER NOT NULL DEFAULT 0,
  made INTEGER NOT NULL,
  due INTEGER NOT NULL,
  done INTEGER,
  error TEXT,
  UNIQUE (alert, channel, about)
) STRICT;
CREATE INDEX deliveries_due ON deliveries (channel, due) WHERE state = 'waiting';
"],
};

/// Minutes are kept for so long: the thirty days of an objective, and some. In minutes.
pub(crate) const KEPT_MINUTES: i64 = 35 * 24 * 60;

/// What is over is kept for so long, in milliseconds.
const KEPT_MS: i64 = 90 * 24 * 60 * 60_000;

/// Opened at the first need, and again after it failed.
#[derive(Debug)]
pub(crate) struct Book {
    path: PathBuf,
    connection: Mutex<Option<Connection>>,
}

impl Book {
    pub(crate) fn new(path: PathBuf) -> Arc<Self> {
        Arc::new(Self { path, connection: Mutex::new(None) })
    }

    /// Does something in one transaction, on a thread where waiting for a disk holds nobody up.
    pub(crate) async fn on<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Fault> {
        let book = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || book.within(work)).await;
        done.unwrap_or_else(|error| Err(Fault::because("cannot use the book of monitors", &error)))
    }

    fn within<T>(&self, work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>) -> Result<T, Fault> {
        let mut place = self.connection.lock().unwrap_or_else(PoisonError::into_inner);
        if place.is_none() {
            *place = Some(self.open()?);
        }
        let Some(connection) = place.as_mut() else { return Err(Fault::new("cannot use the book of monitors")) };
        let done = connection.transaction_with_behavior(TransactionBehavior::Immediate).and_then(|transaction| {
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        });
        done.map_err(|error| {
            // Whatever is wrong with it: the next one opens it anew and finds out.
            *place = None;
            Fault::because("cannot use the book of monitors", &error)
                .hint("see whether the disk is full; what monitors see meanwhile is unknown, not down")
                .retry_safe()
        })
    }

    /// A damaged one is moved aside: what is watched is seen again, and an outage that goes on is told again.
    fn open(&self) -> Result<Connection, Fault> {
        let cannot =
            |fault: &DatabaseFault| Fault::because("cannot open the book of monitors", fault).hint(fault.hint());
        match database::open(&self.path, SCHEMA, Presence::MayBeNew) {
            Err(DatabaseFault::Damaged { what, .. }) => {
                let aside = self.path.with_extension("db.damaged");
                tracing::warn!("the book of monitors is damaged ({what}): it is now {}", aside.display());
                files::rename(&self.path, &aside).map_err(|fault| Fault::because("cannot move it aside", &fault))?;
                for beside in ["db-wal", "db-shm"] {
                    let _ = files::remove(&self.path.with_extension(beside));
                }
                database::open(&self.path, SCHEMA, Presence::MayBeNew).map_err(|fault| cannot(&fault))
            }
            opened => opened.map_err(|fault| cannot(&fault)),
        }
    }
}

pub(crate) fn standings(book: &Connection) -> rusqlite::Result<BTreeMap<String, Standing>> {
    let mut statement = book.prepare_cached("SELECT monitor, standing FROM standings")?;
    let rows = statement.query_map([], |row| Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?)))?;
    let mut all = BTreeMap::new();
    for row in rows {
        let (monitor, standing) = row?;
        // One that a later Roadbed wrote in another form is found out anew.
        if let Ok(standing) = serde_json::from_str(&standing) {
            all.insert(monitor, standing);
        }
    }
    Ok(all)
}

pub(crate) fn put_standing(book: &Connection, monitor: &str, standing: &Standing) -> rusqlite::Result<()> {
    let text = serde_json::to_string(standing).expect("a standing is plain data");
    book.prepare_cached("INSERT OR REPLACE INTO standings (monitor, standing) VALUES (?1, ?2)")?
        .execute(params![monitor, text])?;
    Ok(())
}

/// Notes what a look saw, by the minute.
pub(crate) fn count(book: &Connection, monitor: &str, seen: &Seen, now: i64) -> rusqlite::Result<()> {
    let (good, bad, unknown) = match seen {
        Seen::Good { .. } => (1, 0, 0),
        Seen::Bad { .. } => (0, 1, 0),
        Seen::Unknown { .. } => (0, 0, 1),
    };
    book.prepare_cached(
        "INSERT INTO minutes (monitor, minute, good, bad, unknown) VALUES (?1, ?2, ?3, ?4, ?5)
         ON CONFLICT (monitor, minute) DO UPDATE
         SET good = good + excluded.good, bad = bad + excluded.bad, unknown = unknown + excluded.unknown",
    )?
    .execute(params![monitor, now.div_euclid(60_000), good, bad, unknown])?;
    Ok(())
}

/// What was good since a minute.
pub(crate) fn share(book: &Connection, monitor: &str, since_minute: i64) -> rusqlite::Result<Share> {
    let sql =
        "SELECT coalesce(sum(good + bad), 0), coalesce(sum(bad), 0) FROM minutes WHERE monitor = ?1 AND minute > ?2";
    let mut statement = book.prepare_cached(sql)?;
    statement.query_row(params![monitor, since_minute], |row| Ok(Share { all: row.get(0)?, bad: row.get(1)? }))
}

pub(crate) fn change(book: &Connection, monitor: &str, standing: &Standing, now: i64) -> rusqlite::Result<()> {
    let health = match standing.health {
        crate::standing::Health::New => "new",
        crate::standing::Health::Up => "up",
        crate::standing::Health::Down => "down",
    };
    let why = standing.why.as_deref().filter(|_| health == "down");
    book.execute(
        "INSERT INTO changes (monitor, at, health, why) VALUES (?1, ?2, ?3, ?4)",
        params![monitor, now, health, why],
    )?;
    Ok(())
}

/// The latest changes of a monitor: when, to what, why.
pub(crate) fn changes(
    book: &Connection,
    monitor: &str,
    most: u32,
) -> rusqlite::Result<Vec<(i64, String, Option<String>)>> {
    let mut statement =
        book.prepare_cached("SELECT at, health, why FROM changes WHERE monitor = ?1 ORDER BY id DESC LIMIT ?2")?;
    statement.query_map(params![monitor, most], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?.collect()
}

pub(crate) fn beat(book: &Connection, monitor: &str, now: i64) -> rusqlite::Result<()> {
    book.execute("INSERT OR REPLACE INTO beats (monitor, at) VALUES (?1, ?2)", params![monitor, now])?;
    Ok(())
}

pub(crate) fn last_beat(book: &Connection, monitor: &str) -> rusqlite::Result<Option<i64>> {
    book.query_row("SELECT at FROM beats WHERE monitor = ?1", [monitor], |row| row.get(0)).optional()
}

/// A time in which somebody works on something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Window {
    /// `pause`, `deploy`.
    pub(crate) kind: String,
    pub(crate) monitor: Option<String>,
    pub(crate) reason: String,
    pub(crate) who: String,
    pub(crate) until: Option<i64>,
}

impl Window {
    pub(crate) fn covers(&self, monitor: &str) -> bool {
        self.monitor.as_deref().is_none_or(|covered| covered == monitor)
    }
}

/// Those that are open.
pub(crate) fn windows(book: &Connection, now: i64) -> rusqlite::Result<Vec<Window>> {
    let sql = "SELECT kind, monitor, reason, who, until FROM windows WHERE until IS NULL OR until > ?1 ORDER BY id";
    let mut statement = book.prepare_cached(sql)?;
    let window = |row: &rusqlite::Row<'_>| {
        Ok(Window {
            kind: row.get(0)?,
            monitor: row.get(1)?,
            reason: row.get(2)?,
            who: row.get(3)?,
            until: row.get(4)?,
        })
    };
    statement.query_map([now], window)?.collect()
}

/// Opens one, in place of any of the same kind on the same monitor.
pub(crate) fn open_window(book: &Connection, window: &Window, now: i64) -> rusqlite::Result<()> {
    close_windows(book, &window.kind, window.monitor.as_deref())?;
    book.execute(
        "INSERT INTO windows (kind, monitor, reason, who, since, until) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        params![window.kind, window.monitor, window.reason, window.who, now, window.until],
    )?;
    Ok(())
}

pub(crate) fn close_windows(book: &Connection, kind: &str, monitor: Option<&str>) -> rusqlite::Result<usize> {
    book.execute("DELETE FROM windows WHERE kind = ?1 AND monitor IS ?2", params![kind, monitor])
}

/// Takes away what nobody asks for any more.
pub(crate) fn forget(book: &Connection, now: i64) -> rusqlite::Result<()> {
    book.execute("DELETE FROM minutes WHERE minute < ?1", [now.div_euclid(60_000) - KEPT_MINUTES])?;
    book.execute("DELETE FROM changes WHERE at < ?1", [now - KEPT_MS])?;
    book.execute("DELETE FROM windows WHERE until <= ?1", [now])?;
    book.execute("DELETE FROM deliveries WHERE state <> 'waiting' AND made < ?1", [now - KEPT_MS])?;
    book.execute("DELETE FROM alerts WHERE resolved < ?1", [now - KEPT_MS])?;
    Ok(())
}

/// Takes away all that is known of a monitor, and of what was told of it: for drills.
pub(crate) fn erase(book: &Connection, monitor: &str) -> rusqlite::Result<()> {
    book.execute("DELETE FROM deliveries WHERE alert IN (SELECT id FROM alerts WHERE subject = ?1)", [monitor])?;
    for sql in [
        "DELETE FROM alerts WHERE subject = ?1",
        "DELETE FROM standings WHERE monitor = ?1",
        "DELETE FROM minutes WHERE monitor = ?1",
        "DELETE FROM changes WHERE monitor = ?1",
    ] {
        book.execute(sql, [monitor])?;
    }
    Ok(())
}
