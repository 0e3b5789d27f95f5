//! What is saved, since when it is proven that it can be restored, and up to which moment: all of them, and what is in one.

use std::time::Duration;

use host::clock::Timestamp;
use maud::{Markup, html};

use crate::context::{Context, Place};
use crate::frame::{self, Shows};
use crate::marks::{self, Mark};
use crate::words::{ago, count, cut, moment, part, span};

/// Lines of a rehearsal that are shown.
const LINES: usize = 20;

/// How an environment is backed up.
#[derive(Clone, Debug)]
pub enum Backups {
    /// The manifest does not ask for it.
    Unwanted,
    /// It cannot be told now, and why.
    Unknown(String),
    Told(Box<Told>),
}

/// All that is told.
#[derive(Clone, Debug)]
pub struct Told {
    pub repository: String,
    /// Newest first.
    pub all: Vec<BackedUp>,
    /// How many slices of changes there are.
    pub slices: usize,
    /// Up to when all changes of MongoDB are saved.
    pub covered: Option<Timestamp>,
    pub rehearsal: Option<Rehearsal>,
    pub promised: Promised,
    pub copies: Vec<CopyState>,
    /// What is being done with them, in words.
    pub under_way: Option<String>,
    /// Why the last attempt came to nothing.
    pub trouble: Option<String>,
}

/// What the manifest promises.
#[derive(Clone, Copy, Debug)]
pub struct Promised {
    pub every: Duration,
    pub drill: Duration,
    pub rpo: Duration,
    pub rto: Duration,
    /// Any second of so much time can be restored.
    pub any_second: Duration,
}

/// One backup of everything.
#[derive(Clone, Debug)]
pub struct BackedUp {
    pub name: String,
    pub taken: Timestamp,
    /// The moment at which MongoDB was; absent where there is none.
    pub at: Option<Timestamp>,
    pub size: String,
    pub is_held: bool,
    pub proof: Proof,
}

/// What a rehearsal said of a backup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proof {
    Restored,
    Failed,
    Unproven,
}

/// The last rehearsal.
#[derive(Clone, Debug)]
pub struct Rehearsal {
    pub began: Timestamp,
    pub base: Option<String>,
    pub took: Duration,
    /// Absent where there is no MongoDB.
    pub lost: Option<Duration>,
    pub size: String,
    pub good: Vec<String>,
    /// Empty: it passed.
    pub bad: Vec<String>,
}

/// A second repository.
#[derive(Clone, Debug)]
pub struct CopyState {
    pub name: String,
    pub repository: String,
    pub is_append_only: bool,
    /// When it had all that was saved.
    pub complete: Option<Timestamp>,
    pub trouble: Option<String>,
}

/// What is in one backup, by its own word.
#[derive(Clone, Debug)]
pub struct InBackup {
    pub name: String,
    pub of: String,
    pub taken: Timestamp,
    /// What each is, its name, how many things are in it, and their size where it is known.
    pub counted: Vec<Counted>,
    /// Of the environment itself: manifest, state, sealed secrets.
    pub files: usize,
}

/// A collection, a Redis or a bucket.
#[derive(Clone, Debug)]
pub struct Counted {
    pub kind: &'static str,
    pub name: String,
    pub many: u64,
    /// `documents`, `keys that stay`, `objects`.
    pub of: &'static str,
    pub indexes: Option<u64>,
    pub size: Option<String>,
}

/// How backups stand, for who only passes by.
#[derive(Clone, Copy, Debug)]
pub struct Standing {
    /// When everything was backed up.
    pub newest: Option<Timestamp>,
    /// When a restore was rehearsed, and whether it passed.
    pub rehearsed: Option<(Timestamp, bool)>,
    /// Whether the last attempt came to nothing.
    pub has_failed: bool,
    pub every: Duration,
    pub drill: Duration,
}

impl Standing {
    pub(crate) fn words(&self, now: Timestamp) -> (Mark, &'static str) {
        let is_late = self.newest.is_some_and(|newest| is_over(newest, self.every, now));
        match self.rehearsed {
            _ if self.has_failed => (Mark::Bad, "Fail"),
            Some((_, false)) => (Mark::Bad, "Not restorable"),
            _ if self.newest.is_none() => (Mark::Warn, "None yet"),
            _ if is_late => (Mark::Bad, "Late"),
            None => (Mark::Warn, "Unproven"),
            Some((began, true)) if is_over(began, self.drill, now) => (Mark::Warn, "Rehearsal is late"),
            Some(_) => (Mark::Good, "Proven"),
        }
    }
}

impl Told {
    pub fn standing(&self) -> Standing {
        Standing {
            newest: self.all.first().map(|newest| newest.taken),
            rehearsed: self.rehearsal.as_ref().map(|last| (last.began, last.bad.is_empty())),
            has_failed: self.trouble.is_some(),
            every: self.promised.every,
            drill: self.promised.drill,
        }
    }
}

/// As the gate sees it: a quarter of an hour after it was due, or once more the period where that is shorter.
fn is_over(last: Timestamp, period: Duration, now: Timestamp) -> bool {
    now.since(last) > period + period.min(Duration::from_secs(15 * 60))
}

pub fn backups(context: &Context, all: &Backups) -> String {
    let body = html! {
        header .top { h1 { "Backups" }
            @if let Backups::Told(told) = all {
                @let (mark, word) = told.standing().words(context.now);
                (marks::state(mark, word))
                @if let Some(what) = &told.under_way { (marks::state(Mark::Busy, &cut(what, 120))) }
                @else if context.may_change() {
                    (frame::button(context, "/backups", "main", "Back up now", &[("what", "now")]))
                    (frame::button(context, "/backups", "", "Rehearse now", &[("what", "drill")]))
                }
            }
        }
        @match all {
            Backups::Unwanted => (frame::nothing(
                "This environment is not backed up.",
                "A table [environments.NAME.backup] in roadbed.toml changes that, with the next `roadbed up`.",
            )),
            Backups::Unknown(why) => div .nothing { p { (marks::state(Mark::Idle, "Unknown")) } p .soft { (cut(why, 300)) } },
            Backups::Told(told) => (all_of(context, told)),
        }
    };
    frame::page(context, Some(Place::Backups), Shows::Live, "Backups", &body)
}

fn all_of(context: &Context, told: &Told) -> Markup {
    html! {
        @if let Some(trouble) = &told.trouble {
            p .trouble { (marks::shape(Mark::Bad)) "The last attempt failed: " (cut(trouble, 400)) }
        }
        dl .facts {
            div { dt { "Oldest that can be restored" } dd {
                @match told.all.last() { Some(oldest) => (moment(oldest.taken)), None => "nothing" } } }
            div { dt { "Newest" } dd {
                @match told.covered.or_else(|| told.all.first().map(|newest| newest.taken)) {
                    Some(newest) => { (moment(newest)) " " span .soft { (ago(newest, context.now)) } }, None => "nothing" } } }
            @if told.slices > 0 {
                div { dt { "Any second" } dd { "of the last " (span(told.promised.any_second)) span .soft { ", by " (told.slices) " slices of changes" } } }
            }
            div { dt { "Everything" } dd { "every " (span(told.promised.every)) } }
            div { dt { "Repository" } dd { (cut(&told.repository, 200)) } }
        }
        (rehearsal(context, told))
        (list(context, told))
        (copies(context, told))
    }
}

fn rehearsal(context: &Context, told: &Told) -> Markup {
    let promised = &told.promised;
    let kept = |is: Option<Duration>, most: Duration| match is {
        None => Mark::Idle,
        Some(is) if is <= most => Mark::Good,
        Some(_) => Mark::Bad,
    };
    html! {
        section aria-labelledby="rehearsal" {
            header .section { h2 #rehearsal { "Last rehearsal" } span .soft { "due every " (span(promised.drill)) } }
            @match &told.rehearsal {
                None => (frame::nothing("None yet, so every backup is unproven.", "`roadbed drill` rehearses now.")),
                Some(last) => {
                    dl .facts {
                        div { dt { "Outcome" } dd {
                            @if last.bad.is_empty() { (marks::state(Mark::Good, "passed")) } @else { (marks::state(Mark::Bad, "failed")) }
                            " " span .soft { (ago(last.began, context.now)) } } }
                        div { dt { "Backup" } dd { @match &last.base {
                            Some(base) => a href={ "/backups/" (part(base)) } { (cut(base, 60)) }, None => "none was found" } } }
                        div { dt { "Would have been lost (RPO)" } dd {
                            (marks::state(kept(last.lost, promised.rpo), &last.lost.map_or_else(|| "–".to_owned(), span)))
                            span .soft { " of " (span(promised.rpo)) } } }
                        div { dt { "Back after (RTO)" } dd {
                            (marks::state(kept(Some(last.took), promised.rto), &span(last.took)))
                            span .soft { " of " (span(promised.rto)) ", " (cut(&last.size, 20)) } } }
                    }
                    @if !last.bad.is_empty() {
                        ul .seen { @for bad in last.bad.iter().take(LINES) { li .bad { (cut(bad, 400)) } } }
                    }
                    ul .seen { @for good in last.good.iter().take(LINES) { li { (cut(good, 400)) } } }
                }
            }
        }
    }
}

fn list(context: &Context, told: &Told) -> Markup {
    html! {
        section aria-labelledby="all" {
            header .section { h2 #all { "All backups" } }
            @if told.all.is_empty() {
                (frame::nothing("There is no backup yet.", "The first is taken by itself; `roadbed backup now` takes one."))
            } @else {
                div .wide tabindex="0" role="group" aria-labelledby="all" {
                    table {
                        thead { tr { th scope="col" { "Backup" } th scope="col" { "Taken" } th scope="col" { "MongoDB as of" } th .number scope="col" { "Size" } th scope="col" { "Proof" } th scope="col" { "Kept" } } }
                        tbody { @for one in &told.all {
                            tr data-row {
                                th .id scope="row" { a href={ "/backups/" (part(&one.name)) } { (cut(&one.name, 60)) } }
                                td { (ago(one.taken, context.now)) }
                                td { @match one.at { Some(at) => (moment(at)), None => "–" } }
                                td .number { (cut(&one.size, 20)) }
                                td { @match one.proof {
                                    Proof::Restored => (marks::state(Mark::Good, "restored in a rehearsal")),
                                    Proof::Failed => (marks::state(Mark::Bad, "could not be restored")),
                                    Proof::Unproven => (marks::state(Mark::Idle, "unproven")),
                                } }
                                td { @if one.is_held { span .tag { "held" } } @else { "as the manifest says" } }
                            }
                        } }
                    }
                }
            }
        }
    }
}

fn copies(context: &Context, told: &Told) -> Markup {
    html! {
        section aria-labelledby="copies" {
            header .section { h2 #copies { "Copies elsewhere" } }
            @if told.copies.is_empty() {
                (frame::nothing("There is none.", "Who loses this repository loses everything: name a second one under [environments.NAME.backup.copies]."))
            } @else {
                ul .plain { @for copy in &told.copies {
                    li {
                        @match (copy.complete, &copy.trouble) {
                            (_, Some(_)) => (marks::state(Mark::Bad, &cut(&copy.name, 60))),
                            (Some(_), None) => (marks::state(Mark::Good, &cut(&copy.name, 60))),
                            (None, None) => (marks::state(Mark::Warn, &cut(&copy.name, 60))),
                        }
                        " " span .soft {
                            @match copy.complete { Some(at) => { "all of it " (ago(at, context.now)) }, None => "nothing is there yet" }
                            ", in " (cut(&copy.repository, 200))
                            @if copy.is_append_only { ", takes nothing away" }
                        }
                        @if let Some(trouble) = &copy.trouble { p .soft { (cut(trouble, 400)) } }
                    }
                } }
            }
        }
    }
}

/// What one backup has.
pub fn backup(context: &Context, found: &InBackup, told: Option<&BackedUp>) -> String {
    let body = html! {
        p .trail { a href="/backups" { "All backups" } " / backup" }
        header .top { h1 { "Backup " (cut(&found.name, 60)) }
            @match told.map(|told| told.proof) {
                Some(Proof::Restored) => (marks::state(Mark::Good, "restored in a rehearsal")),
                Some(Proof::Failed) => (marks::state(Mark::Bad, "could not be restored")),
                _ => (marks::state(Mark::Idle, "unproven")),
            }
        }
        dl .facts {
            div { dt { "Of" } dd { (cut(&found.of, 80)) } }
            div { dt { "Taken" } dd { (moment(found.taken)) " " span .soft { (ago(found.taken, context.now)) } } }
            @if let Some(told) = told {
                @if let Some(at) = told.at { div { dt { "MongoDB as of" } dd { (moment(at)) } } }
                div { dt { "Size" } dd { (cut(&told.size, 20)) } }
                div { dt { "Kept" } dd { @if told.is_held { "until it is released" } @else { "as the manifest says" } } }
            }
            div { dt { "Files of the environment" } dd { (found.files) } }
        }
        section aria-labelledby="contents" {
            header .section { h2 #contents { "What is in it" } }
            @if found.counted.is_empty() {
                (frame::nothing("No data service had anything.", ""))
            } @else {
                div .wide tabindex="0" role="group" aria-labelledby="contents" {
                    table {
                        thead { tr { th scope="col" { "What" } th scope="col" { "Name" } th .number scope="col" { "How many" } th scope="col" { "Of" } th .number scope="col" { "Indexes" } th .number scope="col" { "Size" } } }
                        tbody { @for one in found.counted.iter().take(500) {
                            tr data-row {
                                td { (one.kind) }
                                th scope="row" { (cut(&one.name, 120)) }
                                td .number { (count(i64::try_from(one.many).unwrap_or(i64::MAX))) }
                                td { (one.of) }
                                td .number { @match one.indexes { Some(indexes) => (indexes), None => "–" } }
                                td .number { (cut(one.size.as_deref().unwrap_or("–"), 20)) }
                            }
                        } }
                    }
                }
            }
        }
        p .soft { "`roadbed restore --env " (context.environment) " --at " (found.taken) "` brings it back beside what lives." }
    };
    frame::page(context, Some(Place::Backups), Shows::AsItWas, &format!("Backup {}", found.name), &body)
}
