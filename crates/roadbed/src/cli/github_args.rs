//! The command line of `roadbed github`.

use clap::{Args, Subcommand};

use crate::cli::secrets_args::With;

/// Hold a repository on GitHub to the manifest.
#[derive(Debug, Subcommand)]
pub enum Github {
    Apply(GithubApply),
}

/// Make the repository's settings what the manifest says, or show what differs
///
/// Asks what is there, and changes what is not as [ci.protection] and [ci.github] want it: rules of the protected branches with their
/// required checks, which only GitHub Actions can pass, environments with who approves and which branches deploy to them, and
/// variables. A second time it finds nothing to do. What the manifest does not speak of is told, and stays. The token is taken from
/// GITHUB_TOKEN, GH_TOKEN or stdin, and sent to that one host.
///
/// Secrets come from stdin or from the secret store, sealed so that only GitHub opens them. GitHub shows no value again: what is there is
/// written over only where the value is another than the one that was written from here, where somebody else has set it since, or
/// with --rotate.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed github apply --dry-run       what differs, changing nothing: exit code 1 if anything does
  gh auth token | roadbed github apply --token-stdin
  roadbed github apply --dry-run --json | jq -r '.changes[].what'
  pass show ci/npm | sed 's/^/NPM_TOKEN=/' | roadbed github apply --secrets-stdin
  roadbed github apply --env production --from-store --reason 'ticket 12' --rotate UPLOAD_TOKEN

Exit codes:
  0  everything is as the manifest says
  1  something differs (--dry-run), a secret is missing or somebody else set it, or GitHub refused
  2  the manifest has no [ci.github], there is no token, or a value is given for what nobody wants")]
pub struct GithubApply {
    /// Show what differs, and change nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Read the token from stdin
    #[arg(long)]
    pub token_stdin: bool,
    /// Read values of secrets from stdin: NAME=value in lines, or an object of JSON
    #[arg(long, conflicts_with = "token_stdin")]
    pub secrets_stdin: bool,
    /// With --secrets-stdin: only for the secrets of this environment at GitHub
    #[arg(long = "for", value_name = "ENVIRONMENT", requires = "secrets_stdin")]
    pub for_environment: Option<String>,
    /// Take values that people keep in the secret store of the environment that --env names
    #[arg(long)]
    pub from_store: bool,
    /// Write the value of this secret anew, whatever is there
    #[arg(long, value_name = "NAME")]
    pub rotate: Vec<String>,
    /// What the manifest does not speak of counts as a difference too
    #[arg(long)]
    pub strict: bool,
    /// A GitHub server of one's own [default: $GITHUB_API_URL, else https://api.github.com]
    #[arg(long, value_name = "URL")]
    pub api: Option<String>,
    #[command(flatten)]
    pub with: With,
}
