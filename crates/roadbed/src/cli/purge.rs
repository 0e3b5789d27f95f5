//! `roadbed down --purge`: stop an environment and take away everything that there is of it.

use std::io::{self, BufRead, IsTerminal, Write};
use std::path::PathBuf;

use host::files;
use manifest::EnvRef;
use reconcile::Fault;
use serde::Serialize;

use crate::cli::args;
use crate::cli::conductor::Conductor;
use crate::cli::db_shell::SAYS_WHY as PRODUCTION;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::interrupts::Interrupts;
use crate::cli::session::Session;
use crate::cli::{command_lock, stopping};
use crate::expiry;
use crate::purge::{self, Places, Purging};
use crate::server::made;
use crate::wanted;

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Purged<'a> {
    root: &'a str,
    environment: Option<&'a str>,
    /// False if nothing ran.
    stopped: bool,
    /// False if there was nothing.
    purged: bool,
}

pub async fn run(
    session: &Session,
    args: &args::Down,
    conductor: &impl Conductor,
    interrupts: &mut Interrupts,
) -> Result<Exit, Failure> {
    let root = session.root.path().display().to_string();
    let tell = |environment: Option<&str>, stopped: bool, purged: bool| -> Result<Exit, Failure> {
        if session.output.is_json() {
            session.output.json(&Purged { root: &root, environment, stopped, purged })?;
        }
        Ok(Exit::Done)
    };
    let whose = if files::is_dir(session.root.path()) { purge::whose(&session.root)? } else { None };
    let Some(whose) = whose else {
        session.output.note(format!("there is nothing to purge in {root}"));
        return tell(None, false, false);
    };
    if let Some(record) = made::read(&session.root)? {
        return Err(Failure::Work(
            Fault::new(format!("cannot purge {root}: {} brings it up at boot", record.service()))
                .hint(format!("`{}` takes that away", session.command("server uninstall"))),
        ));
    }
    if !args.expired {
        confirm(session, args, &whose)?;
    }
    let lock = command_lock::take(&session.root, &session.surroundings.command_line, session.clock)?;
    // Brought up again in the moment between: it lives longer.
    if args.expired && !(is_of_many(&whose) && expiry::is_over(&session.root, &session.clock.moment())?) {
        return tell(Some(&whose.environment), false, false);
    }
    // Read before it is forgotten with everything else.
    let left = left_elsewhere(session);
    let is_up = conductor.is_meant_to_be_up() || conductor.is_up().await;
    if is_up {
        stopping::stop(session, conductor, interrupts).await?;
    }
    purge::purge(&session.root, &whose, &places(session)).await?;
    drop(lock);
    session.output.note(format!("{} {} is gone", session.output.notes.good("✓"), whose.environment));
    left.into_iter().for_each(|what| session.output.note(what));
    tell(Some(&whose.environment), is_up, true)
}

/// What stays on servers that somebody else runs: there nothing is destroyed.
fn left_elsewhere(session: &Session) -> Vec<String> {
    let want = wanted::read(&session.root).ok().flatten();
    let Some(environment) = want.and_then(|want| wanted::resolve(&want).ok()) else { return Vec::new() };
    let mongodb = environment.mongodb.filter(|mongodb| mongodb.external.is_some());
    let redis = environment.redis.filter(|redis| redis.external.is_some() || redis.external_cache.is_some());
    let mongodb = mongodb.map(|mongodb| {
        format!(
            "the database {} and its users stay on the external MongoDB: its provider takes them away",
            mongodb.database
        )
    });
    let redis = redis.map(|redis| {
        format!(
            "keys and users that begin with {} stay on the external Redis: its provider takes them away",
            redis.key_prefix
        )
    });
    mongodb.into_iter().chain(redis).collect()
}

pub(super) fn places(session: &Session) -> Places {
    let runtime = session.surroundings.variable("XDG_RUNTIME_DIR").map(PathBuf::from);
    Places {
        roots: session.roots(),
        runtime: runtime.filter(|folder| folder.is_absolute()),
        cache: session.surroundings.cache(),
    }
}

/// Whether it is one of many: of a pull request, or of a branch.
fn is_of_many(whose: &Purging) -> bool {
    whose.environment.parse::<EnvRef>().is_ok_and(|environment| environment.instance.is_some())
}

/// Whoever purges says so once more: what exists many times with a word, anything else by its name. Production is not asked about:
/// its name stands in the command.
fn confirm(session: &Session, args: &args::Down, whose: &Purging) -> Result<(), Failure> {
    let environment = whose.environment.as_str();
    let root = session.root.path().display();
    let usage = |message: String, hint: String| Err(Failure::Usage(Fault::new(message).hint(hint)));
    match &args.i_mean {
        Some(name) if name == environment => return Ok(()),
        Some(name) => {
            return usage(
                format!("you mean {name}, and {root} is {environment}"),
                "nothing was purged; name the environment with --env or --root, and the same with --i-mean".to_owned(),
            );
        }
        None => {}
    }
    if environment == PRODUCTION {
        return usage(
            format!("{PRODUCTION} is not purged like that: its data is its customers'"),
            format!(
                "if it is to be gone for good: `{}`",
                session.command(&format!("down --purge --i-mean {PRODUCTION}"))
            ),
        );
    }
    if is_of_many(whose) {
        if args.yes || asked(session, &format!("purge {environment}, all its data in {root}? [y/N] "), "y") {
            return Ok(());
        }
        return usage(
            format!("{environment} was not purged: nobody confirmed it"),
            "give --yes where nobody can be asked".to_owned(),
        );
    }
    if asked(
        session,
        &format!("{environment} exists once. To purge all its data in {root}, type its name: "),
        environment,
    ) {
        return Ok(());
    }
    usage(
        format!("{environment} was not purged: only what exists many times goes with --yes"),
        format!("name it: `{}`", session.command(&format!("down --purge --i-mean {environment}"))),
    )
}

/// Asks at a terminal. Where there is none nobody answers.
fn asked(session: &Session, question: &str, wanted: &str) -> bool {
    if session.output.is_json() || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        return false;
    }
    let mut stderr = io::stderr().lock();
    let _ = write!(stderr, "{question}").and_then(|()| stderr.flush());
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer).is_ok() && answer.trim() == wanted
}
