//! What `roadbed ci` goes by: which files everything depends on, and how a package is linted, checked, tested and built.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use crate::Manifest;
use crate::github::GithubTable;
use crate::id::VarName;
use crate::protection::ProtectionTable;
use crate::record::record;
use crate::resolve::default_output;
use crate::scalars::{Command, RelativePath};
use crate::shape::{self, Table, text_shape};
use crate::source::At;
use crate::workflows::WorkflowsTable;

record! {
    /// How `roadbed ci` finds out what changed, and what it runs.
    pub(crate) struct CiTable {
        /// Files and folders that every package depends on, beside those that always count (`.github`, `.ci`, `.npmrc`, `.cargo`, …).
        /// `*` stands for any name, `**` for any folders.
        global: Vec<At<PathGlob>> = [],
        /// Packages whose tasks are run, by their folders. Default: all.
        packages: Vec<At<PathGlob>> = [],
        /// What is done with a package, by name. `lint`, `typecheck`, `test` and `build` are there without being named.
        tasks: Table<TaskName, CiTaskTable>,
        /// Workflows for GitHub Actions. Without it there are none.
        workflows: Option<At<WorkflowsTable>>,
        /// Branches that only take what was checked. Without it there are none.
        protection: Option<At<ProtectionTable>>,
        /// The repository on GitHub. Without it there is none.
        github: Option<At<GithubTable>>,
    }
}

record! {
    /// What is done with a package.
    pub(crate) struct CiTaskTable {
        /// The command, run in the package's folder; no shell is involved. Default: the package's script of this name, or what Cargo
        /// has for it.
        command: Option<Command>,
        /// Tasks that must have succeeded before: `build` of the same package, `^build` of those that it depends on.
        needs: Option<Vec<At<TaskNeed>>>,
        /// Variables that it is given from where it runs. Another value is another result.
        env: Vec<At<VarName>> = [],
        /// Variables that it is given and that change no result, such as a token: no part of a key, and taken out of what it writes.
        secrets: Vec<At<VarName>> = [],
        /// What it makes, in the package's folder, kept with its result. `*` stands for any name, `**` for any folders.
        outputs: Option<Vec<At<PathGlob>>>,
        /// After this it is killed, with everything that it started.
        deadline: Duration = "15m",
        /// How often it is tried again. What succeeds only then is told as flaky, and not kept.
        retries: Attempts = 0,
        /// Tests that must have run for it to have succeeded. Default: 1 for `test`, else none are looked for.
        min_tests: Option<Attempts>,
        /// What is different for some packages, by their folders.
        r#in: Table<PathGlob, CiTaskOverride>,
    }
}

record! {
    /// What is different for some packages.
    pub(crate) struct CiTaskOverride {
        /// The command.
        command: Option<Command>,
        /// Tasks that must have succeeded before.
        needs: Option<Vec<At<TaskNeed>>>,
        /// What it makes.
        outputs: Option<Vec<At<PathGlob>>>,
        /// After this it is killed.
        deadline: Option<Duration>,
        /// How often it is tried again.
        retries: Option<Attempts>,
        /// Tests that must have run.
        min_tests: Option<Attempts>,
    }
}

/// A path in which `*` stands for any name and `**` for any folders.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PathGlob(pub(crate) String);

impl shape::Text for PathGlob {
    const WANTS: &'static str = "a relative path, in which \"*\" may stand for any name and \"**\" for any folders";
    const EXAMPLES: &'static [&'static str] = &["biome.json", "apps/*", "dist/**"];

    fn read(text: &str) -> Result<Self, Option<String>> {
        match RelativePath::read(text) {
            // What else a glob may have is one thing more to know, and to get wrong.
            Ok(_) if text.contains(['{', '}', '[', ']', '?', '!']) => {
                Err(Some("write names, \"*\" and \"**\", joined by \"/\"".to_owned()))
            }
            Ok(path) => Ok(Self(path.0)),
            Err(hint) => Err(hint),
        }
    }

    fn stand_in() -> Self {
        Self("unreadable".to_owned())
    }
}
text_shape!(PathGlob);

/// `lint`, `test`, `e2e`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct TaskName(pub(crate) String);

fn is_task(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_:".contains(c))
}

impl shape::Text for TaskName {
    const WANTS: &'static str = "the name of a task";
    const PATTERN: Option<&'static str> = Some("^[a-z][a-z0-9:_-]*$");
    const EXAMPLES: &'static [&'static str] = &["lint", "test", "build"];

    fn read(text: &str) -> Result<Self, Option<String>> {
        if is_task(text) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Some("write small letters, digits, \"-\" and \":\"".to_owned()))
        }
    }

    fn stand_in() -> Self {
        Self("unreadable".to_owned())
    }
}
text_shape!(TaskName);

/// `build`, or `^build`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TaskNeed(pub(crate) String);

impl shape::Text for TaskNeed {
    const WANTS: &'static str = "the name of a task, with \"^\" before it for that of the packages depended on";
    const PATTERN: Option<&'static str> = Some(r"^\^?[a-z][a-z0-9:_-]*$");
    const EXAMPLES: &'static [&'static str] = &["build", "^build"];

    fn read(text: &str) -> Result<Self, Option<String>> {
        if is_task(text.strip_prefix('^').unwrap_or(text)) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Some("for example \"^build\"".to_owned()))
        }
    }

    fn stand_in() -> Self {
        Self("unreadable".to_owned())
    }
}
text_shape!(TaskNeed);

/// A small number, also none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attempts(pub(crate) u32);

impl shape::Shape for Attempts {
    const WANTS: &'static str = "a number from 0 to 100000";

    fn decode(value: &shape::Value<'_>, reader: &mut shape::Reader) -> Self {
        match crate::scalars::integer(value, 0..=100_000) {
            Some(number) => Self(number),
            None => {
                reader.wrong(value, Self::WANTS).hint("write a whole number without quotes, 0 for none");
                <Self as shape::Shape>::stand_in()
            }
        }
    }

    fn stand_in() -> Self {
        Self(0)
    }

    fn schema(_: &mut shape::Definitions) -> serde_json::Value {
        serde_json::json!({ "type": "integer", "minimum": 0, "maximum": 100_000 })
    }
}

/// All that the manifest says about continuous integration, of the product as a whole.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Ci {
    /// Globs, relative to the manifest.
    pub global: Vec<String>,
    /// Globs of folders; all packages if there is none.
    pub packages: Vec<String>,
    pub tasks: BTreeMap<String, CiTask>,
    /// Apps, in the order of the manifest.
    pub apps: Vec<CiApp>,
}

/// A task as it is written, with what differs for some packages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CiTask {
    pub command: Option<Vec<String>>,
    pub needs: Option<Vec<String>>,
    pub env: Vec<String>,
    pub secrets: Vec<String>,
    pub outputs: Option<Vec<String>>,
    pub deadline: Duration,
    pub retries: u32,
    pub min_tests: Option<u32>,
    /// In the order of the manifest; what comes later wins.
    pub differs: Vec<(String, CiDifference)>,
}

/// What differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CiDifference {
    pub command: Option<Vec<String>>,
    pub needs: Option<Vec<String>>,
    pub outputs: Option<Vec<String>>,
    pub deadline: Option<Duration>,
    pub retries: Option<u32>,
    pub min_tests: Option<u32>,
}

/// What of an app matters here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CiApp {
    pub name: String,
    /// Its folder.
    pub path: String,
    /// What goes into its build beside it, files and folders.
    pub inputs: Vec<String>,
    pub build: Vec<String>,
    /// What its build makes, relative to its folder.
    pub output: String,
}

fn words(command: &Command) -> Vec<String> {
    command.0.clone()
}

fn globs(globs: &[At<PathGlob>]) -> Vec<String> {
    globs.iter().map(|glob| glob.value.0.clone()).collect()
}

fn needs(needs: &[At<TaskNeed>]) -> Vec<String> {
    needs.iter().map(|need| need.value.0.clone()).collect()
}

fn names(names: &[At<VarName>]) -> Vec<String> {
    names.iter().map(|name| name.value.to_string()).collect()
}

impl Manifest {
    /// What `roadbed ci` goes by.
    pub fn ci(&self) -> Ci {
        let table = &self.document.ci;
        let tasks = table.tasks.in_order().into_iter().map(|(name, task)| (name.value.0.clone(), task_of(task)));
        let apps = self.document.apps.in_order().into_iter().map(|(name, app)| CiApp {
            name: name.value.to_string(),
            path: app.path.value.0.clone(),
            inputs: app.build.inputs.iter().map(|path| path.value.0.clone()).collect(),
            build: words(&app.build.command),
            output: app.build.output.as_ref().map_or_else(|| default_output(app.kind), |path| path.0.clone()),
        });
        // The lock file and package.json are read for what they mean.
        let shared = self.document.product.build_inputs.iter().map(|path| path.value.0.clone());
        let shared = shared
            .filter(|path| !["package.json", "package-lock.json", "Cargo.toml", "Cargo.lock"].contains(&path.as_str()));
        Ci {
            global: globs(&table.global).into_iter().chain(shared).collect(),
            packages: globs(&table.packages),
            tasks: tasks.collect(),
            apps: apps.collect(),
        }
    }
}

fn task_of(task: &CiTaskTable) -> CiTask {
    let differs = task.r#in.in_order().into_iter().map(|(glob, differs)| {
        let difference = CiDifference {
            command: differs.command.as_ref().map(words),
            needs: differs.needs.as_deref().map(needs),
            outputs: differs.outputs.as_deref().map(globs),
            deadline: differs.deadline,
            retries: differs.retries.map(|retries| retries.0),
            min_tests: differs.min_tests.map(|tests| tests.0),
        };
        (glob.value.0.clone(), difference)
    });
    CiTask {
        command: task.command.as_ref().map(words),
        needs: task.needs.as_deref().map(needs),
        env: names(&task.env),
        secrets: names(&task.secrets),
        outputs: task.outputs.as_deref().map(globs),
        deadline: task.deadline,
        retries: task.retries.0,
        min_tests: task.min_tests.map(|tests| tests.0),
        differs: differs.collect(),
    }
}
