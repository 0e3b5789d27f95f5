//! The public keys of an issuer, as a JSON Web Key set (RFC 7517).

use std::collections::BTreeMap;

use jsonwebtoken::DecodingKey;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use manifest::Algorithm;
use serde::Deserialize;
use serde_json::Value;

/// Characters of base64url that 2048 bits have. Whoever has time enough signs by a shorter key of RSA.
const SHORTEST_MODULUS: usize = 342;

/// No issuer has more: each is one that could sign.
const MOST: usize = 64;

/// Keys that can be named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keys(BTreeMap<String, Key>);

/// One key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key(Jwk);

/// Why a set of keys is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysFault {
    #[error("the issuer's answer is no set of keys: {0}")]
    Malformed(String),
    #[error("the issuer's answer has more than {MOST} keys")]
    TooMany,
    #[error("the issuer's answer has no key that could be used")]
    Empty,
}

#[derive(Deserialize)]
struct Set {
    keys: Vec<Value>,
}

impl Keys {
    /// The keys that can be used: with a name of their own, for signatures. Others are passed over, as RFC 7517 says.
    pub fn read(bytes: &[u8]) -> Result<Self, KeysFault> {
        let set: Set = serde_json::from_slice(bytes)
            .map_err(|error| KeysFault::Malformed(crate::token::shortened(&error.to_string())))?;
        if set.keys.len() > MOST {
            return Err(KeysFault::TooMany);
        }
        let mut keys = BTreeMap::new();
        let mut twice = Vec::new();
        for jwk in set.keys.into_iter().filter_map(|value| serde_json::from_value::<Jwk>(value).ok()) {
            let is_for_signatures = matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature));
            let is_weak = matches!(&jwk.algorithm, AlgorithmParameters::RSA(rsa) if rsa.n.len() < SHORTEST_MODULUS);
            // One that signs and verifies alike is known to everybody who reads this.
            let is_pair = !matches!(jwk.algorithm, AlgorithmParameters::OctetKey(_) | AlgorithmParameters::Other(_));
            let is_for_signatures = is_for_signatures && !is_weak && is_pair;
            let Some(kid) = jwk.common.key_id.clone().filter(|kid| !kid.is_empty() && is_for_signatures) else {
                continue;
            };
            if keys.insert(kid.clone(), Key(jwk)).is_some() {
                twice.push(kid);
            }
        }
        // Which of two is meant nobody can tell.
        twice.iter().for_each(|kid| {
            keys.remove(kid);
        });
        if keys.is_empty() {
            return Err(KeysFault::Empty);
        }
        Ok(Self(keys))
    }

    pub(crate) fn get(&self, kid: &str) -> Option<&Key> {
        self.0.get(kid)
    }

    pub fn has(&self, kid: &str) -> bool {
        self.0.contains_key(kid)
    }
}

impl Key {
    /// For signatures by this algorithm, if it is for them. A key that everybody knows is never one of those that sign and verify alike.
    pub(crate) fn decoding(&self, by: Algorithm) -> Option<DecodingKey> {
        let is_of_kind = match (&self.0.algorithm, by) {
            (AlgorithmParameters::RSA(_), Algorithm::Rs256 | Algorithm::Ps256) => true,
            (AlgorithmParameters::EllipticCurve(curve), Algorithm::Es256) => curve.curve == EllipticCurve::P256,
            (AlgorithmParameters::OctetKeyPair(pair), Algorithm::EdDsa) => pair.curve == EllipticCurve::Ed25519,
            _ => false,
        };
        let says = self.0.common.key_algorithm.as_ref().map(ToString::to_string);
        let agrees = says.is_none_or(|says| says == by.as_str());
        (is_of_kind && agrees).then(|| DecodingKey::from_jwk(&self.0).ok()).flatten()
    }
}

/// As the library calls it.
pub(crate) fn algorithm(ours: Algorithm) -> jsonwebtoken::Algorithm {
    match ours {
        Algorithm::Rs256 => jsonwebtoken::Algorithm::RS256,
        Algorithm::Ps256 => jsonwebtoken::Algorithm::PS256,
        Algorithm::Es256 => jsonwebtoken::Algorithm::ES256,
        Algorithm::EdDsa => jsonwebtoken::Algorithm::EdDSA,
    }
}
