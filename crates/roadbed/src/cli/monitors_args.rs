//! The command lines of `roadbed monitors` and `roadbed alerts`.

use clap::{Args, Subcommand};

/// See what is watched and how it stands
///
/// Apps, the edge, certificates and data services are watched without being named; [monitors.NAME] in the manifest adds to them. What
/// cannot be found out is unknown, never down.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = "\
Examples:
  roadbed monitors
  roadbed monitors show app/api
  roadbed monitors pause app/api --for 30m --reason 'new disk'
  roadbed monitors resume
  roadbed monitors --json | jq -r '.monitors[] | select(.shown == \"down\") | .name'

Exit codes:
  0  shown, or done
  1  the environment is down, or there is no such monitor"
)]
pub struct MonitorsArgs {
    #[command(subcommand)]
    pub verb: Option<MonitorsVerb>,
}

/// What to do with them.
#[derive(Debug, Subcommand)]
pub enum MonitorsVerb {
    /// List them, and what was promised
    List,
    /// Show one: how it stands, since when and why, and when it came and went
    Show(OneMonitor),
    /// Tell nobody that it is down, while somebody works on it
    Pause(PauseMonitors),
    /// Tell again
    Resume(SomeMonitors),
}

#[derive(Debug, Args)]
pub struct OneMonitor {
    /// For example app/api
    #[arg(value_name = "MONITOR")]
    pub name: String,
}

#[derive(Debug, Args)]
pub struct SomeMonitors {
    /// For example app/api; without one, all
    #[arg(value_name = "MONITOR")]
    pub names: Vec<String>,
}

#[derive(Debug, Args)]
pub struct PauseMonitors {
    /// For example app/api; without one, all
    #[arg(value_name = "MONITOR")]
    pub names: Vec<String>,
    /// For so long: 30m, 12h, 7d [default: until `roadbed monitors resume`]
    #[arg(long = "for", value_name = "TIME")]
    pub time: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT", default_value = "somebody works on it")]
    pub reason: String,
}

/// See who must know what, and whether they were told
///
/// An alert is open until what it is about works again. Channels are [alerts.NAME] of the manifest; their secrets are kept with
/// `roadbed secrets set alerts/NAME`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = "\
Examples:
  roadbed alerts
  roadbed alerts ack 17
  roadbed alerts test oncall
  roadbed alerts deliveries --json | jq '.deliveries[] | select(.state == \"waiting\")'

Exit codes:
  0  shown, or done
  1  the environment is down, there is no such alert or channel, or the test did not arrive"
)]
pub struct AlertsArgs {
    #[command(subcommand)]
    pub verb: Option<AlertsVerb>,
}

/// What to do with them.
#[derive(Debug, Subcommand)]
pub enum AlertsVerb {
    /// List them, open ones first
    List,
    /// Say that you see to it: who was to be told if nobody did is not told
    Ack(OneAlert),
    /// Tell a channel a word by which nothing is meant, and see whether it is taken
    Test(OneChannel),
    /// List what was told to whom, and what waits
    Deliveries,
}

#[derive(Debug, Args)]
pub struct OneAlert {
    /// For example 17
    #[arg(value_name = "ALERT")]
    pub id: i64,
}

#[derive(Debug, Args)]
pub struct OneChannel {
    /// As the manifest calls it, for example oncall
    #[arg(value_name = "CHANNEL")]
    pub name: String,
}
