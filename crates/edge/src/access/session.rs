//! Sessions: what control signs when somebody has signed in, and the browser shows with each request.
//!
//! ```text
//!   v1.BASE64URL({"id":"s3","user":"anna",…}).BASE64URL(Ed25519 over "roadbed session v1\n" and what stands before)
//! ```

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use host::clock::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::refusal::Refusal;

/// Nothing else that the key ever signs begins so.
const DOMAIN: &[u8] = b"roadbed session v1\n";
const VERSION: &str = "v1";
/// Characters of the longest session that is looked at: one for thirty hosts has some two thousand.
const LONGEST: usize = 4096;
/// A clock that is behind by no more than this lets in who was just signed in elsewhere.
const SKEW_MS: i64 = 5 * 60 * 1000;
/// Verified sessions that are remembered, so that a signature is not verified for each picture: some 200 bytes each, half a megabyte.
const REMEMBERED: usize = 2048;

/// Who signed in, where, until when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// By which it is listed and revoked.
    pub id: String,
    pub user: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
    /// Where it holds, in lower case.
    pub hosts: Vec<String>,
    pub from_ms: i64,
    pub until_ms: i64,
}

/// The key that signs sessions. Control's alone.
pub struct Signer(Ed25519KeyPair);

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Signer(..)")
    }
}

impl Signer {
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(seed).expect("any 32 bytes are a seed"))
    }

    /// The public half, in hexadecimal.
    pub fn public_key(&self) -> String {
        self.0.public_key().as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What the browser is given.
    pub fn sign(&self, session: &Session) -> String {
        let said = serde_json::to_vec(session).expect("a session is plain data");
        let said = format!("{VERSION}.{}", URL_SAFE_NO_PAD.encode(said));
        let signature = self.0.sign(&[DOMAIN, said.as_bytes()].concat());
        format!("{said}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// What an edge knows of sessions: by which key they are signed, and which of them were ended.
#[derive(Debug, Default)]
pub struct Sessions {
    key: Option<Vec<u8>>,
    revoked: BTreeSet<String>,
    verified: Mutex<HashMap<[u8; 32], Arc<Session>>>,
}

impl Sessions {
    /// `key` in hexadecimal; what is none lets nobody in.
    pub fn new(key: Option<&str>, revoked: BTreeSet<String>) -> Self {
        Self { key: key.and_then(decoded), revoked, verified: Mutex::default() }
    }

    /// Whose session it is, if it holds at this host now.
    pub fn admit(&self, shown: &str, host: &str, now: Timestamp) -> Result<Arc<Session>, Refusal> {
        let session = self.verified(shown)?;
        if self.revoked.contains(&session.id) {
            return Err(Refusal::SessionRevoked);
        }
        let now = now.unix_millis();
        if now >= session.until_ms || now < session.from_ms - SKEW_MS {
            return Err(Refusal::SessionOver);
        }
        if session.hosts.iter().any(|known| known == host) { Ok(session) } else { Err(Refusal::SessionElsewhere) }
    }

    fn verified(&self, shown: &str) -> Result<Arc<Session>, Refusal> {
        if shown.len() > LONGEST {
            return Err(Refusal::SessionForged);
        }
        let digest: [u8; 32] = Sha256::digest(shown.as_bytes()).into();
        if let Some(known) = self.remembered().get(&digest) {
            return Ok(Arc::clone(known));
        }
        let session = Arc::new(self.read(shown).ok_or(Refusal::SessionForged)?);
        let mut remembered = self.remembered();
        if remembered.len() >= REMEMBERED {
            remembered.clear();
        }
        remembered.insert(digest, Arc::clone(&session));
        Ok(session)
    }

    fn read(&self, shown: &str) -> Option<Session> {
        let (said, signature) = shown.rsplit_once('.')?;
        let claims = said.strip_prefix(VERSION)?.strip_prefix('.')?;
        let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
        let key = UnparsedPublicKey::new(&ED25519, self.key.as_ref()?);
        key.verify(&[DOMAIN, said.as_bytes()].concat(), &signature).ok()?;
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
    }

    fn remembered(&self) -> std::sync::MutexGuard<'_, HashMap<[u8; 32], Arc<Session>>> {
        // What is in it is whole at any time.
        self.verified.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn decoded(hex: &str) -> Option<Vec<u8>> {
    if hex.len() != 64 || !hex.is_ascii() {
        return None;
    }
    (0..32).map(|at| u8::from_str_radix(&hex[at * 2..at * 2 + 2], 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOON: i64 = 1_800_000_000_000;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_unix_millis(ms)
    }

    fn annas() -> Session {
        Session {
            id: "s1".into(),
            user: "anna".into(),
            email: Some("anna@shop.example".into()),
            hosts: vec!["admin.shop.example".into()],
            from_ms: NOON,
            until_ms: NOON + 1000,
        }
    }

    fn sessions(signer: &Signer, revoked: &[&str]) -> Sessions {
        Sessions::new(Some(&signer.public_key()), revoked.iter().map(|id| (*id).to_owned()).collect())
    }

    #[test]
    fn a_session_holds_at_its_hosts_in_its_time_and_until_it_is_revoked() {
        let signer = Signer::from_seed(&[7; 32]);
        let known = sessions(&signer, &["s2"]);
        let shown = signer.sign(&annas());
        for _ in 0..2 {
            assert_eq!(*known.admit(&shown, "admin.shop.example", at(NOON)).unwrap(), annas());
        }
        let refused = |shown: &str, host: &str, ms: i64| known.admit(shown, host, at(ms)).unwrap_err();
        assert_eq!(refused(&shown, "ops.shop.example", NOON), Refusal::SessionElsewhere);
        assert_eq!(refused(&shown, "admin.shop.example", NOON + 1000), Refusal::SessionOver);
        assert_eq!(refused(&shown, "admin.shop.example", NOON - SKEW_MS - 1), Refusal::SessionOver);
        let ended = signer.sign(&Session { id: "s2".into(), ..annas() });
        assert_eq!(refused(&ended, "admin.shop.example", NOON), Refusal::SessionRevoked);
    }

    #[test]
    fn what_nobody_signed_is_no_session_however_it_looks() {
        let (signer, other) = (Signer::from_seed(&[7; 32]), Signer::from_seed(&[8; 32]));
        let known = sessions(&signer, &[]);
        let good = signer.sign(&annas());
        let parts: Vec<&str> = good.split('.').collect();
        let claims = URL_SAFE_NO_PAD.encode(serde_json::to_vec(&Session { user: "root".into(), ..annas() }).unwrap());
        let mut forged = vec![
            String::new(),
            "v1".to_owned(),
            "v1..".to_owned(),
            other.sign(&annas()),
            format!("v1.{claims}.{}", parts[2]),
            format!("v1.{}.", parts[1]),
            format!("v2.{}.{}", parts[1], parts[2]),
            format!("{}.{}", parts[1], parts[2]),
            format!("{good}="),
            format!("{good}.{}", parts[2]),
            "x".repeat(LONGEST + 1),
        ];
        forged.extend((0..good.len()).map(|at| {
            let other = if good.as_bytes()[at] == b'A' { "B" } else { "A" };
            format!("{}{other}{}", &good[..at], &good[at + 1..])
        }));
        for text in forged {
            assert_eq!(known.admit(&text, "admin.shop.example", at(NOON)), Err(Refusal::SessionForged), "{text}");
        }
        // An edge that was told no key, or what is none, lets nobody in.
        for key in [None, Some(""), Some("zz"), Some("00")] {
            let none = Sessions::new(key, BTreeSet::new());
            assert_eq!(none.admit(&good, "admin.shop.example", at(NOON)), Err(Refusal::SessionForged));
        }
    }

    #[test]
    fn what_is_remembered_of_sessions_does_not_grow() {
        let signer = Signer::from_seed(&[7; 32]);
        let known = sessions(&signer, &[]);
        for at_id in 0..REMEMBERED + 10 {
            let shown = signer.sign(&Session { id: format!("s{at_id}"), ..annas() });
            known.admit(&shown, "admin.shop.example", at(NOON)).unwrap();
        }
        assert!(known.remembered().len() <= REMEMBERED);
    }
}
