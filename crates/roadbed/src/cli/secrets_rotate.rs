//! `roadbed secrets rotate`: new values, and nobody locked out.

use reconcile::Fault;

use crate::cli::conductor::Conductor;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::even_unread;
use crate::cli::secrets_args::RotateSecrets;
use crate::cli::session::Session;
use crate::cli::up;
use crate::control::wire::{Manner, Message, RotateRequest, Rotated, Stands, Which};

/// Asks control, which goes on also when nobody listens any more.
pub async fn run(session: &Session, args: &RotateSecrets, conductor: &impl Conductor) -> Result<Exit, Failure> {
    if !conductor.is_up().await {
        let fault = Fault::new(format!("nothing runs in {}", session.root.path().display()));
        return Err(Failure::Work(fault.hint(format!("`{}` starts the environment", session.command("up")))));
    }
    let request = RotateRequest {
        which: if args.due { Which::Due } else { Which::Named(args.names.clone()) },
        manner: if args.dry_run { Manner::Rehearse } else { Manner::InEarnest },
    };
    let output = &session.output;
    let mut progress = up::progress_of(output);
    let mut end: Option<Message> = None;
    let mut printed: Result<(), Failure> = Ok(());
    let streamed = conductor
        .rotate(&request, &mut |message| {
            if output.is_json() {
                let line = output.json(&message);
                printed = std::mem::replace(&mut printed, Ok(())).and(line);
            }
            match message {
                Message::Progress { progress: event } => up::show(&mut progress, &event, output),
                message => end = Some(message),
            }
        })
        .await;
    progress.end();
    streamed?;
    even_unread(printed)?;
    match end {
        Some(Message::Rotated { rotations }) => tell(session, &rotations),
        Some(Message::Refused { fault }) => Err(Failure::Work(fault)),
        _ => Err(Failure::Work(Fault::new("control did not say how it ended").hint("run the same command again"))),
    }
}

fn tell(session: &Session, rotations: &[Rotated]) -> Result<Exit, Failure> {
    let output = &session.output;
    let paint = output.notes;
    if rotations.is_empty() {
        output.note("nothing is due");
    }
    let mut exit = Exit::Done;
    for Rotated { name, kind, version, stands } in rotations {
        let version = version.map_or_else(|| "no version".to_owned(), |version| format!("version {version}"));
        let (mark, told) = match stands {
            Stands::Done => (paint.good("✓"), format!("{version} is in use, and no other is let in")),
            Stands::HoldsUntil { until } => (
                paint.good("✓"),
                format!("{version} is in use; the one before holds until {until} and is retired then"),
            ),
            Stands::WaitsFor { seconds } => {
                (paint.caution("-"), format!("{version} is in use; the next one follows in {seconds} s"))
            }
            Stands::Held { by } => {
                exit = Exit::Failed;
                (
                    paint.bad("✗"),
                    format!(
                        "waits for {}; every value that it may hold is let in, and control goes on when it can",
                        by.join(", ")
                    ),
                )
            }
            Stands::WouldRotate => (paint.caution("-"), format!("would be rotated ({kind}); {version} is in use")),
        };
        output.note(format!("{mark} {name}  {told}"));
    }
    Ok(exit)
}
