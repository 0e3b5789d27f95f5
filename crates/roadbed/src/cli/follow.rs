//! Looking at a deployment until it is over. Whoever stops looking changes nothing.

use std::time::Duration;

use delivery::{DeploymentId, State};
use reconcile::Fault;
use reconcile::fault::Retry;
use tokio::time::{Instant, sleep};

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::interrupts::Interrupts;
use crate::cli::session::Session;
use crate::control::client::ControlClient;
use crate::control::delivering::Happening;
use crate::render::{deployment, fault};

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(100);

/// A control that was killed is back within this.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long to look on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Looking {
    UntilOver,
    /// Not beyond the point at which somebody else has to say yes.
    UntilSomebodyIsAsked,
}

/// Shows what happens; returns what it came to.
pub async fn look(
    session: &Session,
    control: &ControlClient,
    id: DeploymentId,
    looking: Looking,
    interrupts: &mut Interrupts,
) -> Result<Exit, Failure> {
    tokio::select! {
        exit = follow(session, control, id, looking) => exit,
        () = interrupts.next() => {
            session.output.note(format!("{id} goes on; `{}` looks again", session.command(&format!("deploy follow {id}"))));
            Ok(Exit::Interrupted)
        }
    }
}

async fn follow(
    session: &Session,
    control: &ControlClient,
    id: DeploymentId,
    looking: Looking,
) -> Result<Exit, Failure> {
    let output = &session.output;
    let mut after = 0;
    let mut lost: Option<Instant> = None;
    loop {
        let Happening { deployment, release, lines } = match control.happening(id, after).await {
            Ok(happening) => {
                lost = None;
                happening
            }
            Err(fault) if fault.retry == Retry::Safe && lost.is_none_or(|since| since.elapsed() < PATIENCE) => {
                lost.get_or_insert_with(Instant::now);
                sleep(PAUSE).await;
                continue;
            }
            Err(fault) => return Err(Failure::Work(fault)),
        };
        for line in &lines {
            after = line.number;
            if output.is_json() {
                output.json(line)?;
            } else {
                output.note(deployment::line(line, output.notes));
            }
        }
        let is_asked = deployment.state == State::AwaitingApproval && looking == Looking::UntilSomebodyIsAsked;
        if is_asked && lines.is_empty() {
            let how = session.command(&format!("deploy approve {id}"));
            output.line(format!("{id}: {} waits for approval: `{how}`", release.name()))?;
            return Ok(Exit::Waiting);
        }
        if deployment.state.is_over() && lines.is_empty() {
            if output.is_json() {
                output.json(&deployment)?;
            } else {
                if let Some(why) = &deployment.fault {
                    fault::lines(why, output.notes).iter().for_each(|line| output.complain(line));
                }
                output.line(deployment::ending(&deployment, &release, output.data))?;
            }
            return Ok(exit_of(deployment.state));
        }
        sleep(PAUSE).await;
    }
}

/// The exit code that a deployment came to.
pub fn exit_of(state: State) -> Exit {
    match state {
        State::Aborted => Exit::Aborted,
        State::RolledBack => Exit::RolledBack,
        State::Frozen => Exit::Frozen,
        State::Cancelled | State::Superseded => Exit::Cancelled,
        _ => Exit::Done,
    }
}

/// The deployment that is meant: by its name, else the one under way, else the newest.
pub async fn meant(control: &ControlClient, asked: Option<&str>) -> Result<DeploymentId, Failure> {
    if let Some(asked) = asked {
        return asked.parse().map_err(|error: delivery::release::NoId| {
            let fault = Fault::new(format!("there is no deployment {asked:?}")).cause(error.to_string());
            Failure::Usage(fault.hint("`roadbed deploy list` shows them"))
        });
    }
    let all = control.deployments().await?;
    let open = all.iter().find(|deployment| !deployment.state.is_over());
    let found = open.or_else(|| all.first()).map(|deployment| deployment.id);
    found.ok_or_else(|| Failure::Work(Fault::new("nothing was deployed here yet").hint("`roadbed deploy` does")))
}
