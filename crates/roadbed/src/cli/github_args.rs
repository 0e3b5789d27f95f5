//! The command line of `roadbed github`.

use clap::{Args, Subcommand};

/// Hold a repository on GitHub to the manifest.
#[derive(Debug, Subcommand)]
pub enum Github {
    Apply(GithubApply),
}

/// Make the repository's settings what the manifest says, or show what differs
///
/// Asks what is there, and changes what is not as [ci.protection] and [ci.github] want it: rules of the protected branches with their
/// required checks, which only GitHub Actions can pass, environments with who approves and which branches deploy to them, and
/// variables. A second time it finds nothing to do. Of secrets it tells those that nobody has set; it never has their values. What the
/// manifest does not speak of stays. The token is taken from GITHUB_TOKEN, GH_TOKEN or stdin, and sent to that one host.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed github apply --dry-run       what differs, changing nothing: exit code 1 if anything does
  gh auth token | roadbed github apply --token-stdin
  roadbed github apply --dry-run --json | jq -r '.changes[].what'

Exit codes:
  0  everything is as the manifest says
  1  something differs (--dry-run), a secret is missing, or GitHub refused
  2  the manifest has no [ci.github], or there is no token")]
pub struct GithubApply {
    /// Show what differs, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Read the token from stdin
    #[arg(long)]
    pub token_stdin: bool,
    /// A GitHub server of one's own [default: $GITHUB_API_URL, else https://api.github.com]
    #[arg(long, value_name = "URL")]
    pub api: Option<String>,
}
