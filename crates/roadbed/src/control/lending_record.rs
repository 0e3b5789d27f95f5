//! The record of what was lent and of who logged in: rows of the audit log, and a line of control's own log.

use std::sync::Arc;

use reconcile::Fault;
use secrets::Store;
use secrets::audit::{Action, Note};
use stores::leases::{Holder, Lease, Over, Rights};

use super::Control;
use super::lending::Peer;
use super::lent::{Asked, Output, What};
use super::login::LoggedIn;
use super::rotating::{store, store_fault};
use crate::seats;
use crate::wanted;
use crate::world::lending::Lender;

/// Notes that somebody was lent something, before it is handed out: a row for the lease, and one for each secret in it, so that
/// `secrets audit --name NAME` tells who had it.
pub(super) async fn lent(lender: &Lender, asked: &Asked, lease: &Lease, withheld: &[String]) -> Result<(), Fault> {
    let Lease { id, app, rights, holder, until, .. } = lease;
    let reason = lease.reason.clone().unwrap_or_default();
    let (via, what) = match &asked.what {
        What::Variables { .. } => ("env exec", format!("the variables of {app}")),
        What::Look { service } => ("db shell", format!("a look into {}", service.as_str())),
    };
    tracing::info!(lease = id, holder = holder.name, uid = holder.uid, %app, ?rights, ?asked.output, reason, "lent");
    let raw = if asked.output == Output::Raw { "; its output is shown as it is" } else { "" };
    let withheld = match withheld.is_empty() {
        true => String::new(),
        false => format!("; without {}", withheld.join(", ")),
    };
    let users = match rights {
        Rights::OfApp => "",
        Rights::ReadOnly => ", to read",
    };
    let note = |name: String, version, details| Note {
        actor: holder.name.clone(),
        via: via.to_owned(),
        action: Action::Lent,
        name,
        version,
        reason: reason.clone(),
        origin: origin(holder),
        details,
    };
    let of_lease = note(lease_name(lease), None, format!("{what}{users}, until {until} unless renewed{withheld}{raw}"));
    let of_secrets =
        lease.loaded.iter().map(|(name, version)| note(name.clone(), Some(*version), format!("with {id}")));
    keep(&lender.secrets, std::iter::once(of_lease).chain(of_secrets).collect()).await
}

/// Notes that a lease is over, and why.
pub(super) async fn ended(control: &Control, lender: &Lender, lease: &Lease, why: Over) -> Result<(), Fault> {
    tracing::info!(lease = lease.id, holder = lease.holder.name, ?why, "over");
    let (action, why) = match why {
        Over::GivenBack => (Action::GivenBack, ""),
        Over::HolderGone => (Action::TakenBack, ": its process is gone"),
        Over::Expired => (Action::TakenBack, ": it was not renewed in time"),
    };
    let seconds = control.clock.now().since(lease.since).as_secs();
    let note = Note {
        actor: lease.holder.name.clone(),
        via: "control".to_owned(),
        action,
        name: lease_name(lease),
        version: None,
        reason: String::new(),
        origin: origin(&lease.holder),
        details: format!("after {seconds} s{why}"),
    };
    keep(&lender.secrets, vec![note]).await
}

/// Notes a login. Where nothing is wanted yet there is nothing that a login opens, and no log.
pub(super) fn logged_in(control: &Control, login: &LoggedIn, peer: Peer) -> Result<(), Fault> {
    let Some(want) = wanted::read(&control.root)? else { return Ok(()) };
    let note = Note {
        actor: login.person.to_string(),
        via: "login".to_owned(),
        action: Action::LoggedIn,
        name: format!("person/{}", login.person),
        version: None,
        reason: String::new(),
        origin: format!("{}, process {}", seats::origin(peer.uid), peer.pid),
        details: format!("until {}", login.until),
    };
    store(control, &want).note(&[note]).map_err(|fault| store_fault(&fault))
}

fn lease_name(lease: &Lease) -> String {
    format!("lease/{}", lease.id)
}

fn origin(holder: &Holder) -> String {
    format!("{}, process {}", seats::origin(holder.uid), holder.process.pid)
}

/// On a thread of its own: it ends on the disk, and others are lent something meanwhile.
async fn keep(store: &Arc<Store>, notes: Vec<Note>) -> Result<(), Fault> {
    let store = store.clone();
    let kept = tokio::task::spawn_blocking(move || store.note(&notes)).await;
    kept.map_err(|error| Fault::because("control failed over its log", &error))?.map_err(|fault| store_fault(&fault))
}
