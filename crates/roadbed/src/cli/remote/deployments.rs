//! Deployments of an environment that is elsewhere.

use std::time::Duration;

use delivery::DeploymentId;
use reconcile::Fault;
use reconcile::fault::Retry;
use tokio::time::{Instant, sleep};

use super::client::Api;
use super::word;
use crate::cli::deploy_args::{Approve, Rollback};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::follow::Looking;
use crate::cli::interrupts::Interrupts;
use crate::cli::session::Session;
use crate::control::api::answers::{Deployment, DeploymentState, Deployments, Doing, Event, Events, WayBack};
use crate::control::api::questions::{Nothing, ReleaseName, Sha256Text, ToApprove, ToRollBack};
use crate::render::table::Table;

/// Seconds for which one request waits for something to happen.
const WAIT: u8 = 20;

/// A control that was killed is back within this.
const PATIENCE: Duration = Duration::from_secs(30);

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(300);

pub(super) async fn list(session: &Session, api: &Api) -> Result<Exit, Failure> {
    let all: Deployments = api.get("deployments").await?;
    if session.output.is_json() {
        session.output.json(&all)?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(["DEPLOYMENT", "RELEASE", "STATE", "ASKED", "BY"]);
    for deployment in &all.deployments {
        let kind = if deployment.kind == Doing::Rollback { " (rollback)" } else { "" };
        table.row(vec![
            deployment.id.0.to_string(),
            format!("{}{kind}", deployment.release.0),
            word(&deployment.state),
            deployment.asked_at.clone(),
            deployment.asked_by.clone(),
        ]);
    }
    table.lines().iter().try_for_each(|line| session.output.line(line))?;
    Ok(Exit::Done)
}

/// The deployment that is meant: by its name, else the one under way, else the newest.
pub(super) async fn meant(api: &Api, asked: Option<&str>) -> Result<DeploymentId, Failure> {
    if let Some(asked) = asked {
        return asked.parse().map_err(|error: delivery::release::NoId| {
            let fault = Fault::new(format!("there is no deployment {asked:?}")).cause(error.to_string());
            Failure::Usage(fault.hint("`roadbed deploy list` shows them"))
        });
    }
    let Deployments { deployments } = api.get("deployments").await?;
    let found = deployments.iter().find(|deployment| !deployment.is_over).or_else(|| deployments.first());
    let found = found.map(|deployment| deployment.id.0);
    found.ok_or_else(|| Failure::Work(Fault::new("nothing was deployed there yet")))
}

/// Shows what happens; returns what it came to.
pub(super) async fn look(
    session: &Session,
    api: &Api,
    id: DeploymentId,
    looking: Looking,
    interrupts: &mut Interrupts,
) -> Result<Exit, Failure> {
    tokio::select! {
        exit = follow(session, api, id, looking) => exit,
        () = interrupts.next() => {
            session.output.note(format!("{id} goes on; `roadbed deploy follow {id}` looks again"));
            Ok(Exit::Interrupted)
        }
    }
}

async fn follow(session: &Session, api: &Api, id: DeploymentId, looking: Looking) -> Result<Exit, Failure> {
    let output = &session.output;
    let mut after = 0;
    let mut lost: Option<Instant> = None;
    loop {
        let Events { deployment, events } =
            match api.get(&format!("deployments/{id}/events?after={after}&wait={WAIT}")).await {
                Ok(events) => {
                    lost = None;
                    events
                }
                Err(fault) if fault.retry == Retry::Safe && lost.is_none_or(|since| since.elapsed() < PATIENCE) => {
                    lost.get_or_insert_with(Instant::now);
                    sleep(PAUSE).await;
                    continue;
                }
                Err(fault) => return Err(Failure::Work(fault)),
            };
        for event in &events {
            after = event.number;
            if output.is_json() {
                output.json(event)?;
            } else {
                output.note(line(event));
            }
        }
        let is_asked = deployment.state == DeploymentState::AwaitingApproval;
        if is_asked && looking == Looking::UntilSomebodyIsAsked && events.is_empty() {
            if output.is_json() {
                output.json(&deployment)?;
            } else {
                output.line(format!(
                    "{id}: {} waits for approval: `roadbed deploy approve {id}`",
                    deployment.release.0
                ))?;
            }
            return Ok(Exit::Waiting);
        }
        if deployment.is_over && events.is_empty() {
            if output.is_json() {
                output.json(&deployment)?;
            } else {
                if let Some(why) = &deployment.fault {
                    output.complain(&why.message);
                    why.causes.iter().for_each(|cause| output.complain(format!("  {cause}")));
                }
                output.line(format!("{id}: {} is {}", deployment.release.0, word(&deployment.state)))?;
            }
            return Ok(exit_of(&deployment));
        }
    }
}

fn line(event: &Event) -> String {
    if event.what.is_empty() { format!("● {}", word(&event.state)) } else { format!("  {}", event.what) }
}

fn exit_of(deployment: &Deployment) -> Exit {
    match deployment.state {
        DeploymentState::Aborted => Exit::Aborted,
        DeploymentState::RolledBack => Exit::RolledBack,
        DeploymentState::Frozen => Exit::Frozen,
        DeploymentState::Cancelled | DeploymentState::Superseded => Exit::Cancelled,
        _ => Exit::Done,
    }
}

pub(super) async fn cancel(
    session: &Session,
    api: &Api,
    id: Option<&str>,
    interrupts: &mut Interrupts,
) -> Result<Exit, Failure> {
    let id = meant(api, id).await?;
    let _: Deployment = api.post(&format!("deployments/{id}/cancel"), &Nothing {}, None).await?;
    let exit = look(session, api, id, Looking::UntilOver, interrupts).await?;
    // It is what was asked for.
    Ok(if exit == Exit::Cancelled { Exit::Done } else { exit })
}

/// What is approved is what the deployment is at this moment, or the digest that was given.
pub(super) async fn approve(session: &Session, api: &Api, args: &Approve) -> Result<Exit, Failure> {
    let id = meant(api, args.id.as_deref()).await?;
    let waiting: Deployment = api.get(&format!("deployments/{id}")).await?;
    let word = ToApprove { digest: Sha256Text(args.digest.clone().unwrap_or(waiting.digest)) };
    let deployment: Deployment = api.post(&format!("deployments/{id}/approve"), &word, None).await?;
    if session.output.is_json() {
        session.output.json(&deployment)?;
    } else {
        let (given, wanted) = (deployment.approvals.given_by.len(), deployment.approvals.wanted);
        session.output.line(format!("{id}: approved, {given} of {wanted}"))?;
    }
    Ok(Exit::Done)
}

pub(super) async fn roll_back(
    session: &Session,
    api: &Api,
    args: &Rollback,
    interrupts: &mut Interrupts,
) -> Result<Exit, Failure> {
    if args.across_contract {
        return Err(Failure::Usage(
            Fault::new("cannot roll back: from elsewhere nobody goes past a change of data that took something away")
                .hint("say it on the machine of the environment, where the data can be looked at"),
        ));
    }
    let to = args.to.as_deref().map(str::parse).transpose().map_err(|error: delivery::release::NoId| {
        Failure::Usage(Fault::new("cannot roll back").cause(error.to_string()).hint("`roadbed releases` shows them"))
    })?;
    let ask = ToRollBack { to: to.map(ReleaseName), dry_run: args.dry_run };
    // Sent again where the answer is lost, it is still one rollback.
    let key = uuid::Uuid::new_v4().to_string();
    let way: WayBack = api.post("rollback", &ask, Some(&key)).await?;
    let from = way.from.map_or_else(|| "what was built in the project".to_owned(), |from| from.0.to_string());
    let how = if way.warm { "it stands ready, and is switched to at once" } else { "from its artifacts" };
    session.output.note(format!("from {from} to {}: {how}", way.to.0));
    match way.deployment.as_ref().filter(|_| !args.detach) {
        Some(deployment) => look(session, api, deployment.id.0, Looking::UntilOver, interrupts).await,
        None => {
            if session.output.is_json() {
                session.output.json(&way)?;
            } else if args.dry_run {
                let states: Vec<String> = way.states.iter().map(word).collect();
                session.output.line(states.join(" → "))?;
            }
            Ok(Exit::Done)
        }
    }
}
