//! What this machine has of what Roadbed uses, and what it lacks.
//!
//! ```text
//!   Machine (where to look) ──► one question after the other ──► [Finding]: what is there, how much that matters, one hint
//! ```
//!
//! Nothing is asked of an environment: this is for whoever cannot bring one up, or wonders what it will be kept by.
//!
//! **Invariant:** nothing is changed. What is tried (a file in a folder, a port) is taken back at once.

mod tools;
mod kernel;
mod folders;

use std::path::PathBuf;

use serde::Serialize;

/// Where to look.
#[derive(Clone, Debug, Default)]
pub struct Machine {
    /// The user's `PATH`.
    pub path: String,
    /// The product's folder, else where the command was given.
    pub folder: PathBuf,
    /// Folders of this user in which Roadbed keeps what; `None` if the user has no home.
    pub state: Option<PathBuf>,
    pub config: Option<PathBuf>,
    pub cache: Option<PathBuf>,
    /// A browser by path or name, if one is named.
    pub browser: Option<String>,
    /// Names by which a browser is found.
    pub browsers: Vec<String>,
    /// Ports that the environment is to listen on. Those that it listens on already are not among them.
    pub ports: Vec<u16>,
    /// Data services of the manifest, by the names of their programs.
    pub engines: Vec<String>,
}

/// How much it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is there.
    Good,
    /// Everything works, and something is less than it could be.
    Less,
    /// Without it `up` or a check of the gate fails.
    Missing,
}

/// One answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Stable: scripts go by it.
    pub id: &'static str,
    pub verdict: Verdict,
    /// What was seen, without full stop.
    pub seen: String,
    /// What to do, where there is something to do.
    pub hint: Option<String>,
}

impl Finding {
    fn good(id: &'static str, seen: impl Into<String>) -> Self {
        Self { id, verdict: Verdict::Good, seen: seen.into(), hint: None }
    }

    fn less(id: &'static str, seen: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { id, verdict: Verdict::Less, seen: seen.into(), hint: Some(hint.into()) }
    }

    fn missing(id: &'static str, seen: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { id, verdict: Verdict::Missing, seen: seen.into(), hint: Some(hint.into()) }
    }
}

/// Asks everything, in the order in which one would mend it.
pub async fn examine(machine: &Machine) -> Vec<Finding> {
    let mut all = tools::look(machine).await;
    all.extend(folders::look(machine));
    all.extend(kernel::look(machine));
    all
}
