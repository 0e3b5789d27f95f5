//! Carries on with an upgrade whose command was killed: the command itself, as long as a note says that something is under way.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::{Control, errand};
use crate::upgrade::note;
use crate::wanted;

/// Between two looks at one small file that is as good as never there. While a command is at it, the one that we start finds the root
/// held, and goes.
const PERIOD: Duration = Duration::from_secs(2);

/// Looks until the task is aborted.
pub(super) async fn watch(control: Arc<Control>) {
    loop {
        sleep(PERIOD).await;
        if let (Ok(Some(note)), Ok(Some(want))) = (note::read(&control.root), wanted::read(&control.root)) {
            tracing::info!(to = note.to, course = ?note.course, "carrying on with an upgrade");
            if let Err(fault) = errand::begin(&control.root, &want, &["upgrade", "--carry-on", "--quiet"]) {
                tracing::error!(causes = ?fault.causes, "{fault}");
            }
        }
    }
}
