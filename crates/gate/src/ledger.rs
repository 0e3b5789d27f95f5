//! Evidence that is only ever appended. Each row carries the hash of the row before it, so a changed or removed row shows.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard};

use host::clock::Timestamp;
use host::database::{self, DatabaseFault, Presence, Schema};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{Evidence, Standing, standings};

const SCHEMA: Schema = Schema {
    application_id: i32::from_be_bytes(*b"rbev"),
    migrations: &["CREATE TABLE evidence (
        seq INTEGER PRIMARY KEY,
        previous BLOB NOT NULL,
        hash BLOB NOT NULL,
        body TEXT NOT NULL
    ) STRICT;
    CREATE TRIGGER evidence_is_append_only_u BEFORE UPDATE ON evidence
        BEGIN SELECT RAISE(ABORT, 'evidence is append-only'); END;
    CREATE TRIGGER evidence_is_append_only_d BEFORE DELETE ON evidence
        BEGIN SELECT RAISE(ABORT, 'evidence is append-only'); END;"],
};

/// So many rows say how every promise stands: a gate has about fifty.
const LOOKED_BACK: u32 = 1000;

/// What the first row names as the one before it.
const GENESIS: [u8; 32] = [0; 32];

/// Why the ledger cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum LedgerFault {
    #[error("cannot open the evidence ledger")]
    Open(#[from] DatabaseFault),
    #[error("cannot use the evidence ledger")]
    Sqlite(#[from] rusqlite::Error),
    #[error("cannot write evidence as JSON")]
    Json(#[from] serde_json::Error),
    #[error("the evidence ledger was changed by another hand at row {seq}")]
    Broken { seq: i64 },
}

/// One row, with what chains it: whoever has them all can work the chain out again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    pub seq: i64,
    /// SHA-256 of the row before, in hexadecimal; zeros for the first.
    pub previous: String,
    /// SHA-256 over the number (eight bytes, the most significant first), the hash before and `body`.
    pub hash: String,
    /// The evidence in JSON, as it was hashed.
    pub body: String,
}

/// The evidence of one environment.
#[derive(Debug)]
pub struct Ledger {
    path: PathBuf,
    connection: Mutex<Connection>,
}

impl Ledger {
    pub fn open(path: &Path, presence: Presence) -> Result<Self, LedgerFault> {
        Ok(Self { path: path.to_owned(), connection: Mutex::new(database::open(path, SCHEMA, presence)?) })
    }

    /// Refuses the evidence of another root; see [`database::bind`].
    pub fn of(self, owner: &str) -> Result<Self, LedgerFault> {
        database::bind(&self.connection(), &self.path, owner)?;
        Ok(self)
    }

    /// Whether this program could read the ledger that another uses now; changes nothing.
    pub fn refuse_newer(path: &Path) -> Result<(), LedgerFault> {
        Ok(database::refuse_newer(path, SCHEMA)?)
    }

    /// Takes the ledger over for another root; see [`database::rebind`].
    pub fn given_to(self, owner: &str) -> Result<Self, LedgerFault> {
        database::rebind(&self.connection(), &self.path, owner)?;
        Ok(self)
    }

    /// Appends one piece of evidence. When this returns, it is on disk.
    pub fn append(&self, evidence: &Evidence) -> Result<(), LedgerFault> {
        let body = serde_json::to_string(evidence)?;
        let mut connection = self.connection();
        let transaction = connection.transaction()?;
        let last = transaction
            .query_row("SELECT seq, hash FROM evidence ORDER BY seq DESC LIMIT 1", [], |row| {
                Ok((row.get::<_, i64>(0)?, row.get::<_, [u8; 32]>(1)?))
            })
            .optional()?;
        let (seq, previous) = last.map_or((1, GENESIS), |(seq, hash)| (seq + 1, hash));
        transaction.execute(
            "INSERT INTO evidence (seq, previous, hash, body) VALUES (?1, ?2, ?3, ?4)",
            params![seq, previous, link(seq, &previous, &body), body],
        )?;
        Ok(transaction.commit()?)
    }

    /// When the newest evidence was taken.
    pub fn newest(&self) -> Result<Option<Timestamp>, LedgerFault> {
        let connection = self.connection();
        let body = connection
            .query_row("SELECT body FROM evidence ORDER BY seq DESC LIMIT 1", [], |row| row.get::<_, String>(0))
            .optional()?;
        Ok(body.map(|body| serde_json::from_str::<Evidence>(&body)).transpose()?.map(|evidence| evidence.at))
    }

    /// Gives every row, the oldest first, until `with` says that it is enough.
    pub fn rows(&self, mut with: impl FnMut(Row) -> ControlFlow<()>) -> Result<(), LedgerFault> {
        let connection = self.connection();
        let mut statement = connection.prepare("SELECT seq, previous, hash, body FROM evidence ORDER BY seq")?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let (previous, hash): ([u8; 32], [u8; 32]) = (row.get(1)?, row.get(2)?);
            let row = Row { seq: row.get(0)?, previous: hex(&previous), hash: hex(&hash), body: row.get(3)? };
            if with(row).is_break() {
                break;
            }
        }
        Ok(())
    }

    /// Where each promise stands.
    pub fn standings(&self) -> Result<Vec<Standing>, LedgerFault> {
        let mut all = Vec::new();
        let mut unread = None;
        self.rows(|row| match serde_json::from_str(&row.body) {
            Ok(evidence) => {
                all.push(evidence);
                ControlFlow::Continue(())
            }
            Err(error) => {
                unread = Some(error);
                ControlFlow::Break(())
            }
        })?;
        match unread {
            Some(error) => Err(error.into()),
            None => Ok(standings(all)),
        }
    }

    /// The newest evidence of each check, in the order of tasks and names.
    pub fn newest_of_each(&self) -> Result<Vec<Evidence>, LedgerFault> {
        let mut newest: BTreeMap<(String, String), Evidence> = BTreeMap::new();
        for evidence in self.lately()? {
            newest.entry((evidence.task.clone(), evidence.id.clone())).or_insert(evidence);
        }
        Ok(newest.into_values().collect())
    }

    /// Where each promise stands by the newest looks, in the order of tasks: enough to know what holds now, and since when if that is
    /// not long ago.
    pub fn standings_lately(&self) -> Result<Vec<Standing>, LedgerFault> {
        Ok(standings(self.lately()?.into_iter().rev()))
    }

    /// The newest rows, the newest first.
    fn lately(&self) -> Result<Vec<Evidence>, LedgerFault> {
        let connection = self.connection();
        let mut statement = connection.prepare("SELECT body FROM evidence ORDER BY seq DESC LIMIT ?1")?;
        let bodies = statement.query_map([LOOKED_BACK], |row| row.get::<_, String>(0))?;
        bodies.map(|body| Ok(serde_json::from_str(&body?)?)).collect()
    }

    /// Walks the whole chain. Returns how many rows it has.
    pub fn verify(&self) -> Result<u64, LedgerFault> {
        let connection = self.connection();
        let mut statement = connection.prepare("SELECT seq, previous, hash, body FROM evidence ORDER BY seq")?;
        let mut rows = statement.query([])?;
        let (mut count, mut expected) = (0_u64, GENESIS);
        while let Some(row) = rows.next()? {
            let (seq, previous, hash): (i64, [u8; 32], [u8; 32]) = (row.get(0)?, row.get(1)?, row.get(2)?);
            let body: String = row.get(3)?;
            count += 1;
            let in_place = i64::try_from(count).is_ok_and(|count| count == seq);
            if !in_place || previous != expected || hash != link(seq, &previous, &body) {
                return Err(LedgerFault::Broken { seq });
            }
            expected = hash;
        }
        Ok(count)
    }

    fn connection(&self) -> MutexGuard<'_, Connection> {
        self.connection.lock().expect("no panic happens while the ledger is written")
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn link(seq: i64, previous: &[u8; 32], body: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(seq.to_be_bytes());
    hash.update(previous);
    hash.update(body.as_bytes());
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Verdict;

    fn evidence(id: &str) -> Evidence {
        Evidence {
            task: "T3".into(),
            id: id.into(),
            claim: "a promise".into(),
            verdict: Verdict::Holds,
            observed: vec!["seen".into()],
            at: Timestamp::from_unix_millis(0),
            took_ms: 1,
            hint: None,
        }
    }

    #[test]
    fn the_newest_look_at_each_promise_is_what_counts() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(&folder.path().join("evidence.db"));
        ledger.append(&Evidence { verdict: Verdict::Fails, ..evidence("b") }).unwrap();
        let newest = ledger.newest_of_each().unwrap();
        let found: Vec<(&str, Verdict)> = newest.iter().map(|one| (one.id.as_str(), one.verdict)).collect();
        assert_eq!(found, [("a", Verdict::Holds), ("b", Verdict::Fails), ("c", Verdict::Holds)]);
    }

    fn ledger(path: &Path) -> Ledger {
        let ledger = Ledger::open(path, Presence::MayBeNew).unwrap();
        for id in ["a", "b", "c"] {
            ledger.append(&evidence(id)).unwrap();
        }
        ledger
    }

    /// Whoever writes to the file directly can drop the triggers; the chain must show it.
    fn tamper(path: &Path, sql: &str) {
        let connection = Connection::open(path).unwrap();
        connection
            .execute_batch("DROP TRIGGER evidence_is_append_only_u; DROP TRIGGER evidence_is_append_only_d;")
            .unwrap();
        connection.execute_batch(sql).unwrap();
    }

    #[test]
    fn the_chain_of_an_untouched_ledger_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(ledger(&folder.path().join("l.db")).verify().unwrap(), 3);
    }

    #[test]
    fn whoever_has_all_rows_can_work_the_chain_out() {
        let folder = tempfile::tempdir().unwrap();
        let (mut before, mut count) = ("0".repeat(64), 0);
        let ledger = ledger(&folder.path().join("l.db"));
        let walked = ledger.rows(|row| {
            count += 1;
            assert_eq!((row.seq, &row.previous), (count, &before));
            let mut hash = Sha256::new();
            hash.update(row.seq.to_be_bytes());
            let bytes: Vec<u8> =
                (0..64).step_by(2).map(|at| u8::from_str_radix(&row.previous[at..at + 2], 16).unwrap()).collect();
            hash.update(&bytes);
            hash.update(row.body.as_bytes());
            assert_eq!(row.hash, hex(&hash.finalize()));
            before = row.hash;
            ControlFlow::Continue(())
        });
        walked.unwrap();
        assert_eq!(count, 3);
        assert_eq!(ledger.standings().unwrap().len(), 3);
    }

    #[test]
    fn a_changed_row_shows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l.db");
        let ledger = ledger(&path);
        tamper(&path, "UPDATE evidence SET body = replace(body, 'holds', 'fails') WHERE seq = 2");
        assert!(matches!(ledger.verify(), Err(LedgerFault::Broken { seq: 2 })));
    }

    #[test]
    fn a_removed_row_shows() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("l.db");
        let ledger = ledger(&path);
        tamper(&path, "DELETE FROM evidence WHERE seq = 2");
        assert!(matches!(ledger.verify(), Err(LedgerFault::Broken { seq: 3 })));
    }

    #[test]
    fn the_database_itself_refuses_to_change_a_row() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(&folder.path().join("l.db"));
        let refused = ledger.connection().execute("DELETE FROM evidence", []).unwrap_err();
        assert!(refused.to_string().contains("append-only"), "{refused}");
    }
}
