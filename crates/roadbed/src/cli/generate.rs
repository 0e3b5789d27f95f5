//! `roadbed generate`: the files that follow from the manifest, and whether they still do.

use std::path::Path;

use host::files::{self, Access, Written};
use incidents::runbook;
use manifest::GeneratedFile;
use reconcile::Fault;
use serde::Serialize;

use crate::checks::catalogue;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::project::Project;
use crate::cli::session::Session;
use crate::cli::{args, reference};
use crate::control::api::openapi;
use crate::render::span::count;

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Document {
    files: Vec<File>,
}

#[derive(Debug, Serialize)]
struct File {
    path: String,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Current,
    Written,
    Differs,
    Missing,
}

pub fn run(session: &Session, args: &args::Generate) -> Result<Exit, Failure> {
    let project = Project::load(session)?;
    let folder = project.path.parent().unwrap_or(Path::new("/"));
    let mut wanted = manifest::generated(&project.manifest, &stores::access::page(&project.manifest));
    // A product that nobody visits needs nobody who is called.
    if !project.manifest.served_environments().is_empty() {
        let before = files::read_if_exists(&folder.join(runbook::PATH))?;
        let before = before.map(|text| String::from_utf8_lossy(&text).into_owned());
        let text = runbook::page(&project.manifest, before.as_deref());
        wanted.push(GeneratedFile { path: runbook::PATH.to_owned(), text });
    }
    wanted.extend(project.manifest.workflows().iter().flat_map(ci::workflows::files));
    // The references of the command line, the API and the gate are Roadbed's own documents: kept current where it is kept, and made
    // nowhere else.
    if files::read_if_exists(&folder.join(catalogue::PATH))?
        .is_some_and(|text| text.starts_with(catalogue::MARK.as_bytes()))
    {
        wanted.push(GeneratedFile { path: catalogue::PATH.to_owned(), text: catalogue::markdown() });
    }
    if files::read_if_exists(&folder.join(reference::PATH))?
        .is_some_and(|text| text.starts_with(reference::MARK.as_bytes()))
    {
        wanted.push(GeneratedFile { path: reference::PATH.to_owned(), text: reference::markdown() });
    }
    if files::read_if_exists(&folder.join(openapi::PATH))?
        .is_some_and(|text| text.starts_with(openapi::MARK.as_bytes()))
    {
        wanted.push(GeneratedFile { path: openapi::PATH.to_owned(), text: openapi::text() });
    }
    let made = wanted.iter().map(|file| {
        let path = folder.join(&file.path);
        let state = if args.check { compare(&path, &file.text)? } else { write(&path, &file.text)? };
        Ok(File { path: file.path.clone(), state })
    });
    let made: Vec<File> = made.collect::<Result<_, Failure>>()?;
    let drifted = made.iter().filter(|file| matches!(file.state, State::Differs | State::Missing)).count();
    show(session, made)?;
    if drifted == 0 {
        return Ok(Exit::Done);
    }
    let fault = Fault::new(format!("{} not as the manifest makes them", count(drifted, "file")));
    Err(Failure::Work(fault.hint("run `roadbed generate` and commit what it writes")))
}

fn show(session: &Session, files: Vec<File>) -> Result<(), Failure> {
    let output = &session.output;
    if output.is_json() {
        return output.json(&Document { files });
    }
    for file in &files {
        match file.state {
            State::Current => {}
            State::Written => output.line(format!("wrote    {}", file.path))?,
            State::Differs => output.line(format!("differs  {}", file.path))?,
            State::Missing => output.line(format!("missing  {}", file.path))?,
        }
    }
    if files.iter().all(|file| file.state == State::Current) {
        output.note(format!("{} as the manifest makes them", count(files.len(), "file")));
    }
    Ok(())
}

fn compare(path: &Path, text: &str) -> Result<State, Failure> {
    Ok(match files::read_if_exists(path)? {
        Some(found) if found == text.as_bytes() => State::Current,
        Some(_) => State::Differs,
        None => State::Missing,
    })
}

fn write(path: &Path, text: &str) -> Result<State, Failure> {
    files::create_dir(path.parent().unwrap_or(Path::new("/")), Access::Everyone)?;
    Ok(match files::write_if_changed(path, text.as_bytes(), Access::Everyone)? {
        Written::Changed => State::Written,
        Written::Unchanged => State::Current,
    })
}
