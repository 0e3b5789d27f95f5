//! `roadbed --remote URL …`: the verbs that work from elsewhere, by the API of an environment.

mod ci;
mod client;
mod deploying;
mod deployments;

use manifest::EnvRef;
use reconcile::Fault;

use crate::cli::args::{Command, Global};
use crate::cli::deploy_args::{Deploy, DeployVerb};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::follow::Looking;
use crate::cli::interrupts::Interrupts;
use crate::cli::session::Session;
use crate::control::api::answers::{Releases, StatusAnswer, TokenAnswer};
use crate::render::table::Table;

pub use client::Api;

/// Where an environment is asked from elsewhere, unless `--remote` says it.
const REMOTE: &str = "ROADBED_REMOTE";

/// Holds the token, unless `--token-file` does.
const TOKEN: &str = "ROADBED_TOKEN";

/// Certificates by which the API is recognised, unless `--ca-file` names them.
const CA_FILE: &str = "ROADBED_CA_FILE";

/// Whether the API has this verb.
fn is_there(command: &Command) -> bool {
    match command {
        Command::Status(_) | Command::Releases(_) | Command::Rollback(_) => true,
        Command::Deploy(deploy) => deploy.verb.is_some() || deploy.artifacts.is_some(),
        _ => false,
    }
}

/// The API that is meant, if one is. Where only the variable names it, what works here alone is still done here.
pub fn meant(session: &Session, global: &Global, command: &Command) -> Result<Option<Api>, Failure> {
    let set = |name: &str| session.surroundings.variable(name).filter(|value| !value.is_empty());
    let by_variable = || set(REMOTE).filter(|_| is_there(command));
    // Whoever shows the token of a job shows it to somebody.
    let by_oidc = || set(REMOTE).filter(|_| global.oidc);
    let Some(url) = global.remote.clone().or_else(by_oidc).or_else(by_variable) else {
        if global.oidc {
            let fault =
                Fault::new("--oidc shows the token of this job to the API of an environment, and none is named");
            return Err(Failure::Usage(fault.hint(format!("name it with --remote, or set {REMOTE}"))));
        }
        return Ok(None);
    };
    let here = &session.surroundings.folder;
    let ca_file = global.ca_file.clone().or_else(|| set(CA_FILE).map(Into::into)).map(|file| here.join(file));
    if global.oidc {
        return Ok(Some(Api::of_ci(&url, ci::Ci::of(session)?, ca_file.as_deref())?));
    }
    let token = match &global.token_file {
        Some(file) if file.as_os_str() == "-" => client::token_of_stdin()?,
        Some(file) => client::token_of(&here.join(file))?,
        None => set(TOKEN).ok_or_else(|| {
            Failure::Usage(Fault::new(format!("there is no token for {url}")).hint(format!(
                "give the file that it is in with --token-file (`-` is stdin), or set {TOKEN}; never on the command line"
            )))
        })?,
    };
    Ok(Some(Api::new(&url, &token, ca_file.as_deref())?))
}

/// Does a verb there.
pub async fn run(session: &Session, api: &Api, command: &Command) -> Result<Exit, Failure> {
    let environment = match &session.asked_environment {
        Some(asked) => asked.clone(),
        None => environment_of(api).await?,
    };
    let api = &api.of(&environment);
    let interrupts = &mut Interrupts::of_process()?;
    match command {
        Command::Status(_) => status(session, api).await,
        Command::Releases(_) => releases(session, api).await,
        Command::Rollback(args) => deployments::roll_back(session, api, args, interrupts).await,
        Command::Deploy(args @ Deploy { verb: None, .. }) => deploying::run(session, api, args, interrupts).await,
        Command::Deploy(Deploy { verb: Some(verb), .. }) => match verb {
            DeployVerb::List => deployments::list(session, api).await,
            DeployVerb::Follow(which) => {
                let id = deployments::meant(api, which.id.as_deref()).await?;
                deployments::look(session, api, id, Looking::UntilOver, interrupts).await
            }
            DeployVerb::Cancel(which) => deployments::cancel(session, api, which.id.as_deref(), interrupts).await,
            DeployVerb::Approve(args) => deployments::approve(session, api, args).await,
        },
        _ => Err(Failure::Usage(
            Fault::new("this does not work from elsewhere")
                .cause("--remote asks the API of an environment, which has no such verb")
                .hint("status, releases, deploy, deploy list|follow|cancel|approve and rollback do; for others log in at the machine"),
        )),
    }
}

/// A token is of one environment, and says of which.
async fn environment_of(api: &Api) -> Result<EnvRef, Failure> {
    let token: TokenAnswer = api.get("/v1/token").await?;
    token.environment.parse().map_err(|error: manifest::NotAnEnvironment| {
        Failure::Work(
            Fault::because("cannot tell which environment the token is of", &error).hint("name it with --env"),
        )
    })
}

async fn status(session: &Session, api: &Api) -> Result<Exit, Failure> {
    let status: StatusAnswer = api.get("status").await?;
    let output = &session.output;
    if output.is_json() {
        output.json(&status)?;
        return Ok(Exit::Done);
    }
    output.line(format!("environment {}", output.data.strong(&status.environment)))?;
    for (app, url) in &status.urls {
        output.line(format!("{app}  {url}"))?;
    }
    let mut table = Table::new(["UNIT", "KIND", "STATE", "RESTARTS"]);
    for process in &status.processes {
        let (kind, state) = (word(&process.kind), word(&process.state));
        table.row(vec![process.name.clone(), kind, state, process.restarts.to_string()]);
    }
    table.lines().iter().try_for_each(|line| output.line(line))?;
    for (what, names) in [("overdue", &status.overdue), ("changed behind our back", &status.drift)] {
        names.iter().for_each(|name| output.complain(format!("{} {name}: {what}", output.notes.caution("!"))));
    }
    Ok(Exit::Done)
}

async fn releases(session: &Session, api: &Api) -> Result<Exit, Failure> {
    let releases: Releases = api.get("releases").await?;
    if session.output.is_json() {
        session.output.json(&releases)?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(["RELEASE", "STATE", "MADE", "AUTHOR", "COMMIT"]);
    for release in &releases.releases {
        let state = release.role.as_ref().map_or_else(String::new, word);
        let state = if state.is_empty() && release.stable { "served".to_owned() } else { state };
        let commit = release.commit.as_deref().map(|commit| commit.get(..12).unwrap_or(commit)).unwrap_or_default();
        table.row(vec![
            release.id.0.to_string(),
            state,
            release.made_at.clone(),
            release.author.clone(),
            commit.to_owned(),
        ]);
    }
    table.lines().iter().try_for_each(|line| session.output.line(line))?;
    Ok(Exit::Done)
}

/// A word of the API, as it is written there.
fn word(value: &impl serde::Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}
