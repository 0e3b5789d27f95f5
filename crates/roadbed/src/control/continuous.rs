//! Looks at each promise by itself, on its own period, while nobody asks: so that it is known since when one does not hold.
//!
//! One look at a time, none while somebody's command, convergence or gate has its turn, and within a share of the time
//! (`gate::schedule`). What breaks something is left to those who ask for it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gate::{CheckCx, Evidence, Schedule, Verdict};
use host::clock::Timestamp;
use reconcile::Fault;
use reconcile::ports::Units;
use tokio::time::sleep;

use super::wire::ReadyRequest;
use super::{Control, convergence, proof, sleeping};
use crate::checks::catalogue;
use crate::wanted;

/// Between two looks at what is due. It costs nothing while nothing is.
const TICK: Duration = Duration::from_secs(5);

/// Who waits for their turn waits no longer than this for a look of ours; twice as long where one is repeated because it failed.
const BUDGET: Duration = Duration::from_secs(10);

/// What has not changed is written down once an hour: a ledger that tells of five minutes each is read by nobody.
const SAID_AGAIN: Duration = Duration::from_secs(3600);

/// What was written down last.
struct Known {
    verdict: Verdict,
    at: Timestamp,
}

pub(super) async fn carry_on(control: Arc<Control>) {
    let begun = control.clock.instant();
    let mut schedule = Schedule::default();
    let mut known: Option<BTreeMap<String, Known>> = None;
    loop {
        sleep(TICK).await;
        let now = || control.clock.instant().saturating_duration_since(begun);
        let listed = catalogue::ALL.iter().filter_map(|promise| Some((promise.claim.id, promise.period?)));
        let Some(id) = schedule.next(now(), listed) else { continue };
        let period = catalogue::promise(id).and_then(|promise| promise.period).unwrap_or(SAID_AGAIN);
        let before = now();
        match look(&control, id, &mut known).await {
            Ok(Looked::Done) => schedule.looked(now(), id, period, now() - before),
            // Somebody has their turn: at the next tick again.
            Ok(Looked::NotNow) => {}
            Err(fault) => {
                tracing::debug!(check = id, causes = ?fault.causes, "cannot look at a promise: {fault}");
                schedule.looked(now(), id, period, now() - before);
            }
        }
    }
}

enum Looked {
    Done,
    NotNow,
}

async fn look(control: &Control, id: &str, known: &mut Option<BTreeMap<String, Known>>) -> Result<Looked, Fault> {
    let Ok(_turn) = control.turn.try_lock() else { return Ok(Looked::NotNow) };
    // What sleeps, is brought up or stopped promises nothing.
    if wanted::read(&control.root)?.is_none()
        || sleeping::read(&control.root).is_some()
        || convergence::refuse_while_stopping(control).await.is_err()
        || control.keeper.list().await?.is_empty()
    {
        return Ok(Looked::NotNow);
    }
    // One that is not promised here has nothing to look at.
    let request = ReadyRequest { only: Vec::new() };
    let proof::Asked { want, checks, .. } = proof::asked_for(control, &request).await?;
    let Some(check) = checks.iter().find(|check| check.claim().id == id) else { return Ok(Looked::Done) };
    let cx = CheckCx { budget: BUDGET };
    let mut evidence = gate::run_one(check.as_ref(), &cx, control.clock.as_ref()).await;
    // Somebody will be told: what a busy moment did is no news.
    if evidence.verdict == Verdict::Fails {
        evidence = gate::run_one(check.as_ref(), &cx, control.clock.as_ref()).await;
    }
    let redactions = control.redactions(&want);
    let observed = evidence.observed.iter().map(|text| redactions.redact(text).into_owned()).collect();
    keep(control, Evidence { observed, ..evidence }, known)?;
    Ok(Looked::Done)
}

/// Writes down what changed, or was not said for a while.
fn keep(control: &Control, evidence: Evidence, known: &mut Option<BTreeMap<String, Known>>) -> Result<(), Fault> {
    let unkept = |fault: gate::ledger::LedgerFault| Fault::because("cannot keep the evidence", &fault);
    let known = match known {
        Some(known) => known,
        None => {
            let newest = control.ledger.newest_of_each().map_err(unkept)?.into_iter();
            known.insert(newest.map(|one| (one.id, Known { verdict: one.verdict, at: one.at })).collect())
        }
    };
    let before = known.get(&evidence.id);
    let is_news = before.is_none_or(|before| before.verdict != evidence.verdict);
    if !is_news && before.is_some_and(|before| evidence.at.since(before.at) < SAID_AGAIN) {
        return Ok(());
    }
    if is_news {
        let Evidence { task, id, verdict, observed, .. } = &evidence;
        match verdict {
            Verdict::Holds => tracing::info!(%task, check = %id, "a promise holds"),
            Verdict::Fails => tracing::error!(%task, check = %id, ?observed, "a promise does not hold any more"),
            Verdict::Inconclusive => {
                tracing::warn!(%task, check = %id, ?observed, "it cannot be told whether a promise holds")
            }
        }
    }
    control.ledger.append(&evidence).map_err(unkept)?;
    known.insert(evidence.id, Known { verdict: evidence.verdict, at: evidence.at });
    Ok(())
}
