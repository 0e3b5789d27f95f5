//! `roadbed status`: addresses and processes.

use std::collections::BTreeMap;

use crate::cli::conductor::Conductor;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::control::identity;
use crate::control::sleeping::SleepState;
use crate::control::wire::{Overdue, Status};
use crate::expiry;
use crate::render;

pub async fn run(session: &Session, conductor: &impl Conductor) -> Result<Exit, Failure> {
    let output = &session.output;
    let up = conductor.is_up().await;
    let status = if up { conductor.status().await? } else { down(session)? };
    if output.is_json() {
        output.json(&status)?;
    } else if up {
        render::environment::status(&status, output.data).iter().try_for_each(|line| output.line(line))?;
    }
    if let Some(ends) = status.ends.filter(|_| !output.is_json()) {
        output.note(format!("it is purged at {ends} unless `{}` lets it live longer", session.command("up")));
    }
    if let Some(sleep) = status.sleep.as_ref().filter(|_| up && !output.is_json()) {
        output.note(match sleep.state {
            SleepState::Asleep => format!("asleep since {}: the next visitor wakes it", sleep.since),
            SleepState::Waking => format!("waking since {}: visitors wait at the edge", sleep.since),
        });
    }
    for Overdue { name, since } in status.overdue.iter().filter(|_| !output.is_json()) {
        output.complain(format!("{} {name} is overdue since {since}", output.notes.caution("!")));
    }
    for drift in status.drift.iter().filter(|_| !output.is_json()) {
        render::environment::drift(drift, output.notes).into_iter().for_each(|line| output.complain(line));
    }
    if let Some(trouble) = &status.trouble {
        render::fault::lines(trouble, output.notes).iter().for_each(|line| output.complain(line));
    }
    if !up {
        let root = session.root.path().display();
        let (what, hint) = if conductor.is_meant_to_be_up() {
            // Apps and stores may live on without a keeper: either verb finds them.
            let what =
                format!("nobody keeps the environment in {root}, though it was not stopped: a crash, or a reboot");
            let (up, down) = (session.command("up"), session.command("down"));
            (what, format!("`{up}` takes it up again, `{down}` stops what is left"))
        } else {
            (format!("down: nothing runs in {root}"), format!("`{}` starts it", session.command("up")))
        };
        output.note(what);
        output.note(render::fault::hint(&hint, output.notes));
    }
    Ok(Exit::Done)
}

/// A root that nothing runs in, also one that was never used.
fn down(session: &Session) -> Result<Status, Failure> {
    let identity = identity::read(&session.root)?;
    Ok(Status {
        environment: identity.map_or_else(|| session.environment(), |identity| Ok(identity.environment))?,
        root: session.root.path().to_owned(),
        urls: BTreeMap::new(),
        ca_file: session.root.ca_certificate(),
        units: Vec::new(),
        network: None,
        together: None,
        mongodb: Vec::new(),
        // What cannot be read is the business of whoever brings it up.
        ends: expiry::of_root(&session.root).unwrap_or_default(),
        sleep: None,
        overdue: Vec::new(),
        drift: Vec::new(),
        trouble: None,
    })
}
