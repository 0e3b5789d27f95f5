//! Which environment is meant, and which one a branch is deployed to.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Manifest;
use crate::id::EnvName;
use crate::scalars::BranchName;

/// One environment: `staging`, or `preview/pr-42` where there is one per pull request.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EnvRef {
    pub name: EnvName,
    pub pull_request: Option<u32>,
}

impl EnvRef {
    pub fn new(name: EnvName) -> Self {
        Self { name, pull_request: None }
    }

    /// The environment as part of other names: `local`, `preview-pr-42`.
    pub fn slug(&self) -> String {
        match self.pull_request {
            Some(number) => format!("{}-pr-{number}", self.name),
            None => self.name.to_string(),
        }
    }
}

impl From<EnvName> for EnvRef {
    fn from(name: EnvName) -> Self {
        Self::new(name)
    }
}

/// Why a text does not say which environment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no environment: write a name such as \"staging\", or \"preview/pr-42\"")]
pub struct NotAnEnvironment(pub String);

impl FromStr for EnvRef {
    type Err = NotAnEnvironment;

    fn from_str(text: &str) -> Result<Self, NotAnEnvironment> {
        let wrong = || NotAnEnvironment(text.to_owned());
        let (name, pull_request) = match text.split_once('/') {
            None => (text, None),
            Some((name, instance)) => {
                let number = instance.strip_prefix("pr-").ok_or_else(wrong)?;
                // One pull request has one spelling, else it would have two environments.
                if number.starts_with(['0', '+']) {
                    return Err(wrong());
                }
                (name, Some(number.parse().map_err(|_| wrong())?))
            }
        };
        Ok(Self { name: EnvName::new(name).map_err(|_| wrong())?, pull_request })
    }
}

impl fmt::Display for EnvRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.pull_request {
            Some(number) => write!(f, "{}/pr-{number}", self.name),
            None => write!(f, "{}", self.name),
        }
    }
}

impl TryFrom<String> for EnvRef {
    type Error = NotAnEnvironment;
    fn try_from(text: String) -> Result<Self, NotAnEnvironment> {
        text.parse()
    }
}

impl From<EnvRef> for String {
    fn from(environment: EnvRef) -> Self {
        environment.to_string()
    }
}

/// What a change came in on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    Branch(String),
    PullRequest(u32),
}

impl Manifest {
    /// The environment that a change is deployed to: decided by this alone, so that no flag can send it elsewhere.
    /// `None` means that it is deployed nowhere.
    pub fn target(&self, change: &Change) -> Option<EnvRef> {
        match change {
            Change::Branch(branch) => {
                self.document.branches.get(&BranchName(branch.clone())).map(|name| EnvRef::new(name.value.clone()))
            }
            Change::PullRequest(number) => {
                let per_pull_request = self.document.environments.iter().find(|(_, table)| table.per.is_some());
                per_pull_request.map(|(name, _)| EnvRef { name: name.value.clone(), pull_request: Some(*number) })
            }
        }
    }
}
