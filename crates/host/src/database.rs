//! SQLite files that are never mistaken for empty ones.
//!
//! SQLite takes a file of no bytes for a new database, and an absent one too. For state that was acknowledged that would be
//! silent loss, so whether the file must be there is part of opening it.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, OptionalExtension, TransactionBehavior};

use crate::files;

/// What a database holds.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// Four letters in SQLite's header, so that one state file is not opened as another.
    pub application_id: i32,
    /// Statements that make the tables. The version is its position from 1; each entry is run once, in order.
    pub migrations: &'static [&'static str],
}

/// Whether the file may be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// The environment is new: absent is fine.
    MayBeNew,
    /// The environment has been used: absent is loss.
    MustExist,
}

/// Why a database cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseFault {
    #[error("the state file {} is missing", path.display())]
    Missing { path: PathBuf },
    #[error("the state file {} is damaged: {what}", path.display())]
    Damaged { path: PathBuf, what: String },
    #[error("the state file {} was written by a newer Roadbed (format {found}, this one reads {known})", path.display())]
    Newer { path: PathBuf, found: usize, known: usize },
    #[error("the state file {} belongs to another environment's root", path.display())]
    Foreign { path: PathBuf },
    #[error("cannot use the state file {}", path.display())]
    Sqlite {
        path: PathBuf,
        #[source]
        source: rusqlite::Error,
    },
}

impl DatabaseFault {
    /// What the person at the keyboard can do.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Missing { .. } | Self::Damaged { .. } => {
                "restore the file from a backup, or go on without it: `roadbed up --forget-state` moves it aside"
            }
            Self::Foreign { .. } => {
                "put back the file that belongs here, or go on without it: `roadbed up --forget-state` moves it aside"
            }
            Self::Newer { .. } => "use the Roadbed that wrote it, or a later one",
            Self::Sqlite { .. } => "see whether the disk is full and the file is yours to write",
        }
    }
}

/// First bytes of each SQLite file.
const MAGIC: &[u8] = b"SQLite format 3\0";

/// How long a reader waits for a writer of the same file. Writes here take milliseconds.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// How SQLite survives a crash in the midst of a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Journalling {
    /// Changes gather in a file beside it: one fsync each, readers never wait.
    Ahead,
    /// What is changed is kept beside it until the change is done. Slower, and the file alone is whole at every other time: it
    /// can be copied, put back and judged while the environment is up, and what was wiped from it is in no other file.
    Behind,
}

/// Opens a database, checks that it is whole, and brings its tables up to date.
pub fn open(path: &Path, schema: Schema, presence: Presence) -> Result<Connection, DatabaseFault> {
    open_with(path, schema, presence, Journalling::Ahead)
}

/// As [`open`], with the way of surviving crashes that is asked for.
pub fn open_with(
    path: &Path,
    schema: Schema,
    presence: Presence,
    journalling: Journalling,
) -> Result<Connection, DatabaseFault> {
    let damaged = |what: String| DatabaseFault::Damaged { path: path.to_owned(), what };
    let sqlite = |source| DatabaseFault::Sqlite { path: path.to_owned(), source };
    match files::read_prefix(path, MAGIC.len()) {
        Ok(Some(head)) if head.as_slice() == MAGIC => {}
        Ok(Some(head)) if head.is_empty() => return Err(damaged("it is empty".into())),
        Ok(Some(_)) => return Err(damaged("it does not begin like a database".into())),
        Ok(None) if presence == Presence::MustExist => return Err(DatabaseFault::Missing { path: path.to_owned() }),
        Ok(None) => create(path, schema).map_err(sqlite)?,
        Err(fault) => return Err(damaged(fault.source.to_string())),
    }
    let mut connection =
        Connection::open_with_flags(path, OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX)
            .map_err(sqlite)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(sqlite)?;
    let verdict: String = connection
        .query_row("PRAGMA quick_check(1)", [], |row| row.get(0))
        .map_err(|error| damaged(error.to_string()))?;
    if verdict != "ok" {
        return Err(damaged(verdict));
    }
    let id: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(sqlite)?;
    if id != schema.application_id {
        return Err(damaged("it holds something else".into()));
    }
    // FULL: a step that is journalled as begun is on disk before its effect happens.
    let journal_mode = match journalling {
        Journalling::Ahead => "wal",
        Journalling::Behind => "delete",
    };
    connection.pragma_update(None, "journal_mode", journal_mode).map_err(sqlite)?;
    connection.pragma_update(None, "synchronous", "full").map_err(sqlite)?;
    migrate(&mut connection, path, schema)?;
    Ok(connection)
}

/// As [`open`] of a file that may be new, without reading all of it: for files of gigabytes whose loss is none of state. What is
/// damaged in the midst of it shows when it is used.
pub fn open_unread(path: &Path, schema: Schema) -> Result<Connection, DatabaseFault> {
    let damaged = |what: String| DatabaseFault::Damaged { path: path.to_owned(), what };
    let sqlite = |source| DatabaseFault::Sqlite { path: path.to_owned(), source };
    match files::read_prefix(path, MAGIC.len()) {
        Ok(Some(head)) if head.as_slice() == MAGIC => {}
        Ok(Some(_)) => return Err(damaged("it does not begin like a database".into())),
        Ok(None) => create(path, schema).map_err(sqlite)?,
        Err(fault) => return Err(damaged(fault.source.to_string())),
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(path, flags).map_err(sqlite)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(sqlite)?;
    let id: i32 = connection
        .pragma_query_value(None, "application_id", |row| row.get(0))
        .map_err(|error| damaged(error.to_string()))?;
    if id != schema.application_id {
        return Err(damaged("it holds something else".into()));
    }
    connection.pragma_update(None, "journal_mode", "wal").map_err(sqlite)?;
    connection.pragma_update(None, "synchronous", "full").map_err(sqlite)?;
    migrate(&mut connection, path, schema)?;
    Ok(connection)
}

/// Opens a database that another is responsible for, to look something up. `None` if there is none, or it has other tables.
pub fn open_to_read(path: &Path, schema: Schema) -> Result<Option<Connection>, DatabaseFault> {
    let sqlite = |source| DatabaseFault::Sqlite { path: path.to_owned(), source };
    if !files::exists(path) {
        return Ok(None);
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(sqlite)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(sqlite)?;
    let id: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0)).map_err(sqlite)?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(sqlite)?;
    let is_ours =
        id == schema.application_id && usize::try_from(version).is_ok_and(|done| done == schema.migrations.len());
    Ok(is_ours.then_some(connection))
}

/// Copies a database that others use meanwhile, as it is at one moment, to a path where nothing is.
pub fn copy(path: &Path, to: &Path) -> Result<(), DatabaseFault> {
    let sqlite = |source| DatabaseFault::Sqlite { path: path.to_owned(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(sqlite)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(sqlite)?;
    connection.execute("VACUUM INTO ?1", [to.to_string_lossy()]).map(drop).map_err(sqlite)
}

/// Whether this program could use a database that another uses now, by its version alone: nothing is changed or brought up to
/// date. One that is not there is no hindrance.
pub fn refuse_newer(path: &Path, schema: Schema) -> Result<(), DatabaseFault> {
    let sqlite = |source| DatabaseFault::Sqlite { path: path.to_owned(), source };
    if !files::exists(path) {
        return Ok(());
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(sqlite)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(sqlite)?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(sqlite)?;
    let (found, known) = (usize::try_from(version).unwrap_or(usize::MAX), schema.migrations.len());
    if found > known { Err(DatabaseFault::Newer { path: path.to_owned(), found, known }) } else { Ok(()) }
}

/// Notes whose the database is, and refuses one that is another's. One that is nobody's yet becomes the caller's.
pub fn bind(connection: &Connection, path: &Path, owner: &str) -> Result<(), DatabaseFault> {
    let sqlite = |source| DatabaseFault::Sqlite { path: path.to_owned(), source };
    match owner_of(connection).map_err(sqlite)? {
        Some(known) if known == owner => Ok(()),
        Some(_) => Err(DatabaseFault::Foreign { path: path.to_owned() }),
        None => give(connection, owner).map_err(sqlite),
    }
}

/// Makes the database the caller's, whoever had it: for a root that is adopted with all that lies in it.
pub fn rebind(connection: &Connection, path: &Path, owner: &str) -> Result<(), DatabaseFault> {
    give(connection, owner).map_err(|source| DatabaseFault::Sqlite { path: path.to_owned(), source })
}

const OWNER_TABLE: &str =
    "CREATE TABLE IF NOT EXISTS owner (only INTEGER PRIMARY KEY CHECK (only = 1), id TEXT NOT NULL) STRICT";

fn owner_of(connection: &Connection) -> rusqlite::Result<Option<String>> {
    connection.execute(OWNER_TABLE, [])?;
    connection.query_row("SELECT id FROM owner", [], |row| row.get(0)).optional()
}

fn give(connection: &Connection, owner: &str) -> rusqlite::Result<()> {
    connection.execute(OWNER_TABLE, [])?;
    connection.execute("INSERT OR REPLACE INTO owner (only, id) VALUES (1, ?1)", [owner])?;
    // Into the file itself at once: a copy of it alone is to say whose it is.
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
}

/// Makes the file under a temporary name, so that a crash in between leaves no half-made database behind. Of several who make
/// it at once, one does: nobody's first writes are covered by another's empty file.
fn create(path: &Path, schema: Schema) -> rusqlite::Result<()> {
    static MADE: AtomicU32 = AtomicU32::new(0);
    let number = MADE.fetch_add(1, Ordering::Relaxed);
    let fresh = path.with_extension(format!("{}-{number}.new", crate::own::pid()));
    // Leftover of a crash at this very place.
    let _ = files::remove(&fresh);
    let connection = Connection::open(&fresh)?;
    connection.pragma_update(None, "application_id", schema.application_id)?;
    connection.pragma_update(None, "user_version", 0)?;
    drop(connection);
    files::make_private(&fresh)
        .and_then(|()| files::rename_new(&fresh, path).map(drop))
        .and_then(|()| files::sync_dir(path.parent().unwrap_or(Path::new("."))))
        .map_err(|fault| rusqlite::Error::InvalidPath(fault.path))
}

fn migrate(connection: &mut Connection, path: &Path, schema: Schema) -> Result<(), DatabaseFault> {
    let sqlite = |source| DatabaseFault::Sqlite { path: path.to_owned(), source };
    let version: i64 = connection.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(sqlite)?;
    let done = usize::try_from(version).unwrap_or(usize::MAX);
    let known = schema.migrations.len();
    if done > known {
        return Err(DatabaseFault::Newer { path: path.to_owned(), found: done, known });
    }
    for (index, statements) in schema.migrations.iter().enumerate().skip(done) {
        let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sqlite)?;
        // Another process may have opened the same new file and been first.
        let now: i64 = transaction.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(sqlite)?;
        let next = i64::try_from(index + 1).expect("migrations are few");
        if now < next {
            transaction.execute_batch(statements).map_err(sqlite)?;
            transaction.pragma_update(None, "user_version", next).map_err(sqlite)?;
        }
        transaction.commit().map_err(sqlite)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCHEMA: Schema = Schema { application_id: 0x7465_7374, migrations: &["CREATE TABLE t (x INTEGER) STRICT;"] };

    fn damage(change: impl FnOnce(&Path)) -> DatabaseFault {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let connection = open(&path, SCHEMA, Presence::MayBeNew).unwrap();
        for x in 0..2000 {
            connection.execute("INSERT INTO t VALUES (?1)", [x]).unwrap();
        }
        drop(connection);
        change(&path);
        open(&path, SCHEMA, Presence::MustExist).expect_err("damage is noticed")
    }

    #[test]
    fn what_was_written_is_there_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        open(&path, SCHEMA, Presence::MayBeNew).unwrap().execute("INSERT INTO t VALUES (7)", []).unwrap();
        let again = open(&path, SCHEMA, Presence::MustExist).unwrap();
        let x: i64 = again.query_row("SELECT x FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(x, 7);
    }

    #[test]
    fn a_missing_file_is_not_a_new_one() {
        assert!(matches!(damage(|path| std::fs::remove_file(path).unwrap()), DatabaseFault::Missing { .. }));
    }

    #[test]
    fn an_emptied_file_is_damage() {
        assert!(matches!(damage(|path| std::fs::write(path, b"").unwrap()), DatabaseFault::Damaged { .. }));
    }

    #[test]
    fn a_truncated_file_is_damage() {
        let cut = |path: &Path| {
            let bytes = std::fs::read(path).unwrap();
            std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        };
        assert!(matches!(damage(cut), DatabaseFault::Damaged { .. }));
    }

    #[test]
    fn overwritten_pages_are_damage() {
        let scribble = |path: &Path| {
            let mut bytes = std::fs::read(path).unwrap();
            bytes[4096..].fill(0xAB);
            std::fs::write(path, bytes).unwrap();
        };
        assert!(matches!(damage(scribble), DatabaseFault::Damaged { .. }));
    }

    #[test]
    fn what_belongs_to_another_is_refused_until_it_is_taken_over() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        let mine = || open(&path, SCHEMA, Presence::MayBeNew).unwrap();
        bind(&mine(), &path, "me").unwrap();
        bind(&mine(), &path, "me").unwrap();
        assert!(matches!(bind(&mine(), &path, "you"), Err(DatabaseFault::Foreign { .. })));
        rebind(&mine(), &path, "you").unwrap();
        bind(&mine(), &path, "you").unwrap();
        assert!(matches!(bind(&mine(), &path, "me"), Err(DatabaseFault::Foreign { .. })));
    }

    #[test]
    fn another_kind_of_state_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        open(&path, SCHEMA, Presence::MayBeNew).unwrap();
        let other = Schema { application_id: 1, ..SCHEMA };
        assert!(matches!(open(&path, other, Presence::MustExist), Err(DatabaseFault::Damaged { .. })));
    }
}
