//! The texts of `.env.example`.

use crate::Manifest;
use crate::environment::GIVEN;
use crate::id::AppName;
use crate::matrix::{Cell, Matrix, Presence, Row, SourceKind, matrix};
use crate::source::At;
use crate::tables::{AppTable, Kind};
use crate::template::{Chunk, Text};
use crate::variable_tables::VariableTable;

/// `.env.example` of one app, or of the whole repository with the variables grouped by app.
pub fn example(manifest: &Manifest, app: Option<&AppName>) -> String {
    let matrix = matrix(manifest);
    let document = &manifest.document;
    let mut text = match app {
        Some(app) => format!("# The environment of \"{app}\".\n"),
        None => format!("# The environment of {}, app by app.\n", document.product.name),
    };
    text += "# For reference: Roadbed hands every app its variables, and nothing reads this file. No value here opens anything.\n";
    text += "# Generated from roadbed.toml by `roadbed generate`; edit that.\n";
    for (name, table) in document.apps.in_order() {
        match app {
            Some(app) if app != &name.value => continue,
            Some(_) => {}
            None => text += &format!("\n# ---- {} ({}) ----\n", name.value, table.path.written()),
        }
        text += &of_app(name, table, manifest, &matrix);
    }
    text
}

fn of_app(name: &AppName, table: &AppTable, manifest: &Manifest, matrix: &Matrix) -> String {
    let mut text = match table.kind {
        Kind::Static => {
            "\n# Served to every visitor in /config.json, together with ROADBED_ENVIRONMENT and ROADBED_RELEASE.\n"
                .to_owned()
        }
        Kind::Next | Kind::Node => {
            let given: Vec<&str> = GIVEN.iter().map(|(name, _)| *name).collect();
            format!("\n# Beside these Roadbed gives: {}.\n", given.join(" "))
        }
    };
    let received: Vec<&Row> = matrix.variables.iter().filter(|row| row.consumers.contains(name)).collect();
    if received.is_empty() {
        text += "# It reads nothing else.\n";
    }
    for row in received {
        let sensitive = if row.sensitive { ", sensitive" } else { "" };
        text += &format!("\n# {}\n", row.description);
        text += &format!("# class: {}{sensitive}; owner: {}\n", row.class, row.owner);
        text += &format!("# required: {}; source: {}\n", required(row), sources(row));
        // What no environment requires is shown as something to switch on.
        let optional = if row.environments.iter().any(|cell| cell.presence == Presence::Required) { "" } else { "# " };
        let value = manifest.document.variables.get(&row.name).map(value).unwrap_or_default();
        text += &format!("{optional}{}={}\n", row.name, quoted(&value));
    }
    text
}

fn required(row: &Row) -> String {
    let names: Vec<&str> = row
        .environments
        .iter()
        .filter(|cell| cell.presence == Presence::Required)
        .map(|cell| cell.environment.as_str())
        .collect();
    match names.len() {
        0 => "nowhere".to_owned(),
        all if all == row.environments.len() => "everywhere".to_owned(),
        _ => names.join(", "),
    }
}

/// `generated`, or `literal in local, store in staging, production`; says also where the variable does not exist.
fn sources(row: &Row) -> String {
    let mut groups: Vec<(Option<SourceKind>, Vec<&Cell>)> = Vec::new();
    for cell in &row.environments {
        match groups.iter_mut().find(|(source, _)| *source == cell.source) {
            Some((_, cells)) => cells.push(cell),
            None => groups.push((cell.source, vec![cell])),
        }
    }
    let place = |cells: &[&Cell]| {
        let names: Vec<&str> = cells.iter().map(|cell| cell.environment.as_str()).collect();
        if names.len() == row.environments.len() { String::new() } else { format!(" in {}", names.join(", ")) }
    };
    let words = |(source, cells): &(Option<SourceKind>, Vec<&Cell>)| match source {
        Some(source) => format!("{source}{}", place(cells)),
        None => format!("absent{}", place(cells)),
    };
    groups.iter().map(words).collect::<Vec<_>>().join("; ")
}

/// The example, else the value if it is a plain text.
fn value(table: &VariableTable) -> String {
    if let Some(example) = &table.example {
        return example.value.clone();
    }
    let own = table.r#in.iter().filter_map(|(_, own)| own.value.as_ref());
    let plain = |text: &At<Text>| match text.0.as_slice() {
        [Chunk::Plain(plain)] => Some(plain.clone()),
        _ => None,
    };
    table.value.iter().chain(own).find_map(plain).unwrap_or_default()
}

/// As every reader of such files takes it.
fn quoted(value: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_-./:@%+,=?&".contains(&byte);
    if value.bytes().all(plain) {
        value.to_owned()
    } else {
        format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('$', "\\$").replace('\n', "\\n"))
    }
}
