//! `roadbed trace`: what all apps together did about a request, and for how long.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use host::clock::Timestamp;
use serde_json::{Value, json};
use telemetry::TelemetryClient;
use telemetry::logs::{ACCESS, Filter, Record};
use telemetry::traces::{Span, at_edge};

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::logs_search;
use crate::cli::session::Session;
use crate::render::log;
use crate::render::paint::printable;

/// Show what all apps did about one request, and for how long
///
/// A trace is what the edge begins for a visitor, and what each app goes on with: requests between apps, spans that they send over OTLP,
/// and lines that they wrote. Takes the id of a trace, or the number of a request, which finds its trace. Spans are kept for a week.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed trace 0af7651916cd43dd8448eb211c80319c
  roadbed trace 01a05c3e-7b1e-7000-8000-2f6d3c1f0a55    by the number of a request
  roadbed trace 0af7651916cd43dd8448eb211c80319c --json | jq '.spans[].name'

Exit codes:
  0  it was found
  1  nobody has it (any more)")]
pub struct Trace {
    /// A trace's id, or a request's number
    #[arg(value_name = "ID")]
    pub id: String,
}

/// Lines of one trace that are shown.
const MOST_LINES: usize = 1000;

/// Letters of the time line.
const WIDTH: usize = 32;

pub async fn run(session: &Session, args: &Trace) -> Result<Exit, Failure> {
    let output = &session.output;
    let Some(id) = trace_id(session, &args.id).await? else {
        output.complain(format!("no trace and no request has the id {:?}", args.id));
        return Ok(Exit::Failed);
    };
    let filter = Filter { trace: Some(id.clone()), ..Filter::default() };
    let lines = logs_search::find(session, &filter, MOST_LINES).await?.lines;
    let mut spans: Vec<Span> = lines.iter().filter_map(at_edge).collect();
    // While telemetry is down, the edge's part is in its log still.
    spans.extend(TelemetryClient::new(session.root.clone()).trace(&id).await.unwrap_or_default());
    spans.sort_by_key(|span| (span.start, std::cmp::Reverse(span.micros)));
    let said: Vec<&Record> = lines.iter().filter(|record| record.source.unit != ACCESS).collect();
    if spans.is_empty() && said.is_empty() {
        output.complain(format!("nobody has a trace {id} (any more)"));
        return Ok(Exit::Failed);
    }
    if output.is_json() {
        let lines: Vec<Value> = said.into_iter().map(logs_search::document).collect();
        let spans: Vec<Value> = spans.iter().map(document).collect();
        output.json(&json!({ "trace_id": id, "spans": spans, "lines": lines }))?;
        return Ok(Exit::Done);
    }
    output.line(format!("trace {id}"))?;
    waterfall(&spans).into_iter().try_for_each(|line| output.line(line))?;
    let units: Vec<String> = said.iter().map(|record| record.source.unit.clone()).collect();
    let view = log::View::new(&units, output.data);
    said.into_iter().try_for_each(|record| output.line(view.line(&logs_search::entry(record))))?;
    Ok(Exit::Done)
}

/// What was named: a trace, or the trace of a request.
async fn trace_id(session: &Session, id: &str) -> Result<Option<String>, Failure> {
    if id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Ok(Some(id.to_ascii_lowercase()));
    }
    let filter = Filter { request: Some(id.to_owned()), ..Filter::default() };
    let lines = logs_search::find(session, &filter, MOST_LINES).await?.lines;
    Ok(lines.into_iter().find_map(|record| record.trace_id))
}

fn document(span: &Span) -> Value {
    let mut value = serde_json::to_value(span).unwrap_or_default();
    value["start"] = span.start.to_string().into();
    value
}

/// Spans below each other as one began the other, with the time that each took.
fn waterfall(spans: &[Span]) -> Vec<String> {
    let Some(first) = spans.iter().map(|span| span.start).min() else { return Vec::new() };
    let since = |time: Timestamp| u64::try_from(time.since(first).as_micros()).unwrap_or(u64::MAX);
    let whole = spans.iter().map(|span| since(span.start).saturating_add(span.micros)).max().unwrap_or(1).max(1);
    let known: BTreeSet<&str> = spans.iter().map(|span| span.span_id.as_str()).collect();
    let mut children: BTreeMap<&str, Vec<&Span>> = BTreeMap::new();
    let mut open: Vec<(&Span, usize)> = Vec::new();
    for span in spans {
        match span.parent_id.as_deref().filter(|parent| known.contains(parent) && *parent != span.span_id) {
            Some(parent) => children.entry(parent).or_default().push(span),
            None => open.push((span, 0)),
        }
    }
    open.reverse();
    let mut lines = Vec::new();
    while let Some((span, depth)) = open.pop() {
        // A circle is told nowhere: each is taken out when it is told.
        for child in children.remove(span.span_id.as_str()).unwrap_or_default().into_iter().rev() {
            open.push((child, depth + 1));
        }
        let scaled = |micros: u64| {
            usize::try_from(u128::from(micros) * WIDTH as u128 / u128::from(whole)).unwrap_or(WIDTH).min(WIDTH)
        };
        let from = scaled(since(span.start)).min(WIDTH - 1);
        let length = scaled(span.micros).clamp(1, WIDTH - from);
        let bar = format!("{}{}{}", " ".repeat(from), "=".repeat(length), " ".repeat(WIDTH - from - length));
        let mark = if span.has_failed { "!" } else { " " };
        let name: String =
            format!("{}{} {}", "  ".repeat(depth.min(20)), span.app, span.name).chars().take(64).collect();
        let took = format!("{}.{:03} ms", span.micros / 1000, span.micros % 1000);
        lines.push(printable(&format!("{mark} |{bar}| {took:>14}  {name}")).to_string());
    }
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;

    fn span(id: &str, parent: Option<&str>, start: i64, micros: u64) -> Span {
        Span {
            trace_id: "t".into(),
            span_id: id.into(),
            parent_id: parent.map(str::to_owned),
            app: "web".into(),
            name: id.into(),
            start: Timestamp::from_unix_millis(start),
            micros,
            has_failed: id == "bad",
            attributes: Map::new(),
        }
    }

    #[test]
    fn children_stand_below_their_parents_and_nobody_is_left_out() {
        let spans = [
            span("root", Some("elsewhere"), 0, 16_000),
            span("bad", Some("root"), 8, 4_000),
            span("late", Some("bad"), 9, 0),
        ];
        let lines = waterfall(&spans);
        assert_eq!(lines[0], "  |================================|      16.000 ms  web root");
        assert_eq!(lines[1], "! |                ========        |       4.000 ms    web bad");
        assert_eq!(lines[2], "  |                  =             |       0.000 ms      web late");
        assert_eq!(lines.len(), 3);
        assert!(waterfall(&[]).is_empty());
    }
}
