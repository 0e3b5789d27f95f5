//! Lines, from the days in which they are kept: by the number that each has in its day, so that what came late is sent, too.
//!
//! A receiver that is away for so long that a day is packed misses what is left of it: counted, and found here by `roadbed logs`. It is
//! counted by who starts next, where nobody ran while the day was packed or the role ended before it was told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use host::database;
use secrets::Secret;

use super::cursor::CursorFile;
use super::{Export, Parcel, Source};
use crate::logs::days::Days;
use crate::logs::{Logs, Record};
use crate::logs::{cold, day};

/// Lines of one request, and bytes of their texts: receivers take some megabytes.
const MOST_LINES: usize = 1_000;
const MOST_BYTES: usize = 1 << 20;

/// Makes a request of lines.
pub(super) type Encode = fn(&Export, &str, &[Record], Option<&Secret>) -> Result<Parcel, String>;

/// By day, the number of a line.
type Numbers = BTreeMap<String, i64>;

/// An export of lines.
pub(super) struct Lines {
    export: Export,
    environment: String,
    days: Days,
    cursor: CursorFile,
    sent: Numbers,
    /// The last line that there is.
    last: Numbers,
    /// Lines that were packed unsent before this role began, and are in no count yet.
    missed: u64,
    /// What the parcel that is on its way is up to.
    pending: Option<(String, i64)>,
    most: usize,
    encode: Encode,
}

impl Lines {
    pub(super) fn new(
        export: &Export,
        environment: &str,
        folder: PathBuf,
        logs: &Arc<Logs>,
        encode: Encode,
    ) -> Result<Self, String> {
        let cursor = CursorFile::new(&folder);
        let mut lines = Self {
            export: export.clone(),
            environment: environment.to_owned(),
            days: logs.days(),
            sent: Numbers::new(),
            last: Numbers::new(),
            missed: 0,
            pending: None,
            most: MOST_LINES,
            encode,
            cursor,
        };
        match lines.cursor.read() {
            Some(sent) => {
                lines.sent = sent;
                lines.look_back()?;
            }
            None => {
                // It begins with what comes from now on.
                for (day, path) in lines.hot()? {
                    let last = last(&path)?.unwrap_or(0);
                    lines.sent.insert(day, last);
                }
                lines.sent.extend(lines.packed()?);
                lines.cursor.write(&lines.sent)?;
            }
        }
        Ok(lines)
    }

    /// Counts what was packed since the cursor was written, and is not to be sent any more.
    fn look_back(&mut self) -> Result<(), String> {
        let latest = self.sent.keys().next_back().cloned();
        for (day, lines) in self.packed()? {
            // Of a day that the cursor does not know and that is before those it knows, all was seen to.
            let sent = match self.sent.remove(&day) {
                Some(sent) => sent,
                None if latest.as_ref().is_none_or(|latest| *latest < day) => 0,
                None => continue,
            };
            self.missed += u64::try_from(lines - sent).unwrap_or(0);
        }
        if self.missed > 0 {
            self.note_packed()?;
        }
        // A day may be packed before it is looked at for the first time.
        for (day, path) in self.hot()? {
            if let Some(last) = last(&path)? {
                self.last.insert(day, last);
            }
        }
        Ok(())
    }

    /// What was packed is counted, once.
    fn note_packed(&self) -> Result<(), String> {
        let mut noted = self.sent.clone();
        noted.extend(self.packed()?);
        self.cursor.write(&noted)
    }

    /// How many lines are in days that are packed, and written to no more.
    fn packed(&self) -> Result<Numbers, String> {
        let mut packed = Numbers::new();
        for (day, files) in self.days.all().map_err(|fault| fault.to_string())? {
            if let (None, Some(path)) = (files.hot, files.cold) {
                let counted = host::files::open(&path).map_err(|fault| fault.source);
                match counted.and_then(|mut file| cold::count(&mut file)) {
                    Ok(lines) => _ = packed.insert(day, i64::try_from(lines).unwrap_or(i64::MAX)),
                    // It is sent to nobody either way; the rest is.
                    Err(error) => {
                        tracing::warn!(day, %error, "how many lines of a packed day were not sent is not known")
                    }
                }
            }
        }
        Ok(packed)
    }

    /// Days that are written, the oldest first.
    fn hot(&self) -> Result<Vec<(String, PathBuf)>, String> {
        let all = self.days.all().map_err(|fault| fault.to_string())?;
        Ok(all.into_iter().filter_map(|(day, files)| Some((day, files.hot?))).collect())
    }

    fn read(&self, path: &Path, after: i64) -> Result<Vec<(i64, Record)>, String> {
        let cannot = |error: &dyn std::fmt::Display| format!("the lines of a day cannot be read: {error}");
        let connection = database::open_to_read(path, day::SCHEMA).map_err(|fault| cannot(&fault))?;
        let Some(connection) = connection else { return Ok(Vec::new()) };
        let look = || {
            // One state of the day: a source that is added meanwhile is not missed.
            let transaction = connection.unchecked_transaction()?;
            let sources = day::sources(&transaction)?;
            let query = format!("SELECT {} FROM lines WHERE id > ?1 ORDER BY id LIMIT ?2", day::COLUMNS);
            let mut statement = transaction.prepare(&query)?;
            let mut rows = statement.query((after, i64::try_from(self.most).unwrap_or(i64::MAX)))?;
            let (mut found, mut bytes) = (Vec::new(), 0);
            while bytes < MOST_BYTES
                && let Some(row) = rows.next()?
            {
                let (id, record) = day::record(row, &sources)?;
                bytes += record.line.len();
                found.push((id, record));
            }
            Ok::<_, rusqlite::Error>(found)
        };
        look().map_err(|error| cannot(&error))
    }
}

/// The number of the last line of a day. `None`: it has none, or no tables yet.
fn last(path: &Path) -> Result<Option<i64>, String> {
    let cannot = |error: &dyn std::fmt::Display| format!("the lines of a day cannot be read: {error}");
    match database::open_to_read(path, day::SCHEMA).map_err(|fault| cannot(&fault))? {
        None => Ok(None),
        Some(connection) => {
            connection.query_row("SELECT max(id) FROM lines", [], |row| row.get(0)).map_err(|error| cannot(&error))
        }
    }
}

impl Source for Lines {
    fn next(&mut self, secret: Option<&Secret>) -> Result<Option<Parcel>, String> {
        for (day, path) in self.hot()? {
            loop {
                let sent = self.sent.get(&day).copied().unwrap_or(0);
                if self.last.get(&day).is_none_or(|last| *last <= sent) {
                    break;
                }
                let found = self.read(&path, sent)?;
                let Some((last, _)) = found.last() else { break };
                let last = *last;
                let wanted: Vec<Record> = found
                    .into_iter()
                    .map(|(_, record)| record)
                    .filter(|record| self.export.takes(record.source.app.as_deref()))
                    .collect();
                if !wanted.is_empty() {
                    self.pending = Some((day, last));
                    return (self.encode)(&self.export, &self.environment, &wanted, secret).map(Some);
                }
                self.sent.insert(day.clone(), last);
            }
        }
        Ok(None)
    }

    fn done(&mut self) -> Result<(), String> {
        if let Some((day, last)) = self.pending.clone() {
            let mut sent = self.sent.clone();
            sent.insert(day, last);
            self.cursor.write(&sent)?;
            self.sent = sent;
            self.pending = None;
        }
        // Whatever was too large is behind.
        self.most = (self.most * 2).min(MOST_LINES);
        Ok(())
    }

    fn shrink(&mut self) -> bool {
        let is_smaller = self.most > 1;
        self.most = (self.most / 2).max(1);
        is_smaller
    }

    fn look_after(&mut self) -> Result<u64, String> {
        let hot = self.hot()?;
        let mut dropped = std::mem::take(&mut self.missed);
        let gone: Vec<String> = self
            .last
            .keys()
            .chain(self.sent.keys())
            .filter(|day| hot.iter().all(|(hot, _)| hot != *day))
            .cloned()
            .collect();
        let is_any_gone = !gone.is_empty();
        for day in gone {
            let sent = self.sent.remove(&day).unwrap_or(0);
            let last = self.last.remove(&day).unwrap_or(sent);
            dropped += u64::try_from(last - sent).unwrap_or(0);
        }
        for (day, path) in hot {
            let Some(last) = last(&path)? else { continue };
            // A day that was damaged begins anew.
            if self.sent.get(&day).is_some_and(|sent| *sent > last) {
                self.sent.insert(day.clone(), 0);
            }
            self.last.insert(day, last);
        }
        if is_any_gone {
            self.note_packed()?;
        }
        Ok(dropped)
    }

    fn waiting(&self) -> u64 {
        let left = self.last.iter().map(|(day, last)| last - self.sent.get(day).copied().unwrap_or(0));
        u64::try_from(left.sum::<i64>()).unwrap_or(0)
    }
}
