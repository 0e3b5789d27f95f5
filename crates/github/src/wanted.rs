//! What the manifest wants of a repository.

use std::collections::BTreeMap;

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Branches that are neither deleted nor rewritten.
    pub branches: Vec<String>,
    /// Checks that must have passed there, of GitHub Actions and of nobody else.
    pub checks: Vec<String>,
    /// Approving reviews of a pull request; `None`: no pull request is needed.
    pub approvals: Option<u32>,
    pub environments: Vec<WantedEnvironment>,
    /// Of the repository, by name.
    pub variables: BTreeMap<String, String>,
    /// Names that must be there.
    pub secrets: Vec<String>,
}

/// An environment that workflows deploy to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WantedEnvironment {
    pub name: String,
    /// Only these deploy there; none: any branch.
    pub branches: Vec<String>,
    /// One of them has to approve.
    pub reviewers: Vec<Reviewer>,
    /// Minutes before a deployment begins.
    pub wait: u32,
    /// Of this environment, by name.
    pub variables: BTreeMap<String, String>,
    /// Names that must be there.
    pub secrets: Vec<String>,
}

/// Who approves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reviewer {
    /// By login.
    User(String),
    /// By its short name in the organisation that owns the repository.
    Team(String),
}
