//! `roadbed ready`: run the gate and say what it saw.

use gate::{Report, Standing};
use host::files::{self, Access};
use manifest::Incidents;
use reconcile::Fault;
use serde::Serialize;

use crate::checks::{self, catalogue};
use crate::cli::conductor::{Conductor, OnMessage};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::{Voice, even_unread};
use crate::cli::project::Project;
use crate::cli::ready_args::{Ready, ReportAsked};
use crate::cli::session::Session;
use crate::cli::{command_lock, ready_history, ready_watch};
use crate::control::client::ControlClient;
use crate::control::wire::{Explained, Message, ReadyRequest};
use crate::render;
use crate::render::gate::Detail;

pub async fn run(session: &Session, args: &Ready, conductor: &impl Conductor) -> Result<Exit, Failure> {
    if !conductor.is_up().await {
        let environment = session.environment()?;
        let fault = Fault::new(format!("nothing is proven: no environment runs in {}", session.root.path().display()));
        return unproven(session, &environment, fault.hint(format!("`{}` starts it", session.command("up"))));
    }
    // Some checks break things for a moment: two gates at once would see each other's work.
    let lock = command_lock::take(&session.root, &session.surroundings.command_line, session.clock)?;
    let running = conductor.status().await?.environment;
    let asked = session.asked_environment.as_ref().map(ToString::to_string);
    if let Some(asked) = asked.as_deref().filter(|asked| *asked != running) {
        let fault =
            Fault::new(format!("nothing is proven about {asked}: {running} runs in {}", session.root.path().display()));
        return unproven(session, asked, fault.hint(format!("give the root of {asked} with --root")));
    }
    if !args.explain.is_empty() {
        return explain(session, &args.explain).await;
    }
    let only = match &args.team {
        Some(team) => {
            let manifest = Project::load(session)?.manifest;
            vec![checks::row_of(&manifest, team).map_err(Failure::Usage)?.to_owned()]
        }
        None => args.only.clone(),
    };
    let detail = if session.output.voice == Voice::Quiet { Detail::Trouble } else { Detail::Everything };
    if let Some(pause) = &args.watch {
        // Each round takes it: others have their turn in between.
        drop(lock);
        return ready_watch::run(session, &only, pause, conductor).await;
    }
    let json = if args.report.iter().any(|asked| asked.file.is_none()) { Json::Nothing } else { Json::Document };
    let report = gate(session, conductor, &ReadyRequest { only }, detail, json).await?;
    let incidents = incidents(session);
    for asked in &args.report {
        write_report(session, &report, incidents.as_ref(), asked)?;
    }
    if !session.output.is_json() && json == Json::Document {
        tell_owners(session, &report, incidents.as_ref())?;
    }
    Ok(if report.holds { Exit::Done } else { Exit::Failed })
}

/// Who answers for what. A manifest that cannot be read keeps nobody from seeing what the gate saw.
fn incidents(session: &Session) -> Option<Incidents> {
    Project::load(session).ok().map(|project| project.manifest.incidents())
}

fn tell_owners(session: &Session, report: &Report, incidents: Option<&Incidents>) -> Result<(), Failure> {
    let broken = report.checks.iter().filter(|evidence| evidence.verdict != gate::Verdict::Holds);
    for evidence in broken {
        if let Some(owner) = incidents.and_then(|incidents| incidents.answers_for(&evidence.task, &evidence.id)) {
            session.output.line(format!("{}: ask {}", evidence.id, render::gate::answers(owner)))?;
        }
    }
    Ok(())
}

fn write_report(
    session: &Session,
    report: &Report,
    incidents: Option<&Incidents>,
    asked: &ReportAsked,
) -> Result<(), Failure> {
    let text = render::gate_reports::of(asked.format, report, incidents, session.clock.now());
    let Some(file) = &asked.file else { return session.output.text(&text) };
    let path = session.surroundings.folder.join(file);
    files::write(&path, text.as_bytes(), Access::Everyone)?;
    session.output.note(format!("wrote {}", file.display()));
    Ok(())
}

/// What `--json` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Json {
    /// The report, once: the contract of `ready`.
    Document,
    /// Every message as it comes: the stream of `up`.
    Lines,
    /// Neither rows nor report: something else takes stdout.
    Nothing,
}

/// Runs the gate and shows each row as it comes.
pub async fn gate(
    session: &Session,
    conductor: &impl Conductor,
    request: &ReadyRequest,
    detail: Detail,
    json: Json,
) -> Result<Report, Failure> {
    shown(session, detail, json, async |on| conductor.ready(request, on).await).await
}

/// Shows each row of what `ask` brings as it comes.
pub async fn shown(
    session: &Session,
    detail: Detail,
    json: Json,
    ask: impl AsyncFnOnce(OnMessage<'_>) -> Result<(), Fault>,
) -> Result<Report, Failure> {
    let output = &session.output;
    let mut end: Option<Message> = None;
    let mut printed: Result<(), Failure> = Ok(());
    let streamed = ask(&mut |message| {
        let line = match (&message, output.is_json()) {
            (Message::Evidence { evidence }, false) if json != Json::Nothing => {
                render::gate::row(evidence, detail, output.data).iter().try_for_each(|line| output.line(line))
            }
            (message, true) if json == Json::Lines => output.json(message),
            _ => Ok(()),
        };
        if printed.is_ok() {
            printed = line;
        }
        if !matches!(message, Message::Evidence { .. } | Message::Progress { .. }) {
            end = Some(message);
        }
    })
    .await;
    streamed?;
    even_unread(printed)?;
    match end {
        Some(Message::Report { report }) => {
            even_unread(match (output.is_json(), json) {
                (true, Json::Document) => output.json(&report),
                (true, Json::Lines) | (_, Json::Nothing) => Ok(()),
                (false, _) => output.line(render::gate::summary(&report, output.data)),
            })?;
            Ok(report)
        }
        Some(Message::Refused { fault }) => Err(Failure::Work(fault)),
        _ => Err(Failure::Work(Fault::new("control did not say how the gate ended").hint("run the command again"))),
    }
}

/// What `--explain --json` prints.
#[derive(Serialize)]
struct Explanation {
    #[serde(flatten)]
    promise: Explained,
    /// Who answers for it.
    owner: Option<String>,
    /// Seconds between two looks of control; `None`: only when a person asks.
    period_seconds: Option<u64>,
    /// What a look does, to whom.
    reaches: Option<&'static str>,
    /// As the evidence has it; `None`: it was never tested here.
    standing: Option<Standing>,
}

/// Says what checks promise and how they stand, and tests nothing.
async fn explain(session: &Session, names: &[String]) -> Result<Exit, Failure> {
    let request = ReadyRequest { only: names.to_vec() };
    let promises = ControlClient::new(session.root.clone()).explain(&request).await?;
    let standings = ready_history::standings(session);
    let standing = |promise: &Explained| standings.iter().find(|standing| standing.id == promise.id).cloned();
    let incidents = incidents(session);
    let owner =
        |promise: &Explained| incidents.as_ref().and_then(|known| known.answers_for(&promise.task, &promise.id));
    let explanation = |promise: Explained| {
        let listed = catalogue::promise(&promise.id);
        Explanation {
            owner: owner(&promise).map(|owner| owner.name.to_string()),
            period_seconds: listed.and_then(|listed| listed.period).map(|period| period.as_secs()),
            reaches: listed.map(|listed| listed.blast),
            standing: standing(&promise),
            promise,
        }
    };
    let all: Vec<Explanation> = promises.into_iter().map(explanation).collect();
    let output = &session.output;
    if output.is_json() {
        output.json(&all)?;
        return Ok(Exit::Done);
    }
    for Explanation { promise, standing, .. } in &all {
        let lines = render::gate::explained(promise, standing.as_ref(), owner(promise), output.data);
        lines.iter().try_for_each(|line| output.line(line))?;
    }
    Ok(Exit::Done)
}

/// Nothing to look at proves nothing: the document says so, and so does the exit code.
pub fn unproven(session: &Session, environment: &str, fault: Fault) -> Result<Exit, Failure> {
    if session.output.is_json() {
        session.output.json(&Report::new(environment.to_owned(), Vec::new()))?;
    }
    Err(Failure::Work(fault))
}
