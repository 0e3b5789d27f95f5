//! A preview that nobody visits sleeps: its apps and data services are stopped, and the edge keeps its door. The next visitor waits
//! there until it is awake.
//!
//! ```text
//!   nobody came for `idle` ─► note: asleep ─► apps, then data services, end in order
//!                                                    │  a request at the edge, a deployment, any command that needs it
//!                              note taken away ◄── converged ◄── note: waking
//! ```
//!
//! The note is on disk before anything is done, so a control that is killed at any point goes on where it was: one that finds
//! `asleep` stops what still runs, one that finds `waking` starts what does not.

use std::sync::Arc;
use std::time::{Duration, Instant};

use delivery::Role;
use edge::Arrived;
use edge::client::EdgeClient;
use host::clock::Timestamp;
use host::files::{self, Access};
use reconcile::ports::{Routes, Units};
use reconcile::progress::Unwatched;
use reconcile::{Fault, Root, Tools};
use serde::{Deserialize, Serialize};
use stores::leases::book as leases;
use tokio::time::sleep;

use super::wire::Message;
use super::{Control, convergence};
use crate::wanted::{self, Wanted};
use crate::world::Ports;

/// Between two looks at an environment that never sleeps: the manifest of the next `up` may change that.
const SELDOM: Duration = Duration::from_secs(5);

/// Between two looks at whether somebody came, at most: a fraction of what it may be idle.
const BETWEEN_LOOKS: Duration = Duration::from_secs(10);

/// Between two attempts, and the least that is waited.
const PAUSE: Duration = Duration::from_millis(200);

/// An environment that is not quite there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sleep {
    pub state: SleepState,
    pub since: Timestamp,
    /// Visitors that the edge had counted when it was decided: who comes after that wakes it.
    #[serde(default)]
    pub arrivals: Arrived,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SleepState {
    Asleep,
    Waking,
}

fn path(root: &Root) -> std::path::PathBuf {
    root.state().join("sleep.json")
}

/// Whether an environment is asleep or waking; `None`: it is awake. A note that cannot be read is none: then it is brought up whole.
pub fn read(root: &Root) -> Option<Sleep> {
    serde_json::from_slice(&files::read_if_exists(&path(root)).ok()??).ok()
}

fn write(root: &Root, note: &Sleep) -> Result<(), Fault> {
    let text = serde_json::to_vec(note).expect("a note is plain data");
    files::write_durable(&path(root), &text, Access::Owner)
        .map_err(|fault| Fault::because("cannot note that the environment sleeps", &fault))
}

/// It is awake, or down.
pub(super) fn forget(root: &Root) -> Result<(), Fault> {
    files::remove(&path(root)).map_err(|fault| Fault::because("cannot note that the environment is awake", &fault))
}

pub(super) fn is_asleep(control: &Control) -> bool {
    read(&control.root).is_some_and(|note| note.state == SleepState::Asleep)
}

/// To be called before anything is started: whoever is killed from here on is followed by one that goes on with it.
pub(super) fn begin_to_wake(control: &Control) -> Result<(), Fault> {
    match read(&control.root) {
        Some(note) if note.state == SleepState::Asleep => {
            let since = control.clock.now();
            write(&control.root, &Sleep { state: SleepState::Waking, since, ..note })
        }
        _ => Ok(()),
    }
}

/// Wakes it, if it sleeps, and returns when it is awake. Not with the turn in hand.
pub(super) async fn ensure_awake(control: &Control) -> Result<(), Fault> {
    if read(&control.root).is_none() {
        return Ok(());
    }
    let Some(want) = wanted::read(&control.root)? else { return Ok(()) };
    match convergence::converge(control, &want, Arc::new(Unwatched)).await? {
        Message::Converged { failed, .. } if !failed.is_empty() => {
            Err(Fault::new(format!("{} sleeps, and does not wake: {}", want.environment, failed.join(", ")))
                .hint("`roadbed up` says why; `roadbed logs` shows what they write"))
        }
        _ => Ok(()),
    }
}

/// Stops what still runs of an environment that is asleep, and keeps its door.
pub(super) async fn stay_asleep(control: &Control, want: &Wanted) -> Result<Message, Fault> {
    {
        let _turn = control.turn.lock().await;
        // A visitor may have come while somebody else had the turn: what was woken is not put to sleep behind the visitor's back.
        if is_asleep(control) {
            return put_to_sleep(control, want).await;
        }
    }
    convergence::converge(control, want, Arc::new(Unwatched)).await
}

async fn put_to_sleep(control: &Control, want: &Wanted) -> Result<Message, Fault> {
    let start = control.clock.instant();
    let world = convergence::world(control, want, Ports::Stay).await?;
    let progress = Arc::new(Unwatched);
    let tools = Tools { journal: control.journal.clone(), progress, clock: control.clock.clone() };
    let report = reconcile::converge(&world.asleep, &tools).await;
    let took = control.clock.instant().saturating_duration_since(start);
    Ok(Message::Converged {
        steps: report.steps,
        failed: report.failed.keys().map(ToString::to_string).collect(),
        skipped: report.skipped.iter().map(ToString::to_string).collect(),
        took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        status: Box::new(convergence::status(control).await?),
    })
}

/// When somebody was last seen.
#[derive(Clone, Copy, Debug)]
struct Quiet {
    arrivals: Arrived,
    since: Instant,
}

/// Puts it to sleep and wakes it, until the task is aborted.
pub(super) async fn watch(control: Arc<Control>) {
    let mut quiet = None;
    let mut told = String::new();
    let mut pause = PAUSE;
    loop {
        let wait = match look(&control, &mut quiet).await {
            Ok(wait) => {
                told.clear();
                pause = PAUSE;
                wait
            }
            Err(fault) => {
                // An edge that was killed is back in a moment; say it once.
                let now = format!("{fault} {:?}", fault.causes);
                if now != told {
                    tracing::info!(causes = ?fault.causes, "cannot tell whether anybody visits: {fault}");
                    told = now;
                }
                // What does not wake is not started in a circle.
                pause = BETWEEN_LOOKS.min(pause * 2);
                pause
            }
        };
        sleep(wait).await;
    }
}

async fn look(control: &Control, quiet: &mut Option<Quiet>) -> Result<Duration, Fault> {
    let Some(want) = wanted::read(&control.root)? else { return Ok(PAUSE) };
    let Some(idle) = wanted::resolve(&want)?.preview.idle else { return Ok(SELDOM) };
    if convergence::refuse_while_stopping(control).await.is_err() {
        return Ok(PAUSE);
    }
    if let Some(note) = read(&control.root) {
        *quiet = None;
        return wait_for_visitor(control, &note).await;
    }
    let edge = EdgeClient::new(control.root.clone());
    // No edge has that, so the answer is at once.
    let arrivals = edge.arrivals(Arrived::default()).await?;
    let now = control.clock.instant();
    let known = quiet.filter(|quiet| quiet.arrivals == arrivals);
    let since = match known {
        Some(quiet) if !is_busy(control, &edge).await? => quiet.since,
        _ => now,
    };
    *quiet = Some(Quiet { arrivals, since });
    let left = idle.saturating_sub(now.saturating_duration_since(since));
    if !left.is_zero() {
        return Ok(left.min(idle / 8).clamp(PAUSE, BETWEEN_LOOKS));
    }
    *quiet = None;
    fall_asleep(control, &want, arrivals).await.map(|()| PAUSE)
}

/// Whether somebody needs it who is no visitor: a deployment, a command that was lent something, a rotation, a request that lasts.
async fn is_busy(control: &Control, edge: &EdgeClient) -> Result<bool, Fault> {
    if control.turn.try_lock().is_err() || control.rotation.turn.try_lock().is_err() {
        return Ok(true);
    }
    let current = control.delivering.book.current();
    let is_delivering = current.map_err(|fault| Fault::because("cannot tell what is deployed", &fault))?.is_some();
    if is_delivering || !leases::read(&control.root)?.is_empty() {
        return Ok(true);
    }
    Ok(edge.traffic().await?.iter().any(|traffic| traffic.in_flight > 0))
}

async fn fall_asleep(control: &Control, want: &Wanted, arrivals: Arrived) -> Result<(), Fault> {
    // Somebody else's convergence is a reason to stay awake; the next look counts from then.
    let Ok(_turn) = control.turn.try_lock() else { return Ok(()) };
    // Something that does not do well is not put to sleep: whoever looks shall see it.
    if control.keeper.list().await?.iter().any(|unit| unit.pid.is_none()) {
        return Ok(());
    }
    let since = control.clock.now();
    tracing::info!("nobody comes: falling asleep");
    write(&control.root, &Sleep { state: SleepState::Asleep, since, arrivals })?;
    give_up_warm(control)?;
    put_to_sleep(control, want).await.map(drop)
}

/// What stood ready to be switched back to would be started again with what serves.
fn give_up_warm(control: &Control) -> Result<(), Fault> {
    let book = &control.delivering.book;
    let cannot = |fault: delivery::BookFault| Fault::because("cannot give up what is kept warm", &fault);
    let slots = book.slots().map_err(cannot)?;
    let over = slots.into_iter().filter(|slot| matches!(slot.role, Role::Warm | Role::Leaving));
    over.map(|slot| slot.place).try_for_each(|place| book.give_up(place).map_err(cannot))
}

async fn wait_for_visitor(control: &Control, note: &Sleep) -> Result<Duration, Fault> {
    if note.state == SleepState::Asleep {
        let arrivals = EdgeClient::new(control.root.clone()).arrivals(note.arrivals).await?;
        if read(&control.root).as_ref() != Some(note) {
            return Ok(Duration::ZERO);
        }
        if !arrivals.is_after(note.arrivals) {
            if arrivals != note.arrivals {
                // Another edge, which counts from the beginning.
                write(&control.root, &Sleep { arrivals, ..note.clone() })?;
            }
            return Ok(Duration::ZERO);
        }
        tracing::info!("a visitor came: waking");
    }
    ensure_awake(control).await.map(|()| PAUSE)
}
