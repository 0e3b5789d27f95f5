//! What was changed behind our back: a user, a right, an index, a rule of the packet filter. `roadbed status` tells it, and where
//! the manifest says so it is put right. What time alone has changed, a certificate that comes to its end, is renewed without a word.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use manifest::environment::OnDrift;
use reconcile::progress::Unwatched;
use reconcile::{Drifted, Fault, Planned};
use tokio::time::sleep;

use super::wire::{Drift, Message};
use super::{Control, convergence, sleeping};
use crate::wanted;
use crate::world::Ports;

/// Time between two looks. One costs each server a login per user.
const PERIOD: Duration = Duration::from_secs(30);

/// What the last look found.
#[derive(Debug, Default)]
pub struct LastLook(Mutex<Vec<Drift>>);

impl LastLook {
    pub(super) fn get(&self) -> Vec<Drift> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps what was found, and returns what was not known.
    fn note(&self, found: Vec<Drift>) -> Vec<Drift> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let news = found.iter().filter(|drift| !known.contains(drift)).cloned().collect();
        *known = found;
        news
    }

    /// After a convergence nothing of it is true any more.
    pub(super) fn forget(&self) {
        self.note(Vec::new());
    }
}

/// Looks until the task is aborted.
pub async fn look_out(control: Arc<Control>) {
    loop {
        sleep(PERIOD).await;
        match look(&control).await {
            Ok(true) => repair(&control).await,
            Ok(false) => {}
            // A server that is down is the keeper's to start, and told by its state.
            Err(fault) => tracing::debug!(causes = ?fault.causes, "cannot look for drift: {fault}"),
        }
    }
}

/// Whether there is something to put right now.
async fn look(control: &Control) -> Result<bool, Fault> {
    // A convergence is at it already, or the gate, which freezes servers.
    let Ok(_turn) = control.turn.try_lock() else { return Ok(false) };
    if sleeping::read(&control.root).is_some() {
        return Ok(false);
    }
    let Some(want) = wanted::read(&control.root)? else { return Ok(false) };
    let world = convergence::world(control, &want, Ports::Stay).await?;
    let Drifted { by_others, by_time } = reconcile::drifted(&world.graph).await;
    // What waits for somebody's word goes on waiting, and being told.
    let is_repaired = by_others.iter().any(|one| !one.steps.is_empty()) && world.environment().drift == OnDrift::Repair;
    for Drift { resource, would, left } in control.drift.note(by_others.into_iter().map(Drift::from).collect()) {
        tracing::warn!(resource, ?would, ?left, "changed behind our back");
    }
    by_time.iter().for_each(|resource| tracing::info!(%resource, "time to renew"));
    Ok(is_repaired || !by_time.is_empty())
}

async fn repair(control: &Control) {
    let Ok(Some(want)) = wanted::read(&control.root) else { return };
    match convergence::converge(control, &want, Arc::new(Unwatched)).await {
        Ok(Message::Converged { steps, failed, .. }) => tracing::info!(steps, ?failed, "put right what had changed"),
        Ok(_) => {}
        Err(fault) => tracing::error!(causes = ?fault.causes, "cannot put right what has changed: {fault}"),
    }
}

impl From<Planned> for Drift {
    fn from(planned: Planned) -> Self {
        Self { resource: planned.resource, would: planned.steps, left: planned.drift }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn drift(step: &str) -> Drift {
        Drift { resource: "mongodb".to_owned(), would: vec![step.to_owned()], left: Vec::new() }
    }

    #[test]
    fn each_change_is_news_once_until_it_was_put_right() {
        let look = LastLook::default();
        assert_eq!(look.note(vec![drift("remove user eve")]), [drift("remove user eve")]);
        assert_eq!(look.note(vec![drift("remove user eve")]), []);
        assert_eq!(look.get(), [drift("remove user eve")]);
        look.forget();
        assert_eq!(look.get(), []);
        assert_eq!(look.note(vec![drift("remove user eve")]), [drift("remove user eve")]);
    }
}
