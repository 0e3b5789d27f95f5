//! `roadbed env matrix`: every variable in every environment.

use manifest::{Cell, Presence, Row};

use crate::cli::conductor::Conductor;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::project::Project;
use crate::cli::session::Session;
use crate::render::table::Table;

/// Where the environment runs, what is overdue in it is marked.
pub async fn run(session: &Session, conductor: &impl Conductor) -> Result<Exit, Failure> {
    let project = Project::load(session)?;
    let mut matrix = manifest::matrix(&project.manifest);
    if let Some(asked) = &session.asked_environment {
        let name = project.known_environment(asked.name.as_str())?;
        matrix.environments.retain(|environment| *environment == name);
        for row in &mut matrix.variables {
            row.environments.retain(|cell| cell.environment == name);
        }
    }
    let output = &session.output;
    if output.is_json() {
        output.json(&matrix)?;
        return Ok(Exit::Done);
    }
    let status = if conductor.is_up().await { conductor.status().await.ok() } else { None };
    let is_overdue = |row: &Row, cell: &Cell| {
        status.as_ref().is_some_and(|status| {
            // `preview/pr-7` is one of the environments `preview`.
            let running = status.environment.split('/').next();
            running == Some(cell.environment.as_str())
                && status.overdue.iter().any(|overdue| overdue.name == row.name.as_str())
        })
    };
    let mut head: Vec<String> = ["VARIABLE", "CLASS", "OWNER"].map(str::to_owned).into();
    head.extend(matrix.environments.iter().map(|name| name.as_str().to_uppercase()));
    head.push("APPS".to_owned());
    let mut table = Table::with_head(head);
    for row in &matrix.variables {
        let mut cells = vec![row.name.to_string(), row.class.to_string(), row.owner.to_string()];
        cells.extend(row.environments.iter().map(|here| match is_overdue(row, here) {
            true => format!("{}, OVERDUE", cell(here)),
            false => cell(here),
        }));
        cells.push(row.consumers.iter().map(|app| app.as_str()).collect::<Vec<_>>().join(", "));
        table.row(cells);
    }
    for (index, line) in table.lines().iter().enumerate() {
        output.line(if index == 0 { output.data.faint(line) } else { line.clone() })?;
    }
    Ok(Exit::Done)
}

fn cell(cell: &Cell) -> String {
    match (cell.presence, cell.source) {
        (Presence::Absent, _) => "-".to_owned(),
        (presence, None) => presence.to_string(),
        (presence, Some(source)) => format!("{presence}, {source}"),
    }
}
