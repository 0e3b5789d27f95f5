//! What is done with a package: linted, checked, tested, built, or what else the manifest names.

use std::borrow::Cow;
use std::sync::LazyLock;
use std::time::Duration;

use manifest::{Ci, CiApp};
use reconcile::Fault;
use serde::Serialize;

use crate::workspace::Package;
use crate::{Hash, globs, hash_of};

/// Tasks that need not be named.
pub const USUAL: [&str; 4] = ["lint", "typecheck", "test", "build"];

/// A cold build of a Next.js app took 27 s on two contended cores.
const DEADLINE: Duration = Duration::from_secs(15 * 60);

/// How one task of one package is done, with every default filled in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Settings {
    pub command: Option<Vec<String>>,
    /// `^` stands before those of the packages that it depends on.
    pub needs: Option<Vec<String>>,
    pub env: Vec<String>,
    pub secrets: Vec<String>,
    pub outputs: Option<Vec<String>>,
    pub deadline: Duration,
    pub retries: u32,
    pub min_tests: u32,
}

/// The names of all tasks: the usual ones first.
pub fn names(ci: &Ci) -> Vec<String> {
    let own = ci.tasks.keys().filter(|name| !USUAL.contains(&name.as_str())).cloned();
    USUAL.iter().map(|name| (*name).to_owned()).chain(own).collect()
}

/// What the manifest says of a task of the package in a folder.
pub fn settings(ci: &Ci, task: &str, path: &str) -> Result<Settings, Fault> {
    let mut settings = Settings {
        command: None,
        needs: None,
        env: Vec::new(),
        secrets: Vec::new(),
        outputs: None,
        deadline: DEADLINE,
        retries: 0,
        min_tests: u32::from(task == "test"),
    };
    let Some(said) = ci.tasks.get(task) else { return Ok(settings) };
    settings = Settings {
        command: said.command.clone(),
        needs: said.needs.clone(),
        env: said.env.clone(),
        secrets: said.secrets.clone(),
        outputs: said.outputs.clone(),
        deadline: said.deadline,
        retries: said.retries,
        min_tests: said.min_tests.unwrap_or(settings.min_tests),
    };
    for (glob, differs) in &said.differs {
        if !globs::matcher(glob)?.is_match(path) {
            continue;
        }
        settings = Settings {
            command: differs.command.clone().or(settings.command),
            needs: differs.needs.clone().or(settings.needs),
            outputs: differs.outputs.clone().or(settings.outputs),
            deadline: differs.deadline.unwrap_or(settings.deadline),
            retries: differs.retries.unwrap_or(settings.retries),
            min_tests: differs.min_tests.unwrap_or(settings.min_tests),
            ..settings
        };
    }
    Ok(settings)
}

/// A digest of all that the manifest says of the tasks of the package in a folder.
pub(crate) fn written(ci: &Ci, path: &str) -> Result<Hash, Fault> {
    let app: Option<&CiApp> = ci.apps.iter().find(|app| app.path == path);
    // What is said and is the default anyway is no difference.
    static UNSAID: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| {
        let of = |task: &str| {
            settings(&Ci::default(), task, "").ok().and_then(|settings| serde_json::to_vec(&settings).ok())
        };
        USUAL.iter().filter_map(|task| of(task)).collect()
    });
    let mut parts = vec![Cow::Owned(serde_json::to_vec(&app).expect("an app can be written"))];
    for (number, task) in names(ci).into_iter().enumerate() {
        parts.push(match (UNSAID.get(number), ci.tasks.contains_key(&task)) {
            (Some(unsaid), false) => Cow::Borrowed(unsaid),
            _ => Cow::Owned(serde_json::to_vec(&settings(ci, &task, path)?).expect("settings can be written")),
        });
        parts.push(Cow::Owned(task.into_bytes()));
    }
    Ok(hash_of(parts.iter().map(|part| part.as_slice())))
}

/// The command of a task, by the manifest, the package's scripts or Cargo; `None` if the package has no such task.
pub fn command(ci: &Ci, package: &Package, task: &str, settings: &Settings) -> Option<Vec<String>> {
    if let Some(command) = &settings.command {
        return Some(command.clone());
    }
    let words = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
    if let Some(npm) = &package.npm {
        let app = package.app.map(|app| &ci.apps[app]).filter(|_| task == "build");
        let usual = ["npm", "run", task];
        let is_own = |app: &&CiApp| app.build != usual;
        if let Some(app) = app.filter(is_own) {
            return Some(app.build.clone());
        }
        return if npm.has_script(task) { words(&usual) } else { None };
    }
    let name = package.cargo.as_ref()?.name.as_deref()?;
    match task {
        "lint" => words(&["cargo", "clippy", "--package", name, "--all-targets", "--", "--deny", "warnings"]),
        "test" => words(&["cargo", "test", "--package", name]),
        "build" => words(&["cargo", "build", "--package", name]),
        _ => None,
    }
}

/// Tasks that must have succeeded before.
pub fn needs(package: &Package, task: &str, settings: &Settings) -> Vec<String> {
    match (&settings.needs, task) {
        (Some(needs), _) => needs.clone(),
        // Cargo builds what a package depends on by itself.
        (None, "typecheck" | "test" | "build") if package.npm.is_some() => vec!["^build".to_owned()],
        (None, _) => Vec::new(),
    }
}

/// What a task makes, in the package's folder.
pub fn outputs(ci: &Ci, package: &Package, task: &str, settings: &Settings) -> Vec<String> {
    match (&settings.outputs, package.app) {
        (Some(outputs), _) => outputs.clone(),
        (None, Some(app)) if task == "build" => vec![ci.apps[app].output.clone()],
        (None, None) if task == "build" && package.npm.is_some() => vec!["dist".to_owned()],
        (None, _) => Vec::new(),
    }
}
