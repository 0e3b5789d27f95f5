//! The words of `roadbed ready`.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand, ValueEnum};

/// Run the gate: test every promise on the live environment
///
/// Prints each claim, its verdict, what was observed and how long it took. Some checks break something for a moment and
/// watch it heal.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = "\
Examples:
  roadbed ready
  roadbed ready --only T3,T7      the checks of two tasks
  roadbed ready --explain T7      what they promise, without testing it
  roadbed ready --for backend     whether that team can work here, and what is in its way
  roadbed ready --env staging --for backend --preview
                                  and whether a preview of what is checked out here comes up and goes again
  roadbed ready --watch 5m        again and again; prints what changes
  roadbed ready --report html=gate.html --report junit=gate.xml
  roadbed ready --sabotage        break each promise where it hurts nobody: is it noticed?
  roadbed ready --sabotage --task T6 --task T12
  roadbed ready history           since when each promise holds
  roadbed ready --json | jq '.checks[] | select(.verdict != \"holds\")'

Exit codes:
  0  every check holds
  1  a check fails or is inconclusive, or the environment is down; with --sabotage: one was not noticed, or not by its own checks
  3  another command holds the root"
)]
pub struct Ready {
    #[command(subcommand)]
    pub verb: Option<ReadyVerb>,
    /// Only these checks: ids, or tasks such as T3
    #[arg(long, value_name = "ID|TASK", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Say what these checks promise, what they do to the environment and how they stand; test nothing
    #[arg(long, value_name = "ID|TASK", value_delimiter = ',', conflicts_with = "only")]
    pub explain: Vec<String>,
    /// Only whether this team can work here: backend, frontend, admin, an app, or an owner of the manifest
    #[arg(long = "for", value_name = "TEAM", conflicts_with_all = ["only", "explain"])]
    pub team: Option<String>,
    /// With --for: if the team can work here, also deploy the commit that is checked out as a preview of its own, and take it away again
    #[arg(long, requires = "team", conflicts_with = "watch")]
    pub preview: bool,
    /// Also write a report: html, junit, sarif or badge; without a file on stdout, in place of the rows
    #[arg(long, value_name = "FORMAT[=FILE]", conflicts_with_all = ["explain", "watch"])]
    pub report: Vec<ReportAsked>,
    /// In a throw-away environment, break what each task promises and see exactly its checks notice; yours is not touched
    #[arg(long, conflicts_with_all = ["only", "explain", "team", "report", "watch", "root", "env", "remote"])]
    pub sabotage: bool,
    /// With --sabotage: only this task, such as T7; may be given again
    #[arg(long, value_name = "TASK", requires = "sabotage")]
    pub task: Vec<String>,
    /// With --sabotage: keep the folder, stopped, to look at its logs
    #[arg(long, requires = "sabotage")]
    pub keep: bool,
    /// Go on until Ctrl-C, with this pause, and print what changes; checks that break something only if --only names them
    #[arg(long, value_name = "PAUSE", num_args = 0..=1, default_missing_value = "1m", conflicts_with = "explain")]
    pub watch: Option<String>,
}

/// A format, and where it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportAsked {
    pub format: ReportFormat,
    /// Absent: on stdout.
    pub file: Option<PathBuf>,
}

/// What others read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    Html,
    Junit,
    Sarif,
    Badge,
}

impl FromStr for ReportAsked {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (format, file) = text.split_once('=').map_or((text, None), |(format, file)| (format, Some(file)));
        let format = ReportFormat::from_str(format, false)
            .map_err(|_| format!("{format:?} is none of html, junit, sarif and badge"))?;
        match file {
            Some("") => Err(format!("{text:?} names no file behind the `=`")),
            file => Ok(Self { format, file: file.map(PathBuf::from) }),
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum ReadyVerb {
    /// Show since when each promise holds, as the evidence has it
    ///
    /// Works while the environment is down.
    #[command(after_help = "\
Examples:
  roadbed ready history
  roadbed ready history --json | jq '.promises[] | select(.broken > 0) | .last_broken'

Exit codes:
  0  shown
  1  there is no evidence that can be read")]
    History,
    /// Walk the chain of the evidence: a row that was changed or taken out shows
    #[command(after_help = "\
Examples:
  roadbed ready verify

Exit codes:
  0  the chain is whole
  1  it is not, or cannot be read")]
    Verify,
    /// Print the evidence, one row of JSON per line, with the hashes that chain it
    ///
    /// Each row's hash is SHA-256 over its number (eight bytes, the most significant first), the hash of the row before and its `body`
    /// as it stands there.
    #[command(after_help = "\
Examples:
  roadbed ready export > evidence.jsonl
  roadbed ready export | jq -r '.body | fromjson | select(.verdict == \"fails\") | .id'

Exit codes:
  0  printed
  1  there is no evidence that can be read")]
    Export,
}
