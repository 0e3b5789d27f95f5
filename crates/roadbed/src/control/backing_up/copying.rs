//! Copies: whatever was saved is brought to every second repository.

use std::collections::BTreeMap;

use backup::bring;
use manifest::BackupCopy;
use reconcile::Fault;
use tokio::time::{sleep, timeout};

use super::desk::{Desk, desk, place};
use super::record::{OfCopy, Record};
use super::wire::CopyListed;
use super::{LOOK, PAUSE, in_background};
use crate::control::Control;

/// Between two passes: slices that came meanwhile go together.
const GATHER: std::time::Duration = LOOK.saturating_mul(3);

/// Without anything new they are looked at all the same: somebody may have taken something away there.
const QUIET: std::time::Duration = LOOK.saturating_mul(300);

/// Brings until the task is aborted.
pub(super) async fn carry_on(control: &Control) {
    loop {
        let mut wait = QUIET;
        if let Ok(Some(desk)) = desk(control).await {
            // Before the first backup there is nothing to bring.
            let has_base = Record::read(&control.root).is_ok_and(|record| record.base.is_some());
            for copy in desk.backup.copies.iter().filter(|_| has_base) {
                if let Err(fault) = pass(control, &desk, copy).await {
                    tracing::warn!(copy = %copy.name, causes = ?fault.causes, "cannot bring backups to a copy: {fault}");
                    wait = PAUSE;
                }
            }
        }
        sleep(GATHER).await;
        let _ = timeout(wait, control.backing_up.copies_are_due.notified()).await;
    }
}

/// Brings everything to one copy, and notes what came of it.
async fn pass(control: &Control, desk: &Desk, copy: &BackupCopy) -> Result<(), Fault> {
    let began = control.clock.now();
    let brought = async {
        let repository = desk.repository(control).await?;
        let (to, keep, keep_all) = (desk.destination(&copy.destination)?, desk.keep(), copy.is_append_only);
        in_background(&repository, move |repository| bring(repository, &to, &keep, keep_all, began)).await
    };
    let brought = brought.await;
    let noted = match &brought {
        Ok(brought) => {
            if brought.snapshots > 0 {
                tracing::info!(copy = %copy.name, snapshots = brought.snapshots, gone = brought.gone, "copied");
            }
            let unreadable: Vec<String> =
                brought.unreadable.iter().map(|(id, why)| format!("{id} could not be read: {why}")).collect();
            OfCopy {
                complete: unreadable.is_empty().then_some(began),
                trouble: unreadable.first().cloned(),
                refuses: brought.refuses,
                unreadable,
            }
        }
        Err(fault) => {
            let why = fault.causes.iter().fold(fault.message.clone(), |text, cause| text + ": " + cause);
            OfCopy { trouble: Some(why), ..OfCopy::default() }
        }
    };
    Record::change(&control.root, |record| {
        let of = record.copies.entry(copy.name.to_string()).or_default();
        let complete = noted.complete.or(of.complete);
        *of = OfCopy { complete, ..noted };
        // Those that the manifest names no longer.
        record.copies.retain(|name, _| desk.backup.copies.iter().any(|copy| copy.name.as_str() == name));
    })?;
    brought.map(drop)
}

/// How they stand.
pub(super) fn listed(desk: &Desk, noted: &BTreeMap<String, OfCopy>) -> Vec<CopyListed> {
    let of = |copy: &BackupCopy| {
        let noted = noted.get(copy.name.as_str()).cloned().unwrap_or_default();
        CopyListed {
            name: copy.name.to_string(),
            repository: place(&desk.root, &desk.want, &copy.destination).to_string(),
            append_only: copy.is_append_only,
            complete: noted.complete,
            trouble: noted.trouble,
            refuses: noted.refuses,
        }
    };
    desk.backup.copies.iter().map(of).collect()
}
