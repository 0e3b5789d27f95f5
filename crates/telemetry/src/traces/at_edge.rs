//! The edge's part of a trace: a line of its access log, as the span that it tells of.

use serde_json::{Map, Value};

use super::Span;
use crate::logs::{ACCESS, Record};

/// The span of a line; `None` for a line of anybody else's, or of a request without a trace.
pub fn at_edge(record: &Record) -> Option<Span> {
    if record.source.unit != ACCESS {
        return None;
    }
    let line: Value = serde_json::from_str(&record.line).ok()?;
    let word = |name: &str| line[name].as_str().unwrap_or("-");
    let mut attributes = Map::new();
    for name in ["status", "upstream", "error", "request_id", "scheme"] {
        if let Some(value) = line.get(name) {
            attributes.insert(name.to_owned(), value.clone());
        }
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a duration that the edge measured")]
    let micros = (line["ms"].as_f64()? * 1000.0).max(0.0) as u64;
    Some(Span {
        trace_id: record.trace_id.clone()?,
        span_id: record.span_id.clone()?,
        parent_id: line["parent_id"].as_str().map(str::to_owned),
        app: "edge".to_owned(),
        name: format!("{} {}{} {}", word("method"), word("app"), word("path"), line["status"]),
        start: record.time,
        micros,
        has_failed: line["status"].as_u64().is_some_and(|status| status >= 500),
        attributes,
    })
}
