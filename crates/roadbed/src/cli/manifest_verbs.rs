//! `roadbed manifest check` and `roadbed manifest schema`.

use manifest::Diagnostic;
use serde::Serialize;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::project;
use crate::cli::session::Session;
use crate::render::diagnostic;

/// What `manifest check --json` prints: a contract.
#[derive(Debug, Serialize)]
struct Document<'a> {
    diagnostics: &'a [Diagnostic],
}

pub fn check(session: &Session) -> Result<Exit, Failure> {
    let output = &session.output;
    let checked = project::check(session)?;
    let has_errors = checked.diagnostics.iter().any(Diagnostic::is_error);
    if output.is_json() {
        output.json(&Document { diagnostics: &checked.diagnostics })?;
    } else {
        let lines = diagnostic::all(&checked.diagnostics, &checked.source, output.notes);
        let shown = lines.iter();
        if has_errors {
            shown.for_each(|line| output.complain(line));
        } else {
            shown.for_each(|line| output.note(line));
        }
    }
    Ok(if has_errors { Exit::Usage } else { Exit::Done })
}

pub fn schema(session: &Session) -> Result<Exit, Failure> {
    let schema = serde_json::to_string_pretty(&manifest::schema()).expect("a JSON value has no other keys than texts");
    session.output.line(schema)?;
    Ok(Exit::Done)
}
