//! Which releases are kept: those in slots, and those that one can roll back to.

use std::collections::BTreeSet;

use delivery::{Book, Release};
use host::files;
use reconcile::Fault;

use super::told;
use crate::control::Control;

/// Those that somebody runs, and so many that served well; the newest first.
pub(in crate::control) fn kept(book: &Book, keep: u32) -> Result<Vec<Release>, Fault> {
    let in_slots: BTreeSet<_> =
        book.slots().map_err(|fault| told(&fault))?.into_iter().filter_map(|slot| slot.release).collect();
    let releases = book.releases(u32::MAX).map_err(|fault| told(&fault))?;
    let stable = releases.iter().filter(|release| release.stable).take(keep as usize).map(|release| release.id);
    let kept: BTreeSet<_> = stable.chain(in_slots).collect();
    Ok(releases.into_iter().filter(|release| kept.contains(&release.id)).collect())
}

/// Removes what nobody runs and nobody can roll back to. What cannot be removed is tried again after the next deployment.
pub(super) fn prune(control: &Control, keep: u32) -> Result<(), Fault> {
    let kept = kept(&control.delivering.book, keep)?;
    let digests: BTreeSet<&str> = kept
        .iter()
        .flat_map(|release| release.contents.artifacts.iter().map(|artifact| artifact.digest.as_str()))
        .collect();
    let cannot = |fault: &files::FileFault| Fault::because("cannot remove what old releases ran from", fault);
    for folder in files::list(&control.root.releases()).map_err(|fault| cannot(&fault))? {
        let Some(digest) = folder.file_name().and_then(|name| name.to_str()) else { continue };
        if digests.contains(digest) {
            continue;
        }
        files::remove_dir(&folder).map_err(|fault| cannot(&fault))?;
        for app in files::list(&control.root.builds()).map_err(|fault| cannot(&fault))? {
            files::remove_dir(&app.join(digest)).map_err(|fault| cannot(&fault))?;
        }
    }
    Ok(())
}
