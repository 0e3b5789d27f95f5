//! `roadbed ready --watch`: the gate again and again, and what changes.

use std::collections::BTreeMap;
use std::time::Duration;

use gate::{Evidence, Verdict};
use reconcile::Fault;
use tokio::time::sleep;

use crate::cli::command_lock;
use crate::cli::conductor::Conductor;
use crate::cli::exit::Exit;
use crate::cli::failure::Failure;
use crate::cli::interrupts::Interrupts;
use crate::cli::ready::{self, Json};
use crate::cli::session::Session;
use crate::cli::token::lasts;
use crate::control::client::ControlClient;
use crate::control::wire::ReadyRequest;
use crate::render::gate::{Detail, row};

/// Below this the gate would mostly see itself.
const LEAST: Duration = Duration::from_secs(2);

pub(super) async fn run(
    session: &Session,
    only: &[String],
    pause: &str,
    conductor: &impl Conductor,
) -> Result<Exit, Failure> {
    let wrong = || Failure::Usage(Fault::new(format!("{pause:?} is no pause")).hint("write it like 30s, 5m or 1h"));
    let pause = lasts(pause).ok_or_else(wrong)?.max(LEAST);
    let mut known = BTreeMap::new();
    let mut interrupts = Interrupts::of_process()?;
    loop {
        tokio::select! {
            seen = look(session, only, conductor) => tell(session, &mut known, seen?)?,
            () = interrupts.next() => break,
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = interrupts.next() => break,
        }
    }
    let holds = !known.is_empty() && known.values().all(|verdict| *verdict == Verdict::Holds);
    Ok(if holds { Exit::Done } else { Exit::Failed })
}

/// One round; none while another command has the root. What breaks something is left out, unless it was asked for by name.
async fn look(session: &Session, only: &[String], conductor: &impl Conductor) -> Result<Vec<Evidence>, Failure> {
    let lock = command_lock::take(&session.root, &session.surroundings.command_line, session.clock);
    let _lock = match lock {
        Err(Failure::Held { .. }) => return Ok(Vec::new()),
        lock => lock?,
    };
    let asked = ReadyRequest { only: only.to_vec() };
    let promises = ControlClient::new(session.root.clone()).explain(&asked).await?;
    let quiet = promises.into_iter().filter(|promise| !promise.disrupts || only.contains(&promise.id));
    let request = ReadyRequest { only: quiet.map(|promise| promise.id).collect() };
    if request.only.is_empty() {
        return Err(Failure::Usage(
            Fault::new("there is nothing to watch: these checks break something for a moment")
                .hint("name each by its id to have it done again and again"),
        ));
    }
    Ok(ready::gate(session, conductor, &request, Detail::Trouble, Json::Nothing).await?.checks)
}

/// Prints what is not as it was the last time.
fn tell(session: &Session, known: &mut BTreeMap<String, Verdict>, seen: Vec<Evidence>) -> Result<(), Failure> {
    let output = &session.output;
    let is_first = known.is_empty() && !seen.is_empty();
    for evidence in &seen {
        if known.insert(evidence.id.clone(), evidence.verdict) == Some(evidence.verdict) {
            continue;
        }
        match output.is_json() {
            true => output.json(evidence)?,
            false => row(evidence, Detail::Trouble, output.data).iter().try_for_each(|line| output.line(line))?,
        }
    }
    if is_first {
        output.note("watching; Ctrl-C ends it");
    }
    Ok(())
}
