//! `roadbed status`: addresses and processes.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cli::conductor::Conductor;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::cli::upgrade;
use crate::control::identity;
use crate::control::sleeping::SleepState;
use crate::control::wire::{Overdue, Status};
use crate::expiry;
use crate::keeper::client::KeeperClient;
use crate::own::{self, Program};
use crate::render;
use crate::upgrade::course;
use crate::upgrade::note::{self, Note};

pub async fn run(session: &Session, conductor: &impl Conductor) -> Result<Exit, Failure> {
    let output = &session.output;
    let up = conductor.is_up().await;
    let status = if up { conductor.status().await? } else { down(session)? };
    let programs = if up { programs(session).await } else { None };
    if output.is_json() {
        output.json(&Shown { status: &status, programs: programs.as_ref() })?;
    } else if up {
        render::environment::status(&status, output.data).iter().try_for_each(|line| output.line(line))?;
    }
    if let Some(programs) = programs.as_ref().filter(|_| !output.is_json()) {
        tell_programs(session, programs)?;
    }
    if let Some(ends) = status.ends.filter(|_| !output.is_json()) {
        output.note(format!("it is purged at {ends} unless `{}` lets it live longer", session.command("up")));
    }
    if let Some(certificate) = status.certificate.as_ref().filter(|_| !output.is_json()) {
        render::environment::certificate(certificate).into_iter().for_each(|line| output.note(line));
        if let Some(trouble) = &certificate.trouble {
            render::environment::trouble(trouble, output.notes).into_iter().for_each(|line| output.complain(line));
        }
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

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Shown<'a> {
    #[serde(flatten)]
    status: &'a Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    programs: Option<&'a Programs>,
}

/// Which program each role runs, and which one asks.
#[derive(Debug, Serialize)]
struct Programs {
    keeper: Program,
    /// Digests.
    roles: BTreeMap<&'static str, String>,
    this: Program,
    is_same: bool,
    /// A move to another one that is not at its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    under_way: Option<Note>,
}

/// `None` where the keeper cannot say.
async fn programs(session: &Session) -> Option<Programs> {
    let keeper = KeeperClient::new(session.root.clone());
    let roles = course::roles(&session.root).await.ok()?;
    // As good as always it is the same file: then it is not read again.
    let is_same_file = keeper.health().await.ok()?.stamp.is_some_and(|theirs| own::stamp() == Some(theirs));
    let this = if is_same_file { roles.keeper.clone() } else { own::running().ok()? };
    Some(Programs {
        is_same: roles.all_run(&this.digest),
        roles: roles.each().map(|(role, digest)| (role, digest.to_owned())).collect(),
        keeper: roles.keeper,
        this,
        under_way: note::read(&session.root).ok().flatten(),
    })
}

/// One line where all is the same, else which differ.
fn tell_programs(session: &Session, programs: &Programs) -> Result<(), Failure> {
    let output = &session.output;
    if programs.is_same {
        return output.line(output.data.faint(format!("roadbed {}", upgrade::shown(&programs.this))));
    }
    let roles: Vec<String> = programs.roles.iter().map(|(role, digest)| format!("{role} {digest}")).collect();
    output.complain(format!(
        "{} this program is {}, and the environment runs another: {}; `{}` moves it here",
        output.notes.caution("!"),
        upgrade::shown(&programs.this),
        roles.join(", "),
        session.command("upgrade"),
    ));
    Ok(())
}

/// A root that nothing runs in, also one that was never used.
fn down(session: &Session) -> Result<Status, Failure> {
    let identity = identity::read(&session.root)?;
    Ok(Status {
        environment: identity.map_or_else(|| session.environment(), |identity| Ok(identity.environment))?,
        root: session.root.path().to_owned(),
        urls: BTreeMap::new(),
        console: None,
        ca_file: session.root.ca_certificate(),
        units: Vec::new(),
        network: None,
        together: None,
        mongodb: Vec::new(),
        certificate: None,
        // What cannot be read is the business of whoever brings it up.
        ends: expiry::of_root(&session.root).unwrap_or_default(),
        sleep: None,
        overdue: Vec::new(),
        drift: Vec::new(),
        api: None,
        scaled: Vec::new(),
        trouble: None,
    })
}
