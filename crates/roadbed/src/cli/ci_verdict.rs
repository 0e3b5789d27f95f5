//! `roadbed ci verdict`: whether the jobs of a run did what its plan said.

use ci::verdict::{Said, verdict};
use reconcile::Fault;
use serde::Serialize;

use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::render::paint::printable;

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Document<'a> {
    holds: bool,
    jobs: &'a [Said],
}

pub(super) fn run(session: &Session) -> Result<Exit, Failure> {
    // An empty plan is one that was never made: a job that failed has no outputs.
    let set = |name: &str| {
        session.surroundings.variable(name).ok_or_else(|| {
            Failure::Usage(
                Fault::new(format!("there is no {name} in the environment"))
                    .hint("`roadbed generate` writes the workflow that sets PLAN and NEEDS"),
            )
        })
    };
    let said = verdict(&set("PLAN")?, &set("NEEDS")?)?;
    let holds = said.iter().all(|said| said.holds);
    let output = &session.output;
    if output.is_json() {
        output.json(&Document { holds, jobs: &said })?;
    } else {
        for Said { job, holds, why } in &said {
            let mark = if *holds { output.data.good("✓") } else { output.data.bad("✗") };
            output.line(format!("{mark} {} {why}", printable(job)))?;
        }
    }
    Ok(if holds { Exit::Done } else { Exit::Failed })
}
