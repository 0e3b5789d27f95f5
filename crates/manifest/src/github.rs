//! A repository on GitHub that `roadbed github apply` holds to the manifest, beside what `[ci.protection]` says.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::Manifest;
use crate::id::{EnvName, VarName};
use crate::record::record;
use crate::shape::{self, Table, text_shape};
use crate::source::At;

record! {
    /// A repository on GitHub that is held to the manifest by `roadbed github apply`.
    pub(crate) struct GithubTable {
        /// `owner/name`.
        repository: At<GithubName>,
        /// Approving reviews that a pull request to a protected branch needs; 0: a pull request, and nobody's word. Default: branches
        /// are pushed to without one.
        approvals: Option<Approvals>,
        /// Variables of its workflows. They are no secrets: everybody who reads the repository sees them.
        variables: Table<VarName, String>,
        /// Secrets that must be there, beside those that `[ci.tasks]` and variables with `source = "ci"` need. `roadbed github apply`
        /// writes the values that it is given.
        secrets: Vec<At<VarName>> = [],
        /// Environments that workflows deploy to. Those of `[branches]` are there without being named, for their branches alone.
        environments: Table<EnvName, GithubEnvironmentTable>,
    }
}

record! {
    /// How deployments to an environment are let through.
    pub(crate) struct GithubEnvironmentTable {
        /// One of them has to approve, who is not the one who asked: `ann` is a person, `team/platform` a team of the owner.
        reviewers: Vec<At<ReviewerName>> = [],
        /// How long a deployment waits, in whole minutes.
        wait: Option<At<Duration>>,
        /// Variables of the jobs that deploy there. They are no secrets.
        variables: Table<VarName, String>,
        /// Secrets that must be there.
        secrets: Vec<At<VarName>> = [],
    }
}

/// A number of people.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Approvals(pub(crate) u32);

impl shape::Shape for Approvals {
    const WANTS: &'static str = "a number from 0 to 10";

    fn decode(value: &shape::Value<'_>, reader: &mut shape::Reader) -> Self {
        match crate::scalars::integer(value, 0..=10) {
            Some(number) => Self(number),
            None => {
                reader.wrong(value, Self::WANTS).hint("write a whole number without quotes");
                <Self as shape::Shape>::stand_in()
            }
        }
    }

    fn stand_in() -> Self {
        Self(0)
    }

    fn schema(_: &mut shape::Definitions) -> serde_json::Value {
        serde_json::json!({ "type": "integer", "minimum": 0, "maximum": 10 })
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 100
        && !text.starts_with('.')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

/// `urbancart/shop`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GithubName(pub(crate) String);

impl shape::Text for GithubName {
    const WANTS: &'static str = "a repository as \"owner/name\"";
    const PATTERN: Option<&'static str> =
        Some(r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}/[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$");
    const EXAMPLES: &'static [&'static str] = &["urbancart/shop"];

    fn read(text: &str) -> Result<Self, Option<String>> {
        match text.split_once('/') {
            Some((owner, name)) if is_name(owner) && is_name(name) => Ok(Self(text.to_owned())),
            _ => Err(Some("write what stands in its address behind the host, without \".git\"".to_owned())),
        }
    }

    fn stand_in() -> Self {
        Self("unreadable/unreadable".to_owned())
    }
}
text_shape!(GithubName);

/// `ann`, `team/platform`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ReviewerName(pub(crate) String);

impl shape::Text for ReviewerName {
    const WANTS: &'static str = "somebody on GitHub";
    const PATTERN: Option<&'static str> = Some(r"^(team/)?[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}$");
    const EXAMPLES: &'static [&'static str] = &["ann", "team/platform"];

    fn read(text: &str) -> Result<Self, Option<String>> {
        match is_name(text.strip_prefix("team/").unwrap_or(text)) {
            true => Ok(Self(text.to_owned())),
            false => Err(Some("write \"ann\" for a person, \"team/platform\" for a team".to_owned())),
        }
    }

    fn stand_in() -> Self {
        Self("unreadable".to_owned())
    }
}
text_shape!(ReviewerName);

/// What the manifest says of a repository on GitHub.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Github {
    pub repository: String,
    pub approvals: Option<u32>,
    pub variables: BTreeMap<String, String>,
    pub secrets: Vec<String>,
    /// In the order of the manifest's environments.
    pub environments: Vec<GithubEnvironment>,
}

/// An environment there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GithubEnvironment {
    pub name: String,
    /// That deploy to it.
    pub branches: Vec<String>,
    /// `ann`, `team/platform`.
    pub reviewers: Vec<String>,
    pub wait: Duration,
    pub variables: BTreeMap<String, String>,
    pub secrets: Vec<String>,
}

impl Manifest {
    /// The repository on GitHub; `None` if there is none.
    pub fn github(&self) -> Option<Github> {
        let table = &self.document.ci.github.as_ref()?.value;
        let names = |all: &[At<VarName>]| all.iter().map(|name| name.value.to_string()).collect::<Vec<_>>();
        let texts = |table: &Table<VarName, String>| {
            let all = table.in_order().into_iter();
            all.map(|(name, value)| (name.value.to_string(), value.clone())).collect::<BTreeMap<_, _>>()
        };
        let mut secrets: BTreeSet<String> = names(&table.secrets).into_iter().collect();
        secrets.extend(self.task_secrets());
        secrets.extend(self.build_secrets());
        let branches = self.branches();
        let environments = self.environments().into_iter().filter_map(|name| {
            let own = table.environments.get(&name);
            let from: Vec<String> =
                branches.iter().filter(|(_, to)| *to == name).map(|(branch, _)| branch.clone()).collect();
            if own.is_none() && from.is_empty() {
                return None;
            }
            Some(GithubEnvironment {
                name: name.to_string(),
                branches: from,
                reviewers: own
                    .map_or_else(Vec::new, |own| own.reviewers.iter().map(|one| one.value.0.clone()).collect()),
                wait: own.and_then(|own| own.wait.as_ref()).map_or(Duration::ZERO, |wait| wait.value),
                variables: own.map_or_else(BTreeMap::new, |own| texts(&own.variables)),
                secrets: own.map_or_else(Vec::new, |own| names(&own.secrets)),
            })
        });
        Some(Github {
            repository: table.repository.value.0.clone(),
            approvals: table.approvals.map(|approvals| approvals.0),
            variables: texts(&table.variables),
            secrets: secrets.into_iter().collect(),
            environments: environments.collect(),
        })
    }
}
