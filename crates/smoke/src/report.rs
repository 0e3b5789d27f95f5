//! What was seen.

use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What a run came to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub pages: Vec<PageReport>,
    /// Name and version of the browser, where one rendered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser: Option<String>,
}

/// One page, as it was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageReport {
    pub name: String,
    pub url: String,
    pub verdict: Verdict,
    /// What HTTP answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// All that is wrong with it; empty if the verdict is that it holds.
    pub complaints: Vec<Complaint>,
    pub took_ms: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub screenshot: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub console: Option<PathBuf>,
}

/// Whether a page is as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Holds,
    Fails,
    /// It was not seen to the end, for no fault of its own. Never counted as holding.
    Unproven,
}

/// One thing that is wrong with a page. `Display` is a sentence about it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "what")]
pub enum Complaint {
    Unreachable {
        why: String,
    },
    Status {
        expected: u16,
        found: u16,
        leads_to: Option<String>,
    },
    NoMarker {
        text: String,
    },
    Header {
        name: String,
        expected: String,
        found: Option<String>,
    },
    NotLoaded {
        why: String,
    },
    LedAway {
        to: String,
    },
    NeverLoaded {
        after_ms: u64,
        waits_for: Vec<String>,
    },
    NotSeen {
        text: String,
    },
    NoElement {
        selector: String,
    },
    Exception {
        text: String,
    },
    ConsoleError {
        text: String,
    },
    NoPicture {
        url: String,
    },
    FailedRequest {
        url: String,
        why: String,
    },
    Crashed,
    /// Chromium went away, or our time was over. The page is not to blame.
    Unproven {
        why: String,
    },
}

impl Report {
    /// Whether every page holds. A run that looked at nothing proves nothing.
    pub fn holds(&self) -> bool {
        !self.pages.is_empty() && self.pages.iter().all(|page| page.verdict == Verdict::Holds)
    }
}

impl Verdict {
    pub(crate) fn of(complaints: &[Complaint]) -> Self {
        let is_ours = |complaint: &Complaint| matches!(complaint, Complaint::Unproven { .. });
        if complaints.is_empty() {
            Self::Holds
        } else if complaints.iter().all(is_ours) {
            Self::Unproven
        } else {
            Self::Fails
        }
    }
}

impl Complaint {
    /// The same with each text of pages put through this.
    pub(crate) fn map(self, through: impl Fn(&str) -> String) -> Self {
        let all = |texts: Vec<String>| texts.iter().map(|text| through(text)).collect();
        match self {
            Self::Unreachable { why } => Self::Unreachable { why: through(&why) },
            Self::Status { expected, found, leads_to } => {
                Self::Status { expected, found, leads_to: leads_to.map(|to| through(&to)) }
            }
            Self::Header { name, expected, found } => {
                Self::Header { name, expected, found: found.map(|found| through(&found)) }
            }
            Self::NotLoaded { why } => Self::NotLoaded { why: through(&why) },
            Self::LedAway { to } => Self::LedAway { to: through(&to) },
            Self::NeverLoaded { after_ms, waits_for } => Self::NeverLoaded { after_ms, waits_for: all(waits_for) },
            Self::Exception { text } => Self::Exception { text: through(&text) },
            Self::ConsoleError { text } => Self::ConsoleError { text: through(&text) },
            Self::NoPicture { url } => Self::NoPicture { url: through(&url) },
            Self::FailedRequest { url, why } => Self::FailedRequest { url: through(&url), why: through(&why) },
            Self::Unproven { why } => Self::Unproven { why: through(&why) },
            // These repeat what the plan says.
            Self::NoMarker { .. } | Self::NotSeen { .. } | Self::NoElement { .. } | Self::Crashed => self,
        }
    }
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { why } => write!(f, "cannot be reached: {why}"),
            Self::Status { expected, found, leads_to: None } => write!(f, "answered {found} and not {expected}"),
            Self::Status { expected, found, leads_to: Some(to) } => {
                write!(f, "answered {found} and not {expected}, and leads to {to}")
            }
            Self::NoMarker { text } => write!(f, "does not contain {text:?}"),
            Self::Header { name, expected, found: None } => {
                write!(f, "has no header {name}, which must be {expected:?}")
            }
            Self::Header { name, expected, found: Some(found) } => {
                write!(f, "has the header {name} with {found:?} and not {expected:?}")
            }
            Self::NotLoaded { why } => write!(f, "does not load in a browser: {why}"),
            Self::LedAway { to } => write!(f, "leads to another host: {to}"),
            Self::NeverLoaded { after_ms, waits_for } if waits_for.is_empty() => {
                write!(f, "was not loaded after {after_ms} ms: its scripts do not come to an end")
            }
            Self::NeverLoaded { after_ms, waits_for } => {
                write!(f, "was not loaded after {after_ms} ms: still waiting for {}", waits_for.join(", "))
            }
            Self::NotSeen { text } => write!(f, "does not show {text:?} once rendered"),
            Self::NoElement { selector } => write!(f, "shows no element {selector} once rendered"),
            Self::Exception { text } => write!(f, "threw an error that nothing caught: {text}"),
            Self::ConsoleError { text } => write!(f, "wrote an error on the console: {text}"),
            Self::NoPicture { url } => write!(f, "lacks a picture: {url} did not load"),
            Self::FailedRequest { url, why } => write!(f, "asked its own host in vain: {url}: {why}"),
            Self::Crashed => f.write_str("made the browser's process of it crash"),
            Self::Unproven { why } => write!(f, "was not looked at to its end: {why}"),
        }
    }
}
