//! The command line: every verb, every flag, their help. `docs/cli.md` is written from here.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

use crate::cli::access_args::Access;
use crate::cli::backup_args::{Backup, Drill, Restore, Rpo};
use crate::cli::check_args::Check;
use crate::cli::ci_args::Ci;
use crate::cli::console::Console;
use crate::cli::db_args::Db;
use crate::cli::deploy_args::{Deploy, Receive, Releases, Rollback};
use crate::cli::doctor::Doctor;
use crate::cli::domains::Domains;
use crate::cli::edge_args::Edge;
use crate::cli::errors_args::Errors;
use crate::cli::exit::Exit;
use crate::cli::explain::Explain;
use crate::cli::exports_args::Exports;
use crate::cli::github_args::Github;
use crate::cli::incident_args::Incident;
use crate::cli::init::Init;
use crate::cli::logs_args::Logs;
use crate::cli::man::ManPages;
use crate::cli::merge_gate_args::MergeGate;
use crate::cli::monitors_args::{AlertsArgs, MonitorsArgs};
use crate::cli::preview_args::Preview;
use crate::cli::ready_args::Ready;
use crate::cli::role_args::{Media, MediaWorker, Objects, RedisRest, Role};
use crate::cli::sample_args::Sample;
use crate::cli::secrets_args::Secrets;
use crate::cli::server_args::{Server, Upgrade};
use crate::cli::token_args::Token;
use crate::cli::trace::Trace;

/// Runs a product from one manifest: apps, databases, a TLS edge, and a gate that proves it all.
#[derive(Debug, Parser)]
#[command(name = "roadbed", bin_name = "roadbed", version, max_term_width = 100, after_help = exit_codes())]
#[command(subcommand_required = true, arg_required_else_help = true, disable_help_subcommand = true)]
pub struct Arguments {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

/// Flags that every verb takes.
#[derive(Debug, Args)]
#[command(next_help_heading = "Global options")]
pub struct Global {
    /// Folder that holds the environment's state [default: $ROADBED_ROOT, else beside the manifest
    /// .roadbed, or .roadbed-envs/E with --env E]
    #[arg(long, global = true, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// The manifest [default: roadbed.toml here or in the nearest folder above]
    #[arg(long, global = true, value_name = "FILE")]
    pub manifest: Option<PathBuf>,
    /// Environment of the manifest [default: the one that the root belongs to, else local]
    #[arg(long, global = true, value_name = "E")]
    pub env: Option<String>,
    /// Ask the API of an environment that is elsewhere [default: $ROADBED_REMOTE]
    #[arg(long, global = true, value_name = "URL")]
    pub remote: Option<String>,
    /// File of the token for it, `-` for stdin [default: what is in $ROADBED_TOKEN]
    #[arg(long, global = true, value_name = "FILE")]
    pub token_file: Option<PathBuf>,
    /// Show there the token that the CI signs for this job, in place of one that somebody keeps
    #[arg(long, global = true, conflicts_with = "token_file")]
    pub oidc: bool,
    /// Certificates by which it is recognised [default: $ROADBED_CA_FILE, else public authorities]
    #[arg(long, global = true, value_name = "FILE")]
    pub ca_file: Option<PathBuf>,
    /// Print JSON on stdout; commands that take long print one object per line
    #[arg(long, global = true)]
    pub json: bool,
    /// Colour; NO_COLOR is honoured
    #[arg(long, global = true, value_enum, default_value = "auto", value_name = "WHEN")]
    pub color: ColorWhen,
    /// Say nothing but results and errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    pub quiet: bool,
    /// Say more: lines of builds and installs, what each check observed
    #[arg(short, long, global = true)]
    pub verbose: bool,
}

/// When to colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    Auto,
    Always,
    Never,
}

/// The verbs.
#[derive(Debug, Subcommand)]
pub enum Command {
    Init(Init),
    Doctor(Doctor),
    Up(Up),
    Down(Down),
    Status(Status),
    Logs(Logs),
    Explain(Explain),
    Trace(Trace),
    Errors(Errors),
    Monitors(MonitorsArgs),
    Alerts(AlertsArgs),
    Exports(Exports),
    Restart(Restart),
    Upgrade(Upgrade),
    /// Have a server's systemd run the environment
    #[command(subcommand, arg_required_else_help = true, disable_help_subcommand = true)]
    Server(Server),
    Ready(Ready),
    Smoke(Smoke),
    /// Prove what a deployment relies on
    #[command(subcommand, arg_required_else_help = true, disable_help_subcommand = true)]
    Check(Check),
    Plan(Plan),
    Build(Build),
    Deploy(Deploy),
    Rollback(Rollback),
    /// Keep what happens while something is wrong, and write it up
    #[command(subcommand, arg_required_else_help = true, disable_help_subcommand = true)]
    Incident(Incident),
    Releases(Releases),
    Receive(Receive),
    /// Environments of pull requests
    #[command(subcommand, arg_required_else_help = true, disable_help_subcommand = true)]
    Preview(Preview),
    Target(Target),
    /// See what a change affects, and lint, test and build it
    #[command(subcommand, arg_required_else_help = true, disable_help_subcommand = true)]
    Ci(Ci),
    /// Hold a repository on GitHub to the manifest
    #[command(subcommand, arg_required_else_help = true, disable_help_subcommand = true)]
    Github(Github),
    /// Take pushes only when their checks passed, in a bare repository
    #[command(subcommand, arg_required_else_help = true, disable_help_subcommand = true)]
    MergeGate(MergeGate),
    /// Look at the manifest's environments
    #[command(subcommand, arg_required_else_help = true, disable_help_subcommand = true)]
    Env(Env),
    Login(Login),
    /// Make, show and revoke the tokens of the API
    #[command(subcommand, arg_required_else_help = true, disable_help_subcommand = true)]
    Token(Token),
    /// Let people see what is protected, and end that
    #[command(subcommand, arg_required_else_help = true, disable_help_subcommand = true)]
    Access(Access),
    Console(Console),
    /// See who asks most, and keep networks out
    #[command(disable_help_subcommand = true)]
    Edge(Edge),
    /// Look into the data services
    #[command(subcommand, arg_required_else_help = true, disable_help_subcommand = true)]
    Db(Db),
    /// Take, show and check backups
    #[command(subcommand, arg_required_else_help = true, disable_help_subcommand = true)]
    Backup(Backup),
    Drill(Drill),
    Rpo(Rpo),
    Restore(Restore),
    /// Look at the public hosts as an authority does
    #[command(subcommand, arg_required_else_help = true, disable_help_subcommand = true)]
    Domains(Domains),
    /// Take and show the sample that previews begin with
    #[command(subcommand, arg_required_else_help = true, disable_help_subcommand = true)]
    Sample(Sample),
    /// Keep the values that people set
    #[command(subcommand, arg_required_else_help = true, disable_help_subcommand = true)]
    Secrets(Secrets),
    /// Check the manifest, or print its schema
    #[command(subcommand, arg_required_else_help = true, disable_help_subcommand = true)]
    Manifest(Manifest),
    Generate(Generate),
    Trust(Trust),
    Completions(Completions),
    Man(ManPages),
    /// A role of the running environment; started by `up`
    #[command(hide = true)]
    Keeper(Role),
    /// A role of the running environment; started by the keeper
    #[command(hide = true)]
    Control(Role),
    /// A role of the running environment; started by the keeper
    #[command(hide = true)]
    Telemetry(Role),
    /// Speaks Upstash's REST before a Redis; started by the keeper
    #[command(hide = true)]
    RedisRest(RedisRest),
    /// Keeps objects and speaks S3; started by the keeper
    #[command(hide = true)]
    Objects(Objects),
    /// Delivers pictures of public buckets; started by the keeper
    #[command(hide = true)]
    Media(Media),
    /// Decodes pictures; started by the delivery of pictures
    #[command(hide = true)]
    MediaWorker(MediaWorker),
}

/// Bring the environment up as the manifest says, then prove it
///
/// Fetches what is missing, builds the apps, starts everything, prints the addresses and runs the gate. Stays in the
/// foreground and tells what dies and comes back; Ctrl-C stops everything in order, a second Ctrl-C at once. On an
/// environment that is up already it changes only what differs from the manifest.
#[derive(Debug, Default, Args)]
#[command(after_help = "\
Examples:
  roadbed up                      up, stay, Ctrl-C to stop
  roadbed up --detach             up in the background; returns when the gate was run
  roadbed up --dev                every app as its own development server, with hot reload
  roadbed up --dev storefront     only the storefront as a development server
  roadbed up --https-port 8443    at https://…:8443
  roadbed up --env staging --free-ports
                                  staging beside local, on this machine alone

Exit codes:
  0    up, and every check of the gate holds
  1    something could not be brought up, or the gate does not hold (what is up stays up)
  2    the command line or the manifest is wrong
  3    another command holds the root
  130  Ctrl-C or SIGTERM; the environment was stopped in order")]
pub struct Up {
    /// Return when the gate was run and leave the environment running
    #[arg(long, short)]
    pub detach: bool,
    /// Run these apps' own development servers; all apps if none is named
    #[arg(long, value_name = "APP", num_args = 0..)]
    pub dev: Option<Vec<String>>,
    /// Port of the redirect from HTTP [default: the manifest's, else a free one, kept]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub http_port: Option<u16>,
    /// Port of HTTPS [default: the manifest's, else a free one, kept]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub https_port: Option<u16>,
    /// A rehearsal on this machine: free ports on loopback, kept, in place of the manifest's
    #[arg(long)]
    pub free_ports: bool,
    /// Do not run the gate
    #[arg(long)]
    pub no_gate: bool,
    /// Drop what the manifest does not declare, such as an index; never a collection or a database
    #[arg(long)]
    pub allow_destroy: bool,
    /// Make a root that was copied, brought here from elsewhere or restored in parts an environment of its own
    #[arg(long)]
    pub adopt: bool,
    /// Move state files that are damaged aside and go on without them; never secrets or data
    #[arg(long)]
    pub forget_state: bool,
}

/// Stop the environment in order; its data stays, unless it is purged
///
/// With --purge everything goes that there is of it on this machine: processes, data, logs, secrets and the keys that open them, its
/// user ids, its rules in the packet filter, its entry among this user's environments. There is no way back. An environment of a pull
/// request or a branch asks once, or takes --yes; any other wants its name typed, or given with --i-mean; production wants the latter.
/// A purge that is killed goes on when it is asked for again.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed down
  roadbed down --env preview/pr-42 --purge --yes
  roadbed down --env staging --purge --i-mean staging

Exit codes:
  0  everything is stopped, or nothing ran; with --purge: nothing is left
  1  something could not be stopped or purged
  2  a purge that nobody confirmed
  3  another command holds the root")]
pub struct Down {
    /// Take away everything that there is of it, for good
    #[arg(long)]
    pub purge: bool,
    /// Do not ask; only for environments of pull requests and branches
    #[arg(long, requires = "purge", conflicts_with = "i_mean")]
    pub yes: bool,
    /// The environment that is meant, by its name
    #[arg(long, requires = "purge", value_name = "ENVIRONMENT")]
    pub i_mean: Option<String>,
    /// Only if it has lived as long as the manifest lets it
    #[arg(long, requires = "purge", hide = true)]
    pub expired: bool,
}

/// Show addresses and processes
///
/// KEPT BY names what keeps a process to its own business, as the kernel shows it: a user of its own, no new privileges, its control
/// group, limits, a /tmp of its own, a release that it cannot write. What is not in force is told with its reason.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed status
  roadbed status --json | jq -r .urls.storefront
  roadbed status --json | jq '.units[] | {name, confinement}'

Exit codes:
  0  shown; an environment that is down has no units
  1  the environment runs and does not answer")]
pub struct Status {}

/// Stop units gracefully and start them again
///
/// Without a name: every app instance, one after the other.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed restart
  roadbed restart api             every instance of api
  roadbed restart api-2 redis

Exit codes:
  0  restarted
  1  could not be restarted, or the environment is down
  2  no such unit
  3  another command holds the root")]
pub struct Restart {
    /// Apps (all their instances) or units
    #[arg(value_name = "APP|UNIT")]
    pub names: Vec<String>,
}

/// Look at the pages that must be good after a deploy
///
/// Asks for every page that the manifest names with `smoke`, by the public way in and with certificates verified, and renders those with
/// `render = true` in Chromium, which reaches the hosts of this environment and no others. Pictures and consoles of rendered pages lie
/// in the folder `smoke` of the root until the next time, readable for its owner alone.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed smoke
  roadbed smoke storefront --keep /tmp/pages
  roadbed smoke --json | jq -r '.pages[] | select(.verdict != \"holds\") | .url'

Exit codes:
  0  every page holds
  1  a page fails or could not be looked at, or the environment is down
  2  no such app or browser
  3  another command holds the root")]
pub struct Smoke {
    /// Only pages of these apps
    #[arg(value_name = "APP")]
    pub apps: Vec<String>,
    /// Chromium, by path or name [default: $ROADBED_BROWSER, else chromium or google-chrome in PATH]
    #[arg(long, value_name = "PROGRAM")]
    pub browser: Option<String>,
    /// Keep pictures and consoles in this folder
    #[arg(long, value_name = "DIR")]
    pub keep: Option<PathBuf>,
}

/// Show what `up` would do now
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed plan
  roadbed plan --env staging --free-ports

Exit codes:
  0  shown
  1  the plan could not be made
  2  the command line or the manifest is wrong
  3  another command holds the root")]
pub struct Plan {
    /// As with `up --free-ports`
    #[arg(long)]
    pub free_ports: bool,
    /// As with `up --allow-destroy`
    #[arg(long)]
    pub allow_destroy: bool,
}

/// Build apps and pack what each needs to run
///
/// Makes one archive per app (tar, zstd) that is named by its content: the same sources make the same archive, on any machine
/// and for every environment. Beside it lie its bill of materials (CycloneDX) and its provenance (SLSA v1 in a DSSE envelope): what it
/// was built from, signed by a key in the secret store of the environment that is meant with --env, local without it. The key is made
/// when it is first needed. What is built, packed and signed already is not built again. Nothing that runs is touched.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed build
  roadbed build api storefront
  roadbed build --json            digests, and where the archives lie
  roadbed build --env staging     signed by staging's key
  roadbed build --out release     a folder to deploy elsewhere
  roadbed build --public-key      for those who verify with other tools

Exit codes:
  0    built
  1    an app could not be built or packed
  2    the command line or the manifest is wrong
  130  Ctrl-C or SIGTERM")]
pub struct Build {
    /// Only these apps
    #[arg(value_name = "APP")]
    pub apps: Vec<String>,
    /// Print the public half of the key that signs, in PEM, and build nothing
    #[arg(long, conflicts_with = "apps")]
    pub public_key: bool,
    /// Put all of it into this folder too, for `roadbed deploy --artifacts` on another machine
    #[arg(long, value_name = "DIR", conflicts_with_all = ["apps", "public_key"])]
    pub out: Option<PathBuf>,
}

/// Show where a branch or a pull request is deployed to, and what everything is called there
///
/// The branch alone decides; no flag can send a change elsewhere. Without a flag it is the branch of this checkout.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed target
  roadbed target --branch develop
  roadbed target --pr 42 --json | jq .hosts

Exit codes:
  0  shown
  1  it is deployed nowhere
  2  it is no branch, or the manifest is wrong")]
pub struct Target {
    /// This branch, as git shows it
    #[arg(long, value_name = "BRANCH", conflicts_with = "pr", allow_hyphen_values = true)]
    pub branch: Option<String>,
    /// This pull request
    #[arg(long, value_name = "NUMBER")]
    pub pr: Option<u32>,
}

/// Look at the manifest's environments
#[derive(Debug, Subcommand)]
pub enum Env {
    /// Show every variable in every environment: required or optional, its source, who gets it
    #[command(after_help = "\
Examples:
  roadbed env matrix
  roadbed env matrix --json | jq '.variables[] | select(.class == \"payment\")'

Exit codes:
  0  shown
  2  the manifest is wrong")]
    Matrix,
    Check(EnvCheck),
    Diff(EnvDiff),
    Types(OfApp),
    Example(Example),
    Exec(EnvExec),
}

/// Run a command with an app's variables, and with users of its own in the data services
///
/// The users are made for this command: they may what the app may, are renewed while it runs and are taken away when it ends,
/// also after a crash. Nothing is written. The command's output is shown without the secrets it was given. Variables that move
/// money are lent to nobody. The environment must be up; the exit code is the command's.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed env exec --app api -- node scripts/report.js
  cd apps/api && roadbed env exec -- npm run dev
  roadbed env exec --app api --raw -- node    a terminal of its own, output as it is

Exit codes:
  0    the command ended well
  1    nothing could be lent, or the environment is down
  2    the command line or the manifest is wrong
  any  else is the command's own; 128 and more: it was killed by a signal")]
pub struct EnvExec {
    /// Whose variables [default: those of the app in whose folder this is]
    #[arg(long, value_name = "APP")]
    pub app: Option<String>,
    /// Show the output as it is; this is noted
    #[arg(long)]
    pub raw: bool,
    /// Why, for the record
    #[arg(long, value_name = "WHY")]
    pub reason: Option<String>,
    /// The command and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
}

/// Say who you are, with an SSH key that the manifest names
///
/// The SSH agent signs; a security key asks to be touched. For eight hours commands then act in your name, and sign again without a
/// question every 15 minutes. Nobody needs this who has the environment's root: it puts a person's name where a machine's user is.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed login                             a key of the SSH agent
  roadbed login --key ~/.ssh/id_ed25519     a key in a file without a passphrase

Exit codes:
  0  logged in
  1  not logged in, or the environment is down")]
pub struct Login {
    /// Sign with this key: its file, or its .pub file if the agent has it
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
}

/// Show what two environments have different: domains, sizes, and variables' values as the manifest has them
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed env diff staging production
  roadbed env diff staging preview/pr-42 --json

Exit codes:
  0  shown
  2  no such environment, or the manifest is wrong")]
pub struct EnvDiff {
    /// One environment
    #[arg(value_name = "ENVIRONMENT")]
    pub left: String,
    /// Another
    #[arg(value_name = "OTHER")]
    pub right: String,
}

/// Print the TypeScript module by which an app reads its variables, typed and checked
///
/// `types` in the app's table of the manifest names the file that `roadbed generate` writes it to.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed env types api
  roadbed env types storefront > apps/storefront/src/environment.ts

Exit codes:
  0  printed
  2  no such app, or the manifest is wrong")]
pub struct OfApp {
    /// The app
    #[arg(value_name = "APP")]
    pub app: String,
}

/// Print `.env.example`, of one app or of all: what each variable is for, and how a value looks
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed env example
  roadbed env example api

Exit codes:
  0  printed
  2  no such app, or the manifest is wrong")]
pub struct Example {
    /// Only this app
    #[arg(value_name = "APP")]
    pub app: Option<String>,
}

/// Hold the code of the apps against the manifest: what it reads, and what it should not
///
/// Reads JavaScript and TypeScript, Dockerfiles, compose files, workflows, shell scripts, Rust and Vite's pages. A finding that
/// is meant to be is marked with its reason, in a comment at the line or on the line before it:
/// `// roadbed-allow(KIND): reason`, or in `allow` of [scan] in the manifest.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed env check
  roadbed env check --app api
  roadbed env check --json | jq -r '.findings[] | \"\\(.file):\\(.line) \\(.name) \\(.id)\"'
  roadbed env check --sarif > env.sarif     for a code host or an editor
  roadbed env check --canary                builds in a copy of the project; needs its packages

Exit codes:
  0  code and manifest agree (there may be warnings)
  1  they do not, or a build shows browsers what is not public
  2  the command line or the manifest is wrong")]
pub struct EnvCheck {
    /// Only what is found about this app
    #[arg(long, value_name = "APP")]
    pub app: Option<String>,
    /// Also build the apps that browsers load, with a value of its own for each variable that is not public, and search what
    /// browsers get for those values
    #[arg(long)]
    pub canary: bool,
    /// Print SARIF 2.1.0 on stdout
    #[arg(long, conflicts_with = "json")]
    pub sarif: bool,
}

/// Work on the manifest
#[derive(Debug, Subcommand)]
pub enum Manifest {
    /// Report every fault of the manifest at once, with its place and a hint
    #[command(after_help = "\
Examples:
  roadbed manifest check
  roadbed manifest check --json

Exit codes:
  0  no error (there may be warnings)
  2  errors")]
    Check,
    /// Print the manifest's JSON Schema; editors complete and check with it
    #[command(after_help = "\
Examples:
  roadbed manifest schema > roadbed.schema.json")]
    Schema,
}

/// Write the files that follow from the manifest, such as `.env.example`
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed generate
  roadbed generate --check        in CI: fails if a file is not as it would be generated

Exit codes:
  0  written, or nothing to do
  1  with --check: a file differs or is missing
  2  the manifest is wrong")]
pub struct Generate {
    /// Write nothing; list the files that differ
    #[arg(long)]
    pub check: bool,
}

/// Explain how to trust the environment's certificates, or install its CA
///
/// Each environment has a certificate authority of its own, made on this machine; its key never leaves the root.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed trust                   how to, for each browser and system
  sudo roadbed trust --install    into the system store (Debian, Ubuntu)

Exit codes:
  0  explained or installed
  1  could not be installed, or there is no CA yet")]
pub struct Trust {
    /// Install the CA into the system store
    #[arg(long)]
    pub install: bool,
}

/// Print a completion script
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed completions bash > ~/.local/share/bash-completion/completions/roadbed
  roadbed completions zsh > ~/.zfunc/_roadbed
  roadbed completions fish > ~/.config/fish/completions/roadbed.fish")]
pub struct Completions {
    /// Which shell
    #[arg(value_enum, value_name = "SHELL")]
    pub shell: Shell,
}

impl Arguments {
    /// The whole command line as clap knows it: for help, completions and the reference.
    pub fn definition() -> clap::Command {
        <Self as clap::CommandFactory>::command()
    }
}

fn exit_codes() -> String {
    let codes = Exit::ALL.map(|exit| format!("  {:<3}  {}\n", exit.code(), exit.meaning())).concat();
    format!("Exit codes:\n{codes}\nData goes to stdout, progress and errors to stderr.")
}
