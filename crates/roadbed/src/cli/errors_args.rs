//! The command line of `roadbed errors`.

use clap::{Args, Subcommand, ValueEnum};
use telemetry::IssueStatus;

/// See what went wrong in apps and in visitors' browsers
///
/// Events that are the same are one issue. Without a verb it lists the open ones, the latest first.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    after_help = "\
Examples:
  roadbed errors --env production
  roadbed errors --app api --search 'timeout level:fatal'
  roadbed errors --search request:req-7f2a
  roadbed errors show 17
  roadbed errors --json | jq '.issues[] | {id, title, events}'

Exit codes:
  0  shown
  1  the environment is down"
)]
pub struct Errors {
    #[command(subcommand)]
    pub verb: Option<ErrorsVerb>,
    #[command(flatten)]
    pub list: ListErrors,
}

/// Which ones.
#[derive(Clone, Debug, Args)]
pub struct ListErrors {
    /// Of one app
    #[arg(long, value_name = "APP")]
    pub app: Option<String>,
    /// How they stand: open, resolved, ignored, snoozed, all
    #[arg(long, value_enum, default_value = "open", value_name = "STATUS")]
    pub status: StatusAsked,
    /// That a release has
    #[arg(long, value_name = "RELEASE")]
    pub release: Option<String>,
    /// Words of what went wrong and where; request:ID, trace:ID, event:ID, level:LEVEL
    #[arg(long, value_name = "TEXT")]
    pub search: Option<String>,
    /// How many at most
    #[arg(long, value_name = "COUNT", default_value_t = 50)]
    pub limit: u32,
}

/// How issues stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StatusAsked {
    Open,
    Resolved,
    Ignored,
    Snoozed,
    All,
}

impl StatusAsked {
    /// `None` asks for all.
    pub fn status(self) -> Option<IssueStatus> {
        match self {
            Self::Open => Some(IssueStatus::Open),
            Self::Resolved => Some(IssueStatus::Resolved),
            Self::Ignored => Some(IssueStatus::Ignored),
            Self::Snoozed => Some(IssueStatus::Snoozed),
            Self::All => None,
        }
    }
}

/// What to do with issues.
#[derive(Debug, Subcommand)]
pub enum ErrorsVerb {
    /// List issues, the latest first
    List(ListErrors),
    /// Show an issue: releases that have it, its events, the newest one whole
    Show(OneIssue),
    /// Say that it is mended; it is open again when it happens again
    Resolve(Resolve),
    /// Count it and say no more of it
    Ignore(OneIssue),
    /// Say no more of it for a while
    Snooze(Snooze),
    /// Take back what was decided
    Reopen(OneIssue),
    /// Show how releases are doing: sessions, and how many did not crash
    Releases(OfApp),
}

#[derive(Debug, Args)]
pub struct OneIssue {
    /// For example 17
    #[arg(value_name = "ISSUE")]
    pub id: i64,
}

#[derive(Debug, Args)]
pub struct Resolve {
    /// For example 17
    #[arg(value_name = "ISSUE")]
    pub id: i64,
    /// Mended in this release: older ones, which still run somewhere, do not open it again
    #[arg(long = "in", value_name = "RELEASE")]
    pub release: Option<String>,
}

#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub struct SnoozeUntil {
    /// For so long: 30m, 12h, 7d
    #[arg(long = "for", value_name = "TIME")]
    pub time: Option<String>,
    /// Until it has happened so often again
    #[arg(long, value_name = "COUNT")]
    pub events: Option<i64>,
}

#[derive(Debug, Args)]
pub struct Snooze {
    /// For example 17
    #[arg(value_name = "ISSUE")]
    pub id: i64,
    #[command(flatten)]
    pub until: SnoozeUntil,
}

#[derive(Debug, Args)]
pub struct OfApp {
    /// Of one app
    #[arg(long, value_name = "APP")]
    pub app: Option<String>,
}
