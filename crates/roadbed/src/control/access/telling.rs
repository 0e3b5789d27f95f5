//! Tells the edge who is let in beyond what the routes say: by which key sessions are signed, which were ended, who is kept out.
//!
//! At once when something changes, and whenever an edge knows something else than the book: it was started anew, or was away.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use edge::Admission;
use edge::client::EdgeClient;
use reconcile::Fault;
use tokio::time::{Instant, sleep};

use super::{broken, doors};
use crate::control::Control;
use crate::wanted;

/// Between two looks: one question over a Unix socket.
const PERIOD: Duration = Duration::from_millis(500);
/// What is over is struck from the book so often.
const FRESH: Duration = Duration::from_secs(5);

/// What was worked out, when, and after how many convergences: another manifest may have other doors.
struct Known {
    admission: Admission,
    at: Instant,
    after: u64,
}

/// Looks until the task is aborted.
pub(crate) async fn carry_on(control: Arc<Control>) {
    let mut known = None;
    let mut told = None;
    loop {
        sleep(PERIOD).await;
        match look(&control, &mut known).await {
            Ok(()) => told = None,
            Err(fault) => {
                let text = fault.to_string();
                if told.as_ref() != Some(&text) {
                    tracing::warn!(causes = ?fault.causes, "cannot tell the edge who is let in: {fault}");
                }
                told = Some(text);
            }
        }
    }
}

async fn look(control: &Control, known: &mut Option<Known>) -> Result<(), Fault> {
    // One that is away is on its way back.
    let Ok(health) = EdgeClient::new(control.root.clone()).health().await else { return Ok(()) };
    let after = control.convergences.load(Ordering::Relaxed);
    let is_fresh = |known: &Known| known.after == after && known.at.elapsed() <= FRESH;
    if !known.as_ref().is_some_and(is_fresh) {
        let Some(admission) = admission(control).await? else { return Ok(()) };
        *known = Some(Known { admission, at: Instant::now(), after });
    }
    if known.as_ref().is_some_and(|known| known.admission.fingerprint() == health.admission) {
        return Ok(());
    }
    // What changed since it was worked out counts.
    *known = None;
    tell_now(control).await
}

/// Before somebody is let in: a session that the edge cannot verify yet would be a sign-in for nothing.
pub(super) async fn tell_if_it_knows_else(control: &Control) -> Result<(), Fault> {
    let Some(admission) = admission(control).await? else { return Ok(()) };
    let health = EdgeClient::new(control.root.clone()).health().await?;
    if health.admission == admission.fingerprint() { Ok(()) } else { tell_now(control).await }
}

/// What the book says now; `None` where nothing is wanted.
async fn admission(control: &Control) -> Result<Option<Admission>, Fault> {
    let Some(want) = wanted::read(&control.root)? else { return Ok(None) };
    let environment = wanted::resolve(&want)?;
    let now = control.clock.now();
    let book = &control.access.book;
    let (key, revoked) = if doors(&environment).is_empty() {
        (None, Vec::new())
    } else {
        let signer = control.access.signer(control, &want).await?;
        (Some(signer.public_key()), book.ended(now).map_err(|fault| broken(&fault))?)
    };
    let lists = book.listed(now).map_err(|fault| broken(&fault))?;
    Ok(Some(Admission {
        key,
        revoked: revoked.iter().map(|id| format!("s{id}")).collect(),
        lists: lists.into_iter().map(|(listed, _)| listed).collect(),
    }))
}

/// Tells it now. One at a time: what is told last is what was worked out last.
pub(super) async fn tell_now(control: &Control) -> Result<(), Fault> {
    static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _turn = TURN.lock().await;
    let Some(admission) = admission(control).await? else { return Ok(()) };
    let edge = EdgeClient::new(control.root.clone());
    let edge = match control.delivering.delivered()?.epoch {
        Some(epoch) => edge.of_epoch(epoch),
        None => edge,
    };
    edge.admit(&admission).await
}
