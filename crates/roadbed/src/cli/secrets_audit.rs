//! `roadbed secrets audit`: what was done with which secret.

use secrets::audit;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::secrets::{cannot, named, open};
use crate::cli::secrets_args::{Audit, AuditVerb, With};
use crate::cli::session::Session;
use crate::render::table::Table;

pub fn run(session: &Session, args: &Audit) -> Result<Exit, Failure> {
    match &args.verb {
        Some(AuditVerb::Verify(with)) => verify(session, with),
        None => show(session, args),
    }
}

fn show(session: &Session, args: &Audit) -> Result<Exit, Failure> {
    let (environment, store) = open(session, None)?;
    let mut rows = store.audit().map_err(cannot)?;
    if let Some(name) = &args.name {
        let name = named(&environment, name)?;
        rows.retain(|row| row.name == name.as_str());
    }
    let output = &session.output;
    if output.is_json() {
        output.json(&rows)?;
        return Ok(Exit::Done);
    }
    let head = ["SEQ", "TIME", "WHO", "FROM", "VIA", "KEY OF", "WHAT", "NAME", "REASON", "DETAILS"].map(str::to_owned);
    let mut table = Table::with_head(head.into());
    for row in rows {
        let name = row.version.map_or(row.name.clone(), |version| format!("{}@{version}", row.name));
        let (seq, time) = (row.seq.to_string(), row.time.to_string());
        let audit::Entry { actor, origin, via, recipient, action, reason, details, .. } = row;
        table.row(vec![seq, time, actor, origin, via, recipient, action, name, reason, details]);
    }
    for line in table.lines() {
        output.line(line)?;
    }
    Ok(Exit::Done)
}

fn verify(session: &Session, with: &With) -> Result<Exit, Failure> {
    let (_, store) = open(session, Some(with))?;
    let verdict = store.verify().map_err(cannot)?;
    let output = &session.output;
    if output.is_json() {
        output.json(&verdict)?;
    } else if verdict.findings.is_empty() {
        output.line(format!("the log is whole: {} rows", verdict.rows))?;
    } else {
        for finding in &verdict.findings {
            output.line(finding.to_string())?;
        }
    }
    Ok(if verdict.findings.is_empty() { Exit::Done } else { Exit::Failed })
}
