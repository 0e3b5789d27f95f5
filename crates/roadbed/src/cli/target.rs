//! `roadbed target`: where a change is deployed to, and what everything is called there.

use std::path::Path;

use manifest::{Change, Target};
use reconcile::Fault;
use serde::Serialize;

use crate::cli::args;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::git;
use crate::cli::project::Project;
use crate::cli::session::Session;
use crate::render::table::Table;

/// What `--json` prints: a contract.
#[derive(Debug, Serialize)]
struct Document {
    branch: Option<String>,
    pull_request: Option<u32>,
    #[serde(flatten)]
    target: Option<Target>,
    /// There where `target` is not: a change that is deployed nowhere.
    #[serde(rename = "environment", skip_serializing_if = "Option::is_none")]
    nowhere: Option<()>,
}

pub async fn run(session: &Session, args: &args::Target) -> Result<Exit, Failure> {
    if session.asked_environment.is_some() {
        return Err(Failure::Usage(
            Fault::new("cannot take the environment from --env: the branch alone decides where a change goes")
                .hint("leave --env out; `roadbed env diff` looks at environments by name"),
        ));
    }
    let project = Project::load(session)?;
    let change = match (&args.branch, args.pr) {
        (_, Some(0)) => return Err(Failure::Usage(Fault::new("there is no pull request 0").hint("they count from 1"))),
        (_, Some(number)) => Change::PullRequest(number),
        (Some(branch), None) => branch_named(branch)?,
        (None, None) => branch_named(&current_branch(session, &project.path).await?)?,
    };
    let environment = project.manifest.target(&change);
    let target = environment.and_then(|environment| project.manifest.names(&environment));
    let words = match &change {
        Change::Branch(branch) => format!("the branch {branch:?}"),
        Change::PullRequest(number) => format!("pull request {number}"),
    };
    let exit = if target.is_some() { Exit::Done } else { Exit::Failed };
    if session.output.is_json() {
        session.output.json(&document(change, target))?;
        return Ok(exit);
    }
    match target {
        Some(target) => show(session, &words, &target)?,
        None => {
            let hint = "[branches] in roadbed.toml says which branches are deployed; `per` in an environment makes one for each";
            return Err(Failure::Work(Fault::new(format!("{words} is deployed nowhere")).hint(hint)));
        }
    }
    Ok(exit)
}

fn document(change: Change, target: Option<Target>) -> Document {
    let nowhere = target.is_none().then_some(());
    match change {
        Change::Branch(branch) => Document { branch: Some(branch), pull_request: None, target, nowhere },
        Change::PullRequest(number) => Document { branch: None, pull_request: Some(number), target, nowhere },
    }
}

fn show(session: &Session, words: &str, target: &Target) -> Result<(), Failure> {
    let output = &session.output;
    output.line(format!("{words} is deployed to {}", target.environment))?;
    let mut table = Table::default();
    let mut add = |what: String, name: &str| table.row(vec![format!("  {what}"), name.to_owned()]);
    for (app, hosts) in &target.hosts {
        add(format!("hosts of {app}"), &hosts.join(", "));
    }
    for (what, name) in [("MongoDB database", &target.database), ("Redis keys begin with", &target.redis_key_prefix)] {
        if let Some(name) = name {
            add(what.to_owned(), name);
        }
    }
    for (bucket, name) in &target.buckets {
        add(format!("bucket {bucket}"), name);
    }
    add("secrets are kept for".to_owned(), &target.secret_scope);
    add("instances".to_owned(), &target.units.keys().cloned().collect::<Vec<_>>().join(", "));
    for line in table.lines() {
        output.line(line)?;
    }
    Ok(())
}

fn branch_named(name: &str) -> Result<Change, Failure> {
    Change::branch(name).map_err(|error| {
        Failure::Usage(Fault::new(error.to_string()).hint("`git branch --show-current` shows the name of yours"))
    })
}

/// The branch of the checkout that the manifest is in. Variables of a CI system are not looked at: whoever can set one could
/// choose the environment.
async fn current_branch(session: &Session, manifest: &Path) -> Result<String, Failure> {
    let cannot = |cause: String| {
        let hint = "name it with --branch or --pr";
        Failure::Usage(Fault::new("cannot tell which branch this is").cause(cause).hint(hint))
    };
    // It says nothing where HEAD is no branch, and why where there is no repository.
    let on_no_branch = || "the checkout is on a commit and on no branch".to_owned();
    let folder = crate::world::project(manifest);
    match git::ask(session, folder, &["symbolic-ref", "--quiet", "--short", "HEAD"]).await {
        Ok(lines) => lines.into_iter().next().ok_or_else(|| cannot(on_no_branch())),
        Err(git::Silent(why)) if why.is_empty() => Err(cannot(on_no_branch())),
        Err(git::Silent(why)) => Err(cannot(why)),
    }
}
