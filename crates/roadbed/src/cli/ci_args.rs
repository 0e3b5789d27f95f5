//! The command line of `roadbed ci`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// What continuous integration does, the same here and there.
#[derive(Debug, Subcommand)]
pub enum Ci {
    Plan(CiPlan),
    Run(CiRun),
    Verdict(CiVerdict),
}

/// Show which apps and packages a change affects, and why
///
/// Compares the checkout with the commit at which its branch left the base. A package (npm, Cargo, or an app) is affected when its hash is
/// another: its files, what the lock file resolves for it, the packages that it depends on, and the files that every package depends
/// on. It is read from git's objects, and what is not committed counts as if it were. A clone that is too shallow to tell is refused.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed ci plan                      against where this branch left origin/main
  roadbed ci plan --base HEAD^         what the last commit affects
  roadbed ci plan --explain storefront
  roadbed ci plan --json | jq -c '[.affected[].name]'

Exit codes:
  0  shown; nothing may be affected
  1  it cannot be told what changed
  2  the command line or the manifest is wrong")]
pub struct CiPlan {
    /// The revision that this branch left [default: $GITHUB_BASE_REF, else origin/HEAD, origin/main, main, …]
    #[arg(long, value_name = "REV")]
    pub base: Option<String>,
    /// Say everything about one app or package: why it is affected, or that it is not
    #[arg(long, value_name = "NAME|DIR")]
    pub explain: Option<String>,
    /// Look at commits alone, and not at what is changed since
    #[arg(long)]
    pub committed: bool,
    /// In a job of GitHub Actions: set the outputs `plan`, which jobs run, and `matrix`, what each of them does
    ///
    /// Compared is what the event says: a pull request with its base. A push looks at everything: what was done before with the same
    /// content is not done again.
    #[arg(long, conflicts_with_all = ["base", "explain"])]
    pub github: bool,
}

/// Lint, check, test and build what a change affects
///
/// Runs each task of each affected package once, in the order of the graph and as many at once as there are processors. What was done
/// before with the same hash is taken from the cache, with its output files. A failure stops the rest. A task that hangs is killed at
/// its deadline, with everything that it started. Tests that pass without one test having run have failed.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed ci run                       what this branch affects
  roadbed ci run --all                 everything
  roadbed ci run storefront --only lint,test
  roadbed ci run --junit junit.xml --sarif ci.sarif

Exit codes:
  0    everything succeeded, or nothing is affected
  1    a task failed, or it cannot be told what changed
  2    the command line or the manifest is wrong
  130  Ctrl-C or SIGTERM; what ran was killed")]
pub struct CiRun {
    /// Only these apps and packages, affected or not
    #[arg(value_name = "NAME|DIR", value_delimiter = ',')]
    pub names: Vec<String>,
    /// The revision that this branch left [default: as with `ci plan`]
    #[arg(long, value_name = "REV")]
    pub base: Option<String>,
    /// Every package, affected or not
    #[arg(long, conflicts_with_all = ["names", "base"])]
    pub all: bool,
    /// Only these tasks
    #[arg(long, value_name = "TASK", value_delimiter = ',')]
    pub only: Vec<String>,
    /// Go on after a failure with what does not need what failed
    #[arg(long)]
    pub keep_going: bool,
    /// Tasks at once [default: the number of processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub jobs: Option<u16>,
    /// Run everything anew, and keep it
    #[arg(long)]
    pub force: bool,
    /// Where results are kept [default: in the user's cache folder]
    #[arg(long, value_name = "DIR")]
    pub cache: Option<PathBuf>,
    /// Keep results apart under this name: runs that are trusted never see them [default: in GitHub's runs of forks, the pull request]
    #[arg(long, value_name = "NAME")]
    pub untrusted: Option<String>,
    /// Say with this SSH key what came of the commit, in refs/checks/COMMIT/CHECK, for a merge gate
    #[arg(long, value_name = "FILE", conflicts_with_all = ["names", "only"])]
    pub sign: Option<PathBuf>,
    /// The check that is signed for
    #[arg(long, value_name = "NAME", default_value = "required", requires = "sign")]
    pub check: String,
    /// Write results as JUnit XML
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Write what failed, and where, as SARIF
    #[arg(long, value_name = "FILE")]
    pub sarif: Option<PathBuf>,
    /// Add a summary in Markdown to this file [default: $GITHUB_STEP_SUMMARY]
    #[arg(long, value_name = "FILE")]
    pub summary: Option<PathBuf>,
}

/// Say whether the jobs of a run did what its plan said
///
/// For the one check that a branch asks for. Code hosts count a skipped job as passed; here it has passed only if the plan skips it. Reads
/// PLAN, the output of `ci plan --github`, and NEEDS, GitHub's `toJSON(needs)`, from the environment.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed ci verdict              in a job with `if: always()`, as `roadbed generate` writes it

Exit codes:
  0  everything that the plan runs succeeded
  1  something did not, or was skipped, or there is no plan to go by
  2  PLAN or NEEDS is not there")]
pub struct CiVerdict {}
