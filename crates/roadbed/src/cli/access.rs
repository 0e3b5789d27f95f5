//! `roadbed access`: who may see what is protected.

use std::time::Duration;

use reconcile::Fault;

use crate::cli::access_args::{Access, Link, Revoke};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::cli::token::lasts;
use crate::control::access::{ToLink, ToRevoke, Which};
use crate::control::client::ControlClient;
use crate::render::table::Table;

pub async fn run(session: &Session, verb: &Access) -> Result<Exit, Failure> {
    let control = ControlClient::new(session.root.clone());
    match verb {
        Access::Link(args) => link(session, &control, args).await,
        Access::List(_) => list(session, &control).await,
        Access::Revoke(args) => revoke(session, &control, args).await,
    }
}

async fn link(session: &Session, control: &ControlClient, args: &Link) -> Result<Exit, Failure> {
    let ask = ToLink {
        app: args.app.clone(),
        name: args.name.clone(),
        seconds: time("--ttl", &args.ttl)?.as_secs(),
        usable: time("--usable", &args.usable)?.as_secs(),
        by: host::own::user_name(),
        console: None,
        token: None,
    };
    let made = control.make_link(&ask).await?;
    let output = &session.output;
    if output.is_json() {
        output.json(&made)?;
        return Ok(Exit::Done);
    }
    let about = &made.about;
    output.note(format!(
        "{}: signs {} in at {}, once, until {}; it is shown this once",
        about.id, about.user, about.host, about.until
    ));
    output.line(&made.url)?;
    Ok(Exit::Done)
}

fn time(flag: &str, text: &str) -> Result<Duration, Failure> {
    lasts(text).ok_or_else(|| {
        Failure::Usage(
            Fault::new("cannot make a link").cause(format!("{flag} {text:?} is no time")).hint("write 30m, 12h or 7d"),
        )
    })
}

async fn list(session: &Session, control: &ControlClient) -> Result<Exit, Failure> {
    let listing = control.access().await?;
    if session.output.is_json() {
        session.output.json(&listing)?;
        return Ok(Exit::Done);
    }
    let mut table = Table::new(["ID", "FOR", "HOST", "BY", "FROM", "STATE", "UNTIL"]);
    for one in &listing.sessions {
        let state = one.standing.as_str().to_owned();
        let cells = [&one.id, &one.user, &one.host, &one.by, &one.client, &state, &one.until];
        table.row(cells.map(String::clone).to_vec());
    }
    for one in &listing.links {
        let state = one.standing.as_str().to_owned();
        let cells = [&one.id, &one.user, &one.host, &one.made_by, &String::new(), &state, &one.until];
        table.row(cells.map(String::clone).to_vec());
    }
    table.lines().iter().try_for_each(|line| session.output.line(line))?;
    Ok(Exit::Done)
}

async fn revoke(session: &Session, control: &ControlClient, args: &Revoke) -> Result<Exit, Failure> {
    let which = args.id.clone().map_or(Which::All, Which::One);
    let ended = control.revoke_access(&ToRevoke { which, by: host::own::user_name() }).await?;
    if session.output.is_json() {
        session.output.json(&ended)?;
    } else {
        session.output.line(format!("{}: ended; whoever has it is refused from now on", ended.join(", ")))?;
    }
    Ok(Exit::Done)
}
