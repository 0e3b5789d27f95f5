//! Notices when the world has moved away from what is wanted, and converges again.
//!
//! Dead processes are the keeper's to restart. What only control can mend is a unit that the keeper has lost, since after its
//! own crash it no longer knows the variables, or that is gone altogether.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use reconcile::ports::{UnitState, Units};
use reconcile::progress::Unwatched;
use tokio::time::sleep;

use super::wire::Message;
use super::{Control, convergence, proof, sleeping};
use crate::wanted;

/// Time between two looks. One look is one small question over a Unix socket.
const PERIOD: Duration = Duration::from_millis(500);

/// After a convergence that failed, look again only after a while, so that a broken app is not started in a circle. The first
/// failure is often a store that was killed in the middle of it: the pause begins short and doubles up to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Watches until the task is aborted. Control has just started when this begins: the first thing is to converge.
pub async fn watch(control: Arc<Control>) {
    let mut known: Option<Known> = None;
    let mut pause = PERIOD;
    proof::thaw_stores(&control).await;
    loop {
        match needs_mending(&control, known.as_ref()).await {
            Some(why) => {
                tracing::info!(why, "converging");
                if mend(&control).await {
                    pause = PERIOD;
                } else {
                    sleep(pause).await;
                    pause = LONGEST_PAUSE.min(pause * 2);
                }
                known = known_now(&control).await;
            }
            None => known = known_now(&control).await.or(known),
        }
        sleep(PERIOD).await;
    }
}

async fn needs_mending(control: &Control, known: Option<&Known>) -> Option<String> {
    // Somebody's `up` is at it already.
    let Ok(_turn) = control.turn.try_lock() else { return None };
    wanted::read(&control.root).ok().flatten()?;
    let Some(known) = known else { return Some("control has just started".into()) };
    let units = control.keeper.list().await.ok()?;
    if convergence::refuse_while_stopping(control).await.is_err() {
        return None;
    }
    if let Some(unit) = units.iter().find(|unit| matches!(unit.state, UnitState::Lost | UnitState::Adopted)) {
        return Some(format!("a new keeper does not know the variables of {}", unit.name));
    }
    if known.after != control.convergences.load(Ordering::Relaxed) {
        return None;
    }
    let gone = known.units.iter().find(|name| !units.iter().any(|unit| unit.name == **name))?;
    Some(format!("{gone} is gone"))
}

async fn mend(control: &Control) -> bool {
    let want = match wanted::read(&control.root) {
        Ok(Some(want)) => want,
        Ok(None) => return true,
        Err(fault) => {
            tracing::error!(causes = ?fault.causes, "{fault}");
            return false;
        }
    };
    let converged = match sleeping::is_asleep(control) {
        true => sleeping::stay_asleep(control, &want).await,
        false => convergence::converge(control, &want, Arc::new(Unwatched)).await,
    };
    match converged {
        Ok(Message::Converged { failed, steps, .. }) => {
            tracing::info!(steps, ?failed, "converged");
            failed.is_empty()
        }
        Ok(_) => true,
        Err(fault) => {
            tracing::error!(causes = ?fault.causes, "{fault}");
            false
        }
    }
}

/// The units that there were after so many convergences.
struct Known {
    units: BTreeSet<String>,
    after: u64,
}

async fn known_now(control: &Control) -> Option<Known> {
    // Counted first: what a convergence takes away meanwhile is then no news.
    let after = control.convergences.load(Ordering::Relaxed);
    let units = control.keeper.list().await.ok()?;
    Some(Known { units: units.into_iter().map(|unit| unit.name).collect(), after })
}
