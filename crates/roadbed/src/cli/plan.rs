//! `roadbed plan`: what `up` would do now.

use reconcile::{Fault, Planned};
use serde::Serialize;

use crate::cli::conductor::Conductor;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::project::Project;
use crate::cli::session::Session;
use crate::cli::{args, command_lock, wanted};
use crate::control::wire::Message;
use crate::render::span::count;
use crate::wanted::Wanted;

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Plan<'a> {
    environment: &'a str,
    resources: &'a [Planned],
}

pub async fn run(session: &Session, args: &args::Plan, conductor: &impl Conductor) -> Result<Exit, Failure> {
    let project = Project::load(session)?;
    let as_up = args::Up { free_ports: args.free_ports, allow_destroy: args.allow_destroy, ..args::Up::default() };
    let wanted = wanted::of(session, &project, &as_up)?;
    let _lock = command_lock::take(&session.root, &session.surroundings.command_line, session.clock)?;
    let was_up = conductor.is_meant_to_be_up() || conductor.is_up().await;
    let planned = planned(&wanted, conductor).await;
    // Control is needed to look; where nothing ran before, nothing shall run after.
    if !was_up && conductor.is_up().await {
        conductor.stop().await?;
    }
    let resources = planned?;
    show(session, &Plan { environment: &wanted.environment, resources: &resources })?;
    Ok(Exit::Done)
}

async fn planned(wanted: &Wanted, conductor: &impl Conductor) -> Result<Vec<Planned>, Failure> {
    conductor.ensure_running(wanted).await?;
    let mut end: Option<Message> = None;
    conductor.plan(wanted, &mut |message| end = Some(message)).await?;
    match end {
        Some(Message::Planned { resources }) => Ok(resources),
        Some(Message::Refused { fault }) => Err(Failure::Work(fault)),
        _ => Err(Failure::Work(Fault::new("control did not send its plan").hint("run `roadbed plan` again"))),
    }
}

fn show(session: &Session, plan: &Plan<'_>) -> Result<(), Failure> {
    let output = &session.output;
    if output.is_json() {
        return output.json(plan);
    }
    let paint = output.data;
    let is_news =
        |planned: &&Planned| !planned.steps.is_empty() || !planned.drift.is_empty() || planned.after.is_some();
    for planned in plan.resources.iter().filter(is_news) {
        output.line(paint.strong(&planned.resource))?;
        for step in &planned.steps {
            output.line(format!("  {step}"))?;
        }
        for drift in &planned.drift {
            output.line(format!("  {}", paint.faint(format!("not done: {drift}"))))?;
        }
        if let Some(after) = &planned.after {
            output.line(format!("  {}", paint.faint(format!("known after {after}"))))?;
        }
    }
    let steps: usize = plan.resources.iter().map(|planned| planned.steps.len()).sum();
    let open = plan.resources.iter().filter(|planned| planned.after.is_some()).count();
    output.note(match (steps, open) {
        (0, 0) => format!("nothing to change in {}", plan.environment),
        (steps, 0) => format!("{} to take in {}", count(steps, "step"), plan.environment),
        (steps, open) => {
            format!(
                "{} to take in {}, and more for {}",
                count(steps, "step"),
                plan.environment,
                count(open, "resource")
            )
        }
    });
    Ok(())
}
