//! `roadbed console`: a link into the console of an environment, for whoever asks at its machine.

use std::time::Duration;

use clap::Args;
use reconcile::Fault;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::login;
use crate::cli::session::Session;
use crate::cli::token::lasts;
use crate::control::access::{Grant, ToLink};
use crate::control::client::ControlClient;

/// Look at an environment in a browser
///
/// Prints a link that signs a browser in, once. Whoever uses it may change things; after `roadbed login` it is that person's, whose
/// word on a deployment counts. With `--look` it only lets look, and may be given away.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed console
  roadbed console --env staging
  roadbed console --look --for anna@urbancart.example --ttl 2h

Exit codes:
  0  made, and on stdout
  1  the environment is down, or has no console
  2  the command line is wrong")]
pub struct Console {
    /// Let look, and change nothing
    #[arg(long)]
    pub look: bool,
    /// For whom, so that the audit log knows [default: you]
    #[arg(long = "for", value_name = "NAME")]
    pub name: Option<String>,
    /// How long whoever uses it is signed in: 30m, 12h, 7d
    #[arg(long, value_name = "TIME", default_value = "12h")]
    pub ttl: String,
    /// How long the link itself may be used: 5m, 1h, 24h
    #[arg(long, value_name = "TIME", default_value = "5m")]
    pub usable: String,
}

pub(super) async fn run(session: &Session, args: &Console) -> Result<Exit, Failure> {
    let control = ControlClient::new(session.root.clone());
    let grant = if args.look { Grant::Look } else { Grant::Operate };
    let made = control
        .make_link(&ToLink {
            app: None,
            name: args.name.clone().unwrap_or_else(host::own::user_name),
            seconds: time("--ttl", &args.ttl)?.as_secs(),
            usable: time("--usable", &args.usable)?.as_secs(),
            by: host::own::user_name(),
            console: Some(grant),
            // A link that is given away is nobody's word.
            token: if args.look || args.name.is_some() { None } else { login::token(session, &control).await },
        })
        .await?;
    let output = &session.output;
    if output.is_json() {
        output.json(&made)?;
        return Ok(Exit::Done);
    }
    let about = &made.about;
    output.note(format!("{}: signs {} in at {}, once, until {}", about.id, about.user, about.host, about.until));
    output.line(&made.url)?;
    Ok(Exit::Done)
}

fn time(flag: &str, text: &str) -> Result<Duration, Failure> {
    lasts(text).ok_or_else(|| {
        Failure::Usage(
            Fault::new("cannot make a link").cause(format!("{flag} {text:?} is no time")).hint("write 5m, 12h or 7d"),
        )
    })
}
