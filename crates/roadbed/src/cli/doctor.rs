//! `roadbed doctor`: what this machine has of what Roadbed uses.

use clap::Args;
use doctor::{Finding, Machine, Verdict};
use host::socket;
use manifest::Environment;
use manifest::environment::ServiceName;
use serde::Serialize;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::project::Project;
use crate::cli::session::Session;

/// Say what this machine has and lacks for running environments
///
/// Looks at programs (Node.js, npm, git, nftables, a browser, data services), at folders and disk, at what the kernel lets this user do
/// (mounts, namespaces, control groups, files), at the clock, and at the ports of the environment, where the manifest says which. Nothing
/// has to run, and nothing is changed. What is marked ✗ stops `up` or a check of the gate; ! works, and is less than it could be.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  roadbed doctor
  roadbed doctor --env production          its ports too
  roadbed doctor --json | jq -r '.findings[] | select(.verdict == \"missing\") | .hint'

Exit codes:
  0  nothing is missing
  1  something is missing
  2  the manifest or the command line is wrong")]
pub struct Doctor {}

/// What `--json` prints: a contract.
#[derive(Debug, Serialize)]
struct Document<'a> {
    holds: bool,
    findings: &'a [Finding],
}

pub async fn run(session: &Session) -> Result<Exit, Failure> {
    let surroundings = &session.surroundings;
    let mut machine = Machine {
        path: surroundings.variable("PATH").unwrap_or_default(),
        folder: surroundings.folder.clone(),
        state: surroundings.state(),
        config: surroundings.config(),
        cache: surroundings.cache(),
        browser: surroundings.variable("ROADBED_BROWSER").filter(|name| !name.is_empty()),
        browsers: smoke::BROWSERS.map(str::to_owned).to_vec(),
        ..Machine::default()
    };
    // A product that has no manifest yet, or one with faults that its own command tells, has a machine all the same.
    if session.has_manifest() {
        let project = Project::load(session)?;
        machine.folder = project.path.parent().unwrap_or(&surroundings.folder).to_owned();
        let (_, environment) = project.environment(&session.environment()?)?;
        machine.engines = engines(&environment);
        machine.ports = ports(session, &environment);
    }
    let findings = doctor::examine(&machine).await;
    let holds = findings.iter().all(|finding| finding.verdict != Verdict::Missing);
    show(session, &findings, holds)?;
    Ok(if holds { Exit::Done } else { Exit::Failed })
}

fn engines(environment: &Environment) -> Vec<String> {
    let programs = [(ServiceName::MongoDb, "mongod"), (ServiceName::Redis, "redis-server")];
    let needed = |service: &ServiceName| match service {
        ServiceName::MongoDb => environment.mongodb.as_ref().is_some_and(|mongodb| mongodb.external.is_none()),
        _ => environment.redis.as_ref().is_some_and(|redis| redis.external.is_none()),
    };
    programs.into_iter().filter(|(service, _)| needed(service)).map(|(_, program)| program.to_owned()).collect()
}

/// None where the environment itself listens there.
fn ports(session: &Session, environment: &Environment) -> Vec<u16> {
    let is_up = socket::connect_unix(&session.root.keeper_socket()).is_ok();
    let ports = [environment.ports.http, environment.ports.https].into_iter().flatten();
    if is_up { Vec::new() } else { ports.collect() }
}

fn show(session: &Session, findings: &[Finding], holds: bool) -> Result<(), Failure> {
    let output = &session.output;
    if output.is_json() {
        return output.json(&Document { holds, findings });
    }
    let paint = output.data;
    let width = findings.iter().map(|finding| finding.id.len()).max().unwrap_or(0);
    for finding in findings {
        let mark = match finding.verdict {
            Verdict::Good => paint.good("✓"),
            Verdict::Less => paint.caution("!"),
            Verdict::Missing => paint.bad("✗"),
        };
        output.line(format!("{mark} {:<width$}  {}", finding.id, finding.seen))?;
        if let Some(hint) = &finding.hint {
            output.line(format!("  {:width$}  {}", "", paint.hint(format!("hint: {hint}"))))?;
        }
    }
    Ok(())
}
