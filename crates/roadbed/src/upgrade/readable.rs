//! Whether this program could read what an environment that runs has kept. Nothing is changed, and nothing is brought up to date.

use std::error::Error;

use delivery::Book;
use gate::Ledger;
use host::database::DatabaseFault;
use journal::Journal;
use reconcile::{Fault, Root};

use super::note;
use crate::control::{delivering, identity};
use crate::wanted;

/// Refuses what a newer Roadbed wrote.
pub fn judge(root: &Root) -> Result<(), Fault> {
    identity::read(root)?;
    wanted::read(root)?;
    note::read(root)?;
    let newer = |fault: &(dyn Error + 'static)| refusal(fault);
    Journal::refuse_newer(&root.state().join("journal.db")).map_err(|fault| newer(&fault))?;
    Ledger::refuse_newer(&root.state().join("evidence.db")).map_err(|fault| newer(&fault))?;
    Book::refuse_newer(&delivering::path(root)).map_err(|fault| newer(&fault))?;
    secrets::store::refuse_newer(&root.secret_store()).map_err(|fault| newer(&fault))
}

fn refusal(fault: &(dyn Error + 'static)) -> Fault {
    let told = Fault::because("this program cannot take the environment over", fault);
    let mut next = Some(fault);
    while let Some(cause) = next {
        if let Some(fault) = cause.downcast_ref::<DatabaseFault>() {
            return told.hint(fault.hint());
        }
        next = cause.source();
    }
    told
}
