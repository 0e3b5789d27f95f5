//! Runs two instances of an app beside what serves, proves with them that it may come and go, and takes them away again.

use std::sync::Arc;

use delivery::{Place, State};
use gate::{Claim, Evidence, Findings, Outcome, Report, Verdict};
use manifest::AppName;
use manifest::environment::Runs;
use reconcile::ports::Units;
use reconcile::progress::Unwatched;
use reconcile::{Fault, Tools};

use super::wire::Message;
use super::{Control, convergence, delivering};
use crate::process_model::{self, BUSY, Before, IDLE, Pair, ProcessModelRequest, SESSION, STARTS, Visit, WRITING};
use crate::wanted::{self, DevApps, Wanted};

/// As much of what the instances said as is looked through.
const TAIL: usize = 500;

/// Proves it for each app that is asked for, and reports.
pub(super) async fn run(
    control: &Control,
    request: &ProcessModelRequest,
    mut on_evidence: impl FnMut(&Evidence),
) -> Result<Message, Fault> {
    // For as long as it takes: nobody converges meanwhile, who would stop what nobody wants.
    let _turn = control.turn.lock().await;
    let want = wanted::read(&control.root)?
        .ok_or_else(|| Fault::new("there is nothing to check: no environment is wanted").hint("`roadbed up` first"))?;
    if want.dev != DevApps::None {
        return Err(Fault::new("development servers run here, and they are not what is deployed")
            .hint("`roadbed up` without --dev runs what was built"));
    }
    refuse_while_switching(control)?;
    let apps = apps(&want, request)?;
    let visits = visits(request)?;
    let mut evidence = Vec::new();
    let redactions = control.redactions(&want);
    for app in &apps {
        let mut rows = Rows { control, app, several: apps.len() > 1, done: Vec::new() };
        let proved = prove(control, &want, app, &visits, &mut rows, &mut on_evidence).await;
        // Whatever came of it, they go.
        take_away(control, &want).await?;
        proved?;
        for row in rows.done {
            let observed = row.observed.iter().map(|text| redactions.redact(text).into_owned()).collect();
            let kept = control.ledger.append(&Evidence { observed, ..row.clone() });
            kept.map_err(|fault| {
                Fault::because("cannot keep the evidence", &fault).hint("see whether the disk is full")
            })?;
            evidence.push(row);
        }
    }
    Ok(Message::Report { report: Report::new(want.environment, evidence) })
}

fn refuse_while_switching(control: &Control) -> Result<(), Fault> {
    let current = control.delivering.book.current().map_err(|fault| delivering::told(&fault))?;
    match current.filter(|deployment| !matches!(deployment.state, State::Queued | State::AwaitingApproval)) {
        None => Ok(()),
        Some(deployment) => {
            Err(Fault::new(format!("cannot look at processes now: {} is {}", deployment.id, deployment.state))
                .hint("`roadbed deploy follow` shows when it is over"))
        }
    }
}

fn apps(want: &Wanted, request: &ProcessModelRequest) -> Result<Vec<AppName>, Fault> {
    let environment = wanted::resolve(want)?;
    let servers = environment.apps.iter().filter(|app| matches!(app.runs, Runs::Server(_)));
    let servers: Vec<AppName> = servers.map(|app| app.name.clone()).collect();
    let Some(asked) = &request.app else { return Ok(servers) };
    let found = servers.iter().find(|name| name.as_str() == asked).cloned();
    found.map(|name| vec![name]).ok_or_else(|| {
        let known: Vec<&str> = servers.iter().map(AppName::as_str).collect();
        Fault::new(format!("there is no process {asked:?}"))
            .hint(format!("the apps that are processes: {}", known.join(", ")))
    })
}

fn visits(request: &ProcessModelRequest) -> Result<Vec<Visit>, Fault> {
    let read = |text: &String| {
        Visit::read(text).ok_or_else(|| {
            Fault::new(format!("{text:?} is no visit"))
                .hint("write a path, or a method, a path and a body: 'POST /login {}'")
        })
    };
    request.visits.iter().map(read).collect()
}

/// The rows of one app.
struct Rows<'a> {
    control: &'a Control,
    app: &'a AppName,
    several: bool,
    done: Vec<Evidence>,
}

impl Rows<'_> {
    async fn row(
        &mut self,
        claim: &Claim,
        on: &mut impl FnMut(&Evidence),
        check: impl Future<Output = Outcome>,
    ) -> Verdict {
        let clock = &self.control.clock;
        let (at, began) = (clock.now(), clock.instant());
        let outcome = check.await;
        let took = clock.instant().saturating_duration_since(began);
        let evidence = Evidence {
            task: claim.task.to_owned(),
            id: claim.id.to_owned(),
            claim: if self.several { format!("{}: {}", self.app, claim.claim) } else { claim.claim.to_owned() },
            verdict: outcome.verdict,
            observed: outcome.observed,
            at,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            hint: (outcome.verdict != Verdict::Holds).then(|| claim.hint.to_owned()),
        };
        on(&evidence);
        self.done.push(evidence);
        outcome.verdict
    }
}

async fn prove(
    control: &Control,
    want: &Wanted,
    app: &AppName,
    visits: &[Visit],
    rows: &mut Rows<'_>,
    on: &mut impl FnMut(&Evidence),
) -> Result<(), Fault> {
    let world = convergence::world_with_trial(control, want, app).await?;
    let pair = world.pair(app, visits)?;
    let before = Before::of(&pair.folder);
    let started = rows.row(&STARTS, on, start(control, &world, &pair)).await;
    if started != Verdict::Holds {
        return Ok(());
    }
    let confined = control.keeper.confined().await?;
    rows.row(&SESSION, on, process_model::session(&pair)).await;
    rows.row(&BUSY, on, process_model::busy(&pair, control.keeper.as_ref())).await;
    rows.row(&IDLE, on, process_model::idle(&pair, control.keeper.as_ref())).await;
    let mut tail = Vec::new();
    for one in &pair.instances {
        tail.extend(control.keeper.tail(&one.name, TAIL).await.unwrap_or_default());
    }
    let writing = async { process_model::writing(&pair, &before, &confined, &tail) };
    rows.row(&WRITING, on, writing).await;
    Ok(())
}

async fn start(control: &Control, world: &crate::world::World, pair: &Pair) -> Outcome {
    let tools = Tools { journal: control.journal.clone(), progress: Arc::new(Unwatched), clock: control.clock.clone() };
    let report = reconcile::converge(&world.graph, &tools).await;
    let tag = Place::Trial.tag().unwrap_or_default();
    let own = format!("app/{}@{tag}", pair.app);
    let mut findings = Findings::default();
    let failed = report.failed.into_iter().find(|(resource, _)| resource.as_str() == own);
    match failed {
        Some((_, fault)) => {
            findings.bad(std::iter::once(fault.message).chain(fault.causes).collect::<Vec<_>>().join(": "));
            fault.output.iter().rev().take(5).rev().for_each(|line| findings.good(line.clone()));
        }
        None if report.skipped.iter().any(|resource| resource.as_str() == own) => {
            findings.bad(format!("{} cannot start: something that it needs is not there", pair.app));
        }
        None => {
            let names = pair.instances.iter().map(|one| format!("{} on port {}", one.name, one.port));
            findings.good(format!("{} are ready", names.collect::<Vec<_>>().join(" and ")));
        }
    }
    findings.outcome()
}

/// The world as it was: what is of no slot is stopped.
async fn take_away(control: &Control, want: &Wanted) -> Result<(), Fault> {
    let world = convergence::world(control, want, crate::world::Ports::Stay).await?;
    let tools = Tools { journal: control.journal.clone(), progress: Arc::new(Unwatched), clock: control.clock.clone() };
    let report = reconcile::converge(&world.graph, &tools).await;
    report
        .failed
        .into_iter()
        .find(|(resource, _)| resource.as_str() == "leftovers")
        .map_or(Ok(()), |(_, fault)| Err(fault))
}
