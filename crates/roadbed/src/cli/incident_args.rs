//! The words of `roadbed incident`.

use clap::{Args, Subcommand, ValueEnum};

/// Keep what happens while something is wrong, and write it up
///
/// Works while the environment is down. Who says something is the user of this machine, or who `--by` names.
#[derive(Debug, Subcommand)]
pub enum Incident {
    Open(Open),
    Note(Note),
    Role(Role),
    Update(Update),
    Close(Close),
    Show(Show),
    List(List),
    Report(Report),
}

/// Open an incident: something is wrong, and somebody sees to it
///
/// Says who is called, as the manifest has it.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed incident open --env production 'orders fail for some'
  roadbed incident open --env production --severity critical 'nobody can buy'

Exit codes:
  0  opened
  1  one is open already, or it could not be kept
  2  the command line or the manifest is wrong")]
pub struct Open {
    /// What visitors see, in one sentence
    #[arg(value_name = "SUMMARY")]
    pub summary: String,
    /// critical: nobody can buy, or data is in danger; major: some cannot; minor: there is a way around it
    #[arg(long, value_enum, default_value = "major", value_name = "SEVERITY")]
    pub severity: SeverityAsked,
    #[command(flatten)]
    pub who: Who,
}

/// Write down what was seen or done
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed incident note --env production 'restarted api-1, orders go through again'

Exit codes:
  0  kept
  1  no incident is open, or it could not be kept")]
pub struct Note {
    /// What was seen or done
    #[arg(value_name = "TEXT")]
    pub text: String,
    #[command(flatten)]
    pub which: Which,
    #[command(flatten)]
    pub who: Who,
}

/// Say who has which role from now on
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed incident role --env production lead anna
  roadbed incident role --env production communication bert

Exit codes:
  0  kept
  1  no incident is open, or it could not be kept")]
pub struct Role {
    /// lead decides, operations does it, communication writes to customers, scribe writes down
    #[arg(value_enum, value_name = "ROLE")]
    pub role: RoleAsked,
    /// Who has it
    #[arg(value_name = "NAME")]
    pub name: String,
    #[command(flatten)]
    pub which: Which,
    #[command(flatten)]
    pub who: Who,
}

/// Print what customers are told, from the template of its stage, and keep it
///
/// Nothing is sent: whoever writes to customers puts it where they read.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed incident update --env production investigating 'orders fail for some'
  roadbed incident update --env production resolved 'orders work again'
  roadbed incident update --env production monitoring 'orders work again' --next 30m

Exit codes:
  0  printed and kept
  1  no incident is open, or it could not be kept
  2  the command line or the manifest is wrong")]
pub struct Update {
    /// How far it is
    #[arg(value_enum, value_name = "STAGE")]
    pub stage: StageAsked,
    /// What customers see, in one sentence
    #[arg(value_name = "TEXT")]
    pub text: String,
    /// When the next message comes: 30m, 1h
    #[arg(long, value_name = "TIME", default_value = "30m")]
    pub next: String,
    #[command(flatten)]
    pub which: Which,
    #[command(flatten)]
    pub who: Who,
}

/// Close an incident
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed incident close --env production

Exit codes:
  0  closed
  1  no incident is open, or customers were told of it and not that it is over")]
pub struct Close {
    #[command(flatten)]
    pub which: Which,
    #[command(flatten)]
    pub who: Who,
}

/// Show an incident as one line of time: what people said, deployments, promises, errors, and who was lent what
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed incident show --env production
  roadbed incident show i3 --json | jq '.timeline[] | select(.origin == \"deployment\")'

Exit codes:
  0  shown
  1  there is no such incident")]
pub struct Show {
    /// For example i3 [default: the open one, else the newest]
    #[arg(value_name = "INCIDENT")]
    pub id: Option<String>,
}

/// Show all incidents, the newest first
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed incident list --env production
  roadbed incident list --json | jq '.incidents[] | select(.closed == null)'

Exit codes:
  0  shown
  1  they cannot be read")]
pub struct List {}

/// Print the draft of what is written afterwards, in Markdown
///
/// What is known stands in it; what people must find out is asked.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed incident report --env production > postmortem.md
  roadbed incident report i3

Exit codes:
  0  printed
  1  there is no such incident")]
pub struct Report {
    /// For example i3 [default: the open one, else the newest]
    #[arg(value_name = "INCIDENT")]
    pub id: Option<String>,
}

/// One incident.
#[derive(Debug, Args)]
pub struct Which {
    /// For example i3 [default: the open one]
    #[arg(long, value_name = "INCIDENT")]
    pub incident: Option<String>,
}

/// Who says so.
#[derive(Debug, Args)]
pub struct Who {
    /// Who says so [default: the user of this machine]
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
}

macro_rules! asked {
    ($name:ident of $kept:ident: $($variant:ident),*) => {
        /// As it is typed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
        pub enum $name { $($variant),* }

        impl From<$name> for incidents::$kept {
            fn from(asked: $name) -> Self {
                match asked { $($name::$variant => Self::$variant),* }
            }
        }
    };
}

asked!(SeverityAsked of Severity: Critical, Major, Minor);
asked!(RoleAsked of Role: Lead, Operations, Communication, Scribe);
asked!(StageAsked of Stage: Investigating, Identified, Monitoring, Resolved);
