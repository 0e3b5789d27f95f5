//! One thing that goes wrong: where in the code, in which environment and release, at which request, after what.

use host::clock::Timestamp;
use maud::{Markup, html};
use serde_json::Value;
use telemetry::{ErrorEvent, IssueDetails, IssueStatus};

use crate::context::{Context, Place};
use crate::errors::{request_link, tags};
use crate::frame::{self, Shows};
use crate::marks;
use crate::words::{ago, count, cut, moment, of_millis, query};

/// So much of an event is shown: whoever sends more fills no page with it.
const EXCEPTIONS: usize = 5;
const FRAMES: usize = 40;
const CRUMBS: usize = 40;
const TAGS: usize = 40;
const TEXT: usize = 600;

pub fn issue(context: &Context, found: &IssueDetails) -> String {
    let issue = &found.issue;
    let body = html! {
        p .trail { a href="/errors" { "Errors" } " / " (issue.id) }
        header .top {
            h1 { (marks::shape(marks::level(&issue.level))) (cut(&issue.title, TEXT)) }
        }
        p .under { @if !issue.culprit.is_empty() { span .id { (cut(&issue.culprit, TEXT)) } " " } (tags(issue)) }
        @if context.may_change() { (decide(context, found)) }
        dl .facts {
            div { dt { "Environment" } dd { (marks::environment(&context.environment)) } }
            div { dt { "App" } dd { (cut(&issue.app, 60)) } }
            div { dt { "Release" } dd .id { (cut(issue.last_release.as_deref().unwrap_or("–"), 60)) } }
            div { dt { "Events" } dd { (count(issue.events)) @if issue.kept < issue.events { span .soft { ", " (count(issue.kept)) " kept" } } } }
            div { dt { "Last" } dd { (ago(of_millis(issue.last_seen), context.now)) } }
            div { dt { "First" } dd { (ago(of_millis(issue.first_seen), context.now)) } }
            @if let Some(first) = &issue.first_release { div { dt { "First in" } dd .id { (cut(first, 60)) } } }
            @if let Some(until) = issue.until { div { dt { "Snoozed until" } dd { (moment(of_millis(until))) } } }
        }
        @if let Some(newest) = found.events.first() { (event(context, newest)) }
        (events(context, &found.events))
        @if found.releases.len() > 1 {
            section aria-labelledby="releases" {
                h2 #releases { "Releases that have it" }
                ul .plain { @for release in &found.releases {
                    li { span .id { (cut(&release.release, 60)) } " " span .soft { (count(release.events)) " events, last " (ago(of_millis(release.last_seen), context.now)) } }
                } }
            }
        }
    };
    frame::page(context, Some(Place::Errors), Shows::Live, &cut(&issue.title, 80), &body)
}

fn decide(context: &Context, found: &IssueDetails) -> Markup {
    let issue = &found.issue;
    let action = format!("/errors/{}", issue.id);
    let button = |to: &str, class: &str, text: &str| frame::button(context, &action, class, text, &[("to", to)]);
    html! {
        div .acts {
            @if issue.status == IssueStatus::Open {
                (button("resolve", "main", "Resolve"))
                @if issue.last_release.is_some() { (button("resolve-next", "", "Resolve in the next release")) }
                (button("snooze", "", "Snooze for a day"))
                (button("ignore", "", "Ignore"))
            } @else {
                (button("open", "main", "Open again"))
            }
        }
    }
}

/// The newest event whole.
fn event(context: &Context, event: &ErrorEvent) -> Markup {
    let none = Value::Null;
    let body = event.body.as_ref().unwrap_or(&none);
    html! {
        section aria-labelledby="event" {
            header .section {
                h2 #event { "Latest event" }
                span .soft { (moment(of_millis(event.at))) " · " span .id { (cut(&event.event_id, 32)) } }
            }
            dl .facts {
                div { dt { "Environment" } dd { (marks::environment(&event.environment)) } }
                div { dt { "Release" } dd .id { (cut(event.release.as_deref().unwrap_or("–"), 60)) } }
                div { dt { "Request" } dd { @match &event.request_id { Some(id) => (request_link(id)), None => span .soft { "none named" } } } }
                div { dt { "Trace" } dd { @match &event.trace_id { Some(id) => (request_link(id)), None => span .soft { "none named" } } } }
                @for (name, value) in surroundings(body) { div { dt { (name) } dd { (cut(&value, 120)) } } }
            }
            (exceptions(event, body))
            (crumbs(context, body))
            (pairs("Tags", "tags", body))
        }
    }
}

/// What the client said of itself.
fn surroundings(body: &Value) -> Vec<(&'static str, String)> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let named = |value: &Value| {
        let name = value["name"].as_str()?;
        Some(match value["version"].as_str() {
            Some(version) => format!("{name} {version}"),
            None => name.to_owned(),
        })
    };
    let request = &body["request"];
    let called = text(&request["url"]).map(|url| match request["method"].as_str() {
        Some(method) => format!("{method} {url}"),
        None => url,
    });
    let contexts = &body["contexts"];
    [
        ("Called", called.or_else(|| text(&body["transaction"]))),
        ("Browser", named(&contexts["browser"])),
        ("Runs in", named(&contexts["runtime"])),
        ("On", named(&contexts["os"])),
        ("Server", text(&body["server_name"])),
        ("Client", named(&body["sdk"])),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name, value?)))
    .collect()
}

fn exceptions(event: &ErrorEvent, body: &Value) -> Markup {
    let thrown = &body["exception"];
    let all = thrown["values"].as_array().or_else(|| thrown.as_array()).map_or(&[][..], Vec::as_slice);
    let message = body["logentry"]["formatted"]
        .as_str()
        .or_else(|| body["logentry"]["message"].as_str())
        .or_else(|| body["message"].as_str());
    html! {
        @if all.is_empty() {
            @if let Some(message) = message { pre .said { (cut(message, TEXT)) } }
        }
        // The last one was thrown last: what came before it is its cause.
        @for (at, exception) in all.iter().enumerate().rev().take(EXCEPTIONS) {
            @let located = event.sources.as_ref().and_then(|sources| sources.get(at)?.as_array());
            article .thrown {
                h3 {
                    @if at + 1 < all.len() { span .soft { "caused by " } }
                    (cut(exception["type"].as_str().unwrap_or("Error"), 120))
                    @if exception["mechanism"]["handled"] == Value::Bool(false) { " " span .tag .bad { "nobody caught it" } }
                }
                @if let Some(value) = exception["value"].as_str().filter(|value| !value.is_empty()) { pre .said { (cut(value, TEXT)) } }
                @if let Some(frames) = exception["stacktrace"]["frames"].as_array() { (stack(frames, located)) }
            }
        }
    }
}

fn stack(frames: &[Value], located: Option<&Vec<Value>>) -> Markup {
    html! {
        ol .stack {
            @for (at, frame) in frames.iter().enumerate().rev().take(FRAMES) {
                @let place = located.and_then(|located| located.get(at)).map(|one| &one["place"]).filter(|place| place.is_object());
                (one_frame(frame, place, at + 1 == frames.len()))
            }
        }
        @if frames.len() > FRAMES { p .soft { (frames.len() - FRAMES) " more frames" } }
    }
}

fn one_frame(frame: &Value, place: Option<&Value>, is_innermost: bool) -> Markup {
    let text = |value: &Value| value.as_str().unwrap_or("?").to_owned();
    let number = |value: &Value| value.as_i64().map_or(String::new(), |number| format!(":{number}"));
    let (function, file, line, column, is_own) = match place {
        Some(place) => (
            text(&place["function"]),
            text(&place["source"]),
            number(&place["line"]),
            number(&place["column"]),
            place["in_app"].as_bool().unwrap_or(true),
        ),
        None => (
            text(&frame["function"]),
            frame["filename"].as_str().or_else(|| frame["abs_path"].as_str()).unwrap_or("?").to_owned(),
            number(&frame["lineno"]),
            number(&frame["colno"]),
            frame["in_app"].as_bool().unwrap_or(true),
        ),
    };
    let has_lines = place.is_none() && frame["context_line"].is_string();
    html! {
        li .own[is_own] {
            @if has_lines {
                details open[is_innermost] {
                    summary { (called(&function, &file, &line, &column)) }
                    (code(frame))
                }
            } @else {
                div { (called(&function, &file, &line, &column)) }
            }
        }
    }
}

fn called(function: &str, file: &str, line: &str, column: &str) -> Markup {
    html! { span .fn { (cut(function, 120)) } " " span .file { (cut(file, 200)) (line) (column) } }
}

/// Lines around the one that failed, as the client sent them.
fn code(frame: &Value) -> Markup {
    let lines = |value: &Value| -> Vec<String> {
        let all = value.as_array().map_or(&[][..], Vec::as_slice);
        all.iter().take(7).filter_map(|line| line.as_str().map(|line| cut(line, 200))).collect()
    };
    let (before, after) = (lines(&frame["pre_context"]), lines(&frame["post_context"]));
    let first = frame["lineno"].as_i64().unwrap_or(1) - i64::try_from(before.len()).unwrap_or(0);
    let this = cut(frame["context_line"].as_str().unwrap_or_default(), 200);
    let at = before.len();
    html! {
        pre .code tabindex="0" {
            @for (number, line) in (first..).zip(before.iter().chain([&this]).chain(&after)) {
                span .line .hit[number == first + i64::try_from(at).unwrap_or(0)] { span .no { (number) } (line) "\n" }
            }
        }
    }
}

fn crumbs(context: &Context, body: &Value) -> Markup {
    let crumbs = &body["breadcrumbs"];
    let all = crumbs["values"].as_array().or_else(|| crumbs.as_array()).map_or(&[][..], Vec::as_slice);
    if all.is_empty() {
        return html! {};
    }
    html! {
        h3 { "What happened before" }
        div .wide tabindex="0" role="region" aria-label="What happened before" {
            table .crumbs {
                thead { tr { th scope="col" { "When" } th scope="col" { "What" } th scope="col" { "Said" } } }
                tbody {
                    @for crumb in all.iter().rev().take(CRUMBS) {
                        tr {
                            td .soft { (time_of(&crumb["timestamp"], context.now)) }
                            td { (cut(crumb["category"].as_str().or_else(|| crumb["type"].as_str()).unwrap_or("–"), 40)) }
                            td .grow .id {
                                (cut(crumb["message"].as_str().unwrap_or_default(), 300))
                                @if let Some(data) = crumb["data"].as_object() {
                                    @for (name, value) in data.iter().take(6) { span .pair { (cut(name, 30)) "=" (cut(&plain(value), 120)) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "milliseconds of this era, bounded by `of_millis`")]
fn time_of(value: &Value, _: Timestamp) -> Markup {
    match value {
        Value::Number(seconds) => crate::words::clock(of_millis((seconds.as_f64().unwrap_or(0.0) * 1000.0) as i64)),
        Value::String(text) => html! { (cut(text, 30)) },
        _ => html! { "–" },
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Names with values: an object, or a list of pairs, as old clients write it.
fn pairs(title: &str, name: &str, body: &Value) -> Markup {
    let all: Vec<(String, String)> = match &body[name] {
        Value::Object(all) => all.iter().map(|(name, value)| (name.clone(), plain(value))).collect(),
        Value::Array(all) => all.iter().filter_map(|pair| Some((plain(pair.get(0)?), plain(pair.get(1)?)))).collect(),
        _ => Vec::new(),
    };
    html! {
        @if !all.is_empty() {
            h3 { (title) }
            ul .chips { @for (name, value) in all.iter().take(TAGS) { li { span .soft { (cut(name, 60)) } " " (cut(value, 200)) } } }
        }
    }
}

fn events(context: &Context, all: &[ErrorEvent]) -> Markup {
    html! {
        section aria-labelledby="events" {
            header .section { h2 #events { "Events" } span .soft { "the latest, and the first one" } }
            div .wide tabindex="0" role="group" aria-labelledby="events" {
                table {
                    thead { tr { th scope="col" { "When" } th scope="col" { "Environment" } th scope="col" { "Release" } th scope="col" { "Request" } th scope="col" { "Logs" } } }
                    tbody {
                        @for event in all {
                            tr data-row {
                                td { (ago(of_millis(event.at), context.now)) }
                                td { (marks::environment(&event.environment)) }
                                td .id { (cut(event.release.as_deref().unwrap_or("–"), 60)) }
                                td { @match event.request_id.as_ref().or(event.trace_id.as_ref()) { Some(id) => (request_link(id)), None => "–" } }
                                td { @if let Some(id) = &event.request_id { a href=(query("/logs", &[("request", Some(id))])) { "lines" } } }
                            }
                        }
                    }
                }
            }
        }
    }
}
