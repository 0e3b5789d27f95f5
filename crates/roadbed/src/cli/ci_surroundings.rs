//! Where `roadbed ci run` runs: what tasks are given, what results depend on beside the code, and who hosts it.

use std::collections::BTreeMap;
use std::time::Duration;

use ::ci::attempt::lines;
use ::ci::cache::Trust;
use ::ci::jobs::{Job, Surroundings};
use ::ci::pipeline::{Occasion, occasion};
use ::ci::plan::Plan;
use host::files;
use host::process::{Run, Stream, find_in_path, run};
use manifest::Ci;
use manifest::environment::App;
use reconcile::Fault;
use serde_json::Value;

use crate::cli::output::Output;
use crate::cli::session::Session;

/// A tool says its version at once; a shim that downloads the tool first must not hang us.
const DEADLINE: Duration = Duration::from_secs(30);

/// What results depend on beside the code.
pub(crate) async fn of(
    session: &Session,
    ci: &Ci,
    plan: &Plan,
    apps: &[App],
    tools: &BTreeMap<String, String>,
) -> Result<Surroundings, Fault> {
    let mut machine = vec![format!("{} {}", std::env::consts::OS, std::env::consts::ARCH)];
    let packages = || plan.workspace.packages.values();
    for (program, is_wanted) in [
        ("node", packages().any(|package| package.npm.is_some())),
        ("rustc", packages().any(|package| package.cargo.is_some())),
    ] {
        if is_wanted {
            machine.push(format!("{program} {}", version(program, tools).await));
        }
    }
    let names = ci.tasks.values().flat_map(|task| &task.env);
    let variables = names.filter_map(|name| Some((name.clone(), session.surroundings.variable(name)?)));
    let of_builds = apps.iter().map(|app| {
        let given = app.build.variables.iter().map(|(name, value)| (name.to_string(), value.clone()));
        (app.name.to_string(), given.collect())
    });
    Ok(Surroundings { machine, variables: variables.collect(), of_builds: of_builds.collect() })
}

/// What a tool says of itself; where there is none, that.
async fn version(program: &str, tools: &BTreeMap<String, String>) -> String {
    let Some(found) = find_in_path(program, tools.get("PATH").map_or("", String::as_str)) else {
        return "is not there".to_owned();
    };
    let command = Run {
        program: found,
        args: vec!["--version".to_owned()],
        cwd: "/".into(),
        env: tools.clone(),
        deadline: DEADLINE,
    };
    let mut said = String::new();
    let finished = run(&command, &mut |stream, line| {
        if stream == Stream::Out {
            said.push_str(line);
        }
    })
    .await;
    if finished.is_ok_and(|finished| finished.success()) { said } else { "does not say".to_owned() }
}

/// Values that tasks are given and that are in no key: what the manifest names, and what builds are given by whoever builds.
pub(crate) fn secrets(session: &Session, ci: &Ci, apps: &[App]) -> BTreeMap<String, String> {
    let of_tasks = ci.tasks.values().flat_map(|task| task.secrets.iter().cloned());
    let of_builds = apps.iter().flat_map(|app| app.build.from_builder.iter().map(|given| given.name.to_string()));
    let set = |name: String| {
        session.surroundings.variable(&name).filter(|value| !value.is_empty()).map(|value| (name, value))
    };
    of_tasks.chain(of_builds).filter_map(set).collect()
}

/// The whole environment of a job.
pub(crate) fn environment(
    session: &Session,
    tools: &BTreeMap<String, String>,
    job: &Job,
    around: &Surroundings,
    secrets: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut env = tools.clone();
    for (name, value) in [("CI", "1"), ("NO_COLOR", "1"), ("NEXT_TELEMETRY_DISABLED", "1")] {
        env.insert(name.to_owned(), value.to_owned());
    }
    if job.task == "build" {
        env.insert("NODE_ENV".to_owned(), "production".to_owned());
        env.extend(around.of_builds.get(&job.package).into_iter().flatten().cloned());
        env.extend(
            secrets
                .iter()
                .map(|(name, value)| (name.clone(), value.clone()))
                .filter(|_| around.of_builds.contains_key(&job.package)),
        );
    }
    let given = job.settings.env.iter().chain(&job.settings.secrets);
    env.extend(given.filter_map(|name| Some((name.clone(), session.surroundings.variable(name)?))));
    env
}

/// Who runs us, and for whom.
#[derive(Debug, Default)]
pub(crate) struct Hosted {
    is_github: bool,
    /// Why it runs, as GitHub wrote it down.
    event: Option<Value>,
    /// The pull request of a fork.
    fork: Option<String>,
    /// Nobody who writes into a log can guess it.
    stop: String,
}

impl Hosted {
    pub(crate) fn of(session: &Session) -> Self {
        let variable = |name: &str| session.surroundings.variable(name).filter(|value| !value.is_empty());
        let is_github = variable("GITHUB_ACTIONS").is_some();
        let event =
            variable("GITHUB_EVENT_PATH").filter(|_| is_github).and_then(|path| files::read(path.as_ref()).ok());
        let event: Option<Value> = event.and_then(|text| serde_json::from_slice(&text).ok());
        let stop = secrets::generate::credential().map(|random| random.expose().to_owned()).unwrap_or_default();
        Self { is_github, fork: event.as_ref().and_then(fork), event, stop }
    }

    /// Why this run was started.
    pub(crate) fn occasion(&self, session: &Session) -> Result<Occasion, Fault> {
        let variable = |name: &str| session.surroundings.variable(name).filter(|value| !value.is_empty());
        let event = variable("GITHUB_EVENT_NAME").zip(self.event.as_ref()).ok_or_else(|| {
            Fault::new("cannot tell why this run was started: there is no event")
                .cause("$GITHUB_EVENT_NAME and the file that $GITHUB_EVENT_PATH names say it")
                .hint("--github is for jobs of GitHub Actions; `roadbed ci plan --json` works anywhere")
        })?;
        Ok(occasion(&event.0, &variable("GITHUB_REF").unwrap_or_default(), event.1))
    }

    pub(crate) fn is_github(&self) -> bool {
        self.is_github
    }

    /// What a task wrote, as a group. Nothing in it is a command to the runner, whatever it looks like.
    pub(crate) fn group(&self, output: &Output, name: &str, log: &[u8]) {
        output.complain(format!("::group::{}", name.replace(['\r', '\n'], " ")));
        if self.stop.is_empty() {
            output.complain("(not shown: there is no randomness to keep it from speaking to the runner)");
        } else {
            output.complain(format!("::stop-commands::{}", self.stop));
            lines(log).for_each(|line| output.complain(line.as_ref()));
            output.complain(format!("::{}::", self.stop));
        }
        output.complain("::endgroup::");
    }
}

/// A pull request whose branch is in another repository, or in one that is gone.
fn fork(event: &Value) -> Option<String> {
    let request = event.get("pull_request")?;
    let name = |of: Option<&Value>| of.and_then(|of| of.get("full_name")).and_then(Value::as_str).map(str::to_owned);
    let (head, base) = (name(request.get("head")?.get("repo")), name(request.get("base")?.get("repo")));
    (head.is_none() || head != base)
        .then(|| format!("pr-{}", request.get("number").and_then(Value::as_u64).unwrap_or(0)))
}

/// Whose results are read and written.
pub(crate) fn trust(asked: Option<&str>, hosted: &Hosted) -> Trust {
    match asked.map(str::to_owned).or_else(|| hosted.fork.clone()) {
        Some(name) => Trust::Untrusted(name),
        None => Trust::Trusted,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_pull_request_of_a_fork_is_not_trusted() {
        let of = |head: Value| json!({"pull_request": {"number": 7, "head": {"repo": head}, "base": {"repo": {"full_name": "us/shop"}}}});
        assert_eq!(fork(&of(json!({"full_name": "them/shop"}))).as_deref(), Some("pr-7"));
        assert_eq!(fork(&of(Value::Null)).as_deref(), Some("pr-7"), "a fork that is gone");
        assert_eq!(fork(&of(json!({"full_name": "us/shop"}))), None);
        assert_eq!(fork(&json!({"ref": "refs/heads/main"})), None);
    }
}
