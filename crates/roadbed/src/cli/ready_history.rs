//! `roadbed ready history`, `verify` and `export`: the evidence that gates have left.

use std::ops::ControlFlow;

use gate::{Ledger, Standing};
use reconcile::Fault;
use serde::Serialize;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::ready_args::ReadyVerb;
use crate::cli::session::Session;
use crate::control::{identity, proof};
use crate::render;

/// What `ready history --json` prints.
#[derive(Serialize)]
struct History {
    promises: Vec<Standing>,
}

/// What `ready verify --json` prints.
#[derive(Serialize)]
struct Chain {
    rows: u64,
}

pub(super) fn run(session: &Session, verb: &ReadyVerb) -> Result<Exit, Failure> {
    let ledger = ledger(session)?;
    let cannot = |fault: gate::ledger::LedgerFault| Failure::Work(unread(&fault));
    let output = &session.output;
    match verb {
        ReadyVerb::History => {
            let promises = ledger.standings().map_err(cannot)?;
            if output.is_json() {
                output.json(&History { promises })?;
                return Ok(Exit::Done);
            }
            if promises.is_empty() {
                output.note("no gate has run here yet: `roadbed ready` runs it");
            }
            let lines = render::gate::history(&promises, output.data);
            lines.iter().try_for_each(|line| output.line(line))?;
        }
        ReadyVerb::Verify => {
            let rows = ledger.verify().map_err(cannot)?;
            match output.is_json() {
                true => output.json(&Chain { rows })?,
                false => output.line(format!("the evidence is whole: {rows} rows"))?,
            }
        }
        ReadyVerb::Export => {
            let mut printed = Ok(());
            let walked = ledger.rows(|row| {
                printed = output.json(&row);
                if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            printed?;
            walked.map_err(cannot)?;
        }
    }
    Ok(Exit::Done)
}

fn unread(fault: &gate::ledger::LedgerFault) -> Fault {
    Fault::because("cannot read the evidence", fault)
        .hint("`roadbed up --forget-state` moves a damaged one aside; a backup of the root has the one before")
}

fn ledger(session: &Session) -> Result<Ledger, Failure> {
    let nothing = || Fault::new(format!("there is no evidence in {}", session.root.path().display()));
    let identity = identity::read(&session.root)?;
    let identity = identity.ok_or_else(|| nothing().hint(format!("`{}` makes some", session.command("up"))))?;
    proof::ledger(&session.root, &identity).map_err(|fault| Failure::Work(unread(&fault)))
}

/// How these promises stand, for who wants them explained. Without evidence there is nothing to tell.
pub(super) fn standings(session: &Session) -> Vec<Standing> {
    ledger(session).ok().and_then(|ledger| ledger.standings().ok()).unwrap_or_default()
}
