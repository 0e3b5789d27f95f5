//! The command line of `roadbed edge`. Without a verb it is the role itself, as the keeper starts it.

use clap::{ArgGroup, Args, Subcommand, ValueEnum};
use url::Url;

/// See who asks most, keep networks out, take kept answers back
#[derive(Debug, Args)]
pub struct Edge {
    #[command(subcommand)]
    pub verb: Option<Verb>,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    Top(Top),
    Cache(ShowCaches),
    Purge(Purge),
    #[command(flatten)]
    Networks(Networks),
}

/// Who is kept out, and who never is.
#[derive(Debug, Subcommand)]
pub enum Networks {
    Block(Block),
    Allow(Allow),
    Unblock(Unblock),
    List(ListNetworks),
}

/// Show who asked most in the last five minutes
///
/// Counted by the edge that runs, in bounded memory: whoever has more than one request in 128 of a minute is there. ERROR says how many
/// of a row may be somebody else's.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed edge top
  roadbed edge top --by path --count 30
  roadbed edge top --by status --json

Exit codes:
  0  shown
  1  the edge does not answer")]
pub struct Top {
    /// By what requests are counted together
    #[arg(long, value_enum, default_value = "client", value_name = "WHAT")]
    pub by: TopBy,
    /// So many rows
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=500))]
    pub count: u16,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TopBy {
    Client,
    Path,
    App,
    Status,
}

/// Show what became of requests in the cache of each app
///
/// Counted since the edge began. An app has one where the manifest says `cache`; docs/caching.md says what is kept.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed edge cache
  roadbed edge cache --json | jq '.storefront.refused'

Exit codes:
  0  shown
  1  the edge does not answer")]
pub struct ShowCaches {}

/// Take kept answers back, so that the app is asked again
///
/// At once, and for answers that are on their way too. Pictures of `[services.media]` have their own names for each content and need no
/// purge.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed edge purge https://shop.example/products/42
  roadbed edge purge https://shop.example/products/ --prefix
  roadbed edge purge --all --app storefront

Exit codes:
  0  taken back, or nothing was kept
  1  no app keeps answers, or the edge does not answer
  2  the command line is wrong")]
#[command(group = ArgGroup::new("which").required(true).args(["url", "all"]))]
pub struct Purge {
    /// An address with its scheme and host, and all that differs by headers alone
    #[arg(value_name = "URL")]
    pub url: Option<Url>,
    /// All addresses that begin like this one
    #[arg(long, requires = "url")]
    pub prefix: bool,
    /// Everything that is kept
    #[arg(long)]
    pub all: bool,
    /// Only of this app
    #[arg(long, value_name = "APP")]
    pub app: Option<String>,
}

/// Keep a network out
///
/// It counts at once, for every app of the environment, and over restarts. This machine, whole parts of the internet and the proxies of
/// the manifest are refused. What is open stays until it ends.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed edge block 203.0.113.0/24 --for 2h --reason 'credential stuffing'
  roadbed edge block 2001:db8::/32 --shadow --reason 'would it hit customers?'

Exit codes:
  0  it is kept out
  1  it may not be, or the environment is down
  2  the command line is wrong")]
pub struct Block {
    /// An address or a network
    #[arg(value_name = "NETWORK")]
    pub network: String,
    /// For how long: 30m, 2h, 7d [default: until `edge unblock`]
    #[arg(long = "for", value_name = "TIME")]
    pub lasts: Option<String>,
    /// Why, for who looks at the list later
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    /// Only say in the access log what would have been refused
    #[arg(long)]
    pub shadow: bool,
}

/// Never keep a network out, whatever else says so
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed edge allow 198.51.100.7 --reason 'the office'
  roadbed edge allow 198.51.100.0/24 --for 7d

Exit codes:
  0  it is let in
  1  the environment is down
  2  the command line is wrong")]
pub struct Allow {
    /// An address or a network
    #[arg(value_name = "NETWORK")]
    pub network: String,
    /// For how long: 30m, 2h, 7d [default: until `edge unblock`]
    #[arg(long = "for", value_name = "TIME")]
    pub lasts: Option<String>,
    /// Why, for who looks at the list later
    #[arg(long, value_name = "TEXT", default_value = "")]
    pub reason: String,
}

/// Take a network from the list
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed edge unblock 203.0.113.0/24

Exit codes:
  0  nothing is said of it any more
  1  it is on no list, or the environment is down
  2  the command line is wrong")]
pub struct Unblock {
    /// As `edge list` shows it
    #[arg(value_name = "NETWORK")]
    pub network: String,
}

/// Show which networks are kept out, and which never are
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed edge list
  roadbed edge list --env production --json | jq '.[].network'

Exit codes:
  0  shown
  1  the environment is down")]
pub struct ListNetworks {}
