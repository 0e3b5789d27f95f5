//! What is noted of it in the audit log: links, sign-ins, who was refused at a provider, what was ended, who is kept out.

use reconcile::Fault;
use secrets::audit::{Action, Note};

use crate::control::Control;
use crate::control::lending::Peer;
use crate::control::rotating::{store, store_fault};
use crate::{seats, wanted};

/// Whoever does it at the machine.
pub(super) async fn by_operator(
    control: &Control,
    action: Action,
    by: &str,
    peer: Peer,
    name: String,
    details: String,
) -> Result<(), Fault> {
    let origin = format!("{}, process {}", seats::origin(peer.uid), peer.pid);
    keep(control, note(by, action, name, origin, details)).await
}

/// Whoever comes by the edge, from this address.
pub(in crate::control) async fn by_visitor(
    control: &Control,
    action: Action,
    who: &str,
    client: &str,
    name: String,
    details: String,
) -> Result<(), Fault> {
    keep(control, note(who, action, name, client.to_owned(), details)).await
}

fn note(actor: &str, action: Action, name: String, origin: String, details: String) -> Note {
    Note {
        actor: actor.to_owned(),
        via: "access".to_owned(),
        action,
        name,
        version: None,
        reason: String::new(),
        origin,
        details,
    }
}

/// On a thread of its own: it ends on the disk.
async fn keep(control: &Control, note: Note) -> Result<(), Fault> {
    let Some(want) = wanted::read(&control.root)? else { return Ok(()) };
    let store = store(control, &want);
    let kept = tokio::task::spawn_blocking(move || store.note(&[note])).await;
    kept.map_err(|error| Fault::because("control failed over its log", &error))?.map_err(|fault| store_fault(&fault))
}
