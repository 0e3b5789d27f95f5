//! `roadbed env diff | types | example`: the matrix from other sides.

use manifest::{AppName, Difference};
use serde::Serialize;

use crate::cli::args;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::project::{Project, no_such};
use crate::cli::session::Session;
use crate::render::table::Table;

/// What `env diff --json` prints.
#[derive(Debug, Serialize)]
struct Document<'a> {
    left: &'a str,
    right: &'a str,
    differences: Vec<Difference>,
}

pub fn diff(session: &Session, args: &args::EnvDiff) -> Result<Exit, Failure> {
    let project = Project::load(session)?;
    let (_, left) = project.environment(&args.left)?;
    let (_, right) = project.environment(&args.right)?;
    let differences = manifest::diff(&left, &right);
    let output = &session.output;
    if output.is_json() {
        output.json(&Document { left: &args.left, right: &args.right, differences })?;
        return Ok(Exit::Done);
    }
    if differences.is_empty() {
        output.note(format!("{} and {} differ in nothing", args.left, args.right));
        return Ok(Exit::Done);
    }
    let mut table = Table::with_head(vec!["WHAT".to_owned(), String::new(), args.left.clone(), args.right.clone()]);
    for Difference { subject, aspect, left, right } in differences {
        let shown = |value: Option<String>| value.unwrap_or_else(|| "-".to_owned());
        table.row(vec![subject, aspect.to_owned(), shown(left), shown(right)]);
    }
    for (index, line) in table.lines().iter().enumerate() {
        output.line(if index == 0 { output.data.faint(line) } else { line.clone() })?;
    }
    Ok(Exit::Done)
}

pub fn types(session: &Session, args: &args::OfApp) -> Result<Exit, Failure> {
    let project = Project::load(session)?;
    let app = named(&project, &args.app)?;
    let text = manifest::accessor(&project.manifest, &app).expect("the app is one of the manifest's");
    session.output.line(text.trim_end())?;
    Ok(Exit::Done)
}

pub fn example(session: &Session, args: &args::Example) -> Result<Exit, Failure> {
    let project = Project::load(session)?;
    let app = args.app.as_deref().map(|app| named(&project, app)).transpose()?;
    session.output.line(manifest::example(&project.manifest, app.as_ref()).trim_end())?;
    Ok(Exit::Done)
}

fn named(project: &Project, asked: &str) -> Result<AppName, Failure> {
    let known = project.manifest.apps();
    let found = known.iter().find(|app| app.as_str() == asked).cloned();
    found.ok_or_else(|| Failure::Usage(no_such("app", asked, known.iter().map(AppName::as_str))))
}
