//! Stopping an environment in order, and at once if that is asked for meanwhile.

use crate::cli::conductor::Conductor;
use crate::cli::failure::Failure;
use crate::cli::interrupts::Interrupts;
use crate::cli::session::Session;
use crate::render::span;

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
    }
    let took = session.clock.instant().saturating_duration_since(begun);
    output.note(format!("stopped in {}", span::time(u64::try_from(took.as_millis()).unwrap_or(u64::MAX))));
    Ok(())
}
