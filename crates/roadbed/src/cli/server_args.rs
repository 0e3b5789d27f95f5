//! The words of `roadbed upgrade` and `roadbed server`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Move the environment that runs to this program, without a visitor noticing
///
/// The program is copied into the root, so that what runs does not depend on a checkout, and asked whether it can read what the
/// environment has kept: a downgrade is refused where it cannot. Then the keeper becomes it in its own process, control is started
/// anew, and the next edge serves before the one before goes; that one takes its time with what it has: up to five minutes for streams
/// and WebSockets. Apps and data services are not touched. Where a role does not come up as the new program, all go back. Killed at
/// any moment, control carries on by itself.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  ./target/dist/roadbed upgrade             to this very program
  roadbed upgrade --to /opt/roadbed-0.2/roadbed
  roadbed upgrade --dry-run                 whether it could, and what would change

Exit codes:
  0  the environment runs the program
  1  nothing runs, the program cannot take over, or it did not come up and the one before goes on
  3  another command holds the root")]
pub struct Upgrade {
    /// Another program than this one
    #[arg(long, value_name = "PROGRAM")]
    pub to: Option<PathBuf>,
    /// Change nothing; say whether it could be done
    #[arg(long)]
    pub dry_run: bool,
    /// Go on with what was cut off
    #[arg(long, hide = true, conflicts_with_all = ["to", "dry_run", "readable"])]
    pub carry_on: bool,
    /// Say who this program is, if it can read what the root has kept
    #[arg(long, hide = true)]
    pub readable: bool,
}

/// Have a server's systemd run the environment
#[derive(Debug, Subcommand)]
pub enum Server {
    Install(Install),
    Status(Status),
    Uninstall(Uninstall),
    /// What the unit starts: brings the environment up as it was wanted last, stays, and stops it in order
    #[command(hide = true)]
    Run(RunArgs),
}

/// Write the systemd unit that brings this environment up at boot
///
/// Writes the unit with its hardening, an entry for the dedicated user where --user names one, and the folders that must be there, and
/// has systemd take note. Run it again at any time: what is as it should be is left alone. The environment must have been brought up
/// once, so that it is known what is wanted.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed server install --env production --dry-run   print the files and the steps
  sudo roadbed server install --env production --now
  sudo roadbed server install --user shop             as a user of its own, without root's rights

Exit codes:
  0  installed, or nothing to do
  1  could not be installed")]
pub struct Install {
    #[command(flatten)]
    pub place: Place,
    /// Run as this user, who is made if there is none, instead of root. Units then share that user
    #[arg(long, value_name = "USER")]
    pub user: Option<String>,
    /// Start it now too
    #[arg(long)]
    pub now: bool,
    /// Change nothing; print the files and the steps
    #[arg(long)]
    pub dry_run: bool,
}

/// Show the unit, and what differs from what `server install` would write
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed server status
  roadbed server status --json | jq .differs

Exit codes:
  0  installed, and every file as it should be
  1  not installed, or something differs")]
pub struct Status {
    #[command(flatten)]
    pub place: Place,
}

/// Take away what `server install` made, and nothing else
///
/// Stops the environment in order and removes the files that install wrote. Data, secrets, logs and the user stay, and are named.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sudo roadbed server uninstall --env production
  roadbed server uninstall --dry-run

Exit codes:
  0  removed, or nothing was installed
  1  could not be removed")]
pub struct Uninstall {
    #[command(flatten)]
    pub place: Place,
    /// Change nothing; print the steps
    #[arg(long)]
    pub dry_run: bool,
}

/// Where systemd's files lie.
#[derive(Debug, Args)]
pub struct Place {
    /// Below this folder instead of /, and without a word to systemd: for images
    #[arg(long, value_name = "DIR")]
    pub prefix: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct RunArgs {}
