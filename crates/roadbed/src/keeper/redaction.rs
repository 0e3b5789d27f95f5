//! What units must not write into their logs. Control tells it; the keeper has no store and keeps it in memory alone.

use std::fmt;
use std::sync::Arc;

use reconcile::Fault;
use secrets::Secret;
use secrets::redact::Needles;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use zeroize::Zeroize;

/// A secret and what is shown in its place. Body of `PUT /secrets` is a list of them.
#[derive(Serialize, Deserialize)]
pub(super) struct Unspeakable {
    pub(super) name: String,
    value: String,
}

impl Unspeakable {
    pub(super) fn new(name: &str, secret: &Secret) -> Self {
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

/// What is looked for; `None` until a control has told this keeper.
pub(super) type Known = Option<Arc<Needles>>;

/// Where it is kept.
#[derive(Debug)]
pub(super) struct Redaction {
    known: watch::Sender<Known>,
    /// Digest of what was told last: control tells before every start, and mostly the same.
    told: std::sync::Mutex<[u8; 32]>,
}

impl Redaction {
    pub(super) fn new() -> Self {
        Self { known: watch::Sender::new(None), told: std::sync::Mutex::default() }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Known> {
        self.known.subscribe()
    }

    /// From here on units' lines are searched for these.
    pub(super) fn look_for(&self, secrets: Vec<Unspeakable>) -> Result<(), Fault> {
        let mut digest = Sha256::new();
        for Unspeakable { name, value } in &secrets {
            for text in [name, value] {
                digest.update((text.len() as u64).to_be_bytes());
                digest.update(text);
            }
        }
        let digest: [u8; 32] = digest.finalize().into();
        let mut told = self.told.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if *told == digest {
            return Ok(());
        }
        let named: Vec<(String, Secret)> =
            secrets.iter().map(|one| (one.name.clone(), Secret::new(one.value.clone()))).collect();
        let needles = Needles::new(named.iter().map(|(name, secret)| (name.clone(), secret)))
            .map_err(|fault| Fault::because("cannot keep secrets out of logs", &fault))?;
        self.known.send_replace(Some(Arc::new(needles)));
        *told = digest;
        Ok(())
    }
}
