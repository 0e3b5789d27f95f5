//! What is noted of the API in the audit log: what changes something, before it is done; what was refused, as long as it is not noise; and
//! tokens that were made and revoked.

use std::net::SocketAddr;

use reconcile::Fault;
use secrets::audit::{Action as Noted, Note};

use super::action::Action;
use super::authorise::{Actor, Bearer, Refusal};
use super::tokens::Kept;
use crate::control::Control;
use crate::control::lending::Peer;
use crate::control::rotating::{store, store_fault};
use crate::{seats, wanted};

/// Notes that something is asked for that changes something. Where that cannot be noted, it is not done.
pub(super) async fn asked(
    control: &Control,
    bearer: &Bearer,
    action: Action,
    about: &str,
    peer: SocketAddr,
) -> Result<(), Fault> {
    tracing::info!(token = %bearer.id, by = bearer.called(), action = action.as_str(), about, %peer, "asked for");
    let details = if about.is_empty() { action.as_str().to_owned() } else { format!("{} {about}", action.as_str()) };
    keep(control, note(bearer.called(), Noted::AskedFor, &bearer.id.to_string(), peer.to_string(), details)).await
}

/// Notes a refusal. Where that cannot be noted it stays refused.
pub(super) async fn refused(control: &Control, actor: &Actor, action: Action, refusal: &Refusal, peer: SocketAddr) {
    let (who, name) = match actor {
        Actor::Bearer(bearer) => (bearer.called(), bearer.id.to_string()),
        Actor::Nobody | Actor::Owner | Actor::Stranger { .. } => ("nobody".to_owned(), String::new()),
    };
    tracing::warn!(by = who, action = action.as_str(), %peer, "refused: {refusal}");
    let details = format!("{}: {refusal}", action.as_str());
    if let Err(fault) = keep(control, note(who, Noted::Refused, &name, peer.to_string(), details)).await {
        tracing::warn!(causes = ?fault.causes, "cannot note a refusal: {fault}");
    }
}

/// Notes that a run of a CI got a token.
pub(super) async fn exchanged(
    control: &Control,
    kept: &Kept,
    run: &oidc::Accepted,
    peer: SocketAddr,
) -> Result<(), Fault> {
    let details = format!(
        "{} for run {} attempt {} of repository {} ({} of {}), by the token {} of {}, until {}",
        kept.role, run.run, run.attempt, run.repository_id, run.event, run.git_ref, run.id, run.issuer, kept.until
    );
    tracing::info!(token = %kept.id, by = kept.name, run = run.run, %peer, "a run of the CI got a token");
    let note = note(kept.name.clone(), Noted::TokenMade, &kept.id.to_string(), peer.to_string(), details);
    keep(control, Note { via: "oidc".to_owned(), ..note }).await
}

/// Notes why a token of a CI was not accepted: whoever showed it is not told. Where that cannot be noted it stays refused.
pub(super) async fn not_exchanged(control: &Control, refusal: &oidc::Refusal, peer: SocketAddr) {
    let why = std::error::Error::source(refusal).map_or_else(String::new, |source| format!(": {source}"));
    tracing::warn!(%peer, "a token of a CI was not accepted: {refusal}{why}");
    let details = format!("{}: {refusal}{why}", Action::ExchangeToken.as_str());
    let note = note("nobody".to_owned(), Noted::Refused, "", peer.to_string(), details);
    if let Err(fault) = keep(control, Note { via: "oidc".to_owned(), ..note }).await {
        tracing::warn!(causes = ?fault.causes, "cannot note a refusal: {fault}");
    }
}

/// Notes that a token was made.
pub(super) async fn made(control: &Control, kept: &Kept, peer: Peer) -> Result<(), Fault> {
    let person = kept.person.as_ref().map_or_else(String::new, |person| format!(", as {person}"));
    let details = format!("{} for {}{person}, until {}", kept.role, kept.name, kept.until);
    keep(control, of_token(Noted::TokenMade, kept.made_by.clone(), kept, peer, details)).await
}

/// Notes that a token was revoked.
pub(super) async fn revoked(control: &Control, kept: &Kept, by: &str, peer: Peer) -> Result<(), Fault> {
    let details = format!("{} for {}", kept.role, kept.name);
    keep(control, of_token(Noted::TokenRevoked, by.to_owned(), kept, peer, details)).await
}

fn of_token(action: Noted, actor: String, kept: &Kept, peer: Peer, details: String) -> Note {
    let origin = format!("{}, process {}", seats::origin(peer.uid), peer.pid);
    Note { via: "token".to_owned(), ..note(actor, action, &kept.id.to_string(), origin, details) }
}

fn note(actor: String, action: Noted, token: &str, origin: String, details: String) -> Note {
    Note {
        actor,
        via: "api".to_owned(),
        action,
        name: if token.is_empty() { String::new() } else { format!("token/{token}") },
        version: None,
        reason: String::new(),
        origin,
        details,
    }
}

/// On a thread of its own: it ends on the disk. Where nothing is wanted yet there is no log.
async fn keep(control: &Control, note: Note) -> Result<(), Fault> {
    let Some(want) = wanted::read(&control.root)? else { return Ok(()) };
    let store = store(control, &want);
    let kept = tokio::task::spawn_blocking(move || store.note(&[note])).await;
    kept.map_err(|error| Fault::because("control failed over its log", &error))?.map_err(|fault| store_fault(&fault))
}
