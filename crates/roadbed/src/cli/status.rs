//! `roadbed status`: addresses and processes.

use std::collections::BTreeMap;

use crate::cli::conductor::Conductor;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::control::identity;
use crate::control::wire::Status;
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
    if !up {
        output.note(format!("down: nothing runs in {}", session.root.path().display()));
        output.note(render::fault::hint("`roadbed up` starts it", output.notes));
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
    })
}
