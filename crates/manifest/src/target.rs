//! Which environment is meant, and which one a branch is deployed to.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Manifest;
use crate::environment::Runs;
use crate::id::{AppName, BucketName, EnvName};
use crate::naming::{BranchSlug, Names};
use crate::scalars::BranchName;
use crate::tables::Per;

/// One environment: `staging`, or one of many: `preview/pr-42`, `sandbox/feature-x`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct EnvRef {
    pub name: EnvName,
    /// Which one, where there is one per pull request or branch.
    pub instance: Option<Instance>,
}

/// Which one of many.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Instance {
    PullRequest(u32),
    Branch(BranchSlug),
}

impl Instance {
    pub(crate) fn per(&self) -> Per {
        match self {
            Self::PullRequest(_) => Per::PullRequest,
            Self::Branch(_) => Per::Branch,
        }
    }

    /// What stands in the domain for its placeholder.
    pub(crate) fn label(&self) -> String {
        match self {
            Self::PullRequest(number) => number.to_string(),
            Self::Branch(slug) => slug.to_string(),
        }
    }
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PullRequest(number) => write!(f, "pr-{number}"),
            Self::Branch(slug) => slug.fmt(f),
        }
    }
}

impl EnvRef {
    pub fn new(name: EnvName) -> Self {
        Self { name, instance: None }
    }

    /// The environment as part of other names: `local`, `preview-pr-42`.
    pub fn slug(&self) -> String {
        match &self.instance {
            Some(instance) => format!("{}-{instance}", self.name),
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
        let Some((name, instance)) = text.split_once('/') else {
            return Ok(Self { name: EnvName::new(text).map_err(|_| wrong())?, instance: None });
        };
        let instance = match instance.strip_prefix("pr-") {
            Some(number) => Instance::PullRequest(number_of(number).ok_or_else(wrong)?),
            None => Instance::Branch(BranchSlug::read(instance).ok_or_else(wrong)?),
        };
        Ok(Self { name: EnvName::new(name).map_err(|_| wrong())?, instance: Some(instance) })
    }
}

/// A pull request's number in its one spelling: `042` and `+42` would be further names of the same environment.
pub(crate) fn number_of(text: &str) -> Option<u32> {
    if text.starts_with(['0', '+']) { None } else { text.parse().ok() }
}

impl fmt::Display for EnvRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.instance {
            Some(instance) => write!(f, "{}/{instance}", self.name),
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
    /// As git names it within `refs/heads`.
    Branch(String),
    PullRequest(u32),
}

/// Why a text is the name of no branch. Git refuses it too, so somebody made it up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not the name of a branch: {why}")]
pub struct NotABranch {
    pub name: String,
    pub why: &'static str,
}

impl Change {
    /// A branch by its name, as git would take it (`git check-ref-format --branch`). Nothing is stripped or mended: what is not
    /// exactly a branch must not become one.
    pub fn branch(name: &str) -> Result<Self, NotABranch> {
        let refuse = |why| Err(NotABranch { name: name.chars().take(80).collect(), why });
        let is_dotted = |part: &str| part.is_empty() || part.starts_with('.') || part.ends_with(".lock");
        if name.is_empty() {
            return refuse("it is empty");
        } else if name.len() > LONGEST_BRANCH {
            return refuse("it is longer than a file's name may be");
        } else if name.chars().any(|letter| letter.is_control() || " ~^:?*[\\".contains(letter)) {
            return refuse("it has a space, a line break or one of ~^:?*[\\ in it");
        } else if name.starts_with('-') || name == "@" || name == "HEAD" {
            return refuse("git means something else by it");
        } else if name.contains("..") || name.contains("@{") || name.ends_with('.') {
            return refuse("git reads \"..\", \"@{\" and a dot at the end otherwise");
        } else if name.split('/').any(is_dotted) {
            return refuse("a part of it is empty, begins with a dot or ends with \".lock\"");
        } else if name.starts_with("refs/") {
            return refuse("write it as git shows it, without \"refs/heads/\"");
        }
        Ok(Self::Branch(name.to_owned()))
    }
}

/// Git keeps a branch in a file of its name.
const LONGEST_BRANCH: usize = 244;

/// Everything that follows from where a change goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Target {
    pub environment: EnvRef,
    pub product: String,
    pub domain: String,
    /// By app; the first is canonical.
    pub hosts: BTreeMap<AppName, Vec<String>>,
    /// MongoDB's.
    pub database: Option<String>,
    pub redis_key_prefix: Option<String>,
    /// Name in the storage, by bucket.
    pub buckets: BTreeMap<BucketName, String>,
    pub secret_scope: String,
    /// Processes of apps, and the user of the machine that each has where it has one by name.
    pub units: BTreeMap<String, String>,
}

impl Manifest {
    /// The environment that a change is deployed to: decided by this alone, so that no flag can send it elsewhere.
    /// `None` means that it is deployed nowhere.
    pub fn target(&self, change: &Change) -> Option<EnvRef> {
        let of_many = |per: Per| {
            let mut environments = self.document.environments.iter();
            environments.find(|(_, table)| table.per.as_ref().is_some_and(|of| of.value == per))
        };
        match change {
            Change::Branch(branch) => {
                let declared = self.document.branches.get(&BranchName(branch.clone()));
                declared.map(|name| EnvRef::new(name.value.clone())).or_else(|| {
                    let instance = Some(Instance::Branch(BranchSlug::of(branch)));
                    of_many(Per::Branch).map(|(name, _)| EnvRef { name: name.value.clone(), instance })
                })
            }
            Change::PullRequest(number) => {
                let instance = Some(Instance::PullRequest(*number));
                of_many(Per::PullRequest).map(|(name, _)| EnvRef { name: name.value.clone(), instance })
            }
        }
    }

    /// The names in an environment, as everything that runs there has them. `None` if the manifest has no such environment.
    pub fn names(&self, environment: &EnvRef) -> Option<Target> {
        let resolved = self.resolve(environment).ok()?;
        let names = Names::of(&resolved.product, environment);
        let instances = resolved.apps.iter().flat_map(|app| {
            let replicas = if let Runs::Server(server) = &app.runs { server.most() } else { 0 };
            (1..=replicas).map(|number| Names::instance(&app.name, number as usize))
        });
        Some(Target {
            environment: environment.clone(),
            product: resolved.product.to_string(),
            domain: resolved.domain.clone(),
            hosts: resolved.apps.iter().map(|app| (app.name.clone(), app.hosts.clone())).collect(),
            database: resolved.mongodb.as_ref().map(|mongodb| mongodb.database.clone()),
            redis_key_prefix: resolved.redis.as_ref().map(|redis| redis.key_prefix.clone()),
            buckets: resolved
                .media
                .iter()
                .flat_map(|media| &media.buckets)
                .map(|bucket| (bucket.name.clone(), bucket.full_name.clone()))
                .collect(),
            secret_scope: names.secret_scope.clone(),
            units: instances.map(|unit| (unit.clone(), names.unix_user(&unit))).collect(),
        })
    }
}
