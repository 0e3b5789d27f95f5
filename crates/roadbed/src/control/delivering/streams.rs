//! Streams that are open at a release that visitors were switched away from: they live on there for a while of their own, and are
//! ended by the edge, spread over the last part of it.

use std::sync::Arc;
use std::time::Duration;

use delivery::{Deployment, Place, Role, State};
use edge::client::EdgeClient;
use engine::resting::{self, Leave};
use reconcile::Fault;
use reconcile::ports::Routes;

use super::work::instances_in;
use super::{LOOKED_BACK, told};
use crate::control::Control;
use crate::wanted::{self, Wanted};

/// Ends what is open at the release before when its time is over. Does nothing where nothing is open; says the same twice where a
/// stream has yet to take its turn, which changes nothing for it.
pub(super) async fn end_overdue(control: &Arc<Control>) -> Result<(), Fault> {
    let book = &control.delivering.book;
    let slots = book.slots().map_err(|fault| told(&fault))?;
    let Some(warm) = slots.iter().find(|slot| slot.role == Role::Warm) else { return Ok(()) };
    let Some(want) = wanted::read(&control.root)? else { return Ok(()) };
    let live = slots.iter().find(|slot| slot.role == Role::Live).map(|slot| slot.place);
    let deployments = book.deployments(LOOKED_BACK).map_err(|fault| told(&fault))?;
    let switched = deployments.iter().find(|deployment| is_end_of_switch(deployment, live));
    let Some(switched) = switched else { return Ok(()) };
    let rollout = wanted::resolve(&want)?.rollout;
    let spread = rollout.stream_spread();
    // So that the last one has ended when the time is over.
    let longest = rollout.drain_streams.saturating_sub(spread);
    if !switched.left_of(longest, &control.clock.moment()).is_zero() {
        return Ok(());
    }
    let edge = edge(control);
    let all = edge.traffic().await?;
    if all.iter().all(|traffic| traffic.streams == 0) {
        return Ok(());
    }
    for instance in instances_in(control, &want, warm.place).await? {
        if all.iter().any(|traffic| traffic.instance == instance && traffic.streams > 0) {
            edge.end_streams(&instance, spread).await?;
        }
    }
    Ok(())
}

fn is_end_of_switch(deployment: &Deployment, live: Option<Place>) -> bool {
    deployment.state == State::Live && deployment.place == live
}

/// Empties a slot that is about to be taken by the next release.
pub(super) async fn empty(control: &Control, want: &Wanted, place: Place) -> Result<(), Fault> {
    let streams = wanted::resolve(want)?.rollout.stream_spread();
    let instances = instances_in(control, want, place).await?;
    resting::empty(&edge(control), &instances, Leave { requests: Duration::ZERO, streams }).await;
    Ok(())
}

fn edge(control: &Control) -> EdgeClient {
    EdgeClient::new(control.root.clone()).of_epoch(control.delivering.book.epoch())
}
