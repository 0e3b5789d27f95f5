//! The book of tokens: `state/tokens.db`. Digests alone; whoever reads it can ask for nothing.
//!
//! A row says of which root it is, so a copied root's tokens open nothing there. A book that is missing is an empty one, on purpose:
//! then every token is refused.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use host::clock::Timestamp;
use host::database::{self, DatabaseFault, Presence, Schema};
use manifest::PersonName;
use reconcile::Root;
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use super::authorise::{Bearer, Role, Scope, Standing};
use super::token::{Token, TokenDigest};

const SCHEMA: Schema = Schema {
    application_id: i32::from_be_bytes(*b"rbtk"),
    migrations: &[
        "CREATE TABLE token (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        digest BLOB NOT NULL UNIQUE,
        root TEXT NOT NULL,
        environment TEXT NOT NULL,
        name TEXT NOT NULL,
        role TEXT NOT NULL,
        person TEXT,
        made_by TEXT NOT NULL,
        made_at INTEGER NOT NULL,
        until INTEGER NOT NULL,
        revoked_at INTEGER,
        used_at INTEGER
    ) STRICT;
    CREATE TABLE request (
        token INTEGER NOT NULL,
        key TEXT NOT NULL,
        asked BLOB NOT NULL,
        at INTEGER NOT NULL,
        status INTEGER,
        answer TEXT,
        PRIMARY KEY (token, key)
    ) STRICT;",
        "ALTER TABLE token ADD COLUMN only_commit TEXT;
    CREATE TABLE accepted (
        issuer TEXT NOT NULL,
        id TEXT NOT NULL,
        at INTEGER NOT NULL,
        until INTEGER NOT NULL,
        PRIMARY KEY (issuer, id)
    ) STRICT;
    CREATE TABLE began (
        book INTEGER PRIMARY KEY CHECK (book = 1),
        at INTEGER NOT NULL
    ) STRICT;",
    ],
};

/// When a token was last used is noted to the minute: a client that asks often is no reason to write often.
const USED_TO: Duration = Duration::from_secs(60);

/// A clock that was set back by more than this before a token was made is not one to go by.
const SKEW: Duration = Duration::from_secs(5 * 60);

/// So long the answer to a request with an `Idempotency-Key` is kept.
const REMEMBERED: Duration = Duration::from_secs(24 * 60 * 60);

/// So long after its end a token of a run is listed.
const RUNS_LISTED: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// `t3`: the tokens of an environment are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct TokenId(pub i64);

/// What is no name of a token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no token: they are called t1, t2 and so on")]
pub struct NotAToken(String);

impl fmt::Display for TokenId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("t{}", self.0))
    }
}

impl FromStr for TokenId {
    type Err = NotAToken;

    fn from_str(text: &str) -> Result<Self, NotAToken> {
        let digits = text.strip_prefix('t').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let number = digits.and_then(|digits| digits.parse().ok()).filter(|number| *number > 0);
        number.map(Self).ok_or_else(|| NotAToken(text.to_owned()))
    }
}

impl TryFrom<String> for TokenId {
    type Error = NotAToken;

    fn try_from(text: String) -> Result<Self, NotAToken> {
        text.parse()
    }
}

impl From<TokenId> for String {
    fn from(id: TokenId) -> Self {
        id.to_string()
    }
}

/// A token as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    pub id: TokenId,
    pub name: String,
    pub role: Role,
    pub person: Option<PersonName>,
    pub scope: Scope,
    /// The only commit that may be deployed with it.
    pub commit: Option<String>,
    pub made_by: String,
    pub made_at: Timestamp,
    pub until: Timestamp,
    pub revoked_at: Option<Timestamp>,
    pub used_at: Option<Timestamp>,
}

impl Kept {
    pub fn standing(&self, now: Timestamp) -> Standing {
        let is_early = now < earlier(self.made_at, SKEW);
        match self.revoked_at {
            Some(_) => Standing::Revoked,
            None if now >= self.until || is_early => Standing::Expired,
            None => Standing::Holds,
        }
    }

    pub fn bearer(&self, now: Timestamp) -> Bearer {
        Bearer {
            id: self.id,
            name: self.name.clone(),
            role: self.role,
            person: self.person.clone(),
            scope: self.scope.clone(),
            commit: self.commit.clone(),
            standing: self.standing(now),
        }
    }
}

/// What a token shall be for.
#[derive(Clone, Debug)]
pub struct Wish {
    pub name: String,
    pub role: Role,
    pub person: Option<PersonName>,
    pub scope: Scope,
    /// The only commit that may be deployed with it.
    pub commit: Option<String>,
    pub made_by: String,
    pub until: Timestamp,
}

/// What came of a token of a CI.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exchange {
    Made(Kept),
    Refused(oidc::Refusal),
}

/// What is known of a request that has a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Remembered {
    /// It is the first; it is noted as begun.
    Begun,
    /// It was answered, and this is how.
    Answered { status: u16, answer: String },
    /// It was begun, and nobody knows how it ended: control was killed in between, or it is under way.
    Unfinished,
    /// The same key came with something else.
    Other,
}

/// Why the book cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TokensFault {
    #[error(transparent)]
    Open(#[from] DatabaseFault),
    #[error("cannot use the book of tokens")]
    Sqlite(#[from] rusqlite::Error),
    #[error("the book of tokens has a row that makes no sense: {0}")]
    Row(String),
}

/// The tokens of one environment.
#[derive(Debug)]
pub struct Tokens {
    connection: Mutex<Connection>,
}

impl Tokens {
    pub fn path(root: &Root) -> PathBuf {
        root.state().join("tokens.db")
    }

    /// Opens the book.
    ///
    /// # Errors
    /// Where it is damaged: that is not "no tokens", since what was revoked would be forgotten with it.
    pub fn open(path: &Path, now: Timestamp) -> Result<Self, TokensFault> {
        let connection = database::open(path, SCHEMA, Presence::MayBeNew)?;
        // When it began is what tells a new book, which does not know what an older one accepted, from one that knows.
        connection.execute("INSERT OR IGNORE INTO began (book, at) VALUES (1, ?1)", [now.unix_millis()])?;
        Ok(Self { connection: Mutex::new(connection) })
    }

    /// Notes a token.
    pub fn keep(&self, token: &Token, wish: &Wish, now: Timestamp) -> Result<Kept, TokensFault> {
        let id = insert(&self.connection(), token, wish, now)?;
        self.made(id)
    }

    /// Notes that a token of a CI was accepted, and the one of ours that it was exchanged for, in one: whoever is killed after this has
    /// accepted it, and before it has not.
    pub fn exchange(
        &self,
        run: &oidc::Accepted,
        token: &Token,
        wish: &Wish,
        now: Timestamp,
    ) -> Result<Exchange, TokensFault> {
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let began: i64 = transaction.query_row("SELECT at FROM began", [], |row| row.get(0))?;
        if run.made_at.unix_millis() < began {
            return Ok(Exchange::Refused(oidc::Refusal::BeforeTheBook));
        }
        let newest: Option<i64> = transaction.query_row("SELECT max(at) FROM accepted", [], |row| row.get(0))?;
        if let Some(newest) =
            newest.map(Timestamp::from_unix_millis).filter(|newest| earlier(*newest, oidc::SKEW) > now)
        {
            return Ok(Exchange::Refused(oidc::Refusal::ClockSetBack(newest)));
        }
        // The newest stays: by it a clock that was set back is noticed.
        transaction.execute(
            "DELETE FROM accepted WHERE until < ?1 AND at < ?2",
            params![earlier(now, REMEMBERED).unix_millis(), newest],
        )?;
        let is_new = transaction.execute(
            "INSERT OR IGNORE INTO accepted (issuer, id, at, until) VALUES (?1, ?2, ?3, ?4)",
            params![run.issuer, run.id, now.unix_millis(), run.until.unix_millis()],
        )?;
        if is_new == 0 {
            return Ok(Exchange::Refused(oidc::Refusal::Replayed));
        }
        // One is made with each run: who had one is in the audit log.
        transaction.execute(
            "DELETE FROM token WHERE role = ?1 AND until < ?2",
            params![Role::Pipeline.as_str(), earlier(now, RUNS_LISTED).unix_millis()],
        )?;
        let id = insert(&transaction, token, wish, now)?;
        transaction.commit()?;
        drop(connection);
        self.made(id).map(Exchange::Made)
    }

    fn made(&self, id: TokenId) -> Result<Kept, TokensFault> {
        self.get(id)?.ok_or_else(|| TokensFault::Row(format!("{id} is gone again")))
    }

    pub fn get(&self, id: TokenId) -> Result<Option<Kept>, TokensFault> {
        let connection = self.connection();
        let found = connection.query_row(&format!("{SELECT} WHERE id = ?1"), [id.0], read).optional()?;
        found.map(|row| row.1.map_err(TokensFault::Row)).transpose()
    }

    /// The newest first.
    pub fn all(&self) -> Result<Vec<Kept>, TokensFault> {
        let connection = self.connection();
        let mut statement = connection.prepare(&format!("{SELECT} ORDER BY id DESC"))?;
        let rows = statement.query_map([], read)?.collect::<Result<Vec<_>, _>>()?;
        rows.into_iter().map(|(_, kept)| kept.map_err(TokensFault::Row)).collect()
    }

    /// The token of which somebody showed this digest. The look goes by digest: how long it takes says nothing of tokens, and the
    /// last comparison takes the same time whatever it finds.
    pub fn shown(&self, digest: TokenDigest) -> Result<Option<Kept>, TokensFault> {
        let connection = self.connection();
        let found = connection.query_row(&format!("{SELECT} WHERE digest = ?1"), [digest.0], read).optional()?;
        let Some((kept_digest, kept)) = found else { return Ok(None) };
        if verify_slices_are_equal(&kept_digest, &digest.0).is_err() {
            return Ok(None);
        }
        kept.map(Some).map_err(TokensFault::Row)
    }

    /// Notes that a token was used.
    pub fn used(&self, kept: &Kept, now: Timestamp) -> Result<(), TokensFault> {
        if kept.used_at.is_some_and(|before| now.since(before) < USED_TO) {
            return Ok(());
        }
        self.connection()
            .execute("UPDATE token SET used_at = ?2 WHERE id = ?1", params![kept.id.0, now.unix_millis()])?;
        Ok(())
    }

    /// Ends a token. One that was revoked stays as it is; `None` where there is none.
    pub fn revoke(&self, id: TokenId, now: Timestamp) -> Result<Option<Kept>, TokensFault> {
        self.connection().execute(
            "UPDATE token SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL",
            params![id.0, now.unix_millis()],
        )?;
        self.get(id)
    }

    /// What is known of a request with this key; the first is noted. `asked` is a digest over what was asked for.
    pub fn begin(
        &self,
        token: TokenId,
        key: &str,
        asked: &[u8; 32],
        now: Timestamp,
    ) -> Result<Remembered, TokensFault> {
        let connection = self.connection();
        connection.execute("DELETE FROM request WHERE at < ?1", [earlier(now, REMEMBERED).unix_millis()])?;
        let found = connection
            .query_row(
                "SELECT asked, status, answer FROM request WHERE token = ?1 AND key = ?2",
                params![token.0, key],
                |row| Ok((row.get::<_, Vec<u8>>(0)?, row.get::<_, Option<u16>>(1)?, row.get::<_, Option<String>>(2)?)),
            )
            .optional()?;
        match found {
            None => {
                connection.execute(
                    "INSERT INTO request (token, key, asked, at) VALUES (?1, ?2, ?3, ?4)",
                    params![token.0, key, asked, now.unix_millis()],
                )?;
                Ok(Remembered::Begun)
            }
            Some((before, ..)) if before != asked => Ok(Remembered::Other),
            Some((_, Some(status), Some(answer))) => Ok(Remembered::Answered { status, answer }),
            Some(_) => Ok(Remembered::Unfinished),
        }
    }

    /// Notes how a request with a key was answered.
    pub fn end(&self, token: TokenId, key: &str, status: u16, answer: &str) -> Result<(), TokensFault> {
        self.connection().execute(
            "UPDATE request SET status = ?3, answer = ?4 WHERE token = ?1 AND key = ?2",
            params![token.0, key, status, answer],
        )?;
        Ok(())
    }

    /// Forgets a request that changed nothing: it may be tried again.
    pub fn forget(&self, token: TokenId, key: &str) -> Result<(), TokensFault> {
        self.connection().execute("DELETE FROM request WHERE token = ?1 AND key = ?2", params![token.0, key])?;
        Ok(())
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        // What is in the file is whole at any time.
        self.connection.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const SELECT: &str = "SELECT id, digest, root, environment, name, role, person, made_by, made_at, until, revoked_at, used_at, only_commit
     FROM token";

fn insert(connection: &Connection, token: &Token, wish: &Wish, now: Timestamp) -> rusqlite::Result<TokenId> {
    connection.execute(
        "INSERT INTO token (digest, root, environment, name, role, person, made_by, made_at, until, only_commit)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            token.digest().0,
            wish.scope.root,
            wish.scope.environment,
            wish.name,
            wish.role.as_str(),
            wish.person.as_ref().map(PersonName::as_str),
            wish.made_by,
            now.unix_millis(),
            wish.until.unix_millis(),
            wish.commit,
        ],
    )?;
    Ok(TokenId(connection.last_insert_rowid()))
}

type Read = (Vec<u8>, Result<Kept, String>);

fn read(row: &Row<'_>) -> rusqlite::Result<Read> {
    let time = |at: usize| row.get::<_, i64>(at).map(Timestamp::from_unix_millis);
    let perhaps = |at: usize| Ok::<_, rusqlite::Error>(row.get::<_, Option<i64>>(at)?.map(Timestamp::from_unix_millis));
    let (role, person): (String, Option<String>) = (row.get(5)?, row.get(6)?);
    let (role, person) = match (role.parse::<Role>(), person.map(|person| PersonName::new(&person)).transpose()) {
        (Ok(role), Ok(person)) => (role, person),
        (Err(error), _) => return Ok((Vec::new(), Err(error.to_string()))),
        (_, Err(_)) => return Ok((Vec::new(), Err("a person who is none".to_owned()))),
    };
    let kept = Kept {
        id: TokenId(row.get(0)?),
        scope: Scope { root: row.get(2)?, environment: row.get(3)? },
        name: row.get(4)?,
        role,
        person,
        made_by: row.get(7)?,
        made_at: time(8)?,
        until: time(9)?,
        revoked_at: perhaps(10)?,
        used_at: perhaps(11)?,
        commit: row.get(12)?,
    };
    Ok((row.get(1)?, Ok(kept)))
}

fn earlier(time: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_unix_millis(time.unix_millis().saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
#[path = "tokens_tests.rs"]
mod tests;
