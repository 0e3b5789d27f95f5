//! `roadbed smoke`: the pages that must be good after a deploy, looked at now.

use reconcile::Fault;
use serde::Serialize;

use crate::cli::conductor::Conductor;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::output::Voice;
use crate::cli::project::Project;
use crate::cli::session::Session;
use crate::cli::{args, command_lock};
use crate::control::wire::{Message, SmokeRequest};
use crate::render;
use crate::render::gate::Detail;

/// Names the browser, unless `--browser` does.
const BROWSER: &str = "ROADBED_BROWSER";

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Document<'a> {
    environment: &'a str,
    holds: bool,
    #[serde(flatten)]
    report: &'a smoke::Report,
}

pub async fn run(session: &Session, args: &args::Smoke, conductor: &impl Conductor) -> Result<Exit, Failure> {
    if !args.apps.is_empty() {
        Project::load(session)?.apps_named(&args.apps)?;
    }
    if !conductor.is_up().await {
        let environment = session.environment()?;
        let report = smoke::Report::default();
        if session.output.is_json() {
            session.output.json(&Document { environment: &environment, holds: false, report: &report })?;
        }
        let fault =
            Fault::new(format!("no page was looked at: no environment runs in {}", session.root.path().display()));
        return Err(Failure::Work(fault.hint(format!("`{}` starts it", session.command("up")))));
    }
    // A restart in between would look like a bad page.
    let _lock = command_lock::take(&session.root, &session.surroundings.command_line, session.clock)?;
    let here = &session.surroundings.folder;
    let request = SmokeRequest {
        apps: args.apps.clone(),
        browser: browser(session, args)?,
        keep: args.keep.as_ref().map(|folder| here.join(folder)),
    };
    let mut end = None;
    conductor.smoke(&request, &mut |message| end = Some(message)).await?;
    let (environment, report) = match end {
        Some(Message::Smoked { environment, report }) => (environment, report),
        Some(Message::Refused { fault }) => return Err(Failure::Work(fault)),
        _ => return Err(Failure::Work(Fault::new("control did not say what it saw").hint("run the command again"))),
    };
    let output = &session.output;
    if output.is_json() {
        output.json(&Document { environment: &environment, holds: report.holds(), report: &report })?;
    } else {
        let detail = if output.voice == Voice::Quiet { Detail::Trouble } else { Detail::Everything };
        for line in render::smoke::lines(&report, &environment, detail, output.data) {
            output.line(line)?;
        }
    }
    Ok(if report.holds() { Exit::Done } else { Exit::Failed })
}

/// The browser that is named, else the one in PATH, else none: pages that are not rendered need none.
fn browser(session: &Session, args: &args::Smoke) -> Result<Option<std::path::PathBuf>, Failure> {
    let named = args.browser.clone().or_else(|| session.surroundings.variable(BROWSER).filter(|name| !name.is_empty()));
    let path = session.surroundings.variable("PATH").unwrap_or_default();
    let Some(named) = named else { return Ok(smoke::find(&path)) };
    let found = if named.contains('/') {
        let path = session.surroundings.folder.join(&named);
        host::files::exists(&path).then_some(path)
    } else {
        host::process::find_in_path(&named, &path)
    };
    found.map(Some).ok_or_else(|| {
        Failure::Usage(
            Fault::new(format!("there is no browser {named}"))
                .hint("give the path of Chromium, or a name that is in PATH, with --browser or ROADBED_BROWSER"),
        )
    })
}
