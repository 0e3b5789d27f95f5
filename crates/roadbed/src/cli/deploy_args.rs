//! The words of `roadbed deploy`, `rollback` and `releases`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// Deploy a release: build, start beside what serves, look at it, switch, watch
///
/// Without a word after it: builds what changed, and asks control for a deployment. Its instances start beside those that serve,
/// its pages are looked at through the edge by a way that visitors do not have, then all apps are switched at once and watched
/// against the release before. What does not do well is taken back. The work is control's: Ctrl-C here only stops looking.
#[derive(Debug, Default, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = "\
Examples:
  roadbed deploy --env staging            build and deploy
  roadbed deploy --env production --from staging
                                          what is live in staging, unchanged
  roadbed deploy --env staging --remote URL --oidc
                                          in a job of a CI: build here, bring it there, deploy
  roadbed deploy --artifacts release --remote URL --oidc
                                          what `roadbed build --out release` made
  roadbed deploy follow                   look at the one under way
  roadbed deploy cancel d7
  roadbed deploy approve d7               somebody else's, after `roadbed login`

Exit codes:
  0    it is live
  1    it could not be asked for
  2    the command line or the manifest is wrong, or the branch is deployed elsewhere
  10   aborted: visitors saw nothing of it
  11   rolled back: visitors saw it, and it was taken back
  12   frozen: a person is needed
  13   cancelled or superseded
  14   it waits for somebody's approval, with --until-asked
  130  Ctrl-C; the deployment goes on"
)]
pub struct Deploy {
    #[command(subcommand)]
    pub verb: Option<DeployVerb>,
    /// Deploy what is live in this environment instead of building
    #[arg(long, value_name = "ENVIRONMENT")]
    pub from: Option<String>,
    /// With --remote: deploy what `roadbed build --out` put into this folder; what the environment does not have yet is sent
    #[arg(long, value_name = "DIR", conflicts_with = "from")]
    pub artifacts: Option<PathBuf>,
    /// Return, with exit code 14, when somebody has to approve
    #[arg(long, conflicts_with = "detach")]
    pub until_asked: bool,
    /// Return when it was asked for
    #[arg(long, short)]
    pub detach: bool,
    /// Where the environment is not up: as with `up --free-ports`
    #[arg(long)]
    pub free_ports: bool,
    /// Also a release that does not know of a change of data which took something away
    #[arg(long)]
    pub across_contract: bool,
    /// Although a promise of the gate is broken that no deployment mends: two people must approve it, and why is written down
    #[arg(long, value_name = "REASON")]
    pub despite: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum DeployVerb {
    /// Look at a deployment until it is over
    Follow(Which),
    /// Call a deployment off, as long as visitors have seen nothing of it
    Cancel(Which),
    /// Approve a deployment that waits for it, as whoever `roadbed login` says
    Approve(Approve),
    /// Show the newest deployments
    List,
}

/// One deployment.
#[derive(Debug, Args)]
pub struct Which {
    /// For example d7 [default: the one under way, else the newest]
    #[arg(value_name = "DEPLOYMENT")]
    pub id: Option<String>,
}

#[derive(Debug, Args)]
pub struct Approve {
    /// For example d7 [default: the one that waits]
    #[arg(value_name = "DEPLOYMENT")]
    pub id: Option<String>,
    /// Only if it is this very one: the digest that `deploy follow` shows
    #[arg(long, value_name = "DIGEST")]
    pub digest: Option<String>,
}

/// Go back to a release that served well
///
/// At once where it still stands ready (`keep_warm`), else from its artifacts, by the way of any deployment.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed rollback --env production
  roadbed rollback --env production --to r12
  roadbed rollback --env staging --dry-run

Exit codes:
  0    it is live, or was shown
  1    there is nothing to go back to, or data has gone past it
  10   aborted: visitors saw nothing of it
  12   frozen: it does no better, a person is needed
  130  Ctrl-C; the rollback goes on")]
pub struct Rollback {
    /// Which release [default: the one that served before]
    #[arg(long, value_name = "RELEASE")]
    pub to: Option<String>,
    /// Only show what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Also to a release that does not know of a change of data which took something away
    #[arg(long)]
    pub across_contract: bool,
    /// Return when it was asked for
    #[arg(long, short)]
    pub detach: bool,
}

/// Deploy what is pushed to a bare repository, each branch to where it goes
///
/// Git runs this as the hook post-receive, in the repository's folder. The branch alone decides where its push goes; what comes of it is
/// told to who pushed. A release that has to be approved is waited for by nobody: the push ends when somebody is asked.
///
/// `refs/pull/N/head`, and `pr/N` where the manifest sends that branch nowhere, is pull request N: its push makes or moves the preview,
/// its deletion takes it away. ROADBED_PUSHED_BY says who pushes, set by sshd for each key. What is not of somebody in `builders` of
/// the environment is a stranger's, and nothing of it is run until `roadbed preview allow`.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  cd /srv/shop.git && roadbed receive --install --checkout /srv/shop
  environment=\"ROADBED_PUSHED_BY=ann\" ssh-ed25519 AAAA…   a line of authorized_keys, with
                                          PermitUserEnvironment ROADBED_PUSHED_BY in sshd_config

Exit codes:
  0    deployed, or nothing to deploy
  1    it could not be checked out, built or asked for
  10, 11, 12, 13
       as with `roadbed deploy`")]
pub struct Receive {
    /// Folder that pushes are checked out into; the roots of environments lie in it
    #[arg(long, value_name = "DIR")]
    pub checkout: PathBuf,
    /// Write the hook of the repository in this folder, and deploy nothing
    #[arg(long)]
    pub install: bool,
    /// Where an environment is not up: as with `up --free-ports`
    #[arg(long)]
    pub free_ports: bool,
    /// Whatever is pushed to pull requests comes from forks, whoever pushes it: for repositories that a mirror writes to
    #[arg(long)]
    pub fork: bool,
}

/// Show the releases of an environment
///
/// STATE is what visitors get: live, warm (ready to be switched back to), or served (it did well once).
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed releases --env production
  roadbed releases --json | jq '.releases[0].origin.changes'

Exit codes:
  0  shown
  1  the environment is down")]
pub struct Releases {}
