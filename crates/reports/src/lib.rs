//! Results in the formats that others read: JUnit XML for code hosts, a page for people, a badge for a front page.
//!
//! ```text
//!   ci run ──┐
//!            ├──► Suite, Case ──► junit · html · badge
//!   ready ───┘
//! ```
//!
//! **Invariant:** it knows neither tasks nor promises, and whatever text comes in leaves as text: it never becomes markup.

pub mod junit;
pub mod html;
pub mod badge;

use std::time::Duration;

/// Cases that belong together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suite {
    pub name: String,
    pub cases: Vec<Case>,
}

/// Something that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Case {
    pub name: String,
    pub took: Duration,
    pub verdict: Verdict,
    /// What it said; lines.
    pub output: String,
}

/// How it ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Passed,
    /// It passed, but not at once; in words.
    Flaky(String),
    /// Why.
    Failed(String),
    /// Why it was not tried, or could not be.
    Skipped(String),
}
