//! Lines of logs: what a JSON line says first, and what else it has.

use maud::{Markup, html};
use serde_json::Value;
use telemetry::logs::{ACCESS, Level, Record};

use crate::errors::request_link;
use crate::marks::{self, Mark};
use crate::words::{clock, cut};

/// Letters of a line, and fields beside what it says.
const SAID: usize = 400;
const FIELDS: usize = 12;
const FIELD: usize = 120;

/// Told in columns of their own.
const TOLD: [&str; 14] = [
    "time",
    "timestamp",
    "ts",
    "level",
    "severity",
    "msg",
    "message",
    "request_id",
    "trace_id",
    "span_id",
    "release",
    "environment",
    "pid",
    "hostname",
];

fn level(record: &Record) -> Mark {
    match record.level {
        Some(Level::Error | Level::Fatal) => Mark::Bad,
        Some(Level::Warn) => Mark::Warn,
        _ => Mark::Idle,
    }
}

/// What it says, and its fields.
fn read(record: &Record) -> (String, Vec<(String, String)>) {
    let Ok(Value::Object(fields)) = serde_json::from_str::<Value>(&record.line) else {
        return (record.line.clone(), Vec::new());
    };
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    if record.source.unit == ACCESS {
        let word = |name: &str| fields.get(name).map(text).unwrap_or_default();
        let said = format!("{} {}{} {}", word("method"), word("host"), word("path"), word("status"));
        let more = ["ms", "upstream", "error", "release"];
        let more = more.iter().filter_map(|name| Some(((*name).to_owned(), text(fields.get(*name)?))));
        return (said, more.filter(|(_, value)| value != "null").collect());
    }
    let said = ["msg", "message"].iter().find_map(|name| fields.get(*name)).map_or_else(String::new, text);
    let more = fields.iter().filter(|(name, _)| !TOLD.contains(&name.as_str()));
    (said, more.map(|(name, value)| (name.clone(), text(value))).collect())
}

/// How ids of requests are told beside each line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ids {
    Told,
    /// All lines are of the same one.
    Known,
}

pub(crate) fn table(records: &[Record], label: &str, ids: Ids) -> Markup {
    html! {
        div .wide tabindex="0" role="region" aria-label=(label) {
            table .lines {
                thead { tr {
                    th scope="col" { "Time" } th scope="col" { "From" } th scope="col" { "Level" } th scope="col" { "Line" }
                    @if ids == Ids::Told { th scope="col" { "Request" } }
                } }
                tbody { @for record in records { (line(record, ids)) } }
            }
        }
    }
}

fn line(record: &Record, ids: Ids) -> Markup {
    let (said, fields) = read(record);
    let name = record.level.map_or("–", Level::as_str);
    html! {
        tr data-row .err[record.source.stream == "err"] {
            td .soft .clock { (clock(record.time)) }
            td .nowrap { (cut(&record.source.unit, 40)) }
            td { (marks::state(level(record), name)) }
            td .grow .id {
                (cut(&said, SAID))
                @for (name, value) in fields.iter().take(FIELDS) { " " span .pair { (cut(name, 40)) "=" (cut(value, FIELD)) } }
            }
            @if ids == Ids::Told {
                td .ids { @if let Some(id) = record.request_id.as_ref().or(record.trace_id.as_ref()) { (request_link(id)) } }
            }
        }
    }
}
