//! Workflows for GitHub Actions: what they need to know beside branches, environments and tasks.

use std::collections::{BTreeMap, BTreeSet};

use crate::Manifest;
use crate::id::EnvName;
use crate::record::{choice, record};
use crate::scalars::Version;
use crate::shape::{self, Table, text_shape};
use crate::source::At;
use crate::variable_tables::Origin;

choice! {
    /// Where jobs have the program from.
    pub enum ProgramOrigin {
        /// It is installed on the runner already.
        Runner = "runner",
        /// Cargo builds it from this repository, once per run.
        Source = "source",
    }
}

record! {
    /// A program that is downloaded.
    pub(crate) struct DownloadTable {
        /// Where the program lies: the file itself, not an archive.
        url: At<HttpsUrl>,
        /// Its SHA-256. Another file is not run.
        sha256: At<Sha256>,
    }
}

record! {
    /// Workflows for GitHub Actions, written by `roadbed generate` into `.github/workflows`. Without this table there are none.
    pub(crate) struct WorkflowsTable {
        /// The runner of jobs, by its label.
        runner: At<RunnerLabel> = "ubuntu-24.04",
        /// Where jobs have `roadbed` from.
        program: ProgramOrigin = "runner",
        /// `roadbed`, downloaded. Takes the place of `program`.
        download: Option<DownloadTable>,
        /// Version of Node.js that is set up. Default: the one that the runner has.
        node: Option<Version>,
        /// What an environment deploys instead of building: what was deployed to this other one, unchanged.
        promote: Table<EnvName, At<EnvName>>,
        /// Labels of the runner on the machine of the previews. Without them pull requests get no previews by a workflow.
        previews: Vec<At<RunnerLabel>> = [],
    }
}

/// How an environment is deployed to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeployedBranch {
    pub branch: String,
    pub environment: String,
    /// What it deploys is what was deployed there, from that branch.
    pub from: Option<(String, String)>,
}

/// Where jobs have the program from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Program {
    Runner,
    Source,
    Download { url: String, sha256: String },
}

/// What the manifest says of workflows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workflows {
    pub runner: String,
    pub program: Program,
    pub node: Option<String>,
    /// Labels; none: no previews.
    pub previews: Vec<String>,
    /// In the order of the manifest.
    pub deployed: Vec<DeployedBranch>,
    /// Secrets at the code host that tasks get, by name.
    pub task_secrets: BTreeSet<String>,
    /// Those that builds get.
    pub build_secrets: BTreeSet<String>,
}

impl Manifest {
    /// What tasks are given, that somebody has to set at the code host.
    pub(crate) fn task_secrets(&self) -> BTreeSet<String> {
        self.ci().tasks.into_values().flat_map(|task| task.secrets).collect()
    }

    /// What builds are given: variables with `source = "ci"`.
    pub(crate) fn build_secrets(&self) -> BTreeSet<String> {
        let all = self.document.variables.in_order().into_iter();
        let given = all.filter(|(_, one)| one.source.as_ref().is_some_and(|from| from.value == Origin::Ci));
        given.map(|(name, _)| name.value.to_string()).collect()
    }

    /// Whether there are workflows, and what they need to know.
    pub fn workflows(&self) -> Option<Workflows> {
        let table = &self.document.ci.workflows.as_ref()?.value;
        let branches = self.branches();
        let branch_of: BTreeMap<&str, &str> =
            branches.iter().map(|(branch, name)| (name.as_str(), branch.as_str())).collect();
        let deployed = branches.iter().map(|(branch, environment)| {
            let from = table.promote.get(environment).map(|from| from.value.to_string());
            let from = from.and_then(|name| Some((name.clone(), (*branch_of.get(name.as_str())?).to_owned())));
            DeployedBranch { branch: branch.clone(), environment: environment.to_string(), from }
        });
        let program = match (&table.download, table.program) {
            (Some(download), _) => {
                Program::Download { url: download.url.value.0.clone(), sha256: download.sha256.value.0.clone() }
            }
            (None, ProgramOrigin::Runner) => Program::Runner,
            (None, ProgramOrigin::Source) => Program::Source,
        };
        Some(Workflows {
            runner: table.runner.value.0.clone(),
            program,
            node: table.node.as_ref().map(|version| version.0.clone()),
            previews: table.previews.iter().map(|label| label.value.0.clone()).collect(),
            deployed: deployed.collect(),
            task_secrets: self.task_secrets(),
            build_secrets: self.build_secrets(),
        })
    }
}

/// `ubuntu-24.04`, `self-hosted`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RunnerLabel(pub(crate) String);

impl shape::Text for RunnerLabel {
    const WANTS: &'static str = "the label of a runner";
    const PATTERN: Option<&'static str> = Some("^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$");
    const EXAMPLES: &'static [&'static str] = &["ubuntu-24.04", "self-hosted"];

    fn read(text: &str) -> Result<Self, Option<String>> {
        let is_one = text.starts_with(|c: char| c.is_ascii_alphanumeric())
            && text.len() <= 100
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
        if is_one {
            Ok(Self(text.to_owned()))
        } else {
            Err(Some("write letters, digits, \"-\", \"_\" and \".\"".to_owned()))
        }
    }

    fn stand_in() -> Self {
        Self("unreadable".to_owned())
    }
}
text_shape!(RunnerLabel);

/// An address that a job downloads from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HttpsUrl(pub(crate) String);

impl shape::Text for HttpsUrl {
    const WANTS: &'static str = "an address that begins with https://";
    const PATTERN: Option<&'static str> = Some(r"^https://[A-Za-z0-9./_~%:+-]+$");
    const EXAMPLES: &'static [&'static str] = &["https://downloads.shop.example/roadbed-0.1.0"];

    fn read(text: &str) -> Result<Self, Option<String>> {
        let rest = text.strip_prefix("https://").unwrap_or_default();
        // It stands in a script: what a shell could take for something else is no part of it.
        if !rest.is_empty() && rest.chars().all(|c| c.is_ascii_alphanumeric() || "./_~%:+-".contains(c)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Some("write host, path and no query".to_owned()))
        }
    }

    fn stand_in() -> Self {
        Self("https://unreadable.invalid/".to_owned())
    }
}
text_shape!(HttpsUrl);

/// A digest, as `sha256sum` prints it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Sha256(pub(crate) String);

impl shape::Text for Sha256 {
    const WANTS: &'static str = "a SHA-256 of 64 hexadecimal digits";
    const PATTERN: Option<&'static str> = Some("^[0-9a-f]{64}$");

    fn read(text: &str) -> Result<Self, Option<String>> {
        if text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Some("`sha256sum FILE` prints it".to_owned()))
        }
    }

    fn stand_in() -> Self {
        Self("0".repeat(64))
    }
}
text_shape!(Sha256);
