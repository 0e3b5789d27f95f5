//! The command line of `roadbed access`.

use clap::{Args, Subcommand};

/// Let people see what is protected, and end that
#[derive(Debug, Subcommand)]
pub enum Access {
    Link(Link),
    List(List),
    Revoke(Revoke),
}

/// Print a link that signs somebody in to a protected app, once
///
/// Whoever opens it sees a page with one button, so that a preview in a chat uses nothing up; the button signs that browser in. The
/// link is shown this once and kept as a digest. The app is told the name, in `X-Roadbed-User`, and the audit log has all of it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed access link --for anna
  roadbed access link --env staging --app admin --for anna@urbancart.example --ttl 2h --usable 15m

Exit codes:
  0  made, and on stdout
  1  the environment is down, or nothing in it is protected
  2  the command line is wrong")]
pub struct Link {
    /// The protected app [default: the only one]
    #[arg(long, value_name = "APP")]
    pub app: Option<String>,
    /// For whom, so that the app and the audit log know
    #[arg(long = "for", value_name = "NAME")]
    pub name: String,
    /// How long whoever uses it is signed in: 30m, 12h, 7d
    #[arg(long, value_name = "TIME", default_value = "12h")]
    pub ttl: String,
    /// How long the link itself may be used: 15m, 1h, 24h
    #[arg(long, value_name = "TIME", default_value = "1h")]
    pub usable: String,
}

/// Show who is signed in, and which links are out
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed access list --env staging
  roadbed access list --json | jq '.sessions[] | select(.standing == \"holds\")'

Exit codes:
  0  shown
  1  the environment is down")]
pub struct List {}

/// End a session or a link at once
///
/// The next request of that browser is refused. A WebSocket or stream that is open stays until it ends.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed access revoke s3
  roadbed access revoke l5 --env staging
  roadbed access revoke --all

Exit codes:
  0  it is ended
  1  there is no such session or link, or the environment is down
  2  the command line is wrong")]
pub struct Revoke {
    /// For example s3, or l5 of a link
    #[arg(value_name = "ID", required_unless_present = "all")]
    pub id: Option<String>,
    /// Everybody
    #[arg(long, conflicts_with = "id")]
    pub all: bool,
}
