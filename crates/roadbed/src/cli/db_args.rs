//! The words of `roadbed db`.

use clap::{Args, Subcommand, ValueEnum};

/// Look into the data services
#[derive(Debug, Subcommand)]
pub enum Db {
    Shell(DbShell),
    /// Show how full the data services are, and who uses them
    ///
    /// MongoDB: collections with their sizes, connections, cache, and how far back the oplog reaches. Redis, by purpose: memory, keys
    /// by their prefix, evictions, clients. Figures alone: no document and no key is shown.
    #[command(after_help = "\
Examples:
  roadbed db stats
  roadbed db stats --json | jq '.redis[] | {unit, memory_bytes, memory_limit_bytes}'

Exit codes:
  0  shown
  1  the environment is down, or a service does not answer")]
    Stats,
    /// Show which changes of data were made
    ///
    /// Those of the release that is live, in their order. What takes something away is made when no earlier release is kept ready
    /// any more; from then on there is no way back to a release that does not know of it.
    #[command(after_help = "\
Examples:
  roadbed db migrations --env production
  roadbed db migrations --json | jq '.changes[] | select(.made == null)'

Exit codes:
  0  shown
  1  the environment is down")]
    Migrations,
}

/// Open a data service's own client as a user that may read and nothing else
///
/// The user is made for this look, lasts 30 minutes, is renewed while the client runs and is taken away when it ends. Its password
/// is in no argument and no file. The client is mongosh or redis-cli: the one in PATH, else the one that came with the service. A
/// command of your own finds the address in MONGODB_URL or REDIS_URL.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed db shell                        mongosh
  roadbed db shell redis                  redis-cli
  roadbed db shell --env production --reason \"order 4711 is missing\"
  roadbed db shell mongodb -- node count.js

Exit codes:
  0    the client ended well
  1    nothing could be lent, or the environment is down
  2    no such service, no such program, or no reason for a look into production
  any  else is the client's own")]
pub struct DbShell {
    /// Which
    #[arg(value_enum, value_name = "SERVICE", default_value = "mongodb")]
    pub service: DataService,
    /// Why, for the record; production asks for it
    #[arg(long, value_name = "WHY")]
    pub reason: Option<String>,
    /// Show the output as it is; this is noted
    #[arg(long)]
    pub raw: bool,
    /// A command of your own in place of the service's client
    #[arg(last = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// A data service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DataService {
    Mongodb,
    Redis,
}
