//! What must not be kept of what apps report. Lines of log files come without it, since the keeper takes it out; what comes over OTLP
//! goes through this. Control tells it, over our socket and into memory alone: until it has, nothing of the kind is taken.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use reconcile::Fault;
use secrets::Secret;
use secrets::redact::Needles;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroize;

/// A secret, and what is shown in its place.
#[derive(Serialize, Deserialize)]
pub(crate) struct Unspeakable {
    name: String,
    value: String,
}

impl Unspeakable {
    pub(crate) fn new(name: &str, secret: &Secret) -> Self {
        Self { name: name.to_owned(), value: secret.expose().to_owned() }
    }
}

impl fmt::Debug for Unspeakable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Unspeakable").field(&self.name).finish()
    }
}

impl Drop for Unspeakable {
    fn drop(&mut self) {
        self.value.zeroize();
    }
}

/// What is looked for; `None` until it is told.
#[derive(Debug, Default)]
pub(crate) struct Redaction {
    known: RwLock<Option<(String, Arc<Needles>)>>,
}

/// The state of knowledge in one word, for whoever tells to see whether there is something new.
pub(crate) fn fingerprint<'s>(all: impl Iterator<Item = (&'s str, &'s str)>) -> String {
    let mut digest = Sha256::new();
    for text in all.flat_map(|(name, value)| [name, value]) {
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text);
    }
    digest.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect()
}

impl Redaction {
    pub(crate) fn needles(&self) -> Option<Arc<Needles>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        known.as_ref().map(|(_, needles)| Arc::clone(needles))
    }

    fn look_for(&self, all: &[Unspeakable]) -> Result<(), Fault> {
        let named: Vec<(String, Secret)> =
            all.iter().map(|one| (one.name.clone(), Secret::new(one.value.clone()))).collect();
        let needles = Needles::new(named.iter().map(|(name, secret)| (name.clone(), secret)))
            .map_err(|fault| Fault::because("cannot keep secrets out of reports", &fault))?;
        let mark = fingerprint(all.iter().map(|one| (one.name.as_str(), one.value.as_str())));
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Some((mark, Arc::new(needles)));
        Ok(())
    }
}

/// Takes secrets out of a text.
pub(crate) fn redacted(needles: &Needles, text: String) -> String {
    match needles.redact(&text) {
        Cow::Borrowed(_) => text,
        Cow::Owned(redacted) => redacted,
    }
}

/// `PUT /secrets`, `GET /secrets` for the fingerprint of what was told: for control.
pub(crate) fn routes(redaction: Arc<Redaction>) -> Router {
    Router::new().route("/secrets", get(told).put(tell)).with_state(redaction)
}

async fn told(State(redaction): State<Arc<Redaction>>) -> Json<Option<String>> {
    Json(redaction.known.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(|(mark, _)| mark.clone()))
}

async fn tell(State(redaction): State<Arc<Redaction>>, Json(all): Json<Vec<Unspeakable>>) -> Response {
    match redaction.look_for(&all) {
        Ok(()) => Json(()).into_response(),
        Err(fault) => (StatusCode::INTERNAL_SERVER_ERROR, Json(fault)).into_response(),
    }
}
