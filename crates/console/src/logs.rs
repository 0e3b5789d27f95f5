//! Lines that were written, searched.

use maud::{Markup, html};
use telemetry::logs::{Level, Record};

use crate::context::{Context, Place};
use crate::frame::{self, Shows};
use crate::lines::{self, Ids};
use crate::marks::{self, Mark};
use crate::words::query;

/// What was looked for.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub text: String,
    /// An app or unit; empty: all but the access log.
    pub of: String,
    pub level: Option<Level>,
    pub request: String,
    /// One of [`Asked::SPANS`].
    pub since: String,
    /// Nothing later, in milliseconds; `None`: up to now.
    pub until: Option<i64>,
}

impl Asked {
    /// How far back, as it is asked for, and in minutes; the first is the usual one.
    pub const SPANS: [(&'static str, &'static str, u64); 5] = [
        ("1h", "the last hour", 60),
        ("15m", "15 minutes", 15),
        ("1d", "the last day", 24 * 60),
        ("7d", "the last week", 7 * 24 * 60),
        ("all", "all that is kept", u64::MAX),
    ];

    /// Minutes; `None`: all that is kept.
    pub fn minutes(&self) -> Option<u64> {
        let span = Self::SPANS.iter().find(|(word, ..)| *word == self.since).unwrap_or(&Self::SPANS[0]);
        (span.2 != u64::MAX).then_some(span.2)
    }
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Logs {
    pub asked: Asked,
    /// The oldest first.
    pub lines: Vec<Record>,
    /// Apps and units that write.
    pub names: Vec<String>,
    /// There is more than could be searched in time.
    pub is_partial: bool,
    /// Days that are damaged.
    pub damaged: Vec<String>,
    pub limit: usize,
}

pub fn logs(context: &Context, found: &Logs) -> String {
    let asked = &found.asked;
    let newest_first: Vec<Record> = found.lines.iter().rev().cloned().collect();
    let body = html! {
        header .top { h1 { "Logs" } span .soft { @if asked.until.is_some() { "older ones, " } "the newest first" } }
        form .filter action="/logs" {
            label .long { span { "Words" }
                input type="search" name="text" value=(asked.text) autocomplete="off" spellcheck="false";
            }
            label { span { "From" }
                select name="of" {
                    option value="" { "All apps and services" }
                    @for name in &found.names { option value=(name) selected[*name == asked.of] { (name) } }
                }
            }
            label { span { "At least" }
                select name="level" {
                    option value="" { "Any level" }
                    @for level in Level::ALL { option value=(level.as_str()) selected[asked.level == Some(level)] { (level.as_str()) } }
                }
            }
            label { span { "Since" }
                select name="since" {
                    @for (word, name, _) in Asked::SPANS { option value=(word) selected[word == asked.since] { (name) } }
                }
            }
            @if !asked.request.is_empty() {
                label { span { "Request" } input name="request" value=(asked.request) autocomplete="off"; }
            }
            button { "Search" }
        }
        @if found.is_partial {
            p .trouble { (marks::shape(Mark::Warn)) "There is more than could be searched in time: say where from, or since when." }
        }
        @for day in &found.damaged { p .trouble { (marks::shape(Mark::Bad)) (day) " is damaged and was not searched." } }
        @if newest_first.is_empty() {
            (frame::nothing("No such line.", "Fewer words, or a longer time?"))
        } @else {
            (lines::table(&newest_first, "Lines", Ids::Told))
            (pages(found))
        }
    };
    frame::page(context, Some(Place::Logs), Shows::AsItWas, "Logs", &body)
}

/// The way to lines that are not on this page.
fn pages(found: &Logs) -> Markup {
    let asked = &found.asked;
    let to = |until: Option<&str>| {
        let level = asked.level.map(Level::as_str);
        let words = [("text", Some(asked.text.as_str())), ("of", Some(&asked.of)), ("request", Some(&asked.request))];
        let rest = [("level", level), ("since", Some(asked.since.as_str())), ("until", until)];
        query("/logs", &[&words[..], &rest[..]].concat())
    };
    let older = older(&found.lines).filter(|_| found.lines.len() >= found.limit).map(|until| until.to_string());
    html! {
        nav .pages aria-label="Older and newer" {
            @if asked.until.is_some() { a href=(to(None)) { "The newest" } " " }
            @if let Some(older) = &older { a href=(to(Some(older))) rel="next" { "Older ones" } }
        }
    }
}

/// Up to when the next page goes. The moment at which this one ends is on both, as it may have more lines than are shown here;
/// where it is all of this page, it is passed by.
fn older(lines: &[Record]) -> Option<i64> {
    let (first, last) = (lines.first()?.time.unix_millis(), lines.last()?.time.unix_millis());
    Some(if first == last { first - 1 } else { first })
}

#[cfg(test)]
mod tests {
    use host::clock::Timestamp;

    use super::*;

    #[test]
    fn the_next_page_begins_where_this_one_ends_and_always_comes_further() {
        let line = |millis: i64| Record {
            time: Timestamp::from_unix_millis(millis),
            source: telemetry::logs::Source::default(),
            level: None,
            request_id: None,
            trace_id: None,
            span_id: None,
            line: String::new(),
        };
        assert_eq!(older(&[]), None);
        assert_eq!(older(&[line(5), line(6), line(9)]), Some(5));
        assert_eq!(older(&[line(5), line(5)]), Some(4));
    }
}
