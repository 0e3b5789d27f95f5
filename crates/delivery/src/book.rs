//! Releases, deployments and slots, on disk before anything is done for them.
//!
//! **Fencing:** each control that starts takes the book over with a higher epoch, and every change checks that its own is still
//! the highest. One that was stopped and comes to life again changes nothing; the edge refuses route tables by the same number.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use host::clock::{Clock, Moment, Timestamp};
use host::database::{self, DatabaseFault, Presence, Schema};
use reconcile::Fault;
use rusqlite::{Connection, OptionalExtension, Row, Transaction, TransactionBehavior, params};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::deployment::{Deployment, DeploymentId, Happened, Kind, State};
use crate::policy::{Approval, Policy};
use crate::release::{Contents, Release, ReleaseId};
use crate::slot::{Place, Role, Slot};

const SCHEMA: Schema = Schema {
    application_id: i32::from_be_bytes(*b"rbdl"),
    migrations: &[
        "
        CREATE TABLE epoch (only INTEGER PRIMARY KEY CHECK (only = 1), number INTEGER NOT NULL) STRICT;
        INSERT INTO epoch VALUES (1, 0);
        CREATE TABLE release (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            made_at INTEGER NOT NULL,
            stable INTEGER NOT NULL DEFAULT 0,
            contents TEXT NOT NULL
        ) STRICT;
        CREATE TRIGGER release_never_changes BEFORE UPDATE OF contents, made_at ON release
            BEGIN SELECT RAISE(ABORT, 'a release never changes'); END;
        CREATE TABLE deployment (id INTEGER PRIMARY KEY AUTOINCREMENT, state TEXT NOT NULL, body TEXT NOT NULL) STRICT;
        CREATE TABLE happened (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            deployment INTEGER NOT NULL REFERENCES deployment (id),
            at INTEGER NOT NULL,
            state TEXT NOT NULL,
            what TEXT NOT NULL
        ) STRICT;
        CREATE INDEX happened_of ON happened (deployment, number);
        CREATE TABLE slot (place TEXT PRIMARY KEY, role TEXT NOT NULL, body TEXT NOT NULL) STRICT;
        CREATE UNIQUE INDEX slot_one_is_live ON slot (role) WHERE role = 'live';",
        "
        CREATE TABLE migration (
            number INTEGER PRIMARY KEY AUTOINCREMENT,
            app TEXT NOT NULL,
            name TEXT NOT NULL,
            contracts INTEGER NOT NULL,
            at INTEGER NOT NULL,
            took_ms INTEGER NOT NULL,
            UNIQUE (app, name)
        ) STRICT;",
        "CREATE TABLE instances (app TEXT PRIMARY KEY, body TEXT NOT NULL) STRICT;",
    ],
};

/// Why the book cannot be used, or does not allow something.
#[derive(Debug, thiserror::Error)]
pub enum BookFault {
    #[error("cannot open the book of deployments")]
    Open(#[from] DatabaseFault),
    #[error("cannot use the book of deployments")]
    Sqlite(#[from] rusqlite::Error),
    #[error("the book of deployments holds what cannot be read")]
    Json(#[from] serde_json::Error),
    #[error("another control has taken over")]
    Fenced,
    #[error("{id} is {found} by now, not {wanted}")]
    Moved { id: DeploymentId, wanted: State, found: State },
    #[error("there is no deployment {0}")]
    NoDeployment(DeploymentId),
    #[error("there is no release {0}")]
    NoRelease(ReleaseId),
    #[error("{id} is {state}: it can no longer be called off")]
    TooLate { id: DeploymentId, state: State },
    #[error(transparent)]
    Approval(#[from] crate::policy::Refusal),
    #[error("{id} waits for nobody's approval: it is {state}")]
    NotAsked { id: DeploymentId, state: State },
}

/// How slots change with a state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SlotChange {
    Put(Slot),
    Remove(Place),
}

/// What is asked for.
#[derive(Clone, Debug)]
pub struct Request {
    pub kind: Kind,
    pub release: ReleaseId,
    pub by: String,
    pub policy: Policy,
    pub digest: String,
}

/// A step from one state to the next.
#[derive(Clone, Debug)]
pub struct Step<'a> {
    pub id: DeploymentId,
    pub from: State,
    pub to: State,
    pub at: Moment,
    /// How long the next state may take.
    pub lasts: Option<Duration>,
    pub place: Option<Place>,
    pub fault: Option<&'a Fault>,
    pub slots: Vec<SlotChange>,
}

/// The book of one environment.
#[derive(Debug)]
pub struct Book {
    path: PathBuf,
    connection: Mutex<Connection>,
    clock: Arc<dyn Clock>,
    epoch: i64,
}

impl Book {
    /// Opens the book and takes it over: whoever had it before can no longer write.
    pub fn open(path: &Path, presence: Presence, clock: Arc<dyn Clock>) -> Result<Self, BookFault> {
        let connection = database::open(path, SCHEMA, presence)?;
        // Not below the seconds of the clock: a book that begins anew, the one before having been lost, must not be fenced off by
        // what keeper and edge remember of that one.
        let seconds = clock.now().unix_millis() / 1000;
        let next = "UPDATE epoch SET number = max(number + 1, ?1) RETURNING number";
        let epoch = connection.query_row(next, [seconds], |row| row.get::<_, i64>(0))?;
        Ok(Self { path: path.to_owned(), connection: Mutex::new(connection), clock, epoch })
    }

    /// Whether the book can be used, without taking it over.
    pub fn judge(path: &Path, presence: Presence, owner: &str) -> Result<(), BookFault> {
        if presence == Presence::MayBeNew && !host::files::exists(path) {
            return Ok(());
        }
        Ok(database::bind(&database::open(path, SCHEMA, presence)?, path, owner)?)
    }

    /// What happened to all deployments, the oldest first, without taking the book over. Empty where there is none.
    pub fn history(path: &Path) -> Result<Vec<(DeploymentId, Happened)>, BookFault> {
        let Some(connection) = database::open_to_read(path, SCHEMA)? else { return Ok(Vec::new()) };
        let mut statement =
            connection.prepare("SELECT deployment, number, at, state, what FROM happened ORDER BY number")?;
        let rows = statement
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get::<_, String>(3)?, row.get(4)?)))?;
        rows.map(|row| {
            let (deployment, number, at, state, what) = row?;
            let state = serde_json::from_value(serde_json::Value::String(state))?;
            Ok((DeploymentId(deployment), Happened { number, at: Timestamp::from_unix_millis(at), state, what }))
        })
        .collect()
    }

    /// Whether this program could read the book that another uses now; changes nothing.
    pub fn refuse_newer(path: &Path) -> Result<(), BookFault> {
        Ok(database::refuse_newer(path, SCHEMA)?)
    }

    /// Refuses the book of another root; see [`database::bind`].
    pub fn of(self, owner: &str) -> Result<Self, BookFault> {
        database::bind(&self.connection(), &self.path, owner)?;
        Ok(self)
    }

    /// Takes the book over for another root; see [`database::rebind`].
    pub fn given_to(self, owner: &str) -> Result<Self, BookFault> {
        database::rebind(&self.connection(), &self.path, owner)?;
        Ok(self)
    }

    /// Higher than that of any control before.
    pub fn epoch(&self) -> u64 {
        u64::try_from(self.epoch).unwrap_or_default()
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(crate) fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().expect("no holder panics")
    }

    /// Changes something, whole or not at all, and only while nobody else has taken over.
    pub(crate) fn change<T>(
        &self,
        change: impl FnOnce(&Transaction<'_>) -> Result<T, BookFault>,
    ) -> Result<T, BookFault> {
        let mut connection = self.connection();
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        let epoch: i64 = transaction.query_row("SELECT number FROM epoch", [], |row| row.get(0))?;
        if epoch != self.epoch {
            return Err(BookFault::Fenced);
        }
        let done = change(&transaction)?;
        transaction.commit()?;
        Ok(done)
    }

    /// Keeps a release.
    pub fn keep(&self, contents: &Contents) -> Result<ReleaseId, BookFault> {
        let text = serde_json::to_string(contents)?;
        let now = self.clock.now().unix_millis();
        self.change(|transaction| {
            transaction.execute("INSERT INTO release (made_at, contents) VALUES (?1, ?2)", params![now, text])?;
            Ok(ReleaseId(transaction.last_insert_rowid()))
        })
    }

    pub fn release(&self, id: ReleaseId) -> Result<Release, BookFault> {
        let connection = self.connection();
        let found = connection
            .query_row("SELECT id, made_at, stable, contents FROM release WHERE id = ?1", [id.0], read_release)
            .optional()?;
        found.ok_or(BookFault::NoRelease(id))?
    }

    /// Newest first.
    pub fn releases(&self, most: u32) -> Result<Vec<Release>, BookFault> {
        let connection = self.connection();
        let mut statement =
            connection.prepare("SELECT id, made_at, stable, contents FROM release ORDER BY id DESC LIMIT ?1")?;
        let rows = statement.query_map([most], read_release)?;
        rows.map(|row| row?).collect()
    }

    /// Asks for a deployment. Others that wait in line are superseded: nobody wants yesterday's code after today's.
    pub fn ask(&self, request: &Request) -> Result<Deployment, BookFault> {
        let now = self.clock.now();
        self.change(|transaction| {
            for mut waiting in all(transaction, "WHERE state = 'queued'")? {
                waiting.state = State::Superseded;
                waiting.since = now;
                write(transaction, &waiting)?;
                note(transaction, waiting.id, now, State::Superseded, "a newer one was asked for")?;
            }
            transaction.execute("INSERT INTO deployment (state, body) VALUES ('queued', '')", [])?;
            let deployment = Deployment {
                id: DeploymentId(transaction.last_insert_rowid()),
                kind: request.kind,
                release: request.release,
                previous: None,
                place: None,
                state: State::Queued,
                since: now,
                deadline: None,
                entered: None,
                asked_at: now,
                asked_by: request.by.clone(),
                cancelled_by: None,
                fault: None,
                policy: request.policy.clone(),
                approvals: Vec::new(),
                digest: request.digest.clone(),
            };
            write(transaction, &deployment)?;
            note(transaction, deployment.id, now, State::Queued, &format!("asked for by {}", request.by))?;
            Ok(deployment)
        })
    }

    pub fn deployment(&self, id: DeploymentId) -> Result<Deployment, BookFault> {
        one(&self.connection(), id)
    }

    /// Newest first.
    pub fn deployments(&self, most: u32) -> Result<Vec<Deployment>, BookFault> {
        all(&self.connection(), &format!("ORDER BY id DESC LIMIT {most}"))
    }

    /// The one that is under way, else the one that waits in line.
    pub fn current(&self) -> Result<Option<Deployment>, BookFault> {
        let open = all(&self.connection(), "ORDER BY id")?.into_iter().filter(|deployment| !deployment.state.is_over());
        let mut open: Vec<Deployment> = open.collect();
        open.sort_by_key(|deployment| (deployment.state == State::Queued, deployment.id));
        Ok(open.into_iter().next())
    }

    /// Moves on. Refused if the deployment is no longer where the caller thinks.
    pub fn step(&self, step: &Step<'_>) -> Result<Deployment, BookFault> {
        let now = step.at.wall;
        self.change(|transaction| {
            let mut deployment = one(transaction, step.id)?;
            if deployment.state != step.from {
                return Err(BookFault::Moved { id: step.id, wanted: step.from, found: deployment.state });
            }
            if step.from == State::Queued {
                deployment.previous = read_slots(transaction)?
                    .into_iter()
                    .find(|slot| slot.role == Role::Live)
                    .and_then(|slot| slot.release);
            }
            deployment.state = step.to;
            deployment.since = now;
            deployment.deadline = step.lasts.map(|lasts| now.after(lasts));
            deployment.entered = Some(step.at.clone());
            deployment.place = step.place.or(deployment.place);
            if let Some(fault) = step.fault {
                // The first is why; what went wrong on the way back comes with the events.
                deployment.fault.get_or_insert_with(|| fault.clone());
                note(transaction, step.id, now, step.from, &one_line(fault))?;
            }
            write(transaction, &deployment)?;
            note(transaction, step.id, now, step.to, "")?;
            for change in &step.slots {
                match change {
                    SlotChange::Put(slot) => put(transaction, slot)?,
                    SlotChange::Remove(place) => {
                        transaction.execute("DELETE FROM slot WHERE place = ?1", [place.as_str()])?;
                    }
                }
            }
            if step.to == State::Live {
                transaction.execute("UPDATE release SET stable = 1 WHERE id = ?1", [deployment.release.0])?;
            }
            Ok(deployment)
        })
    }

    /// Notes something that happened on the way.
    pub fn note(&self, id: DeploymentId, what: &str) -> Result<(), BookFault> {
        let now = self.clock.now();
        self.change(|transaction| {
            let state = one(transaction, id)?.state;
            note(transaction, id, now, state, what)
        })
    }

    /// What happened after line `after` (0: from the beginning), oldest first.
    pub fn happened(&self, id: DeploymentId, after: i64) -> Result<Vec<Happened>, BookFault> {
        let connection = self.connection();
        let mut statement = connection.prepare(
            "SELECT number, at, state, what FROM happened WHERE deployment = ?1 AND number > ?2 ORDER BY number",
        )?;
        let rows = statement
            .query_map([id.0, after], |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, String>(2)?, row.get(3)?)))?;
        rows.map(|row| {
            let (number, at, state, what) = row?;
            let state = serde_json::from_value(serde_json::Value::String(state))?;
            Ok(Happened { number, at: Timestamp::from_unix_millis(at), state, what })
        })
        .collect()
    }

    /// Somebody calls a deployment off. One that waits in line is over at once.
    pub fn cancel(&self, id: DeploymentId, by: &str) -> Result<Deployment, BookFault> {
        let now = self.clock.now();
        self.change(|transaction| {
            let mut deployment = one(transaction, id)?;
            if !deployment.state.can_be_cancelled() {
                return Err(BookFault::TooLate { id, state: deployment.state });
            }
            if deployment.cancelled_by.is_none() {
                deployment.cancelled_by = Some(by.to_owned());
                note(transaction, id, now, deployment.state, &format!("called off by {by}"))?;
                write(transaction, &deployment)?;
            }
            Ok(deployment)
        })
    }

    /// Somebody's word on a deployment that waits for it.
    pub fn approve(&self, id: DeploymentId, word: &Approval) -> Result<Deployment, BookFault> {
        let now = self.clock.now();
        self.change(|transaction| {
            let mut deployment = one(transaction, id)?;
            if deployment.state != State::AwaitingApproval {
                return Err(BookFault::NotAsked { id, state: deployment.state });
            }
            let release = transaction.query_row(
                "SELECT id, made_at, stable, contents FROM release WHERE id = ?1",
                [deployment.release.0],
                read_release,
            )??;
            let authors = [release.contents.author.as_str(), deployment.asked_by.as_str()];
            deployment.policy.judge(word, &deployment.digest, &authors, &deployment.approvals)?;
            deployment.approvals.push(word.clone());
            write(transaction, &deployment)?;
            note(transaction, id, now, deployment.state, &format!("approved by {}", word.by))?;
            Ok(deployment)
        })
    }

    /// All slots that are taken.
    pub fn slots(&self) -> Result<Vec<Slot>, BookFault> {
        read_slots(&self.connection())
    }

    /// Gives a slot up that nobody needs any more.
    pub fn give_up(&self, place: Place) -> Result<(), BookFault> {
        self.change(|transaction| {
            transaction.execute("DELETE FROM slot WHERE place = ?1 AND role <> 'live'", [place.as_str()])?;
            Ok(())
        })
    }
}

fn one_line(fault: &Fault) -> String {
    std::iter::once(fault.message.as_str())
        .chain(fault.causes.iter().map(String::as_str))
        .collect::<Vec<_>>()
        .join(": ")
}

fn read_release(row: &Row<'_>) -> rusqlite::Result<Result<Release, BookFault>> {
    let (id, made_at, stable, contents): (i64, i64, bool, String) =
        (row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?);
    Ok(serde_json::from_str(&contents).map_err(BookFault::from).map(|contents| Release {
        id: ReleaseId(id),
        made_at: Timestamp::from_unix_millis(made_at),
        contents,
        stable,
    }))
}

fn one(connection: &Connection, id: DeploymentId) -> Result<Deployment, BookFault> {
    let body: Option<String> =
        connection.query_row("SELECT body FROM deployment WHERE id = ?1", [id.0], |row| row.get(0)).optional()?;
    Ok(serde_json::from_str(&body.ok_or(BookFault::NoDeployment(id))?)?)
}

pub(crate) fn all(connection: &Connection, which: &str) -> Result<Vec<Deployment>, BookFault> {
    read_all(connection, &format!("SELECT body FROM deployment {which}"))
}

pub(crate) fn read_slots(connection: &Connection) -> Result<Vec<Slot>, BookFault> {
    read_all(connection, "SELECT body FROM slot ORDER BY place")
}

fn read_all<T: DeserializeOwned>(connection: &Connection, query: &str) -> Result<Vec<T>, BookFault> {
    let mut statement = connection.prepare(query)?;
    let rows = statement.query_map([], |row| row.get::<_, String>(0))?;
    rows.map(|row| Ok(serde_json::from_str(&row?)?)).collect()
}

fn text(value: &impl Serialize) -> Result<String, BookFault> {
    Ok(serde_json::to_string(value)?)
}

pub(crate) fn write(connection: &Connection, deployment: &Deployment) -> Result<(), BookFault> {
    connection.execute(
        "UPDATE deployment SET state = ?2, body = ?3 WHERE id = ?1",
        params![deployment.id.0, deployment.state.as_str(), text(deployment)?],
    )?;
    Ok(())
}

pub(crate) fn put(connection: &Connection, slot: &Slot) -> Result<(), BookFault> {
    // Not `OR REPLACE`: that would make room for a second live slot by removing the first.
    connection.execute(
        "INSERT INTO slot (place, role, body) VALUES (?1, ?2, ?3)
         ON CONFLICT (place) DO UPDATE SET role = excluded.role, body = excluded.body",
        params![slot.place.as_str(), slot.role.as_str(), text(slot)?],
    )?;
    Ok(())
}

pub(crate) fn note(
    connection: &Connection,
    id: DeploymentId,
    at: Timestamp,
    state: State,
    what: &str,
) -> Result<(), BookFault> {
    connection.execute(
        "INSERT INTO happened (deployment, at, state, what) VALUES (?1, ?2, ?3, ?4)",
        params![id.0, at.unix_millis(), state.as_str(), what],
    )?;
    Ok(())
}

#[cfg(test)]
#[path = "book_tests.rs"]
mod tests;
