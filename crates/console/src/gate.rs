//! What was promised, and whether it holds: by the newest look at each promise, with what was seen.

use gate::{Evidence, Verdict};
use host::clock::Timestamp;
use maud::{Markup, html};

use crate::context::{Context, Place};
use crate::frame::{self, Shows};
use crate::marks::{self, Mark};
use crate::words::{ago, cut, millis};

/// How the promises stand.
#[derive(Clone, Debug, Default)]
pub struct Gate {
    /// The newest look at each.
    pub newest: Vec<Evidence>,
    pub is_running: bool,
    /// Why the last run from here came to no end.
    pub trouble: Option<String>,
}

impl Gate {
    /// How many hold, are broken, could not be looked at.
    pub(crate) fn counts(&self) -> (usize, usize, usize) {
        let of = |verdict| self.newest.iter().filter(|evidence| evidence.verdict == verdict).count();
        (of(Verdict::Holds), of(Verdict::Fails), of(Verdict::Inconclusive))
    }

    pub(crate) fn last(&self) -> Option<Timestamp> {
        self.newest.iter().map(|evidence| evidence.at).max()
    }
}

/// `T11` after `T9`.
fn number(task: &str) -> u32 {
    task.trim_start_matches('T').parse().unwrap_or(u32::MAX)
}

/// What does not hold first.
fn rank(verdict: Verdict) -> u8 {
    match verdict {
        Verdict::Fails => 0,
        Verdict::Inconclusive => 1,
        Verdict::Holds => 2,
    }
}

pub fn gate(context: &Context, found: &Gate) -> String {
    let (holds, broken, unclear) = found.counts();
    let mut all: Vec<&Evidence> = found.newest.iter().collect();
    all.sort_by_key(|evidence| (rank(evidence.verdict), number(&evidence.task), evidence.id.clone()));
    let body = html! {
        header .top {
            h1 { "Gate" }
            @if found.is_running { (marks::state(Mark::Busy, "is being run")) }
            @else if all.is_empty() { (marks::state(Mark::Idle, "not run yet")) }
            @else {
                (marks::state(Mark::Good, &format!("{holds} hold")))
                @if broken > 0 { (marks::state(Mark::Bad, &format!("{broken} broken"))) }
                @if unclear > 0 { (marks::state(Mark::Warn, &format!("{unclear} unclear"))) }
            }
            @if context.may_change() && !found.is_running {
                (frame::button(context, "/gate", "main", "Run all checks", &[]))
            }
        }
        @if let Some(trouble) = &found.trouble { p .trouble { (marks::shape(Mark::Bad)) (trouble) } }
        @if all.is_empty() {
            (frame::nothing("Nobody looked yet.", "`roadbed ready` looks, and keeps what it saw."))
        } @else {
            ol .promises { @for evidence in all { (promise(context, evidence)) } }
        }
    };
    frame::page(context, Some(Place::Gate), Shows::Live, "Gate", &body)
}

fn promise(context: &Context, evidence: &Evidence) -> Markup {
    let (mark, word) = match evidence.verdict {
        Verdict::Holds => (Mark::Good, "holds"),
        Verdict::Fails => (Mark::Bad, "broken"),
        Verdict::Inconclusive => (Mark::Warn, "unclear"),
    };
    html! {
        li data-row {
            details open[evidence.verdict != Verdict::Holds] {
                summary {
                    (marks::state(mark, word))
                    span .task { (evidence.task) }
                    span .claim { (cut(&evidence.claim, 300)) }
                    span .soft { (ago(evidence.at, context.now)) ", " (millis(evidence.took_ms)) }
                }
                p .id .soft { (evidence.id) }
                ul .seen {
                    @for seen in evidence.observed.iter().take(12) {
                        li .bad[seen.starts_with("BROKEN")] { (cut(seen, 400)) }
                    }
                    @if evidence.observed.len() > 12 { li .soft { (evidence.observed.len() - 12) " more" } }
                }
                @if let Some(hint) = &evidence.hint { p { strong { "What to do: " } (cut(hint, 400)) } }
            }
        }
    }
}
