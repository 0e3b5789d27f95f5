//! What goes wrong, the latest first.

use maud::{Markup, html};
use telemetry::{Behind, Issue, IssueStatus, NotKept};

use crate::context::{Context, Place};
use crate::frame::{self, Shows};
use crate::marks;
use crate::words::{ago, count, cut, of_millis, part, query};

/// Letters of a title and of a place: what a page holds must stay small whatever was thrown.
const TITLE: usize = 160;
const CULPRIT: usize = 100;

/// What was looked for.
#[derive(Clone, Debug, Default)]
pub struct Asked {
    pub app: Option<String>,
    /// `None`: all of them.
    pub status: Option<IssueStatus>,
    pub search: String,
    /// Where the page before ended; `None`: this is the first.
    pub behind: Option<Behind>,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct Errors {
    pub asked: Asked,
    pub issues: Vec<Issue>,
    /// Whether there are more than are shown.
    pub has_more: bool,
    pub apps: Vec<String>,
    /// Events that there ever were.
    pub events: i64,
    pub all: i64,
    /// What was sent, and lost.
    pub lost: Vec<NotKept>,
}

const STATES: [(&str, Option<IssueStatus>, &str); 5] = [
    ("open", Some(IssueStatus::Open), "Open"),
    ("snoozed", Some(IssueStatus::Snoozed), "Snoozed"),
    ("ignored", Some(IssueStatus::Ignored), "Ignored"),
    ("resolved", Some(IssueStatus::Resolved), "Resolved"),
    ("all", None, "All"),
];

pub fn errors(context: &Context, found: &Errors) -> String {
    let asked = &found.asked;
    let body = html! {
        header .top {
            h1 { "Errors" }
            span .soft { (count(found.all)) " issues, " (count(found.events)) " events" }
        }
        nav .tabs aria-label="Which errors" {
            @for (word, status, name) in STATES {
                a href=(query("/errors", &[("status", Some(word)), ("app", asked.app.as_deref()), ("q", Some(&asked.search))]))
                  aria-current=[(asked.status == status).then_some("true")] { (name) }
            }
        }
        form .filter action="/errors" {
            @if let Some((word, ..)) = STATES.iter().find(|(_, status, _)| *status == asked.status) {
                input type="hidden" name="status" value=(word);
            }
            label { span { "App" }
                select name="app" {
                    option value="" { "All" }
                    @for app in &found.apps {
                        option value=(app) selected[asked.app.as_ref() == Some(app)] { (app) }
                    }
                }
            }
            label .long { span { "Words, or request:ID, trace:ID, level:error" }
                input type="search" name="q" value=(asked.search) autocomplete="off" spellcheck="false";
            }
            button { "Search" }
        }
        @for lost in &found.lost {
            p .trouble { (marks::shape(marks::Mark::Warn)) (cut(&lost.app, 40)) ": " (count(lost.count)) " not kept, " (cut(&lost.what, 80)) }
        }
        @if found.issues.is_empty() {
            (frame::nothing("No such error.", "Apps report errors by the DSN that they are given; see SENTRY_DSN."))
        } @else {
            (table(context, &found.issues))
            (pages(found))
        }
    };
    frame::page(context, Some(Place::Errors), Shows::Live, "Errors", &body)
}

/// The way to issues that are not on this page.
fn pages(found: &Errors) -> Markup {
    let asked = &found.asked;
    let status = STATES.iter().find(|(_, status, _)| *status == asked.status).map(|(word, ..)| *word);
    let to = |behind: Option<&str>| {
        let pairs =
            [("status", status), ("app", asked.app.as_deref()), ("q", Some(asked.search.as_str())), ("behind", behind)];
        query("/errors", &pairs)
    };
    let next = found.issues.last().filter(|_| found.has_more).map(|last| Behind::of(last).to_string());
    html! {
        nav .pages aria-label="Older and newer" {
            @if asked.behind.is_some() { a href=(to(None)) { "The latest" } " " }
            @if let Some(next) = &next { a href=(to(Some(next))) rel="next" { "Older ones" } }
        }
    }
}

fn table(context: &Context, issues: &[Issue]) -> Markup {
    html! {
        div .wide tabindex="0" role="region" aria-label="Errors" {
            table .issues {
                thead { tr {
                    th scope="col" { "Error" } th scope="col" { "App" } th scope="col" { "Environment" } th scope="col" { "Release" }
                    th .number scope="col" { "Events" } th scope="col" { "Last" } th scope="col" { "First" }
                } }
                tbody {
                    @for issue in issues {
                        tr data-row {
                            td .grow { (title(issue)) }
                            td { (cut(&issue.app, 40)) }
                            td { (marks::environment(&context.environment)) }
                            td .id { (cut(issue.last_release.as_deref().unwrap_or("–"), 30)) }
                            td .number { (count(issue.events)) }
                            td .soft { (ago(of_millis(issue.last_seen), context.now)) }
                            td .soft { (ago(of_millis(issue.first_seen), context.now)) }
                        }
                    }
                }
            }
        }
    }
}

fn title(issue: &Issue) -> Markup {
    html! {
        a .title href={ "/errors/" (issue.id) } { (marks::shape(marks::level(&issue.level))) (cut(&issue.title, TITLE)) }
        span .under {
            @if !issue.culprit.is_empty() { span .id { (cut(&issue.culprit, CULPRIT)) } " " }
            (tags(issue))
        }
    }
}

/// What to know of an issue before it is opened.
pub(crate) fn tags(issue: &Issue) -> Markup {
    html! {
        @if issue.regressed_at.is_some() { span .tag .bad { "came back" } }
        @if issue.unhandled { span .tag .bad { "nobody caught it" } }
        @if issue.status != IssueStatus::Open { span .tag { (issue.status.as_str()) } }
    }
}

pub(crate) fn short_list(context: &Context, issues: &[Issue]) -> Markup {
    html! {
        ul .plain {
            @for issue in issues.iter().take(6) {
                li data-row {
                    a .title href={ "/errors/" (issue.id) } { (marks::shape(marks::level(&issue.level))) (cut(&issue.title, 90)) }
                    span .soft { (cut(&issue.app, 40)) ", " (count(issue.events)) "×, " (ago(of_millis(issue.last_seen), context.now)) }
                }
            }
        }
    }
}

/// A longer id is none of the edge's, and nobody's that it would have taken.
pub(crate) const LONGEST_ID: usize = 128;

/// Leads to all that is known of a request.
pub(crate) fn request_link(id: &str) -> Markup {
    html! {
        @if id.len() <= LONGEST_ID { a .id href={ "/requests/" (part(id)) } { (cut(id, 64)) } }
        @else { span .id { (cut(id, 64)) } }
    }
}
