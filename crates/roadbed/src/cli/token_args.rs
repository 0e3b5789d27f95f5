//! The command line of `roadbed token`.

use clap::{Args, Subcommand};

/// Make, show and revoke the tokens of the API
#[derive(Debug, Subcommand)]
pub enum Token {
    Create(CreateToken),
    List(ListTokens),
    Revoke(RevokeToken),
}

/// Make a token for the API of an environment, and show it once
///
/// It is of this environment alone, has one role and an end, and is kept as a digest. What is done with it is in the audit log
/// (`roadbed secrets audit`). The environment needs `api` in its table of roadbed.toml. Roles:
///
///   viewer    looks at everything that is no secret
///
///   deployer  deploys, calls deployments off, goes back
///
///   approver  says yes to a release or no, as the person whom it names
///
///   operator  as deployer, and runs the gate
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed token create --env staging --role deployer --for ci --expires 30d > token
  roadbed token create --env production --role approver --person anna --for anna-laptop --expires 12h

Exit codes:
  0  made, and on stdout
  1  the environment is down, has no API, or lets no token hold that long
  2  the command line is wrong")]
pub struct CreateToken {
    /// What it may do: viewer, deployer, approver, operator
    #[arg(long, value_name = "ROLE")]
    pub role: String,
    /// For what or whom, so that it is known again
    #[arg(long = "for", value_name = "NAME")]
    pub name: String,
    /// How long it holds: 15m, 12h, 30d
    #[arg(long, value_name = "TIME")]
    pub expires: String,
    /// Whose word it is: a name of [people]
    #[arg(long, value_name = "PERSON")]
    pub person: Option<String>,
}

/// Show the tokens of an environment, and when each was last used
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed token list --env staging
  roadbed token list --json | jq '.tokens[] | select(.standing == \"holds\")'

Exit codes:
  0  shown
  1  the environment is down")]
pub struct ListTokens {}

/// End a token at once
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed token revoke t3 --env staging

Exit codes:
  0  it is revoked
  1  there is no such token, or the environment is down
  2  the command line is wrong")]
pub struct RevokeToken {
    /// For example t3
    #[arg(value_name = "TOKEN")]
    pub id: String,
}
