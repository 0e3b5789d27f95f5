//! `roadbed restart`: stop units gracefully and start them again, one after the other.

use reconcile::Fault;
use reconcile::ports::UnitKind;
use serde::Serialize;

use crate::cli::conductor::Conductor;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::names::units_named;
use crate::cli::session::Session;
use crate::cli::{args, command_lock};

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Restarted {
    restarted: Vec<String>,
}

pub async fn run(session: &Session, args: &args::Restart, conductor: &impl Conductor) -> Result<Exit, Failure> {
    if !conductor.is_up().await {
        return Err(Failure::Work(
            Fault::new(format!("nothing runs in {}", session.root.path().display()))
                .hint(format!("`{}` starts the environment", session.command("up"))),
        ));
    }
    let _lock = command_lock::take(&session.root, &session.surroundings.command_line, session.clock)?;
    let units = conductor.status().await?.units;
    let chosen: Vec<String> = if args.names.is_empty() {
        units.iter().filter(|unit| unit.kind == UnitKind::App).map(|unit| unit.name.clone()).collect()
    } else {
        let known: Vec<&str> = units.iter().map(|unit| unit.name.as_str()).collect();
        units_named(&args.names, &known)?
    };
    // One after the other: the other instances of an app answer meanwhile.
    for name in &chosen {
        conductor.restart(name).await?;
        session.output.note(format!("{} {name}  restarted", session.output.notes.good("✓")));
    }
    if session.output.is_json() {
        session.output.json(&Restarted { restarted: chosen })?;
    }
    Ok(Exit::Done)
}
