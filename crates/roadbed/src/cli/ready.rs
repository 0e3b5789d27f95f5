//! `roadbed ready`: run the gate and say what it saw.

use gate::{Report, Standing};
use reconcile::Fault;
use serde::Serialize;

use crate::cli::conductor::{Conductor, OnMessage};
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::{Voice, even_unread};
use crate::cli::ready_args::Ready;
use crate::cli::session::Session;
use crate::cli::{command_lock, ready_history};
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
    let _lock = command_lock::take(&session.root, &session.surroundings.command_line, session.clock)?;
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
    let request = ReadyRequest { only: args.only.clone() };
    let detail = if session.output.voice == Voice::Quiet { Detail::Trouble } else { Detail::Everything };
    let report = gate(session, conductor, &request, detail, Json::Document).await?;
    Ok(if report.holds { Exit::Done } else { Exit::Failed })
}

/// What `--json` prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Json {
    /// The report, once: the contract of `ready`.
    Document,
    /// Every message as it comes: the stream of `up`.
    Lines,
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
            (Message::Evidence { evidence }, false) => {
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
                (true, Json::Lines) => Ok(()),
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
    /// As the evidence has it; `None`: it was never tested here.
    standing: Option<Standing>,
}

/// Says what checks promise and how they stand, and tests nothing.
async fn explain(session: &Session, names: &[String]) -> Result<Exit, Failure> {
    let request = ReadyRequest { only: names.to_vec() };
    let promises = ControlClient::new(session.root.clone()).explain(&request).await?;
    let standings = ready_history::standings(session);
    let standing = |promise: &Explained| standings.iter().find(|standing| standing.id == promise.id).cloned();
    let all: Vec<Explanation> =
        promises.into_iter().map(|promise| Explanation { standing: standing(&promise), promise }).collect();
    let output = &session.output;
    if output.is_json() {
        output.json(&all)?;
        return Ok(Exit::Done);
    }
    for Explanation { promise, standing } in &all {
        let lines = render::gate::explained(promise, standing.as_ref(), output.data);
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
