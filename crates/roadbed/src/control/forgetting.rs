//! `roadbed up --forget-state`: goes on without state files that cannot be read. They are moved aside, never removed.
//!
//! What is lost with each: the journal says what a crash left half done (convergence looks at the world anyway), the ledger is
//! the history of the gate, the port book keeps addresses what they were, the users' book
//! owners, the book of deployments which release is live (apps run from the project until the next deployment), the book of leases knows whom users were lent to (they are taken away), the wish is what the next `up` says again.
//! Secrets and data are not among them: without those, apps are locked out of what they kept, and nobody may choose that in a hurry.

use std::error::Error;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use delivery::Book;
use host::clock::Clock;
use host::database::{DatabaseFault, Presence};
use host::files;
use journal::Journal;
use reconcile::{Fault, Root};
use stores::leases::book as leases;

use super::proof;
use super::{delivering, identity};
use crate::keeper::confinement::users;
use crate::wanted;
use crate::world::ports::PortBook;

/// One state file that is gone from its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forgotten {
    pub file: PathBuf,
    why: &'static str,
    /// `None`: it was missing already.
    pub kept_as: Option<PathBuf>,
}

impl fmt::Display for Forgotten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (file, why) = (self.file.display(), self.why);
        match &self.kept_as {
            Some(kept_as) => write!(f, "{file} {why}; it was kept as {} and begins anew", kept_as.display()),
            None => write!(f, "{file} is missing; it begins anew"),
        }
    }
}

/// Moves aside what cannot be read. A database that is whole but cannot be used otherwise, on a full disk for instance, stays.
pub fn forget_damaged(root: &Root, clock: &Arc<dyn Clock>) -> Result<Vec<Forgotten>, Fault> {
    let Some(identity) = identity::read(root)? else { return Ok(Vec::new()) };
    let presence = identity.presence();
    let (journal, ledger) = (root.state().join("journal.db"), proof::ledger_path(root));
    let mut lost = Vec::new();
    if let Err(fault) =
        Journal::open(&journal, presence, Arc::clone(clock)).and_then(|journal| journal.of(&identity.id))
    {
        lost.extend(loss(&fault).map(|why| (journal, why)));
    }
    if let Err(fault) = proof::ledger(root, &identity) {
        lost.extend(loss(&fault).map(|why| (ledger, why)));
    }
    let are_databases_lost = !lost.is_empty();
    let deliveries = delivering::path(root);
    let delivered = if identity.has_deliveries { Presence::MustExist } else { Presence::MayBeNew };
    let mut are_deliveries_lost = false;
    if let Err(fault) = Book::judge(&deliveries, delivered, &identity.id)
        && let Some(why) = loss(&fault)
    {
        are_deliveries_lost = true;
        lost.push((deliveries, why));
    }
    lost.extend(PortBook::open(root).is_err().then(|| (PortBook::path(root), DAMAGED)));
    lost.extend(users::is_damaged(root).then(|| (users::path(root), DAMAGED)));
    lost.extend(leases::is_damaged(root).then(|| (leases::path(root), DAMAGED)));
    lost.extend(wanted::read(root).is_err().then(|| (wanted::path(root), DAMAGED)));
    let aside = format!("damaged-{}", clock.now().to_string().replace(':', "-"));
    let forgotten = lost.into_iter().map(|(file, why)| move_aside(file, why, &aside)).collect::<Result<_, _>>()?;
    if are_databases_lost && presence == Presence::MustExist {
        // Only now may control make them again.
        identity::expect_no_state(root, &identity)?;
    }
    if are_deliveries_lost {
        identity::note_deliveries(root, false)?;
    }
    Ok(forgotten)
}

const DAMAGED: &str = "is damaged";

/// Why a database is given up; `None`: it is not.
fn loss(fault: &(dyn Error + 'static)) -> Option<&'static str> {
    let mut next = Some(fault);
    while let Some(fault) = next {
        if let Some(fault) = fault.downcast_ref::<DatabaseFault>() {
            return match fault {
                DatabaseFault::Damaged { .. } | DatabaseFault::Missing { .. } => Some(DAMAGED),
                DatabaseFault::Foreign { .. } => Some("belongs to another root"),
                DatabaseFault::Newer { .. } | DatabaseFault::Sqlite { .. } => None,
            };
        }
        next = fault.source();
    }
    None
}

fn move_aside(file: PathBuf, why: &'static str, aside: &str) -> Result<Forgotten, Fault> {
    let cannot = |fault: files::FileFault| {
        Fault::because(format!("cannot move {} aside", file.display()), &fault)
            .hint("see whether the disk is full and the folder is yours")
    };
    let beside = |path: &Path| PathBuf::from(format!("{}.{aside}", path.display()));
    // What SQLite keeps beside a database belongs to it and to no other.
    for suffix in ["-wal", "-shm"] {
        let companion = PathBuf::from(format!("{}{suffix}", file.display()));
        if files::exists(&companion) {
            files::rename(&companion, &beside(&companion)).map_err(cannot)?;
        }
    }
    let kept_as = files::exists(&file).then(|| beside(&file));
    if let Some(kept_as) = &kept_as {
        files::rename(&file, kept_as).map_err(cannot)?;
        files::sync_dir(file.parent().unwrap_or(Path::new("/"))).map_err(cannot)?;
    }
    Ok(Forgotten { file, why, kept_as })
}
