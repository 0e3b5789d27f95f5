//! The book of who may come in: `state/access.db`. Links as digests, sessions by their numbers, and networks that are kept out.
//!
//! A book that is lost would forget which sessions were ended. So the key that signs them is made with a name that only the book has:
//! with another book there is another key, and no session of before holds.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use edge::abuse::lists::{Listed, Verdict};
use host::clock::Timestamp;
use host::database::{self, DatabaseFault, Presence, Schema};
use reconcile::Root;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

const SCHEMA: Schema = Schema {
    application_id: i32::from_be_bytes(*b"rbac"),
    migrations: &[
        "CREATE TABLE book (one INTEGER PRIMARY KEY CHECK (one = 1), name TEXT NOT NULL) STRICT;
    CREATE TABLE link (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        digest BLOB NOT NULL UNIQUE,
        name TEXT NOT NULL,
        app TEXT NOT NULL,
        host TEXT NOT NULL,
        lasts INTEGER NOT NULL,
        made_by TEXT NOT NULL,
        made_at INTEGER NOT NULL,
        until INTEGER NOT NULL,
        used_at INTEGER,
        revoked_at INTEGER
    ) STRICT;
    CREATE TABLE session (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        user TEXT NOT NULL,
        email TEXT,
        host TEXT NOT NULL,
        by TEXT NOT NULL,
        client TEXT NOT NULL,
        made_at INTEGER NOT NULL,
        until INTEGER NOT NULL,
        ended_at INTEGER
    ) STRICT;
    CREATE TABLE listed (
        network TEXT PRIMARY KEY,
        verdict TEXT NOT NULL,
        until INTEGER,
        reason TEXT NOT NULL,
        made_by TEXT NOT NULL,
        made_at INTEGER NOT NULL
    ) STRICT;",
        // What a link to the console lets do whoever uses it; of other links nothing.
        "ALTER TABLE link ADD COLUMN grants TEXT;",
    ],
};

/// Sessions that hold at a time: what is revoked of them is told to the edge, which keeps it in memory.
pub const MOST_SESSIONS: usize = 5000;
/// Links that could be used at a time.
pub const MOST_LINKS: usize = 500;
/// What is over is listed for so long, and then forgotten.
const LISTED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Why the book cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BookFault {
    #[error(transparent)]
    Open(#[from] DatabaseFault),
    #[error("cannot use the book of who may come in")]
    Sqlite(#[from] rusqlite::Error),
}

/// A link, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub id: i64,
    pub name: String,
    pub app: String,
    pub host: String,
    pub made_by: String,
    pub until: Timestamp,
    pub used_at: Option<Timestamp>,
    pub revoked_at: Option<Timestamp>,
}

/// A link that is wanted.
#[derive(Clone, Debug)]
pub struct NewLink<'a> {
    pub digest: [u8; 32],
    pub name: &'a str,
    pub app: &'a str,
    pub host: &'a str,
    /// How long whoever uses it is signed in.
    pub lasts: Duration,
    pub made_by: &'a str,
    pub until: Timestamp,
    /// Of a link to the console: what it lets do.
    pub grants: Option<Grant>,
}

/// What a link to the console lets do whoever uses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Grant {
    Look,
    Operate,
    /// As `Operate`, by somebody who proved by a key of their own who they are: their word on a deployment counts.
    Person,
}

impl Grant {
    fn as_str(self) -> &'static str {
        match self {
            Self::Look => "look",
            Self::Operate => "operate",
            Self::Person => "person",
        }
    }

    /// What nobody knows any more grants nothing.
    fn of(text: &str) -> Option<Self> {
        [Self::Look, Self::Operate, Self::Person].into_iter().find(|grant| grant.as_str() == text)
    }
}

/// A session, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub id: i64,
    pub user: String,
    pub email: Option<String>,
    pub host: String,
    /// By which link, or at which provider.
    pub by: String,
    pub client: String,
    pub made_at: Timestamp,
    pub until: Timestamp,
    pub ended_at: Option<Timestamp>,
}

/// A session that is to be.
#[derive(Clone, Debug)]
pub struct NewSession<'a> {
    pub user: &'a str,
    pub email: Option<&'a str>,
    pub host: &'a str,
    pub by: &'a str,
    pub client: &'a str,
    pub lasts: Duration,
}

/// What came of a link.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Redeemed {
    Inside(Kept),
    Used,
    Over,
    /// No such link here, or one that was revoked.
    None,
    TooMany,
}

/// The book of one environment.
#[derive(Debug)]
pub struct Book {
    connection: Mutex<Connection>,
    /// Nobody else's.
    pub name: String,
}

impl Book {
    pub fn path(root: &Root) -> PathBuf {
        root.state().join("access.db")
    }

    /// Opens the book.
    ///
    /// # Errors
    /// Where it is damaged.
    pub fn open(path: &Path) -> Result<Self, BookFault> {
        let connection = database::open(path, SCHEMA, Presence::MayBeNew)?;
        let fresh = uuid::Uuid::new_v4().simple().to_string();
        connection.execute("INSERT OR IGNORE INTO book (one, name) VALUES (1, ?1)", [fresh])?;
        let name = connection.query_row("SELECT name FROM book", [], |row| row.get(0))?;
        Ok(Self { connection: Mutex::new(connection), name })
    }

    /// Notes a link; `None` where there are too many.
    pub fn keep_link(&self, link: &NewLink<'_>, now: Timestamp) -> Result<Option<i64>, BookFault> {
        let connection = self.connection();
        connection.execute("DELETE FROM link WHERE until < ?1", [before(now, LISTED)])?;
        let open: i64 = connection.query_row(
            "SELECT count(*) FROM link WHERE until > ?1 AND used_at IS NULL AND revoked_at IS NULL",
            [now.unix_millis()],
            |row| row.get(0),
        )?;
        if open >= i64::try_from(MOST_LINKS).unwrap_or(i64::MAX) {
            return Ok(None);
        }
        connection.execute(
            "INSERT INTO link (digest, name, app, host, lasts, made_by, made_at, until, grants) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
            params![
                link.digest,
                link.name,
                link.app,
                link.host,
                millis(link.lasts),
                link.made_by,
                now.unix_millis(),
                link.until.unix_millis(),
                link.grants.map(Grant::as_str)
            ],
        )?;
        Ok(Some(connection.last_insert_rowid()))
    }

    /// Uses a link up and begins its session, in one: whoever is killed after this has used it, and before it has not. Of two who come
    /// at once one is let in.
    pub fn redeem(&self, digest: &[u8; 32], host: &str, client: &str, now: Timestamp) -> Result<Redeemed, BookFault> {
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        type Found = (i64, String, String, i64, i64, Option<i64>, Option<i64>);
        let found: Option<Found> = transaction
            .query_row(
                "SELECT id, name, host, lasts, until, used_at, revoked_at FROM link WHERE digest = ?1",
                [digest],
                |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?, row.get(6)?)),
            )
            .optional()?;
        let Some((id, name, of_host, lasts, until, used_at, revoked_at)) = found else { return Ok(Redeemed::None) };
        if of_host != host || revoked_at.is_some() {
            return Ok(Redeemed::None);
        }
        if used_at.is_some() {
            return Ok(Redeemed::Used);
        }
        if until <= now.unix_millis() {
            return Ok(Redeemed::Over);
        }
        let lasts = Duration::from_millis(u64::try_from(lasts).unwrap_or(0));
        let by = format!("link l{id}");
        let wanted = NewSession { user: &name, email: None, host, by: &by, client, lasts };
        let Some(session) = insert_session(&transaction, &wanted, now)? else { return Ok(Redeemed::TooMany) };
        transaction.execute("UPDATE link SET used_at = ?2 WHERE id = ?1", params![id, now.unix_millis()])?;
        transaction.commit()?;
        Ok(Redeemed::Inside(session))
    }

    /// A session that holds at a host, with what the link that began it grants; who signed in at a provider is granted nothing by it.
    pub fn holds(&self, id: i64, host: &str, now: Timestamp) -> Result<Option<(Kept, Option<Grant>)>, BookFault> {
        let connection = self.connection();
        let found = connection.query_row(&format!("{SESSIONS} WHERE id = ?1"), [id], kept).optional()?;
        let Some(session) = found.filter(|one| one.ended_at.is_none() && one.until > now && one.host == host) else {
            return Ok(None);
        };
        let link = session.by.strip_prefix("link l").and_then(|number| number.parse::<i64>().ok());
        let Some(link) = link else { return Ok(Some((session, None))) };
        let grants =
            connection.query_row("SELECT grants FROM link WHERE id = ?1", [link], |row| row.get(0)).optional()?;
        let grants: Option<String> = grants.flatten();
        Ok(Some((session, grants.as_deref().and_then(Grant::of))))
    }

    /// Begins a session; `None` where there are too many.
    pub fn begin(&self, session: &NewSession<'_>, now: Timestamp) -> Result<Option<Kept>, BookFault> {
        insert_session(&self.connection(), session, now)
    }

    /// The newest first.
    pub fn links(&self) -> Result<Vec<Link>, BookFault> {
        let connection = self.connection();
        let mut statement = connection
            .prepare("SELECT id, name, app, host, made_by, until, used_at, revoked_at FROM link ORDER BY id DESC")?;
        let rows = statement.query_map([], |row| {
            Ok(Link {
                id: row.get(0)?,
                name: row.get(1)?,
                app: row.get(2)?,
                host: row.get(3)?,
                made_by: row.get(4)?,
                until: time(row, 5)?,
                used_at: maybe_time(row, 6)?,
                revoked_at: maybe_time(row, 7)?,
            })
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The newest first.
    pub fn sessions(&self) -> Result<Vec<Kept>, BookFault> {
        let connection = self.connection();
        let mut statement = connection.prepare(&format!("{SESSIONS} ORDER BY id DESC"))?;
        let rows = statement.query_map([], kept)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Ends a link that was not used yet; `None` where there is none.
    pub fn revoke_link(&self, id: i64, now: Timestamp) -> Result<Option<String>, BookFault> {
        let connection = self.connection();
        connection.execute(
            "UPDATE link SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL",
            params![id, now.unix_millis()],
        )?;
        Ok(connection.query_row("SELECT name FROM link WHERE id = ?1", [id], |row| row.get(0)).optional()?)
    }

    /// Ends a session; `None` where there is none. One that was ended stays as it is.
    pub fn end(&self, id: i64, now: Timestamp) -> Result<Option<Kept>, BookFault> {
        let connection = self.connection();
        connection.execute(
            "UPDATE session SET ended_at = ?2 WHERE id = ?1 AND ended_at IS NULL",
            params![id, now.unix_millis()],
        )?;
        Ok(connection.query_row(&format!("{SESSIONS} WHERE id = ?1"), [id], kept).optional()?)
    }

    /// Ends every session that holds, and every link that could be used. How many of each.
    pub fn end_all(&self, now: Timestamp) -> Result<(usize, usize), BookFault> {
        let connection = self.connection();
        let now = now.unix_millis();
        let sessions = connection
            .execute("UPDATE session SET ended_at = ?1 WHERE ended_at IS NULL AND until > ?1", params![now])?;
        let links = connection.execute(
            "UPDATE link SET revoked_at = ?1 WHERE revoked_at IS NULL AND used_at IS NULL AND until > ?1",
            params![now],
        )?;
        Ok((sessions, links))
    }

    /// Sessions that would hold and were ended.
    pub fn ended(&self, now: Timestamp) -> Result<Vec<i64>, BookFault> {
        let connection = self.connection();
        let mut statement =
            connection.prepare("SELECT id FROM session WHERE ended_at IS NOT NULL AND until > ?1 ORDER BY id")?;
        let rows = statement.query_map([now.unix_millis()], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Puts a network on the list, in place of what was said of it.
    pub fn list(&self, listed: &Listed, by: &str, now: Timestamp) -> Result<(), BookFault> {
        self.connection().execute(
            "INSERT OR REPLACE INTO listed (network, verdict, until, reason, made_by, made_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            params![listed.network, word(listed.verdict), listed.until_ms, listed.reason, by, now.unix_millis()],
        )?;
        Ok(())
    }

    /// Takes a network from the list; whether it was there.
    pub fn strike(&self, network: &str) -> Result<bool, BookFault> {
        Ok(self.connection().execute("DELETE FROM listed WHERE network = ?1", [network])? > 0)
    }

    /// What counts now, with who wrote it.
    pub fn listed(&self, now: Timestamp) -> Result<Vec<(Listed, String)>, BookFault> {
        let connection = self.connection();
        connection.execute("DELETE FROM listed WHERE until IS NOT NULL AND until <= ?1", [now.unix_millis()])?;
        let mut statement = connection
            .prepare("SELECT network, verdict, until, reason, made_by FROM listed ORDER BY made_at, network")?;
        let rows = statement.query_map([], |row| {
            let verdict: String = row.get(1)?;
            let listed = Listed {
                network: row.get(0)?,
                verdict: verdict_of(&verdict),
                until_ms: row.get(2)?,
                reason: row.get(3)?,
            };
            Ok((listed, row.get(4)?))
        })?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // SQLite's own transactions keep it whole.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const SESSIONS: &str = "SELECT id, user, email, host, by, client, made_at, until, ended_at FROM session";

fn insert_session(
    connection: &Connection,
    session: &NewSession<'_>,
    now: Timestamp,
) -> Result<Option<Kept>, BookFault> {
    connection.execute("DELETE FROM session WHERE until < ?1", [before(now, LISTED)])?;
    // Also those that were ended: until their time is over the edge has to know of them.
    let held: i64 =
        connection.query_row("SELECT count(*) FROM session WHERE until > ?1", [now.unix_millis()], |row| row.get(0))?;
    if held >= i64::try_from(MOST_SESSIONS).unwrap_or(i64::MAX) {
        return Ok(None);
    }
    connection.execute(
        "INSERT INTO session (user, email, host, by, client, made_at, until) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            session.user,
            session.email,
            session.host,
            session.by,
            session.client,
            now.unix_millis(),
            now.unix_millis() + millis(session.lasts)
        ],
    )?;
    let id = connection.last_insert_rowid();
    Ok(Some(connection.query_row(&format!("{SESSIONS} WHERE id = ?1"), [id], kept)?))
}

fn kept(row: &Row<'_>) -> rusqlite::Result<Kept> {
    Ok(Kept {
        id: row.get(0)?,
        user: row.get(1)?,
        email: row.get(2)?,
        host: row.get(3)?,
        by: row.get(4)?,
        client: row.get(5)?,
        made_at: time(row, 6)?,
        until: time(row, 7)?,
        ended_at: maybe_time(row, 8)?,
    })
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Block => "block",
        Verdict::ShadowBlock => "shadow-block",
        Verdict::Allow => "allow",
    }
}

/// What nobody knows any more keeps nobody out.
fn verdict_of(word: &str) -> Verdict {
    match word {
        "block" => Verdict::Block,
        "allow" => Verdict::Allow,
        _ => Verdict::ShadowBlock,
    }
}

fn time(row: &Row<'_>, at: usize) -> rusqlite::Result<Timestamp> {
    row.get(at).map(Timestamp::from_unix_millis)
}

fn maybe_time(row: &Row<'_>, at: usize) -> rusqlite::Result<Option<Timestamp>> {
    Ok(row.get::<_, Option<i64>>(at)?.map(Timestamp::from_unix_millis))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

fn before(now: Timestamp, span: Duration) -> i64 {
    now.unix_millis() - millis(span)
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
