//! `roadbed env check`: the variables that the code reads, held against the matrix.

use std::path::Path;

use host::files;
use manifest::Severity;
use reconcile::{Event, Fault, Progress};
use serde::Serialize;
use usage::Finding;

use crate::canary::{self, CanaryBuild, Searched};
use crate::cli::args;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::interrupts::Interrupts;
use crate::cli::output::{Output, Voice};
use crate::cli::project::Project;
use crate::cli::session::Session;
use crate::render::paint::printable;
use crate::render::span::{bytes, count};
use crate::render::{finding, sarif};

/// What `--json` prints: a contract.
#[derive(Debug, Serialize)]
struct Document<'a> {
    findings: Vec<Told<'a>>,
    files: usize,
    uses: usize,
}

#[derive(Debug, Serialize)]
struct Told<'a> {
    id: &'static str,
    name: &'a str,
    app: Option<&'a str>,
    file: &'a str,
    line: u32,
    column: u32,
    severity: Severity,
    message: &'a str,
    hint: &'a str,
}

pub async fn run(session: &Session, args: &args::EnvCheck, interrupts: &mut Interrupts) -> Result<Exit, Failure> {
    let project = Project::load(session)?;
    project.apps_named(args.app.as_slice())?;
    let folder = project.path.parent().unwrap_or(Path::new("/"));
    let checked = usage::check(folder, &project.manifest, &project.source)
        .map_err(|fault| Fault::because("cannot look at the code of the apps", &fault))?;
    let mut findings = checked.findings;
    let searched =
        if args.canary { canary(session, args, &project, interrupts).await? } else { Some(Searched::default()) };
    let Some(searched) = searched else { return Ok(Exit::Interrupted) };
    findings.extend(searched.findings.iter().cloned());
    if let Some(app) = &args.app {
        findings.retain(|finding| finding.app.as_ref().is_some_and(|of| of.as_str() == app));
    }
    show(session, args, folder, &findings, (checked.files, checked.uses))?;
    if args.canary {
        session.output.note(about(&searched));
    }
    let fails = findings.iter().any(|finding| finding.severity == Severity::Error);
    Ok(if fails { Exit::Failed } else { Exit::Done })
}

/// The canary build; `None` if it was interrupted.
async fn canary(
    session: &Session,
    args: &args::EnvCheck,
    project: &Project,
    interrupts: &mut Interrupts,
) -> Result<Option<Searched>, Failure> {
    let (_, environment) = project.environment(&session.environment()?)?;
    let asked = |name: &str| args.app.as_ref().is_none_or(|app| app == name);
    let mut apps = canary::apps_in_browsers(&project.manifest, &project.source);
    apps.retain(|app| asked(app.name.as_str()));
    if let (true, Some(app)) = (apps.is_empty(), &args.app) {
        let fault = Fault::new(format!("browsers load nothing of \"{app}\", so there is nothing to build and search"));
        return Err(Failure::Usage(fault.hint("leave out --canary, or name another app")));
    }
    let folder = project.path.parent().unwrap_or(Path::new("/"));
    if !files::is_dir(&folder.join("node_modules")) {
        let fault = Fault::new("cannot build the apps: their packages are not installed");
        return Err(Failure::Work(fault.hint("run `npm ci` beside the manifest")));
    }
    let build = CanaryBuild {
        manifest: &project.manifest,
        environment: &environment,
        project: folder,
        scratch: session.root.path().join(format!("canary-{}", std::process::id())),
        tools: &session.surroundings.tools(),
        apps,
    };
    let progress = Lines(session.output);
    let searched = tokio::select! {
        searched = build.run(&progress) => searched.map(Some),
        () = interrupts.next() => Ok(None),
    };
    // Whatever came of it: a copy of the project is not for keeping.
    build.clear()?;
    Ok(searched?)
}

/// Lines of builds, for whoever asked for more.
#[derive(Debug)]
struct Lines(Output);

impl Progress for Lines {
    fn emit(&self, event: Event) {
        if let Event::Output { resource, line } = event
            && self.0.voice == Voice::Verbose
        {
            self.0.note(format!("{resource}  {}", printable(&line)));
        }
    }
}

fn about(searched: &Searched) -> String {
    let left_out: Vec<&str> = searched.left_out.iter().map(|name| name.as_str()).collect();
    let but = if left_out.is_empty() {
        String::new()
    } else {
        format!(" (none for {}: too few values to tell one)", left_out.join(", "))
    };
    format!(
        "built {} with {}{but}; searched {}, {}",
        count(searched.apps, "app"),
        count(searched.canaries, "canary").replace("canarys", "canaries"),
        count(searched.files, "file"),
        bytes(searched.bytes)
    )
}

fn show(
    session: &Session,
    args: &args::EnvCheck,
    folder: &Path,
    findings: &[Finding],
    (files, uses): (usize, usize),
) -> Result<(), Failure> {
    let output = &session.output;
    if args.sarif {
        return output.json(&sarif::log(findings));
    }
    if output.is_json() {
        return output.json(&Document { findings: findings.iter().map(told).collect(), files, uses });
    }
    for finding in findings {
        let path = folder.join(&finding.place.file);
        // What was built and searched is gone by now.
        let text = files::read_if_exists(&path)?.unwrap_or_default();
        let shown = session.surroundings.shown(&path);
        for line in finding::lines(finding, &shown, &String::from_utf8_lossy(&text), output.data) {
            output.line(line)?;
        }
        output.line("")?;
    }
    output.note(finding::summary(findings, files, uses));
    Ok(())
}

fn told(finding: &Finding) -> Told<'_> {
    Told {
        id: finding.id.as_str(),
        name: &finding.name,
        app: finding.app.as_ref().map(|app| app.as_str()),
        file: &finding.place.file,
        line: finding.place.line,
        column: finding.place.column,
        severity: finding.severity,
        message: &finding.message,
        hint: &finding.hint,
    }
}
