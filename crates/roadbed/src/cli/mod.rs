//! The command line: parse, do, tell once, exit with a code that means something.
//!
//! ```text
//!   args ─► Session ─► one file per verb ─► Conductor (keeper + control of the root) ─► render ─► stdout / stderr
//! ```
//!
//! **Invariant:** no decision about the environment is made here. Verbs ask control and keeper, and show the answers.

pub mod access;
pub mod console;
pub mod access_args;
pub mod args;
mod backup;
pub mod backup_args;
pub mod build;
pub mod ci_args;
pub mod ci_plan;
pub mod ci_run;
mod ci_sign;
mod ci_surroundings;
mod ci_verdict;
pub mod check_args;
pub mod command_lock;
pub mod completions;
pub mod conductor;
pub mod db_args;
mod db_migrations;
pub mod ready_args;
mod ready_history;
mod ready_watch;
mod ready_preview;
pub mod ready_sabotage;
pub mod db_shell;
pub mod deploy;
pub mod deploy_args;
pub mod db_stats;
pub mod down;
pub mod edge_args;
mod edge_cache;
mod edge_lists;
mod edge_top;
pub mod env_check;
pub mod env_exec;
pub mod env_matrix;
pub mod env_verbs;
mod errors;
mod monitors;
pub mod monitors_args;
mod alerts;
mod exports;
pub mod exports_args;
pub mod errors_args;
pub mod exit;
pub mod failure;
pub mod follow;
pub mod generate;
pub mod git;
pub mod github_apply;
pub mod github_args;
mod github_values;
mod incident;
pub mod incident_args;
mod incident_events;
pub mod interrupts;
pub mod lent_command;
pub mod live;
pub mod login;
pub mod logs;
pub mod logs_args;
pub mod logs_search;
pub mod manifest_verbs;
mod media_roles;
pub mod role_args;
pub mod merge_gate;
pub mod merge_gate_args;
pub mod names;
pub mod output;
pub mod place;
pub mod plan;
pub mod process_model;
pub mod preview;
pub mod preview_allow;
pub mod preview_args;
pub mod preview_list;
pub mod project;
pub mod purge;
pub mod ready;
pub mod smoke;
pub mod receive;
pub mod reference;
mod release_folder;
pub mod remote;
pub mod restart;
mod restore_from;
mod restore_whole;
pub mod roles;
pub mod sample;
pub mod sample_args;
pub mod secrets;
pub mod secrets_args;
pub mod secrets_external;
pub mod secrets_values;
pub mod secrets_transfer;
pub mod domains;
pub mod init;
pub mod doctor;
pub mod man;
pub mod explain;
pub mod dotenv;
pub mod secrets_recipients;
pub mod secrets_audit;
pub mod secrets_rotate;
pub mod secrets_scan;
pub mod server;
pub mod server_args;
mod server_run;
pub mod session;
pub mod status;
pub mod stopping;
pub mod surroundings;
pub mod target;
pub mod token;
pub mod token_args;
pub mod trace;
pub mod trust;
pub mod up;
pub mod upgrade;
pub mod wanted;
pub mod watch;

use std::process::ExitCode;

use clap::Parser;
use reconcile::Fault;

use crate::cli::args::{Arguments, Command, Env, Manifest};
use crate::cli::check_args::Check as CheckVerb;
use crate::cli::ci_args::Ci;
use crate::cli::db_args::Db;
use crate::cli::domains::Domains;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::github_args::Github;
use crate::cli::interrupts::Interrupts;
use crate::cli::live::Live;
use crate::cli::output::Output;
use crate::cli::preview_args::Preview;
use crate::cli::sample_args::Sample;
use crate::cli::session::Session;
use crate::cli::surroundings::Surroundings;
use crate::render;

/// The whole program.
pub fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(help_or_error) => {
            // Where even this cannot be printed there is nobody to tell.
            let _ = help_or_error.print();
            return ExitCode::from(u8::try_from(help_or_error.exit_code()).unwrap_or(Exit::Usage.code()));
        }
    };
    // A name or value that is not Unicode cannot be one of those that we read.
    let variables =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let words: Vec<String> = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
    let here = match std::env::current_dir() {
        Ok(here) => here,
        Err(error) => {
            let output = Output::new(&arguments.global, |_| None);
            tell(
                &Failure::Usage(
                    Fault::because("cannot tell which folder this is", &error).hint("go to another folder"),
                ),
                &output,
            );
            return Exit::Usage.into();
        }
    };
    let command_line = std::iter::once("roadbed".to_owned()).chain(words).collect::<Vec<_>>().join(" ");
    let session = match Session::new(&arguments.global, Surroundings::new(variables, here, command_line)) {
        Ok(session) => session,
        Err(failure) => {
            tell(&failure, &Output::new(&arguments.global, |_| None));
            return failure.exit().into();
        }
    };
    let exit = by_remote(&session, &arguments).unwrap_or_else(|| run(&session, &arguments.command)).unwrap_or_else(
        |failure| {
            tell(&failure, &session.output);
            failure.exit()
        },
    );
    exit.into()
}

/// Does it elsewhere, if an environment that is elsewhere is meant.
fn by_remote(session: &Session, arguments: &Arguments) -> Option<Result<Exit, Failure>> {
    match remote::meant(session, &arguments.global, &arguments.command) {
        Ok(None) => None,
        Ok(Some(api)) => Some(wait(remote::run(session, &api, &arguments.command))),
        Err(failure) => Some(Err(failure)),
    }
}

fn run(session: &Session, command: &Command) -> Result<Exit, Failure> {
    use Command::{
        Access, Alerts, Backup, Check, Console, Down, Drill, Edge, Errors, Explain, Exports, Incident, Logs, Monitors,
        Plan, Ready, Releases, Restart, Restore, Rollback, Rpo, Smoke, Status, Token, Trace, Trust, Upgrade,
    };
    if let Check(_)
    | Upgrade(_)
    | Down(_)
    | Status(_)
    | Logs(_)
    | Errors(_)
    | Monitors(_)
    | Alerts(_)
    | Exports(_)
    | Explain(_)
    | Trace(_)
    | Restart(_)
    | Ready(_)
    | Smoke(_)
    | Plan(_)
    | Trust(_)
    | Rollback(_)
    | Incident(_)
    | Releases(_)
    | Token(_)
    | Access(_)
    | Backup(_)
    | Drill(_)
    | Rpo(_)
    | Restore(backup_args::Restore { from: None, .. })
    | Console(_)
    | Edge(edge_args::Edge { verb: Some(_) }) = command
    {
        project::refuse_unknown_environment(session)?;
        session.refuse_copied_root()?;
    }
    let live = Live::new(session.root.clone());
    match command {
        Command::Init(args) => init::run(session, args),
        Command::Doctor(_) => wait(doctor::run(session)),
        Command::Up(args) => wait(async { up::run(session, args, &live, &mut Interrupts::of_process()?).await }),
        Command::Server(verb) => wait(server::run(session, verb)),
        Command::Upgrade(args) => wait(upgrade::run(session, args)),
        Command::Down(args) if args.purge => {
            wait(async { purge::run(session, args, &live, &mut Interrupts::of_process()?).await })
        }
        Command::Down(_) => wait(async { down::run(session, &live, &mut Interrupts::of_process()?).await }),
        Command::Status(_) => wait(status::run(session, &live)),
        Command::Logs(args) => wait(async { logs::run(session, args, &mut Interrupts::of_process()?).await }),
        Command::Errors(args) => wait(errors::run(session, args)),
        Command::Monitors(args) => wait(monitors::run(session, args)),
        Command::Alerts(args) => wait(alerts::run(session, args)),
        Command::Exports(_) => wait(exports::run(session)),
        Command::Explain(args) => wait(explain::run(session, args)),
        Command::Trace(args) => wait(trace::run(session, args)),
        Command::Restart(args) => wait(restart::run(session, args, &live)),
        Command::Ready(ready_args::Ready { verb: Some(verb), .. }) => ready_history::run(session, verb),
        Command::Ready(args) if args.sabotage => {
            wait(async { ready_sabotage::run(session, args, &mut Interrupts::of_process()?).await })
        }
        Command::Ready(args) if args.preview => {
            wait(async { ready_preview::run(session, args, &live, &mut Interrupts::of_process()?).await })
        }
        Command::Ready(args) => wait(ready::run(session, args, &live)),
        Command::Smoke(args) => wait(smoke::run(session, args, &live)),
        Command::Check(CheckVerb::ProcessModel(args)) => wait(process_model::run(session, args, &live)),
        Command::Plan(args) => wait(plan::run(session, args, &live)),
        Command::Build(args) => wait(async { build::run(session, args, &mut Interrupts::of_process()?).await }),
        Command::Deploy(args) => {
            wait(async { deploy::run(session, args, &live, &mut Interrupts::of_process()?).await })
        }
        Command::Rollback(args) => {
            wait(async { deploy::roll_back(session, args, &mut Interrupts::of_process()?).await })
        }
        Command::Incident(verb) => wait(incident::run(session, verb)),
        Command::Releases(_) => wait(deploy::releases(session)),
        Command::Receive(args) => wait(async { receive::run(session, args, &mut Interrupts::of_process()?).await }),
        Command::Preview(Preview::Up(args)) => {
            wait(async { preview::up(session, args, &mut Interrupts::of_process()?).await })
        }
        Command::Preview(Preview::Down(args)) => {
            wait(async { preview::down(session, args, &mut Interrupts::of_process()?).await })
        }
        Command::Preview(Preview::List(_)) => wait(preview_list::run(session)),
        Command::Preview(Preview::Allow(args)) => wait(preview_allow::run(session, args)),
        Command::Target(args) => wait(target::run(session, args)),
        Command::Ci(Ci::Plan(args)) => wait(ci_plan::run(session, args)),
        Command::Ci(Ci::Verdict(_)) => ci_verdict::run(session),
        Command::Ci(Ci::Run(args)) => wait(async { ci_run::run(session, args, &mut Interrupts::of_process()?).await }),
        Command::Github(Github::Apply(args)) => github_apply::run(session, args),
        Command::MergeGate(verb) => merge_gate::run(session, verb),
        Command::Env(Env::Matrix) => wait(env_matrix::run(session, &live)),
        Command::Env(Env::Diff(args)) => env_verbs::diff(session, args),
        Command::Env(Env::Types(args)) => env_verbs::types(session, args),
        Command::Env(Env::Example(args)) => env_verbs::example(session, args),
        Command::Env(Env::Check(args)) => {
            wait(async { env_check::run(session, args, &mut Interrupts::of_process()?).await })
        }
        Command::Env(Env::Exec(args)) => wait(env_exec::run(session, args)),
        Command::Login(args) => wait(login::run(session, args)),
        Command::Token(verb) => wait(token::run(session, verb)),
        Command::Access(verb) => wait(access::run(session, verb)),
        Command::Console(args) => wait(console::run(session, args)),
        Command::Db(Db::Shell(args)) => wait(db_shell::run(session, args)),
        Command::Db(Db::Stats) => wait(db_stats::run(session, &live)),
        Command::Db(Db::Migrations) => wait(db_migrations::run(session)),
        Command::Backup(verb) => wait(backup::run(session, verb)),
        Command::Drill(_) => wait(backup::drill(session)),
        Command::Rpo(_) => wait(backup::rpo(session)),
        Command::Restore(args) => match &args.from {
            Some(from) => wait(restore_whole::run(session, args, from, &live)),
            None => wait(backup::restore(session, args)),
        },
        Command::Domains(Domains::Check(args)) => wait(domains::check(session, args)),
        Command::Domains(Domains::List(_)) => domains::list(session),
        Command::Sample(Sample::Take(args)) => wait(sample::take(session, args)),
        Command::Sample(Sample::Show(args)) => sample::show(session, args),
        Command::Secrets(verb) => secrets::run(session, verb, &live),
        Command::Manifest(Manifest::Check) => manifest_verbs::check(session),
        Command::Manifest(Manifest::Schema) => manifest_verbs::schema(session),
        Command::Generate(args) => generate::run(session, args),
        Command::Trust(args) => wait(trust::run(session, args)),
        Command::Completions(args) => completions::run(session, args),
        Command::Man(args) => man::run(session, args),
        Command::Keeper(_) => roles::keeper(session),
        Command::Control(_) => roles::control(session),
        Command::Telemetry(_) => roles::telemetry(session),
        Command::RedisRest(args) => roles::redis_rest(args),
        Command::Objects(args) => media_roles::objects(session, args),
        Command::Media(args) => media_roles::media(session, args),
        Command::MediaWorker(_) => media_roles::media_worker(),
        Command::Edge(edge_args::Edge { verb: None }) => roles::edge(session),
        Command::Edge(edge_args::Edge { verb: Some(edge_args::Verb::Top(args)) }) => wait(edge_top::run(session, args)),
        Command::Edge(edge_args::Edge { verb: Some(edge_args::Verb::Cache(_)) }) => wait(edge_cache::show(session)),
        Command::Edge(edge_args::Edge { verb: Some(edge_args::Verb::Purge(args)) }) => {
            wait(edge_cache::purge(session, args))
        }
        Command::Edge(edge_args::Edge { verb: Some(edge_args::Verb::Networks(verb)) }) => {
            wait(edge_lists::run(session, verb))
        }
    }
}

/// Runs a verb that waits for something. One thread is enough: it waits, others work.
pub(crate) fn wait(verb: impl Future<Output = Result<Exit, Failure>>) -> Result<Exit, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Fault::because("cannot start", &error))?;
    runtime.block_on(verb)
}

/// Tells why a command failed, once, on stderr.
pub fn tell(failure: &Failure, output: &Output) {
    let paint = output.notes;
    let lines = match failure {
        Failure::Work(fault) | Failure::Usage(fault) => render::fault::lines(fault, paint),
        Failure::Manifest { source, diagnostics } => render::diagnostic::all(diagnostics, source, paint),
        Failure::Held { root, holder } => {
            let fault = Fault::new(format!("the root {root} is held by {holder}"));
            let hint = match holder.pid.as_str() {
                "" => "wait until it is done".to_owned(),
                pid => format!("wait until it is done, or stop it with `kill {pid}`"),
            };
            render::fault::lines(&fault.hint(hint), paint)
        }
        Failure::NobodyReads => Vec::new(),
    };
    lines.iter().for_each(|line| output.complain(line));
}
