//! Tells the edge where limits are counted with other edges.
//!
//! It holds a password, so it goes over the edge's socket into its memory and on no disk: an edge that has just been started knows
//! nothing, counts by itself, and is told within a second. No resource, on purpose: a Redis that is away must fail no `up`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use edge::StoreAccess;
use edge::client::EdgeClient;
use reconcile::Fault;
use tokio::time::{Instant, sleep};

use super::{Control, convergence};
use crate::wanted;
use crate::world::Ports;

/// Between two looks: one question over a Unix socket.
const PERIOD: Duration = Duration::from_millis(500);

/// A rotation changes the password without a convergence that we would see.
const FRESH: Duration = Duration::from_secs(5);

/// What was worked out, and after how many convergences.
struct Known {
    access: Option<StoreAccess>,
    after: u64,
    at: Instant,
}

/// Looks until the task is aborted.
pub(super) async fn carry_on(control: Arc<Control>) {
    let mut known = None;
    let mut told = None;
    loop {
        sleep(PERIOD).await;
        match look(&control, &mut known).await {
            Ok(()) => told = None,
            Err(fault) => {
                let text = fault.to_string();
                if told.as_ref() != Some(&text) {
                    tracing::warn!(causes = ?fault.causes, "cannot tell the edge where limits are counted: {fault}");
                }
                told = Some(text);
            }
        }
    }
}

async fn look(control: &Control, known: &mut Option<Known>) -> Result<(), Fault> {
    let edge = EdgeClient::new(control.root.clone());
    // One that is away is on its way back.
    let Ok(health) = edge.health().await else { return Ok(()) };
    let after = control.convergences.load(Ordering::Relaxed);
    let is_fresh = |known: &Known| known.after == after && known.at.elapsed() < FRESH;
    if !known.as_ref().is_some_and(is_fresh) {
        let Some(want) = wanted::read(&control.root)? else { return Ok(()) };
        let counts = wanted::resolve(&want)?.redis.is_some_and(|redis| redis.counts_limits);
        let access = match counts {
            true => convergence::world(control, &want, Ports::Stay).await?.limits_store()?,
            false => None,
        };
        *known = Some(Known { access, after, at: Instant::now() });
    }
    let access = known.as_ref().and_then(|known| known.access.as_ref());
    let Some(access) = access.filter(|access| health.limits.fingerprint != Some(access.fingerprint())) else {
        return Ok(());
    };
    let edge = match control.delivering.delivered()?.epoch {
        Some(epoch) => edge.of_epoch(epoch),
        None => edge,
    };
    edge.count_limits_in(access).await
}
