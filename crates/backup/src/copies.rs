//! The second repository: whatever the first one has is brought to it, and nothing that is lost in the first is lost there.

use std::collections::BTreeSet;

use host::clock::Timestamp;
use reconcile::Fault;
use rustic_core::repofile::SnapshotFile;
use rustic_core::{FileType, Id, ReadBackend};

use crate::repository::{Freed, Repository, Snapshot};
use crate::repository_fault;
use crate::retention::{Keep, doomed};
use crate::shelf::Destination;

/// What came of bringing a copy up to date.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Brought {
    /// How many snapshots came to it.
    pub snapshots: usize,
    /// Those that could not be brought, and why: they are damaged where they come from.
    pub unreadable: Vec<(String, String)>,
    /// How many are over there and were taken away.
    pub gone: usize,
    /// It takes nothing away, against what was said of it.
    pub refuses: bool,
}

/// Snapshots that one has and the other has not, oldest first, without what retention would take away again at once.
pub fn absent(from: &[Snapshot], to: &[Snapshot], keep: &Keep, now: Timestamp) -> Vec<Snapshot> {
    let there: BTreeSet<&str> = to.iter().map(|snapshot| snapshot.name.as_str()).collect();
    let mut all: Vec<Snapshot> = from.to_vec();
    let known: BTreeSet<&str> = from.iter().map(|snapshot| snapshot.name.as_str()).collect();
    all.extend(to.iter().filter(|snapshot| !known.contains(snapshot.name.as_str())).cloned());
    all.sort_by(|one, other| (one.taken, &one.name).cmp(&(other.taken, &other.name)));
    let over: BTreeSet<String> = doomed(&all, keep, now).into_iter().collect();
    let is_absent = |snapshot: &&Snapshot| !there.contains(snapshot.name.as_str()) && !over.contains(&snapshot.name);
    from.iter().filter(is_absent).cloned().collect()
}

/// Brings to a copy what it has not. It is made where there is none. Nothing is taken away there because it is gone here: only what
/// retention says, and where `keep_all` says so not even that.
///
/// # Errors
/// Where one of the two cannot be read, or the copy not written; what is there by then stays and is good.
pub fn bring(
    from: &Repository,
    to: &Destination,
    keep: &Keep,
    keep_all: bool,
    now: Timestamp,
) -> Result<Brought, Fault> {
    let copy = match from.open_copy(to)? {
        Some(copy) => copy,
        None => from.create_copy(to)?,
    };
    keys(from, &copy)?;
    let wanted = absent(&from.snapshots()?, &copy.snapshots()?, keep, now);
    let names: BTreeSet<&str> = wanted.iter().map(|snapshot| snapshot.name.as_str()).collect();
    let mut files: Vec<SnapshotFile> = Vec::new();
    for (snapshot, file) in from.files()? {
        if snapshot.is_some_and(|snapshot| names.contains(snapshot.name.as_str())) {
            files.push(file);
        }
    }
    files.sort_by(|one, other| one.time.cmp(&other.time));
    let mut brought = Brought::default();
    if !files.is_empty() {
        brought.snapshots = files.len();
        if let Err(together) = copy_all(from, &copy, &files) {
            // One that is damaged here keeps the others from nothing.
            brought.snapshots = 0;
            for file in &files {
                match copy_all(from, &copy, std::slice::from_ref(file)) {
                    Ok(()) => brought.snapshots += 1,
                    Err(fault) => brought.unreadable.push((file.id.to_string(), why(&fault))),
                }
            }
            if brought.snapshots == 0 {
                return Err(together);
            }
        }
    }
    if !keep_all {
        // What is held here is held there too.
        let held: BTreeSet<String> =
            from.snapshots()?.into_iter().filter(|snapshot| snapshot.held).map(|snapshot| snapshot.name).collect();
        let mut over = doomed(&copy.snapshots()?, keep, now);
        over.retain(|name| !held.contains(name));
        if !over.is_empty() {
            brought.refuses = copy.forget(&over)? == Freed::Refused || copy.prune()? == Freed::Refused;
            brought.gone = if brought.refuses { 0 } else { over.len() };
        }
    }
    Ok(brought)
}

fn why(fault: &Fault) -> String {
    fault.causes.first().unwrap_or(&fault.message).clone()
}

/// Whoever has a recovery key of the one opens the other with it.
fn keys(from: &Repository, to: &Repository) -> Result<(), Fault> {
    let cannot = |error: &rustic_core::RusticError| repository_fault("cannot copy the keys of the repository", error);
    let (ours, theirs) = (from.backend(), to.backend());
    let there: Vec<Id> = theirs.list(FileType::Key).map_err(|error| cannot(&error))?;
    for id in ours.list(FileType::Key).map_err(|error| cannot(&error))? {
        if !there.contains(&id) {
            let key = ours.read_full(FileType::Key, &id).map_err(|error| cannot(&error))?;
            theirs.add(FileType::Key, &id, &key).map_err(|error| cannot(&error))?;
        }
    }
    Ok(())
}

fn copy_all(from: &Repository, to: &Repository, files: &[SnapshotFile]) -> Result<(), Fault> {
    let cannot = |error: &rustic_core::RusticError| {
        repository_fault(format!("cannot copy backups to {}", to.place()), error).retry_safe()
    };
    let source = from.opened()?.to_indexed().map_err(|error| cannot(&error))?;
    let target = to.opened()?.to_indexed_ids().map_err(|error| cannot(&error))?;
    source.copy(&target, files).map_err(|error| cannot(&error))
}
