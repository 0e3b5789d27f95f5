//! Gives an app as many instances as there is work for: by the requests that the edge has under way at them.
//!
//! How many is decided in `decision`, which sees nothing but numbers; on the way there instances are never routed to before they are
//! ready, and never stopped before nobody is sent to them (`delivery::instances`). While a release is being switched nothing changes.

mod decision;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use delivery::instances::{Instances, Move};
use delivery::{Role, State};
use edge::client::EdgeClient;
use engine::instance::is_instance_of;
use engine::probe;
use manifest::environment::Runs;
use manifest::{AppName, Scale};
use reconcile::ports::Routes;
use reconcile::progress::Unwatched;
use reconcile::{Fault, Tools};
use tokio::time::{Instant, sleep};

use self::decision::Load;
use super::wire::{Message, Scaled};
use super::{Control, convergence, delivering};
use crate::wanted::{self, DevApps, Wanted};
use crate::world::Ports;

/// Between two looks: one question over a Unix socket, asked only where something is scaled.
const PERIOD: Duration = Duration::from_millis(500);

/// What could not be done is tried again after this.
const AFTER_FAILURE: Duration = Duration::from_secs(5);

/// An instance that did not start is not tried again before this: what keeps it from starting is seldom gone at once.
const AFTER_REFUSAL: Duration = Duration::from_secs(60);

/// As for a release: an instance is ready when it said so this often in a row.
const TIMES_READY: u32 = 3;
const PROBE: Duration = Duration::from_secs(2);
const BETWEEN_PROBES: Duration = Duration::from_millis(50);

/// What control knows of loads beside what is in the book.
#[derive(Debug, Default)]
struct Memory {
    loads: BTreeMap<AppName, Load>,
    refused: BTreeMap<AppName, Instant>,
}

/// Looks until the task is aborted.
pub async fn carry_on(control: Arc<Control>) {
    let mut memory = Memory::default();
    loop {
        sleep(PERIOD).await;
        if let Err(fault) = look(&control, &mut memory).await {
            tracing::warn!(causes = ?fault.causes, "cannot scale: {fault}");
            sleep(AFTER_FAILURE).await;
        }
    }
}

async fn look(control: &Arc<Control>, memory: &mut Memory) -> Result<(), Fault> {
    let Some(want) = wanted::read(&control.root)? else { return Ok(()) };
    let apps = scaled_apps(&want)?;
    if apps.is_empty() {
        memory.loads.clear();
        return Ok(());
    }
    // An edge that has just died has nothing under way, and is no reason to stop anything: the gap is seen.
    let Ok(traffic) = EdgeClient::new(control.root.clone()).traffic().await else { return Ok(()) };
    for (app, scale) in &apps {
        let of_app = traffic.iter().filter(|traffic| is_instance_of(app, &traffic.instance));
        let in_flight: usize = of_app.map(|traffic| traffic.in_flight).sum();
        let in_flight = u32::try_from(in_flight).unwrap_or(u32::MAX);
        memory.loads.entry(app.clone()).or_default().saw(control.clock.instant(), in_flight, scale.down_after);
    }
    if is_switching(control)? || convergence::refuse_while_stopping(control).await.is_err() {
        return Ok(());
    }
    for (app, scale) in &apps {
        let load = memory.loads.entry(app.clone()).or_default();
        let mut now = of(control, app, scale)?;
        let may_grow = memory.refused.get(app).is_none_or(|until| Instant::now() >= *until);
        let next = decision::wanted(scale, now.wanted, load, control.clock.instant());
        if next != now.wanted && (next < now.wanted || may_grow) {
            tracing::info!(%app, from = now.wanted, to = next, "another number of instances");
            now = Instances { wanted: next, since: control.clock.now(), ..now };
            keep(control, app, now)?;
            load.forget();
        }
        if let Some(step) = now.next()
            && !go(control, &want, app, now, step).await?
        {
            tracing::warn!(%app, "another instance does not get ready");
            memory.refused.insert(app.clone(), Instant::now() + AFTER_REFUSAL);
            keep(control, app, Instances { wanted: now.routed, since: control.clock.now(), ..now })?;
        }
    }
    Ok(())
}

/// Those that the manifest has as many of as there is work for. Development servers are one of each.
fn scaled_apps(want: &Wanted) -> Result<Vec<(AppName, Scale)>, Fault> {
    if want.dev != DevApps::None {
        return Ok(Vec::new());
    }
    let environment = wanted::resolve(want)?;
    let scaled = environment.apps.iter().filter_map(|app| match &app.runs {
        Runs::Server(server) => Some((app.name.clone(), server.scale?)),
        Runs::Static { .. } => None,
    });
    Ok(scaled.collect())
}

fn is_switching(control: &Control) -> Result<bool, Fault> {
    let current = control.delivering.book.current().map_err(|fault| delivering::told(&fault))?;
    Ok(current.is_some_and(|deployment| !matches!(deployment.state, State::Queued | State::AwaitingApproval)))
}

fn of(control: &Control, app: &AppName, scale: &Scale) -> Result<Instances, Fault> {
    let all = control.delivering.book.instances().map_err(|fault| delivering::told(&fault))?;
    Ok(all.get(app.as_str()).copied().unwrap_or_else(|| Instances::new(scale.min, control.clock.now())))
}

fn keep(control: &Control, app: &AppName, instances: Instances) -> Result<(), Fault> {
    control.delivering.book.set_instances(app.as_str(), instances).map_err(|fault| delivering::told(&fault))
}

/// One step. Whether it could be done: an instance that does not start is no fault of the environment.
async fn go(control: &Arc<Control>, want: &Wanted, app: &AppName, now: Instances, step: Move) -> Result<bool, Fault> {
    match step {
        Move::Start(_) => {
            keep(control, app, now.after(step))?;
            let converged = convergence::converge(control, want, Arc::new(Unwatched)).await?;
            let prefix = format!("app/{app}");
            Ok(
                !matches!(converged, Message::Converged { failed, .. } if failed.iter().any(|name| name.starts_with(&prefix))),
            )
        }
        Move::Route(_) => {
            if !are_ready(control, want, app).await? {
                return Ok(false);
            }
            keep(control, app, now.after(step))?;
            publish(control, want).await.map(|()| true)
        }
        Move::Unroute(_) => {
            keep(control, app, now.after(step))?;
            publish(control, want).await.map(|()| true)
        }
        // Whatever is stopped has ended what it had under way before (`world::leftovers`).
        Move::Stop(_) => {
            keep(control, app, now.after(step))?;
            // Routes that a control before this one could not publish any more.
            publish(control, want).await?;
            convergence::converge(control, want, Arc::new(Unwatched)).await.map(|_| true)
        }
    }
}

/// All instances of the app that visitors reach or are about to.
async fn are_ready(control: &Control, want: &Wanted, app: &AppName) -> Result<bool, Fault> {
    let _turn = control.turn.lock().await;
    let world = convergence::world(control, want, Ports::Stay).await?;
    for instance in world.live_instances().into_iter().filter(|instance| is_instance_of(app, &instance.name)) {
        for _ in 0..TIMES_READY {
            if !probe::get(instance.port, &instance.ready, PROBE).await.is_ok() {
                return Ok(false);
            }
            sleep(BETWEEN_PROBES).await;
        }
    }
    Ok(true)
}

/// Nothing but the route table.
async fn publish(control: &Control, want: &Wanted) -> Result<(), Fault> {
    let _turn = control.turn.lock().await;
    let world = convergence::world(control, want, Ports::Stay).await?;
    let tools = Tools { journal: control.journal.clone(), progress: Arc::new(Unwatched), clock: control.clock.clone() };
    let report = reconcile::converge(&world.routes, &tools).await;
    report.failed.into_values().next().map_or(Ok(()), Err)
}

/// As `status` tells it.
pub(super) fn status(control: &Control, want: &Wanted) -> Result<Vec<Scaled>, Fault> {
    let has_live = control.delivering.book.slots().map_err(|fault| delivering::told(&fault))?;
    let is_running = has_live.iter().any(|slot| slot.role == Role::Live) || want.apps == wanted::Apps::FromProject;
    if !is_running {
        return Ok(Vec::new());
    }
    let scaled = scaled_apps(want)?.into_iter().map(|(app, scale)| {
        let Instances { running, routed, wanted, since } = of(control, &app, &scale)?;
        let Scale { min, max, in_flight, .. } = scale;
        Ok(Scaled { app: app.to_string(), running, routed, wanted, since, min, max, in_flight })
    });
    scaled.collect()
}
