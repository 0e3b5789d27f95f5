//! The lines of one day, in an SQLite file of its own: whoever wants a day gone removes a file.
//!
//! How far each log file was read lies in the same file and changes in the same transaction, so a role that is killed anywhere has
//! each line once.

use std::collections::HashMap;
use std::path::Path;

use host::clock::Timestamp;
use host::database::{self, DatabaseFault, Schema};
use rusqlite::{Connection, params};

use super::line::Read;
use super::record::{Level, Record, Source};
use super::tail::{Identity, Position};

/// `RBlo`, and the tables. Words are found by an index without their places: a phrase is looked for in the lines that have its words.
pub(crate) const SCHEMA: Schema = Schema {
    application_id: 0x5242_6C6F,
    migrations: &["
    CREATE TABLE sources (
        id INTEGER PRIMARY KEY, unit TEXT NOT NULL, app TEXT, release TEXT, stream TEXT NOT NULL
    ) STRICT;
    CREATE TABLE lines (
        id INTEGER PRIMARY KEY, time INTEGER NOT NULL, source INTEGER NOT NULL, level INTEGER,
        request TEXT, trace TEXT, span TEXT, line TEXT NOT NULL
    ) STRICT;
    CREATE INDEX lines_time ON lines (time);
    CREATE INDEX lines_request ON lines (request) WHERE request IS NOT NULL;
    CREATE INDEX lines_trace ON lines (trace) WHERE trace IS NOT NULL;
    CREATE INDEX lines_severe ON lines (time) WHERE level >= 3;
    CREATE VIRTUAL TABLE words USING fts5 (text, content='', detail=none, columnsize=0);
    CREATE TABLE positions (identity BLOB PRIMARY KEY, log TEXT NOT NULL, bytes INTEGER NOT NULL) STRICT, WITHOUT ROWID;"],
};

/// From this level on lines have an index of their own; the number is in [`SCHEMA`] too.
pub(crate) const SEVERE: Level = Level::Warn;

/// Pages that a writer keeps in memory: 16 MiB.
const CACHE: &str = "PRAGMA cache_size = -16384";

/// A day that is written.
#[derive(Debug)]
pub(crate) struct Day {
    connection: Connection,
    sources: HashMap<Source, i64>,
}

/// What goes into a day in one transaction.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) lines: Vec<Read>,
    pub(crate) positions: HashMap<Identity, Position>,
}

impl Batch {
    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty() && self.positions.is_empty()
    }
}

impl Day {
    /// Opens it, or makes it. A day of millions of lines is not read through: what is damaged shows when it is used.
    pub(crate) fn open(path: &Path) -> Result<Self, DatabaseFault> {
        let connection = database::open_unread(path, SCHEMA)?;
        let sqlite = |source| DatabaseFault::Sqlite { path: path.to_owned(), source };
        // What is lost with the machine's power is read again from the log files.
        connection.pragma_update(None, "synchronous", "normal").map_err(sqlite)?;
        connection.execute_batch(CACHE).map_err(sqlite)?;
        let sources = sources(&connection).map_err(sqlite)?;
        let sources = sources.into_iter().map(|(id, source)| (source, id)).collect();
        Ok(Self { connection, sources })
    }

    /// All or nothing. A day that took nothing is to be opened again: it may believe in sources that it does not have.
    pub(crate) fn store(&mut self, batch: &Batch) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction()?;
        {
            let mut line = transaction.prepare(
                "INSERT INTO lines (time, source, level, request, trace, span, line) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?;
            let mut words = transaction.prepare("INSERT INTO words (rowid, text) VALUES (?1, ?2)")?;
            for Read { record, words: text, .. } in &batch.lines {
                let source = match self.sources.get(&record.source) {
                    Some(id) => *id,
                    None => {
                        let id = add(&transaction, &record.source)?;
                        self.sources.insert(record.source.clone(), id);
                        id
                    }
                };
                let id = line.insert(params![
                    record.time.unix_millis(),
                    source,
                    record.level.map(Level::as_number),
                    record.request_id,
                    record.trace_id,
                    record.span_id,
                    record.line,
                ]);
                words.execute(params![id?, text])?;
            }
            let mut position =
                transaction.prepare("INSERT OR REPLACE INTO positions (identity, log, bytes) VALUES (?1, ?2, ?3)")?;
            for (identity, at) in &batch.positions {
                position.execute(params![identity.as_bytes(), at.log, i64::try_from(at.bytes).unwrap_or(i64::MAX)])?;
            }
        }
        transaction.commit()
    }

    pub(crate) fn positions(&self) -> rusqlite::Result<HashMap<Identity, Position>> {
        let mut statement = self.connection.prepare("SELECT identity, log, bytes FROM positions")?;
        let rows = statement.query_map([], |row| {
            let (identity, log, bytes): (Vec<u8>, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
            Ok((identity, Position { log, bytes: u64::try_from(bytes).unwrap_or(0) }))
        })?;
        let rows: Vec<_> = rows.collect::<rusqlite::Result<_>>()?;
        Ok(rows.into_iter().filter_map(|(bytes, at)| Some((Identity::from_bytes(&bytes)?, at))).collect())
    }
}

fn add(connection: &Connection, source: &Source) -> rusqlite::Result<i64> {
    let Source { unit, app, release, stream } = source;
    connection
        .prepare("INSERT INTO sources (unit, app, release, stream) VALUES (?1, ?2, ?3, ?4)")?
        .insert(params![unit, app, release, stream])
}

/// All sources of a day, by their ids.
pub(crate) fn sources(connection: &Connection) -> rusqlite::Result<HashMap<i64, Source>> {
    let mut statement = connection.prepare("SELECT id, unit, app, release, stream FROM sources")?;
    let rows = statement.query_map([], |row| {
        let source = Source { unit: row.get(1)?, app: row.get(2)?, release: row.get(3)?, stream: row.get(4)? };
        Ok((row.get(0)?, source))
    })?;
    rows.collect()
}

/// The columns of a line, as [`record`] reads them.
pub(crate) const COLUMNS: &str = "lines.id, time, source, level, request, trace, span, line";

/// A row of [`COLUMNS`].
pub(crate) fn record(row: &rusqlite::Row<'_>, sources: &HashMap<i64, Source>) -> rusqlite::Result<(i64, Record)> {
    let source: i64 = row.get(2)?;
    let level: Option<i64> = row.get(3)?;
    let record = Record {
        time: Timestamp::from_unix_millis(row.get(1)?),
        source: sources.get(&source).cloned().unwrap_or_default(),
        level: level.and_then(Level::from_kept),
        request_id: row.get(4)?,
        trace_id: row.get(5)?,
        span_id: row.get(6)?,
        line: row.get(7)?,
    };
    Ok((row.get(0)?, record))
}
