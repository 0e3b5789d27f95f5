//! `roadbed down`: stop everything in order.

use serde::Serialize;

use crate::cli::conductor::Conductor;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::interrupts::Interrupts;
use crate::cli::session::Session;
use crate::cli::{command_lock, stopping};
use host::files;

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Stopped<'a> {
    root: &'a str,
    /// False if nothing ran.
    stopped: bool,
}

pub async fn run(session: &Session, conductor: &impl Conductor, interrupts: &mut Interrupts) -> Result<Exit, Failure> {
    let root = session.root.path().display().to_string();
    let mut stopped = false;
    // A root that was never used is not made by a command that stops.
    if files::is_dir(session.root.path()) {
        let _lock = command_lock::take(&session.root, &session.surroundings.command_line, session.clock)?;
        if conductor.is_meant_to_be_up() || conductor.is_up().await {
            stopping::stop(session, conductor, interrupts).await?;
            stopped = true;
        }
    }
    if !stopped {
        session.output.note(format!("nothing runs in {root}"));
    }
    if session.output.is_json() {
        session.output.json(&Stopped { root: &root, stopped })?;
    }
    Ok(Exit::Done)
}
