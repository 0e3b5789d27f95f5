//! Ends what has lived as long as it may: this environment, and others of the same product that nobody runs any more.
//!
//! A purge takes control away with everything else, so it is a process of its own: the same command that a person would give.

use std::sync::Arc;
use std::time::Duration;

use host::clock::Moment;
use host::files;
use reconcile::{Fault, Root};
use tokio::time::sleep;

use super::{Control, errand, identity};
use crate::roots::Roots;
use crate::wanted::{self, Wanted};
use crate::{expiry, keeper};

/// A manifest that is brought up anew may have shortened its life. One look reads one file for each preview of this machine.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Between two attempts, and the least that is waited.
const PAUSE: Duration = Duration::from_millis(500);

/// Looks until the task is aborted.
pub(super) async fn watch(control: Arc<Control>) {
    loop {
        let wait = match look(&control).await {
            Ok(next) => next,
            Err(fault) => {
                tracing::warn!(causes = ?fault.causes, "cannot tell what has lived as long as it may: {fault}");
                LONGEST_WAIT
            }
        };
        sleep(wait.clamp(PAUSE, LONGEST_WAIT)).await;
    }
}

/// Begins what is due; returns for how long there is nothing to do.
async fn look(control: &Control) -> Result<Duration, Fault> {
    let Some(want) = wanted::read(&control.root)? else { return Ok(LONGEST_WAIT) };
    let now = control.clock.moment();
    // First, since the other way ends this process.
    for root in others(control, &want, &now)? {
        tracing::info!(root = %root.path().display(), "its time is over: purging it");
        begin_purge(&root, &want)?;
    }
    match expiry::left(&want, &now)? {
        Some(left) if left.is_zero() => {
            tracing::info!("its time is over: purging this environment");
            begin_purge(&control.root, &want)?;
            // It may have to wait for a command that holds the root; it ends us when it does not.
            Ok(LONGEST_WAIT)
        }
        Some(left) => Ok(left),
        None => Ok(LONGEST_WAIT),
    }
}

/// Roots of the same product that are down and over: nobody else would notice.
fn others(control: &Control, want: &Wanted, now: &Moment) -> Result<Vec<Root>, Fault> {
    let Some(identity) = identity::read(&control.root)? else { return Ok(Vec::new()) };
    let Ok(others) = Roots::new(want.state.clone(), want.config.clone()).others(&identity) else {
        return Ok(Vec::new());
    };
    let is_due = |root: &Root| files::exists(&keeper::down_marker(root)) && expiry::is_over(root, now).unwrap_or(false);
    Ok(others.into_iter().map(|other| other.root).filter(is_due).collect())
}

/// Starts `roadbed down --purge` and does not wait for it.
fn begin_purge(root: &Root, want: &Wanted) -> Result<(), Fault> {
    errand::begin(root, want, &["down", "--purge", "--expired", "--quiet"])
}
