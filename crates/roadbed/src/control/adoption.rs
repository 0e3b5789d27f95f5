//! `roadbed up --adopt`: makes a root one's own with all that lies in it. For a root that was copied, brought to another machine,
//! or restored in parts, and that shall go on for good.
//!
//! It gets an identity of its own, and every part of it the new one's mark. Passwords stay as they are, since the data is tied to
//! them: where the first one lives on beside it, the gate of both says that their passwords open each other's doors.

use std::path::PathBuf;
use std::sync::Arc;

use delivery::Book;
use edge::tls::local_ca;
use gate::Ledger;
use host::clock::Clock;
use host::database::Presence;
use host::files;
use journal::Journal;
use reconcile::{Fault, Root};
use secrets::{Seat, Store};

use super::home::Home;
use super::identity::{self, Identity};
use super::{delivering, possessions, state_fault};
use crate::roots::Roots;
use crate::seats;
use crate::wanted;
use crate::world::ports::PortBook;

/// Makes everything in the root its own. No keeper of it may run. The identity is written last: cut off before that, it is
/// adopted again.
pub fn adopt(root: &Root, roots: &Roots, clock: &Arc<dyn Clock>) -> Result<Identity, Fault> {
    adopt_with(root, roots, clock, Vec::new())
}

/// As [`adopt`]; the keys in these files may open its secrets too, and become none of its recipients by that.
pub fn adopt_with(
    root: &Root,
    roots: &Roots,
    clock: &Arc<dyn Clock>,
    identities: Vec<PathBuf>,
) -> Result<Identity, Fault> {
    let Some(found) = identity::read(root)? else {
        return Err(Fault::new(format!("cannot adopt {}: it is no root", root.path().display()))
            .hint("`roadbed up` makes one, without --adopt"));
    };
    let mut identity = Identity { id: uuid::Uuid::new_v4().to_string(), home: Some(Home::here(root, roots)?), ..found };
    let cannot = |fault: &(dyn std::error::Error + 'static)| {
        Fault::because(format!("cannot adopt the root {}", root.path().display()), fault)
    };
    // Whatever it says runs, runs elsewhere.
    files::remove_dir(&root.run()).map_err(|fault| cannot(&fault))?;
    wanted::clear(root)?;
    let store = Store::new(Seat { identities, ..seats::of_root(root, &identity, roots) });
    store.take_over().map_err(|fault| cannot(&fault).hint(fault.hint()))?;
    local_ca::take_over(
        root,
        &local_ca::Owner { environment: identity.environment.clone(), root: identity.id.clone() },
    )
    .map_err(|fault| cannot(&fault))?;
    PortBook::take_over(root, &identity.id)?;
    let [journal, ledger] = ["journal.db", "evidence.db"].map(|name| root.state().join(name));
    if files::exists(&journal) {
        let journal = Journal::open(&journal, Presence::MustExist, clock.clone());
        journal.and_then(|journal| journal.given_to(&identity.id)).map_err(|fault| state_fault(&fault))?;
    }
    if files::exists(&ledger) {
        let ledger = Ledger::open(&ledger, Presence::MustExist);
        ledger.and_then(|ledger| ledger.given_to(&identity.id)).map_err(|fault| state_fault(&fault))?;
    }
    let deliveries = delivering::path(root);
    if files::exists(&deliveries) {
        let book = Book::open(&deliveries, Presence::MustExist, clock.clone());
        book.and_then(|book| book.given_to(&identity.id)).map_err(|fault| state_fault(&fault))?;
    }
    possessions::take_over(root, &mut identity)?;
    identity::write(root, &identity)?;
    roots.note(root, &identity)?;
    Ok(identity)
}
