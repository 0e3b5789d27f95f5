//! The journal: what was begun and what ended, on disk before each effect.
//!
//! ```text
//!   begin(resource, step) ─ fsync ─► Begun ─► effect ─► end(Begun, outcome)
//!                                       └── crash ──► unfinished(), told once after the restart
//! ```
//!
//! After a crash Roadbed looks at the world again and plans again; the journal says what may be half done. It is never a
//! script to replay.
//!
//! **Invariant:** only [`Journal::begin`] makes a [`Begun`], and every effect takes one, so that no effect happens unrecorded.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use host::clock::{Clock, Timestamp};
use host::database::{self, DatabaseFault, Presence, Schema};
use rusqlite::{Connection, params};
use serde::Serialize;

/// How many ended steps are kept for whoever looks into an incident.
const KEPT_STEPS: i64 = 10_000;

const SCHEMA: Schema = Schema {
    application_id: i32::from_be_bytes(*b"rbjn"),
    migrations: &["CREATE TABLE step (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        resource TEXT NOT NULL,
        step TEXT NOT NULL,
        begun_at INTEGER NOT NULL,
        ended_at INTEGER,
        outcome TEXT
    ) STRICT;
    CREATE INDEX step_unfinished ON step (id) WHERE ended_at IS NULL;"],
};

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum JournalFault {
    #[error("cannot open the journal")]
    Open(#[from] DatabaseFault),
    #[error("cannot write the journal")]
    Write(#[from] rusqlite::Error),
}

/// The journal of one environment.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    connection: Mutex<Connection>,
    clock: Arc<dyn Clock>,
}

/// Proof that a step is in the journal.
#[derive(Debug)]
#[must_use = "a step that was begun must be ended"]
pub struct Begun {
    id: i64,
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ended {
    Done,
    /// With the sentence that says why.
    Failed(String),
}

/// One line of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    pub resource: String,
    pub step: String,
    pub begun_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    /// `done`, `interrupted`, or why it failed.
    pub outcome: Option<String>,
}

impl Journal {
    pub fn open(path: &Path, presence: Presence, clock: Arc<dyn Clock>) -> Result<Self, JournalFault> {
        let connection = database::open(path, SCHEMA, presence)?;
        Ok(Self { path: path.to_owned(), connection: Mutex::new(connection), clock })
    }

    /// Whether this program could read the journal that another uses now; changes nothing.
    pub fn refuse_newer(path: &Path) -> Result<(), JournalFault> {
        Ok(database::refuse_newer(path, SCHEMA)?)
    }

    /// Refuses a journal that another root wrote; see [`database::bind`].
    pub fn of(self, owner: &str) -> Result<Self, JournalFault> {
        database::bind(&self.connection(), &self.path, owner)?;
        Ok(self)
    }

    /// Takes the journal over for another root; see [`database::rebind`].
    pub fn given_to(self, owner: &str) -> Result<Self, JournalFault> {
        database::rebind(&self.connection(), &self.path, owner)?;
        Ok(self)
    }

    /// Records that a step begins. When this returns, the record is on disk.
    pub fn begin(&self, resource: &str, step: &str) -> Result<Begun, JournalFault> {
        let connection = self.connection();
        connection.execute(
            "INSERT INTO step (resource, step, begun_at) VALUES (?1, ?2, ?3)",
            params![resource, step, self.clock.now().unix_millis()],
        )?;
        Ok(Begun { id: connection.last_insert_rowid() })
    }

    pub fn end(&self, begun: Begun, ended: &Ended) -> Result<(), JournalFault> {
        let outcome = match ended {
            Ended::Done => "done",
            Ended::Failed(why) => why,
        };
        let connection = self.connection();
        connection.execute(
            "UPDATE step SET ended_at = ?2, outcome = ?3 WHERE id = ?1",
            params![begun.id, self.clock.now().unix_millis(), outcome],
        )?;
        connection
            .execute("DELETE FROM step WHERE id <= ?1 AND ended_at IS NOT NULL", params![begun.id - KEPT_STEPS])?;
        Ok(())
    }

    /// Steps that a crash cut off. They are marked as interrupted, so each is told once.
    pub fn take_interrupted(&self) -> Result<Vec<Entry>, JournalFault> {
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        let interrupted = entries(&transaction, "WHERE ended_at IS NULL ORDER BY id", [])?;
        transaction.execute(
            "UPDATE step SET ended_at = ?1, outcome = 'interrupted' WHERE ended_at IS NULL",
            params![self.clock.now().unix_millis()],
        )?;
        transaction.commit()?;
        Ok(interrupted)
    }

    /// The newest entries, newest first.
    pub fn latest(&self, n: u32) -> Result<Vec<Entry>, JournalFault> {
        Ok(entries(&self.connection(), "ORDER BY id DESC LIMIT ?1", params![n])?)
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().expect("no panic happens while the journal is written")
    }
}

fn entries(connection: &Connection, rest: &str, values: impl rusqlite::Params) -> rusqlite::Result<Vec<Entry>> {
    connection
        .prepare(&format!("SELECT resource, step, begun_at, ended_at, outcome FROM step {rest}"))?
        .query_map(values, |row| {
            Ok(Entry {
                resource: row.get(0)?,
                step: row.get(1)?,
                begun_at: Timestamp::from_unix_millis(row.get(2)?),
                ended_at: row.get::<_, Option<i64>>(3)?.map(Timestamp::from_unix_millis),
                outcome: row.get(4)?,
            })
        })?
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use host::clock::SystemClock;

    fn open(path: &Path) -> Journal {
        Journal::open(path, Presence::MayBeNew, Arc::new(SystemClock)).unwrap()
    }

    #[test]
    fn a_step_cut_off_by_a_crash_is_told_once_after_the_restart() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.db");
        let journal = open(&path);
        let whole = journal.begin("mongodb", "start").unwrap();
        journal.end(whole, &Ended::Done).unwrap();
        let _cut_off = journal.begin("mongodb", "create user api").unwrap();
        drop(journal);

        let journal = open(&path);
        let interrupted = journal.take_interrupted().unwrap();
        assert_eq!(interrupted.iter().map(|entry| entry.step.as_str()).collect::<Vec<_>>(), ["create user api"]);
        assert_eq!(journal.take_interrupted().unwrap(), []);
        assert_eq!(journal.latest(1).unwrap()[0].outcome.as_deref(), Some("interrupted"));
    }

    #[test]
    fn a_failed_step_keeps_its_reason() {
        let folder = tempfile::tempdir().unwrap();
        let journal = open(&folder.path().join("journal.db"));
        let begun = journal.begin("redis", "start").unwrap();
        journal.end(begun, &Ended::Failed("port 6379 is taken".into())).unwrap();
        assert_eq!(journal.latest(5).unwrap()[0].outcome.as_deref(), Some("port 6379 is taken"));
    }

    /// As a disk has it that lost its power: with nothing, or with zeros, where something was not synced.
    #[test]
    fn a_journal_that_is_cut_anywhere_has_every_step_that_was_on_disk_before_its_effect() {
        let folder = tempfile::tempdir().unwrap();
        let (path, beside) = (folder.path().join("journal.db"), folder.path().join("journal.db-wal"));
        let journal = open(&path);
        let synced: i64 = journal.connection().pragma_query_value(None, "synchronous", |row| row.get(0)).unwrap();
        assert_eq!(synced, 2, "FULL");
        let size = || host::files::read(&beside).unwrap().len();
        let mut acknowledged = vec![size()];
        for number in 0..8 {
            let begun = journal.begin("mongodb", &format!("step {number}")).unwrap();
            acknowledged.push(size());
            journal.end(begun, &Ended::Done).unwrap();
        }
        let (file, whole) = (host::files::read(&path).unwrap(), host::files::read(&beside).unwrap());
        for cut in (acknowledged[0]..whole.len()).step_by(509).chain(acknowledged.clone()) {
            for tail in [0, whole.len() - cut] {
                let other = tempfile::tempdir().unwrap();
                let path = other.path().join("journal.db");
                let lost = [&whole[..cut], &vec![0; tail]].concat();
                host::files::write_durable(&path, &file, host::files::Access::Owner).unwrap();
                host::files::write_durable(&other.path().join("journal.db-wal"), &lost, host::files::Access::Owner)
                    .unwrap();
                let journal = Journal::open(&path, Presence::MustExist, Arc::new(SystemClock)).unwrap();
                let begun = acknowledged.iter().filter(|synced| **synced <= cut).count() - 1;
                assert_eq!(journal.latest(99).unwrap().len(), begun, "cut at {cut} of {}", whole.len());
            }
        }
    }
}
