//! The command line of `roadbed exports`.

use clap::Args;

/// See how it goes with what leaves for services elsewhere
///
/// Exports are [exports.NAME] of the manifest: errors to another place of Sentry's protocol, lines to Loki or by OTLP, numbers by
/// Prometheus' remote-write. What opens a receiver is kept with `roadbed secrets set exports/NAME`. A receiver that is away holds up
/// nobody: what it missed waits, up to a bound, and is sent when it is back.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed exports
  roadbed exports --env production
  roadbed exports --json | jq -r '.exports[] | select(.trouble) | \"\\(.name): \\(.trouble)\"'

Exit codes:
  0  shown
  1  the environment is down")]
pub struct Exports {}
