//! `roadbed exports`: what was sent to services elsewhere, what waits, and what is in the way.

use serde::Serialize;
use telemetry::{ExportKind, ExportState, TelemetryClient};

use crate::cli::errors::plain;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::render::table::Table;

/// What `exports --json` prints: a contract.
#[derive(Serialize)]
struct Exports {
    exports: Vec<ExportState>,
}

pub(super) async fn run(session: &Session) -> Result<Exit, Failure> {
    let exports = TelemetryClient::new(session.root.clone()).exports().await?;
    let output = &session.output;
    if output.is_json() {
        output.json(&Exports { exports })?;
        return Ok(Exit::Done);
    }
    if exports.is_empty() {
        output.note("nothing is exported: [exports.NAME] in the manifest says what is");
        return Ok(Exit::Done);
    }
    let mut table = Table::new(["EXPORT", "WHAT", "SENT", "WAITING", "DROPPED", "STATE"]);
    for export in &exports {
        let dropped: u64 = export.dropped.values().sum();
        table.row(vec![
            export.name.clone(),
            what(export.kind).to_owned(),
            export.sent.to_string(),
            waiting(export),
            dropped.to_string(),
            export.trouble.as_deref().map_or_else(|| "fine".to_owned(), plain),
        ]);
    }
    table.lines().iter().try_for_each(|line| output.line(line))?;
    Ok(Exit::Done)
}

fn what(kind: ExportKind) -> &'static str {
    match kind {
        ExportKind::Sentry => "errors, to Sentry",
        ExportKind::Loki => "lines, to Loki",
        ExportKind::Otlp => "lines, by OTLP",
        ExportKind::RemoteWrite => "numbers, by remote-write",
    }
}

fn waiting(export: &ExportState) -> String {
    let of = match export.kind {
        ExportKind::Sentry => "bytes",
        ExportKind::Loki | ExportKind::Otlp => "lines",
        ExportKind::RemoteWrite => "samples",
    };
    format!("{} {of}", export.waiting)
}
