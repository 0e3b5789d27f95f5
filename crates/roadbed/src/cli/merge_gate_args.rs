//! The command line of `roadbed merge-gate`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Take pushes to protected branches only when their checks passed, in a repository of one's own.
#[derive(Debug, Subcommand)]
pub enum MergeGate {
    Install(MergeGateInstall),
    /// Judge a push: run by git, as the hook pre-receive
    #[command(hide = true)]
    Judge(MergeGateJudge),
}

/// Write the hook of a bare repository
///
/// From then on it refuses a push to a branch that [ci.protection] names, unless every check that is required there passed for exactly
/// that commit, in a result signed with a key that is named there. Protected branches are neither deleted nor rewritten. What
/// is protected is said by the manifest that the branch has, not by the one that is pushed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed merge-gate install /srv/shop.git
  roadbed ci run --sign ~/.ssh/ci        in the clone: checks, signs, and says how to push the result

Exit codes:
  0  the hook is there
  1  there is a hook of somebody else
  2  it is no bare repository")]
pub struct MergeGateInstall {
    /// The bare repository that people push to
    #[arg(value_name = "REPOSITORY")]
    pub repository: PathBuf,
    /// Keep a hook that is there as pre-receive.before-roadbed, and run it first
    #[arg(long)]
    pub force: bool,
}

/// Judge a push
#[derive(Debug, Args)]
pub struct MergeGateJudge {}
