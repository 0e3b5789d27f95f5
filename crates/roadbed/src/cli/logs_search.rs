//! `roadbed logs` with conditions: asked of telemetry, or of the log files where it does not answer.

use std::path::PathBuf;
use std::time::Duration;

use host::clock::Timestamp;
use host::files;
use reconcile::Fault;
use telemetry::TelemetryClient;
use telemetry::logs::{ACCESS, Cursor, Filter, Question, Record};
use tokio::time::interval;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::interrupts::Interrupts;
use crate::cli::session::Session;
use crate::render::log::{self, Entry};

/// How often telemetry is asked for what came meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// The keeper and the edge keep so many files beside the one that is written.
const KEPT: u32 = 3;

/// Lines that were found.
#[derive(Debug, Default)]
pub struct Found {
    /// The oldest first.
    pub lines: Vec<Record>,
    /// Where a follower goes on; `None` if telemetry is down.
    cursor: Option<Cursor>,
}

/// The latest lines that are such, from whoever has them.
pub async fn find(session: &Session, filter: &Filter, limit: usize) -> Result<Found, Failure> {
    let question = Question { filter: filter.clone(), limit, after: None };
    let client = TelemetryClient::new(session.root.clone());
    if client.health().await.is_err() {
        return Ok(Found { lines: from_files(session, filter, limit)?, cursor: None });
    }
    let answer = client.logs(&question).await?;
    if !answer.damaged.is_empty() {
        session.output.complain(format!("damaged, and not searched: {}", answer.damaged.join(", ")));
    }
    if answer.is_partial {
        session.output.complain("there is more than could be searched in time: say --since, --until or a unit");
    }
    Ok(Found { lines: answer.lines, cursor: Some(answer.cursor) })
}

/// All that the keeper and the edge still have, read through.
fn from_files(session: &Session, filter: &Filter, limit: usize) -> Result<Vec<Record>, Failure> {
    let mut lines = Vec::new();
    for path in files::list(&session.root.logs())? {
        let is_log = path.extension().is_some_and(|extension| extension == "log");
        let Some(unit) = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).filter(|_| is_log) else {
            continue;
        };
        let mut last = Timestamp::from_unix_millis(0);
        for age in (0..=KEPT).rev() {
            let name = if age == 0 { path.clone() } else { PathBuf::from(format!("{}.{age}", path.display())) };
            let Some(bytes) = files::read_if_exists(&name)? else { continue };
            let text = String::from_utf8_lossy(&bytes);
            lines.extend(text.lines().filter_map(|line| filter.pick(&unit, line, &mut last)));
        }
    }
    lines.sort_by_key(|record| record.time);
    Ok(lines.split_off(lines.len().saturating_sub(limit)))
}

/// Shows what is found, and what comes.
pub async fn run(
    session: &Session,
    (filter, units): (Filter, &[String]),
    (limit, is_followed): (usize, bool),
    interrupts: &mut Interrupts,
) -> Result<Exit, Failure> {
    let found = find(session, &filter, limit).await?;
    let mut shown = units.to_vec();
    shown.extend(found.lines.iter().map(|record| record.source.unit.clone()).filter(|unit| !units.contains(unit)));
    let view = log::View::new(&shown, session.output.data);
    found.lines.iter().try_for_each(|record| print(session, &view, record))?;
    if found.cursor.is_none() {
        session.output.complain("telemetry does not answer: these are from the log files themselves");
    }
    if !is_followed {
        return Ok(Exit::Done);
    }
    let Some(mut cursor) = found.cursor else {
        let fault = Fault::new("cannot follow a search while telemetry is down");
        return Err(Failure::Work(fault.hint(format!("`{}` starts it", session.command("up")))));
    };
    let client = TelemetryClient::new(session.root.clone());
    let mut ticks = interval(LOOK_EVERY);
    loop {
        tokio::select! {
            () = interrupts.next() => return Ok(Exit::Interrupted),
            _ = ticks.tick() => {}
        }
        let question = Question { filter: filter.clone(), limit: usize::MAX, after: Some(cursor.clone()) };
        // It is being replaced: what comes meanwhile is there when it is back.
        let Ok(answer) = client.logs(&question).await else { continue };
        answer.lines.iter().try_for_each(|record| print(session, &view, record))?;
        // A day that could not be read is asked from where it was.
        cursor.extend(answer.cursor);
    }
}

fn print(session: &Session, view: &log::View, record: &Record) -> Result<(), Failure> {
    let output = &session.output;
    match (output.is_json(), record.source.unit == ACCESS) {
        (false, _) => output.line(view.line(&entry(record))),
        // It is JSON already, as without conditions.
        (true, true) => output.line(&record.line),
        (true, false) => output.json(&document(record)),
    }
}

/// As it is printed with `--json`.
pub fn document(record: &Record) -> serde_json::Value {
    let mut value = serde_json::to_value(record).unwrap_or_default();
    value["time"] = record.time.to_string().into();
    value
}

/// A line as it is shown to people.
pub fn entry(record: &Record) -> Entry {
    let stream = if record.source.stream == "err" { log::Stream::Err } else { log::Stream::Out };
    let time = Some(record.time.calendar());
    Entry { unit: record.source.unit.clone(), time, order: time, stream, line: record.line.clone() }
}
