//! `roadbed env check`: the variables that the code reads, held against the matrix.

use std::path::Path;

use host::files;
use manifest::Severity;
use reconcile::Fault;
use serde::Serialize;
use usage::Finding;

use crate::cli::args;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::project::Project;
use crate::cli::session::Session;
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

pub fn run(session: &Session, args: &args::EnvCheck) -> Result<Exit, Failure> {
    let project = Project::load(session)?;
    project.apps_named(args.app.as_slice())?;
    let folder = project.path.parent().unwrap_or(Path::new("/"));
    let checked = usage::check(folder, &project.manifest, &project.source)
        .map_err(|fault| Fault::because("cannot look at the code of the apps", &fault))?;
    let mut findings = checked.findings;
    if let Some(app) = &args.app {
        findings.retain(|finding| finding.app.as_ref().is_some_and(|of| of.as_str() == app));
    }
    show(session, args, folder, &findings, (checked.files, checked.uses))?;
    let fails = findings.iter().any(|finding| finding.severity == Severity::Error);
    Ok(if fails { Exit::Failed } else { Exit::Done })
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
