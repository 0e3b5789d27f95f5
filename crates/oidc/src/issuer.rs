//! One issuer: its keys, and whether a token is one of its.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use host::clock::Timestamp;
use manifest::{Algorithm, Oidc};
use rustls::ClientConfig;
use serde::de::DeserializeOwned;

use crate::cache::{Cache, Next};
use crate::https;
use crate::judge::{Accepted, judge};
use crate::keys::Keys;
use crate::refusal::{NoKeys, Refusal};
use crate::token::{self, shortened};

/// Keys of an issuer, shared by all who verify.
#[derive(Debug)]
pub struct Issuer {
    /// Where its keys are.
    keys: String,
    tls: Arc<ClientConfig>,
    cache: Mutex<Cache>,
    /// Whoever asks, asks for all.
    asking: tokio::sync::Mutex<()>,
}

impl Issuer {
    /// An issuer whose keys are at this address.
    pub fn new(keys: String, tls: Arc<ClientConfig>) -> Self {
        Self { keys, tls, cache: Mutex::default(), asking: tokio::sync::Mutex::default() }
    }

    /// Judges a token by these rules. Whether it was accepted before is for the caller to say.
    pub async fn accept(&self, text: &str, rules: &Oidc, now: Timestamp) -> Result<Accepted, Refusal> {
        let token = token::read(text, &rules.algorithms)?;
        let keys = self.keys_with(&token.kid, now).await?;
        judge(&token.verified(&keys)?, rules, now)
    }

    /// What a token says that one of the keys signed. Whether it is to be believed is for the caller to say.
    pub async fn verified<T: DeserializeOwned>(
        &self,
        text: &str,
        allowed: &[Algorithm],
        now: Timestamp,
    ) -> Result<T, Refusal> {
        let token = token::read(text, allowed)?;
        let keys = self.keys_with(&token.kid, now).await?;
        token.verified(&keys)
    }

    async fn keys_with(&self, kid: &str, now: Timestamp) -> Result<Arc<Keys>, Refusal> {
        let decided = |next: Next| match next {
            Next::Use(keys) => Some(Ok(keys)),
            Next::Unknown => Some(Err(Refusal::UnknownKey(shortened(kid)))),
            Next::None => Some(Err(Refusal::NoKeys(NoKeys::AskedJustNow))),
            Next::Ask => None,
        };
        if let Some(decided) = decided(self.cache().next(kid, now)) {
            return decided;
        }
        let _turn = self.asking.lock().await;
        // Somebody may have asked meanwhile.
        if let Some(decided) = decided(self.cache().next(kid, now)) {
            return decided;
        }
        self.cache().asking(now);
        let asked = https::get(&self.keys, &self.tls, None).await.map_err(NoKeys::from);
        match asked.and_then(|bytes| Ok(Keys::read(&bytes)?)) {
            Ok(keys) => {
                let mut cache = self.cache();
                cache.answered(keys, now);
                match cache.last_resort(kid, now) {
                    Next::Use(keys) => Ok(keys),
                    _ => Err(Refusal::UnknownKey(shortened(kid))),
                }
            }
            Err(why) => match self.cache().last_resort(kid, now) {
                Next::Use(keys) => Ok(keys),
                _ => Err(Refusal::NoKeys(why)),
            },
        }
    }

    fn cache(&self) -> MutexGuard<'_, Cache> {
        // What is in it is whole at any time.
        self.cache.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
