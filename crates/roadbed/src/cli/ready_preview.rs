//! `roadbed ready --for TEAM --preview`: T15 to its end. What a pull request of the team would get is made, asked for and taken away.

use reconcile::Fault;

use crate::cli::conductor::Conductor;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::interrupts::Interrupts;
use crate::cli::preview::{Candidate, Ground};
use crate::cli::ready;
use crate::cli::ready_args::Ready;
use crate::cli::session::Session;

/// A pull request that no forge has. Always the same: what a crash left of the last try is moved by the next, and goes with it.
const TRIAL: u32 = 4_000_000_000;

pub(super) async fn run(
    session: &Session,
    args: &Ready,
    conductor: &impl Conductor,
    interrupts: &mut Interrupts,
) -> Result<Exit, Failure> {
    // A manifest without previews is told at once.
    let ground = Ground::here(session)?;
    let environment = ground.home(TRIAL)?.environment;
    let exit = ready::run(session, args, conductor).await?;
    if exit != Exit::Done {
        return Ok(exit);
    }
    let commit = ground.commit_of("HEAD").await.ok_or_else(|| {
        Failure::Usage(
            Fault::new(format!("cannot try a preview: {} has no commit", ground.repository.display()))
                .hint("previews are of commits: `git commit` what is here"),
        )
    })?;
    session.output.note(format!("trying {environment} of {}", commit.get(..12).unwrap_or(&commit)));
    let made = ground.bring_up(&Candidate { number: TRIAL, commit }, &host::own::user_name(), true, interrupts).await;
    // Whatever became of it: nobody waits for this one.
    let gone = ground.take_down(TRIAL, interrupts).await;
    let exit = match made? {
        Exit::Done => gone?,
        exit => exit,
    };
    if exit == Exit::Done {
        session
            .output
            .note(format!("{} {environment} was deployed, served, and is gone", session.output.notes.good("✓")));
    }
    Ok(exit)
}
