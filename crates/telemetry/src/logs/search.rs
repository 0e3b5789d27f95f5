//! Finding lines again, the latest first.

use std::collections::{BTreeMap, HashMap};
use std::time::{Duration, Instant};

use host::clock::Clock;
use host::{database, files};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, params_from_iter};
use serde::{Deserialize, Serialize};

use super::cold;
use super::day::{self, SEVERE};
use super::days::{Days, Files};
use super::filter::Filter;
use super::record::{Level, Record, Source};

/// Nobody waits longer for lines; what was found until then is told, and that it is not all.
const PATIENCE: Duration = Duration::from_secs(20);

/// So many lines go out in one answer.
const MOST: usize = 10_000;

/// What is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    #[serde(flatten)]
    pub filter: Filter,
    /// So many of the latest.
    pub limit: usize,
    /// Only what was kept since an answer with this cursor.
    #[serde(default)]
    pub after: Option<Cursor>,
}

/// How far each day was when it was asked.
pub type Cursor = BTreeMap<String, i64>;

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The oldest first.
    pub lines: Vec<Record>,
    pub cursor: Cursor,
    /// Days that could not be read.
    pub damaged: Vec<String>,
    /// Not all was looked at: there was no time.
    pub is_partial: bool,
}

/// Looks through the days.
pub(crate) fn search(days: &Days, question: &Question, clock: &dyn Clock) -> Result<Answer, files::FileFault> {
    let limit = question.limit.clamp(1, MOST);
    let deadline = clock.instant() + PATIENCE;
    let mut look = Look { question, limit, clock, deadline, answer: Answer::default(), found: Vec::new() };
    let all = days.all()?;
    for (day, files) in all.iter().rev() {
        look.hot(day, files);
    }
    // Late lines may be in any of those; what is packed is older.
    if question.after.is_none() {
        for (day, files) in all.iter().rev() {
            if look.found.len() >= limit || (look.asks_for_one() && !look.found.is_empty()) || look.is_late() {
                break;
            }
            look.cold(day, files);
        }
    }
    let Look { mut answer, mut found, .. } = look;
    found.sort_by_key(|(record, day, id)| (record.time, day.clone(), *id));
    let beginning = if question.after.is_some() { 0 } else { found.len().saturating_sub(limit) };
    answer.lines = found.drain(beginning..).map(|(record, ..)| record).collect();
    Ok(answer)
}

struct Look<'q> {
    question: &'q Question,
    limit: usize,
    clock: &'q dyn Clock,
    deadline: Instant,
    answer: Answer,
    found: Vec<(Record, String, i64)>,
}

impl Look<'_> {
    fn asks_for_one(&self) -> bool {
        self.question.filter.request.is_some() || self.question.filter.trace.is_some()
    }

    fn is_late(&mut self) -> bool {
        let is_late = self.clock.instant() >= self.deadline;
        self.answer.is_partial |= is_late;
        is_late
    }

    fn hot(&mut self, day: &str, files: &Files) {
        let Some(path) = &files.hot else { return };
        let outcome = match database::open_to_read(path, day::SCHEMA) {
            // Made a moment ago: its tables are not there yet.
            Ok(None) => return,
            Ok(Some(mut connection)) => self.rows(day, &mut connection).map_err(|error| error.to_string()),
            Err(fault) => Err(fault.to_string()),
        };
        if let Err(error) = outcome {
            tracing::warn!(day, %error, "cannot read the lines of a day");
            self.answer.damaged.push(day.to_owned());
        }
    }

    fn rows(&mut self, day: &str, connection: &mut Connection) -> rusqlite::Result<()> {
        // One state of the day for the cursor and the lines.
        let transaction = connection.transaction()?;
        let last: Option<i64> =
            transaction.query_row("SELECT max(id) FROM lines", [], |row| row.get(0)).optional()?.flatten();
        let Some(last) = last else { return Ok(()) };
        let after = self.question.after.as_ref().map(|cursor| cursor.get(day).copied().unwrap_or(0));
        self.answer.cursor.insert(day.to_owned(), last);
        if after.is_some_and(|after| after >= last) {
            return Ok(());
        }
        let sources = day::sources(&transaction)?;
        let Some((query, values)) = statement(&self.question.filter, &sources, after) else { return Ok(()) };
        let mut statement = transaction.prepare(&query)?;
        let mut rows = statement.query(params_from_iter(values))?;
        let (mut looked, mut kept) = (0_u32, 0);
        while let Some(row) = rows.next()? {
            looked = looked.wrapping_add(1);
            if looked.is_multiple_of(1024) && self.is_late() {
                break;
            }
            let (id, record) = day::record(row, &sources)?;
            if self.question.filter.matches(&record) {
                self.found.push((record, day.to_owned(), id));
                kept += 1;
            }
            if kept >= self.limit {
                // What comes after is for the next question.
                if after.is_some() {
                    self.answer.cursor.insert(day.to_owned(), id);
                }
                break;
            }
        }
        Ok(())
    }

    fn cold(&mut self, day: &str, files: &Files) {
        let Some(path) = &files.cold else { return };
        let outcome = files::open(path).map_err(|fault| fault.source).and_then(|mut file| {
            for block in cold::blocks(&mut file, &self.question.filter)? {
                // Nothing that is left can be among the latest.
                let is_full = self.found.len() >= self.limit
                    && self.found.iter().filter(|(record, ..)| record.time > block.last()).count() >= self.limit;
                if is_full || self.is_late() {
                    break;
                }
                let records = block.records(&mut file)?.into_iter().enumerate();
                let wanted = records.filter(|(_, record)| self.question.filter.matches(record));
                let wanted = wanted.map(|(at, record)| (record, day.to_owned(), i64::try_from(at).unwrap_or(0)));
                self.found.extend(wanted);
            }
            Ok(())
        });
        if let Err(error) = outcome {
            tracing::warn!(day, %error, "cannot read the lines of a packed day");
            self.answer.damaged.push(day.to_owned());
        }
    }
}

/// What narrows the lines down before each of them is looked at. `None`: there can be none.
fn statement(filter: &Filter, sources: &HashMap<i64, Source>, after: Option<i64>) -> Option<(String, Vec<Value>)> {
    let mut values = Vec::new();
    let mut conditions = Vec::new();
    let mut add = |condition: &str, value: Value| {
        conditions.push(condition.to_owned());
        values.push(value);
    };
    let words = filter.words().filter(|_| filter.request.is_none() && filter.trace.is_none() && after.is_none());
    if let Some(words) = &words {
        add("words MATCH ?", Value::Text(words.clone()));
    }
    if let Some(id) = &filter.request {
        add("request = ?", Value::Text(id.clone()));
    }
    if let Some(id) = &filter.trace {
        add("trace = ?", Value::Text(id.clone()));
    }
    if let Some(since) = filter.since {
        add("time >= ?", Value::Integer(since.unix_millis()));
    }
    if let Some(until) = filter.until {
        add("time <= ?", Value::Integer(until.unix_millis()));
    }
    if let Some(after) = after {
        add("lines.id > ?", Value::Integer(after));
    }
    if let Some(level) = filter.level {
        add("level >= ?", Value::Integer(Level::as_number(level)));
        if level >= SEVERE {
            // As the index has it, word for word.
            conditions.push("level >= 3".to_owned());
        }
    }
    let of: Vec<String> = sources
        .iter()
        .filter(|(_, source)| filter.is_of(&source.unit, source.app.as_deref()))
        .map(|(id, _)| id.to_string())
        .collect();
    if of.is_empty() {
        return None;
    }
    if of.len() < sources.len() {
        conditions.push(format!("source IN ({})", of.join(",")));
    }
    if conditions.is_empty() {
        conditions.push("1".to_owned());
    }
    let from = if words.is_some() { "words JOIN lines ON lines.id = words.rowid" } else { "lines" };
    let order = if after.is_some() {
        "lines.id"
    } else if words.is_some() {
        "words.rowid DESC"
    } else if filter.request.is_some() || filter.trace.is_some() {
        // Sorted by hand: by the index of times all lines of the day would be gone through.
        "+time DESC, lines.id DESC"
    } else {
        "time DESC, lines.id DESC"
    };
    let query = format!("SELECT {} FROM {from} WHERE {} ORDER BY {order}", day::COLUMNS, conditions.join(" AND "));
    Some((query, values))
}
