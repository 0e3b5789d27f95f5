//! Signing keys: a private Ed25519 key as a JSON Web Key, and the public half that verifiers get (RFC 7517, RFC 8037).

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::json;
use zeroize::{Zeroize, Zeroizing};

use crate::Secret;

/// A text that is no private key. What is told never quotes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value is no private Ed25519 key as a JSON Web Key")]
pub struct NotAKey;

/// Why there is no new key.
#[derive(Debug, thiserror::Error)]
pub enum NoKey {
    #[error("cannot get random numbers from the kernel")]
    Random(#[from] getrandom::Error),
    #[error("cannot make a key of random numbers")]
    Refused(#[from] aws_lc_rs::error::KeyRejected),
}

#[derive(Deserialize)]
struct Private {
    kty: String,
    crv: String,
    kid: String,
    x: String,
    d: String,
}

impl Drop for Private {
    fn drop(&mut self) {
        self.d.zeroize();
    }
}

/// What verifiers get of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublicKey {
    pub kty: String,
    pub crv: String,
    pub alg: String,
    pub r#use: String,
    /// Names the key in the head of each token: its thumbprint (RFC 7638).
    pub kid: String,
    pub x: String,
}

/// A fresh key.
pub fn generate() -> Result<Secret, NoKey> {
    let mut seed = Zeroizing::new([0_u8; 32]);
    getrandom::fill(&mut seed[..])?;
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed[..])?;
    let x = BASE64_URL_SAFE_NO_PAD.encode(pair.public_key());
    let d = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(&seed[..]));
    let kid = thumbprint(&x);
    // Written by hand, so that the private part is in no other text that would have to be wiped.
    Ok(Secret::new(format!(
        r#"{{"kty":"OKP","crv":"Ed25519","alg":"EdDSA","use":"sig","kid":"{kid}","x":"{x}","d":"{}"}}"#,
        d.as_str()
    )))
}

/// SHA-256 of the members that make the key, in the order and notation that RFC 7638 wants.
fn thumbprint(x: &str) -> String {
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, members.as_bytes()))
}

/// The public half, which is looked after to be that of the private one.
pub fn public_half(key: &Secret) -> Result<PublicKey, NotAKey> {
    let private: Private = serde_json::from_str(key.expose()).map_err(|_| NotAKey)?;
    let decode = |text: &str| BASE64_URL_SAFE_NO_PAD.decode(text).map(Zeroizing::new).map_err(|_| NotAKey);
    let (seed, public) = (decode(&private.d)?, decode(&private.x)?);
    Ed25519KeyPair::from_seed_and_public_key(&seed, &public).map_err(|_| NotAKey)?;
    if private.kty != "OKP" || private.crv != "Ed25519" || private.kid.is_empty() {
        return Err(NotAKey);
    }
    Ok(PublicKey {
        kty: private.kty.clone(),
        crv: private.crv.clone(),
        alg: "EdDSA".to_owned(),
        r#use: "sig".to_owned(),
        kid: private.kid.clone(),
        x: private.x.clone(),
    })
}

/// Signs with a private key (RFC 8032). The same message has the same signature.
pub fn sign(key: &Secret, message: &[u8]) -> Result<Vec<u8>, NotAKey> {
    let private: Private = serde_json::from_str(key.expose()).map_err(|_| NotAKey)?;
    let seed = BASE64_URL_SAFE_NO_PAD.decode(&private.d).map(Zeroizing::new).map_err(|_| NotAKey)?;
    let pair = Ed25519KeyPair::from_seed_unchecked(&seed).map_err(|_| NotAKey)?;
    Ok(pair.sign(message).as_ref().to_vec())
}

impl PublicKey {
    /// Whether this key's private half signed the message.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        let key = BASE64_URL_SAFE_NO_PAD.decode(&self.x);
        key.is_ok_and(|key| UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok())
    }

    /// As other tools read it: `SubjectPublicKeyInfo` in PEM (RFC 8410).
    pub fn to_pem(&self) -> Result<String, NotAKey> {
        /// What stands before the 32 bytes of any Ed25519 key.
        const HEAD: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        let key = BASE64_URL_SAFE_NO_PAD.decode(&self.x).map_err(|_| NotAKey)?;
        let body = BASE64_STANDARD.encode([&HEAD[..], &key].concat());
        Ok(format!("-----BEGIN PUBLIC KEY-----\n{body}\n-----END PUBLIC KEY-----\n"))
    }
}

/// The part of a key that must not be seen, where `value` is one: it gives the key away also without the notation around it.
pub fn private_part(value: &Secret) -> Option<Secret> {
    let private: Private = serde_json::from_str(value.expose()).ok()?;
    Some(Secret::new(private.d.clone()))
}

/// A JSON Web Key Set: what is served at `/.well-known/jwks.json`.
pub fn key_set(keys: &[PublicKey]) -> String {
    json!({ "keys": keys }).to_string()
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};

    use super::*;

    #[test]
    fn what_the_private_half_signs_the_public_half_verifies() {
        let key = generate().unwrap();
        let public = public_half(&key).unwrap();
        let private: serde_json::Value = serde_json::from_str(key.expose()).unwrap();
        let seed = BASE64_URL_SAFE_NO_PAD.decode(private["d"].as_str().unwrap()).unwrap();
        let signature = Ed25519KeyPair::from_seed_unchecked(&seed).unwrap().sign(b"a token");
        let verifier = UnparsedPublicKey::new(&ED25519, BASE64_URL_SAFE_NO_PAD.decode(&public.x).unwrap());
        verifier.verify(b"a token", signature.as_ref()).unwrap();
        verifier.verify(b"another", signature.as_ref()).unwrap_err();
    }

    /// The key and the thumbprint of RFC 8037, appendix A.
    #[test]
    fn a_key_is_named_as_the_standard_says() {
        assert_eq!(
            thumbprint("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"),
            "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"
        );
    }

    #[test]
    fn no_private_part_is_in_what_is_served() {
        let key = generate().unwrap();
        let private: serde_json::Value = serde_json::from_str(key.expose()).unwrap();
        let set = key_set(&[public_half(&key).unwrap()]);
        assert!(!set.contains(private["d"].as_str().unwrap()) && !set.contains("\"d\""), "{set}");
        assert!(set.contains(private["kid"].as_str().unwrap()), "{set}");
        assert_eq!(private_part(&key).unwrap().expose(), private["d"].as_str().unwrap());
        assert!(private_part(&Secret::new("hunter2".to_owned())).is_none());
    }

    #[test]
    fn what_is_no_key_is_refused_without_being_quoted() {
        let whole = generate().unwrap();
        let other = generate().unwrap();
        let value = |secret: &Secret| serde_json::from_str::<serde_json::Value>(secret.expose()).unwrap();
        let mut halves = value(&whole);
        halves["x"] = value(&other)["x"].clone();
        let mut nameless = value(&whole);
        nameless["kid"] = "".into();
        for text in ["", "{}", "hunter2", &halves.to_string(), &nameless.to_string()] {
            assert_eq!(public_half(&Secret::new(text.to_owned())), Err(NotAKey));
        }
    }
}
