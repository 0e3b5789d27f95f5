//! All that is known of one request, or of one trace: what the edge saw, what apps did and wrote, what went wrong.

use maud::{Markup, html};
use serde_json::Value;
use telemetry::ErrorEvent;
use telemetry::logs::{ACCESS, Record};
use telemetry::traces::Span;

use crate::context::{Context, Place};
use crate::frame::{self, Shows};
use crate::lines::{self, Ids};
use crate::marks::{self, Mark};
use crate::waterfall::waterfall;
use crate::words::{cut, moment, of_millis, query};

/// What was found by an id.
#[derive(Clone, Debug)]
pub struct Request {
    pub id: String,
    /// Lines of the access log, the oldest first.
    pub access: Vec<Record>,
    /// What apps and services wrote about it, the oldest first.
    pub lines: Vec<Record>,
    pub spans: Vec<Span>,
    pub events: Vec<ErrorEvent>,
    /// What could not be asked.
    pub troubles: Vec<String>,
}

pub fn request(context: &Context, found: &Request) -> String {
    let is_empty =
        found.access.is_empty() && found.lines.is_empty() && found.spans.is_empty() && found.events.is_empty();
    let traces: std::collections::BTreeSet<&str> =
        found.access.iter().chain(&found.lines).filter_map(|record| record.trace_id.as_deref()).collect();
    let body = html! {
        header .top { h1 { "Request " span .id { (cut(&found.id, 128)) } } (marks::environment(&context.environment)) }
        @for trouble in &found.troubles { p .trouble { (marks::shape(Mark::Warn)) (trouble) } }
        @if is_empty && found.troubles.is_empty() {
            (frame::nothing("Nobody knows this id, or no longer.", "Lines are there within a second; they are kept for a month, spans for a week."))
        }
        @for access in &found.access { (seen(access)) }
        @if !traces.is_empty() {
            p .soft { "Trace " @for trace in &traces {
                a .id href={ "/requests/" (crate::words::part(trace)) } { (cut(trace, 64)) } " "
            } }
        }
        @if !found.events.is_empty() { (errors(&found.events)) }
        @if !found.spans.is_empty() {
            section aria-labelledby="trace" { h2 #trace { "What took how long" } (waterfall(&found.spans)) }
        }
        @if !found.lines.is_empty() {
            section aria-labelledby="lines" {
                header .section { h2 #lines { "What was written" } a href=(query("/logs", &[("request", Some(&found.id)), ("since", Some("all"))])) { "In the logs" } }
                (lines::table(&found.lines, "Lines", Ids::Known))
            }
        }
    };
    frame::page(context, Some(Place::Logs), Shows::Live, &format!("Request {}", cut(&found.id, 40)), &body)
}

/// As the edge saw it.
fn seen(record: &Record) -> Markup {
    let line: Value = serde_json::from_str(&record.line).unwrap_or_default();
    let text = |name: &str| match &line[name] {
        Value::Null => "–".to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let status = line["status"].as_u64().unwrap_or(0);
    let mark = match status {
        0..=399 => Mark::Good,
        400..=499 => Mark::Warn,
        _ => Mark::Bad,
    };
    debug_assert_eq!(record.source.unit, ACCESS);
    html! {
        section aria-label="At the edge" {
            p .request-line { (marks::state(mark, &text("status"))) " " strong { (cut(&text("method"), 20)) } " " span .id { (cut(&text("host"), 120)) (cut(&text("path"), 400)) } }
            dl .facts {
                div { dt { "When" } dd { (moment(record.time)) } }
                div { dt { "Took" } dd { (text("ms")) " ms" } }
                div { dt { "App" } dd { (cut(&text("app"), 60)) } }
                div { dt { "Release" } dd .id { (cut(&text("release"), 60)) } }
                div { dt { "Instance" } dd .id { (cut(&text("upstream"), 60)) } }
                @if line["error"].is_string() { div { dt { "Refused" } dd { (cut(&text("error"), 120)) } } }
                div { dt { "Request" } dd .id { (cut(record.request_id.as_deref().unwrap_or("–"), 128)) } }
            }
        }
    }
}

fn errors(events: &[ErrorEvent]) -> Markup {
    html! {
        section aria-labelledby="errors" {
            h2 #errors { "What went wrong" }
            ul .plain {
                @for event in events.iter().take(50) {
                    li data-row {
                        a .title href={ "/errors/" (event.issue) } { (marks::shape(Mark::Bad)) (cut(&event.title, 160)) }
                        " " (marks::environment(&event.environment))
                        span .soft { (cut(&event.app, 40)) " · " (cut(event.release.as_deref().unwrap_or("no release"), 60)) " · " (moment(of_millis(event.at))) }
                    }
                }
            }
        }
    }
}
