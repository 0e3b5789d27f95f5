//! `roadbed server run`: what a server's systemd starts. Brings the environment up as it was wanted last, says that it is, and stops it
//! in order when it is told to go. It keeps nothing itself: killed, it leaves everything running, and the next one joins.

use std::time::Duration;

use reconcile::Fault;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::sleep;

use crate::cli::conductor::Conductor;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::live::Live;
use crate::cli::session::Session;
use crate::cli::{command_lock, server};
use crate::control::client::ControlClient;
use crate::control::launch;
use crate::control::wire::Message;
use crate::keeper::lifeline;
use crate::server::notify;
use crate::upgrade::note;
use crate::{own, programs, purge};

/// Between two attempts to get a root that another command holds, and two looks at whether another program is the current one.
const PAUSE: Duration = Duration::from_secs(2);

pub(super) async fn run(session: &Session) -> Result<Exit, Failure> {
    let (root, output) = (&session.root, &session.output);
    let cannot = |error: std::io::Error| Failure::Work(Fault::because("cannot wait for systemd's word", &error));
    let mut terminated = signal(SignalKind::terminate()).map_err(cannot)?;
    let mut interrupted = signal(SignalKind::interrupt()).map_err(cannot)?;
    session.refuse_copied_root()?;
    purge::refuse_begun(root)?;
    let gone = tokio::select! {
        up = bring_up(session) => { up?; false }
        _ = terminated.recv() => true,
        _ = interrupted.recv() => true,
    };
    let live = Live::new(root.clone());
    if !gone {
        notify::say("READY=1\nSTATUS=the environment is up");
        output.note("the environment is up");
        tokio::select! {
            // Whoever stopped it meant it: systemd is not to start it again.
            () = lifeline::hold(root.clone(), Vec::new()) => {
                output.note("the environment was stopped by another command");
                return Ok(Exit::Done);
            }
            program = moved_on(session) => return Err(Failure::Work(become_it(session, &program))),
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
        }
    }
    notify::say("STOPPING=1\nSTATUS=stopping in order");
    output.note("stopping in order");
    live.stop().await?;
    Ok(Exit::Done)
}

async fn bring_up(session: &Session) -> Result<(), Failure> {
    let root = &session.root;
    let _lock = loop {
        match command_lock::take(root, &session.surroundings.command_line, session.clock) {
            Err(Failure::Held { holder, .. }) => {
                session.output.note(format!("the root is held by {holder}; waiting"));
                sleep(PAUSE).await;
            }
            taken => break taken?,
        }
    };
    let want = server::wanted_of(session)?;
    launch::ensure_running_again(root, &want).await?;
    let (mut failed, mut refused) = (Vec::new(), None);
    ControlClient::new(root.clone())
        .converge(&want, &mut |message| match message {
            Message::Converged { failed: these, .. } => failed = these,
            Message::Refused { fault } => refused = Some(fault),
            _ => {}
        })
        .await?;
    if let Some(fault) = refused {
        return Err(Failure::Work(fault));
    }
    if !failed.is_empty() {
        // Control tries again; what came up serves.
        session.output.complain(format!("could not bring up {}; control goes on trying", failed.join(", ")));
    }
    Ok(())
}

/// Returns the program that the environment was moved to, once it was.
async fn moved_on(session: &Session) -> std::path::PathBuf {
    let root = &session.root;
    loop {
        sleep(PAUSE).await;
        let is_under_way = note::read(root).ok().flatten().is_some();
        let ours = own::running().ok().map(|program| program.digest);
        let current = programs::current_digest(root);
        if !is_under_way && current.is_some() && current != ours {
            return programs::current(root);
        }
    }
}

fn become_it(session: &Session, program: &std::path::Path) -> Fault {
    session.output.note("the environment was moved to another program: becoming it too");
    let args = ["server", "run", "--root"].map(str::to_owned).into_iter();
    let args: Vec<String> = args.chain([session.root.path().to_string_lossy().into_owned()]).collect();
    let error = host::successor::replace(program, &args, &[]);
    Fault::because(format!("cannot become {}", program.display()), &error)
}
