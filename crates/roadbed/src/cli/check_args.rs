//! What the command line may say of proofs that are made when somebody asks for them.

use clap::{Args, Subcommand};

/// Proofs that are made when somebody asks for them.
#[derive(Debug, Subcommand)]
pub enum Check {
    ProcessModel(ProcessModel),
}

/// Prove that an app keeps nothing in its processes, and goes in order when it is told to
///
/// Starts two more instances beside those that serve, where no visitor gets to. What is begun at one must go on at the other; one
/// is told to go while it has a request under way, one while it has nothing to do. Then both are taken away again. The smoke
/// pages of the app are asked for, and whatever --visit names, in earnest.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed check process-model
  roadbed check process-model api --visit 'PUT /cart/items/oak-stool {\"quantity\": 1}' --visit /cart

Exit codes:
  0  every promise holds
  1  one does not hold or could not be tried, or the environment is down
  2  the command line is wrong
  3  another command holds the root")]
pub struct ProcessModel {
    /// Only this app [default: every app that is a process]
    #[arg(value_name = "APP")]
    pub app: Option<String>,
    /// Ask for this as well: a path, or a method, a path and a body in JSON; in this order, the session of one in the next
    #[arg(long, value_name = "REQUEST")]
    pub visit: Vec<String>,
}
