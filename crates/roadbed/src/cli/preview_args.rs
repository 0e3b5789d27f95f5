//! The words of `roadbed preview`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Environments of pull requests
#[derive(Debug, Subcommand)]
pub enum Preview {
    Up(PreviewUp),
    Down(PreviewDown),
    List(PreviewList),
    Allow(PreviewAllow),
}

/// Make the preview of a pull request, or move it to the newest commit
///
/// Builds the commit in a checkout of its own, brings the environment up in a root of its own and deploys into it, as
/// `roadbed deploy` does. One that is asleep is woken, and its time to live begins anew. A commit that is no part of
/// what is checked out here needs somebody's word: `roadbed preview allow`. Before that nothing of it is run.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed preview up 42                   its newest commit, else what is checked out here
  roadbed preview up 42 --ref feature/x

Exit codes:
  0    it serves
  1    it could not be built or brought up, or nobody allowed the commit
  2    the manifest has no environment per pull request, or there is no such commit
  10, 11, 12, 13, 130
       as with `roadbed deploy`")]
pub struct PreviewUp {
    /// Number of the pull request
    #[arg(value_name = "PR", value_parser = clap::value_parser!(u32).range(1..))]
    pub number: u32,
    /// Commit, branch or other reference of git [default: refs/pull/PR/head, else HEAD]
    #[arg(long = "ref", value_name = "REF")]
    pub reference: Option<String>,
    /// Where it is not up: as with `up --free-ports`
    #[arg(long)]
    pub free_ports: bool,
}

/// Take away the preview of a pull request, with all its data
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed preview down 42

Exit codes:
  0  it is gone, or was not there
  1  something of it could not be taken away: run it again")]
pub struct PreviewDown {
    /// Number of the pull request
    #[arg(value_name = "PR", value_parser = clap::value_parser!(u32).range(1..))]
    pub number: u32,
}

/// Show the previews of this checkout
///
/// STATE is awake, asleep (the next visitor wakes it), waking or down; \"gone soon\" is added when a tenth of its time is left. MEMORY is
/// what its processes occupy, those of Roadbed among them.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed preview list
  roadbed preview list --json | jq -r '.previews[].urls.storefront'

Exit codes:
  0  shown")]
pub struct PreviewList {}

/// Let a commit of a stranger's pull request be built and run
///
/// The word is signed by the SSH agent, or a key of yours, and is for this commit alone: the next push needs another. The manifest
/// says whose word counts (`builders` of the environment), and every word is kept.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  git show 1a2b3c4d5e6f7a8b9c0d1a2b3c4d5e6f7a8b9c0d
  roadbed preview allow 42 --commit 1a2b3c4d5e6f7a8b9c0d1a2b3c4d5e6f7a8b9c0d
  roadbed preview up 42

Exit codes:
  0  kept
  1  you may not, or nothing signed
  2  it is not the newest commit of that pull request")]
pub struct PreviewAllow {
    /// Number of the pull request
    #[arg(value_name = "PR", value_parser = clap::value_parser!(u32).range(1..))]
    pub number: u32,
    /// The commit that you have looked at, all 40 digits of it
    #[arg(long, value_name = "SHA")]
    pub commit: String,
    /// A key file, in place of what the SSH agent has
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
}
