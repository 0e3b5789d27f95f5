//! `roadbed up`: converge, show the addresses, run the gate, then stay and watch.
//!
//! ```text
//!   manifest ─► lock ─► keeper + control ─► converge ─► addresses ─► gate ─┬─► --detach: exit 0 or 1
//!                                                                          └─► watch until Ctrl-C ─► stop in order
//! ```

use std::path::Path;
use std::sync::Arc;

use host::clock::{Clock, SystemClock};
use reconcile::fault::Retry;
use reconcile::{Event, Fault};

use crate::cli::conductor::Conductor;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::interrupts::Interrupts;
use crate::cli::output::{Output, Voice, even_unread};
use crate::cli::project::Project;
use crate::cli::ready::{self, Json};
use crate::cli::session::Session;
use crate::cli::watch::{self, Ended};
use crate::cli::{args, command_lock, stopping, wanted};
use crate::control::wire::{Message, ReadyRequest, Status};
use crate::control::{adoption, forgetting, launch};
use crate::purge;
use crate::render::gate::Detail;
use crate::render::progress::{BuildOutput, Lines, Moving, Progress};
use crate::render::{diagnostic, environment, reach, span};
use crate::wanted::Wanted;

pub async fn run(
    session: &Session,
    args: &args::Up,
    conductor: &impl Conductor,
    interrupts: &mut Interrupts,
) -> Result<Exit, Failure> {
    let project = Project::load(session)?;
    for warning in &project.warnings {
        let lines = diagnostic::lines(warning, &project.source, session.output.notes);
        lines.iter().for_each(|line| session.output.note(line));
    }
    let wanted = wanted::of(session, &project, args)?;
    if !args.adopt {
        session.refuse_copied_root()?;
    }
    let lock = command_lock::take(&session.root, &session.surroundings.command_line, session.clock)?;
    purge::refuse_begun(&session.root)?;
    if args.adopt {
        adopt(session, conductor).await?;
    }
    // Apps may have outlived a keeper that was killed: then it is up too, and not this command's to stop.
    let was_up = conductor.is_meant_to_be_up() || conductor.is_up().await;
    if args.forget_state {
        forget_state(session, conductor).await?;
    }

    let mut proven = tokio::select! {
        proven = bring_up(session, args, &wanted, conductor) => proven,
        () = interrupts.next() => {
            // Somebody else's environment goes on; what this command began does not.
            if was_up && args.detach {
                session.output.complain("interrupted; the environment goes on as it is");
            } else {
                stopping::stop(session, conductor, interrupts).await?;
            }
            return Ok(Exit::Interrupted);
        }
    };
    if let Err(Failure::Work(_)) = &proven
        && !was_up
        && !has_units_of_its_own(conductor).await
    {
        // Nothing came up: leave no keeper behind that keeps nothing.
        let _ = conductor.stop().await;
        return proven.map(Proven::exit);
    }
    drop(lock);
    if args.detach {
        return proven.map(Proven::exit);
    }
    if let Err(failure) = &mut proven {
        crate::cli::tell(failure, &session.output);
    }
    session.output.note("Ctrl-C stops everything.");
    match watch::until_ended(session, conductor, interrupts).await {
        Ended::Interrupted => {
            // Who says stop is not made to wait for another command.
            let _lock = command_lock::take(&session.root, &session.surroundings.command_line, session.clock).ok();
            stopping::stop(session, conductor, interrupts).await?;
            Ok(Exit::Interrupted)
        }
        Ended::StoppedByOthers => {
            session.output.note("the environment was stopped by another command");
            Ok(Exit::Done)
        }
        Ended::Lost(fault) => Err(Failure::Work(fault)),
    }
}

/// Makes a root that came from elsewhere an environment of its own.
async fn adopt(session: &Session, conductor: &impl Conductor) -> Result<(), Failure> {
    if conductor.is_up().await {
        return Err(Failure::Work(
            Fault::new(format!("cannot adopt the root {}: its environment is up", session.root.path().display()))
                .hint("what runs is at home already; `roadbed up` without --adopt"),
        ));
    }
    adoption::adopt(&session.root, &session.roots(), &(Arc::new(SystemClock) as Arc<dyn Clock>))?;
    session.output.note(format!(
        "{} adopted: this root has an identity of its own now, and the passwords it came with",
        session.output.notes.good("✓")
    ));
    Ok(())
}

/// Goes on without what cannot be read, and says what that is.
async fn forget_state(session: &Session, conductor: &impl Conductor) -> Result<(), Failure> {
    let forgotten = forgetting::forget_damaged(&session.root, &(Arc::new(SystemClock) as Arc<dyn Clock>))?;
    if forgotten.is_empty() {
        session.output.note("no state file is damaged: nothing is forgotten");
        return Ok(());
    }
    for one in &forgotten {
        session.output.complain(format!("{} {one}", session.output.notes.caution("!")));
    }
    // A control that lives may still write into what was moved.
    if conductor.status().await.is_ok_and(|status| status.units.iter().any(|unit| unit.name == launch::UNIT)) {
        conductor.restart(launch::UNIT).await?;
    }
    Ok(())
}

/// Whether anything but keeper and control lives.
async fn has_units_of_its_own(conductor: &impl Conductor) -> bool {
    use reconcile::ports::UnitKind;
    conductor.status().await.is_ok_and(|status| status.units.iter().any(|unit| unit.kind != UnitKind::Control))
}

/// What is known at the end of a successful convergence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proven {
    Holds,
    DoesNotHold,
    /// `--no-gate`.
    NotAsked,
}

impl Proven {
    fn exit(self) -> Exit {
        match self {
            Self::Holds | Self::NotAsked => Exit::Done,
            Self::DoesNotHold => Exit::Failed,
        }
    }
}

/// Control may be killed while it works; what it did is done, and asking again goes on from there. One that dies each time
/// has a fault that asking does not mend.
const MOST_ATTEMPTS: u32 = 3;

/// Makes the environment run as it is wanted.
pub async fn converged(session: &Session, wanted: &Wanted, conductor: &impl Conductor) -> Result<(), Failure> {
    let mut attempt = 1;
    loop {
        conductor.ensure_running(wanted).await?;
        match converge(session, wanted, conductor).await {
            Err(Failure::Work(fault)) if fault.retry == Retry::Safe && attempt < MOST_ATTEMPTS => {
                session.output.note(format!("{fault}; going on"));
                attempt += 1;
            }
            converged => return converged,
        }
    }
}

async fn bring_up(
    session: &Session,
    args: &args::Up,
    wanted: &Wanted,
    conductor: &impl Conductor,
) -> Result<Proven, Failure> {
    converged(session, wanted, conductor).await?;
    if args.no_gate {
        return Ok(Proven::NotAsked);
    }
    let detail = if session.output.voice >= Voice::Verbose { Detail::Everything } else { Detail::Trouble };
    let report = ready::gate(session, conductor, &ReadyRequest::default(), detail, Json::Lines).await?;
    Ok(if report.holds { Proven::Holds } else { Proven::DoesNotHold })
}

async fn converge(session: &Session, wanted: &Wanted, conductor: &impl Conductor) -> Result<(), Failure> {
    let output = &session.output;
    let mut progress = progress_of(output);
    let mut end: Option<Message> = None;
    let mut printed: Result<(), Failure> = Ok(());
    let streamed = conductor
        .converge(wanted, &mut |message| {
            if output.is_json() {
                let line = output.json(&message);
                printed = std::mem::replace(&mut printed, Ok(())).and(line);
            }
            match message {
                Message::Progress { progress: event } => show(&mut progress, &event, output),
                message => end = Some(message),
            }
        })
        .await;
    progress.end();
    streamed?;
    even_unread(printed)?;
    match end {
        Some(Message::Converged { steps, failed, skipped, took_ms, status }) => {
            if !failed.is_empty() {
                return Err(Failure::Work(could_not(&failed, &skipped)));
            }
            output.note(match steps {
                0 => "nothing to change".to_owned(),
                _ => format!("{} in {}", span::count(steps as usize, "step"), span::time(took_ms)),
            });
            even_unread(addresses(session, &status))
        }
        Some(Message::Refused { fault }) => Err(Failure::Work(fault)),
        _ => Err(Failure::Work(
            Fault::new("control did not say how the convergence ended")
                .hint("`roadbed status` shows what runs; run the same command again"),
        )),
    }
}

pub fn show(progress: &mut Progress, event: &Event, output: &Output) {
    let lines = progress.event(event);
    progress.show(&lines, |line| output.complain(line));
}

pub fn progress_of(output: &Output) -> Progress {
    match (output.voice, output.moving) {
        _ if output.is_json() => Progress::Failures(output.notes),
        (Voice::Quiet, _) => Progress::Failures(output.notes),
        (Voice::Normal, true) => Progress::Moving(Moving::new(output.notes)),
        (Voice::Normal, false) => Progress::Lines(Lines::new(output.notes, BuildOutput::Hidden)),
        (Voice::Verbose, _) => Progress::Lines(Lines::new(output.notes, BuildOutput::Shown)),
    }
}

fn could_not(failed: &[String], skipped: &[String]) -> Fault {
    let left = if skipped.is_empty() { String::new() } else { format!("; not tried: {}", skipped.join(", ")) };
    Fault::new(format!("could not bring up {}{left}", failed.join(", ")))
        .hint("what came up stays up; mend the cause above and run `roadbed up` again")
}

fn addresses(session: &Session, status: &Status) -> Result<(), Failure> {
    let output = &session.output;
    if output.is_json() || status.urls.is_empty() {
        return Ok(());
    }
    output.note("");
    for line in environment::urls(&status.urls, output.data) {
        output.line(line)?;
    }
    let ca_file = session.surroundings.shown(&status.ca_file);
    output.note(format!("certificates by {ca_file}; `{}` makes browsers accept them", session.command("trust")));
    // One is enough: the others are reached alike.
    if let Some(command) = status.urls.values().rev().find_map(|url| reach::by_hand(url, Path::new(&ca_file))) {
        output.note("until DNS leads these names to this machine, tell the client where they are, as in");
        output.note(format!("  {command}"));
    }
    output.note("");
    Ok(())
}

#[cfg(test)]
#[path = "up_tests.rs"]
mod tests;
