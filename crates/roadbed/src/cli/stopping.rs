//! Stopping an environment in order, and at once if that is asked for meanwhile.

use std::convert::Infallible;
use std::time::Duration;

use tokio::time::sleep;

use crate::cli::conductor::Conductor;
use crate::cli::failure::Failure;
use crate::cli::interrupts::Interrupts;
use crate::cli::session::Session;
use crate::render::{environment, span};

/// How often the screen is brought up to date while units stop.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Apps first, then edge and stores: nobody loses what they rely on. A further interrupt kills what is left.
pub async fn stop(session: &Session, conductor: &impl Conductor, interrupts: &mut Interrupts) -> Result<(), Failure> {
    let output = &session.output;
    let begun = session.clock.instant();
    output.note("stopping in order; Ctrl-C again stops at once");
    tokio::select! {
        stopped = conductor.stop() => stopped?,
        () = interrupts.next() => {
            output.complain("killing what is left");
            conductor.kill().await?;
        }
        never = tell_who_goes(session, conductor) => match never {},
    }
    let took = session.clock.instant().saturating_duration_since(begun);
    output.note(format!("stopped in {}", span::time(u64::try_from(took.as_millis()).unwrap_or(u64::MAX))));
    Ok(())
}

/// An app may take its time to drain: who waits sees for whom.
async fn tell_who_goes(session: &Session, conductor: &impl Conductor) -> Infallible {
    let mut seen = None;
    loop {
        if let Ok(status) = conductor.status().await {
            let before = seen.as_ref().unwrap_or(&status.units);
            let changes = environment::changes(before, &status.units, session.output.notes);
            changes.iter().for_each(|line| session.output.note(line));
            seen = Some(status.units);
        }
        sleep(LOOK_EVERY).await;
    }
}
