//! Provenance, signed: a DSSE envelope per line, as in-toto bundles have them. <https://github.com/secure-systems-lab/dsse>
//!
//! Each environment that built an artifact adds a line by its own key. Whoever uses the artifact says which keys are believed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use secrets::Secret;
use secrets::jwk::{self, NotAKey, PublicKey};
use serde::{Deserialize, Serialize};

use super::provenance::{self, Origin};
use super::shelf::Record;

const PAYLOAD_TYPE: &str = "application/vnd.in-toto+json";

/// Signs what is built here.
#[derive(Debug)]
pub struct Attestor {
    key: Secret,
    public: PublicKey,
    origin: Origin,
}

/// Why an artifact is not believed to be ours.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum AttestationFault {
    #[error("it is not signed")]
    Missing,
    #[error("its signature file is damaged")]
    Malformed,
    #[error("the key that signs artifacts is damaged")]
    Key,
    #[error("nobody signed it whom this environment trusts (signed by {})", .by.join(", "))]
    Untrusted { by: Vec<String> },
    #[error("its signature by the key {by} is wrong: the statement was changed, or it is another one's")]
    Wrong { by: String },
    #[error("the statement that is signed is about {name} with the digest {digest}, not about this artifact")]
    OtherSubject { name: String, digest: String },
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Envelope {
    payload: String,
    payload_type: String,
    signatures: [Signature; 1],
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signature {
    keyid: String,
    sig: String,
}

/// What is signed: the statement with its type, each with its length before it, so that no two mean the same bytes.
fn pre_authentication(payload: &[u8]) -> Vec<u8> {
    let head = format!("DSSEv1 {} {PAYLOAD_TYPE} {} ", PAYLOAD_TYPE.len(), payload.len());
    [head.as_bytes(), payload].concat()
}

impl Attestor {
    /// By this key, a private Ed25519 key as a JSON Web Key.
    pub fn new(key: Secret, origin: Origin) -> Result<Self, NotAKey> {
        Ok(Self { public: jwk::public_half(&key)?, key, origin })
    }

    /// What verifiers get.
    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The line about an artifact.
    pub(crate) fn line(&self, record: &Record) -> Result<String, NotAKey> {
        let statement = provenance::statement(&record.app, &record.digest, &record.inputs, &self.origin);
        let payload = serde_json::to_vec(&statement).expect("plain data");
        let sig = STANDARD.encode(jwk::sign(&self.key, &pre_authentication(&payload))?);
        let signature = Signature { keyid: self.public.kid.clone(), sig };
        Ok(Envelope::written(&Envelope {
            payload: STANDARD.encode(&payload),
            payload_type: PAYLOAD_TYPE.to_owned(),
            signatures: [signature],
        }))
    }
}

impl Envelope {
    fn written(&self) -> String {
        serde_json::to_string(self).expect("plain data") + "\n"
    }
}

/// Every envelope of a file. One that is not exactly as we write it makes the file a damaged one: of two ways to write the same,
/// one would let a change pass.
fn envelopes(file: &[u8]) -> Option<Vec<Envelope>> {
    let text = std::str::from_utf8(file).ok().filter(|text| !text.is_empty())?;
    text.split_inclusive('\n')
        .map(|line| {
            let envelope: Envelope = serde_json::from_str(line).ok()?;
            (envelope.written() == line && envelope.payload_type == PAYLOAD_TYPE).then_some(envelope)
        })
        .collect()
}

/// Whether every line of the file can be read.
pub(crate) fn is_whole(file: &[u8]) -> bool {
    envelopes(file).is_some()
}

/// Whether a line of this key is in the file.
pub(crate) fn has_line_of(file: &[u8], key: &PublicKey) -> bool {
    envelopes(file).is_some_and(|all| all.iter().any(|envelope| envelope.signatures[0].keyid == key.kid))
}

/// The file with a line by `key` that says what one by a believed key says; `None` if it has one already.
pub(crate) fn endorsed(
    file: Option<&[u8]>,
    record: &Record,
    believed: &[PublicKey],
    key: &Secret,
) -> Result<Option<Vec<u8>>, AttestationFault> {
    verify(file, record, believed)?;
    let file = file.ok_or(AttestationFault::Missing)?;
    let ours = jwk::public_half(key).map_err(|_| AttestationFault::Key)?;
    if has_line_of(file, &ours) {
        return Ok(None);
    }
    let all = envelopes(file).ok_or(AttestationFault::Malformed)?;
    let is_believed = |envelope: &&Envelope| believed.iter().any(|key| key.kid == envelope.signatures[0].keyid);
    let said = all.iter().find(is_believed).ok_or(AttestationFault::Missing)?;
    let payload = STANDARD.decode(&said.payload).map_err(|_| AttestationFault::Malformed)?;
    let sig = jwk::sign(key, &pre_authentication(&payload)).map_err(|_| AttestationFault::Key)?;
    let line = Envelope {
        payload: said.payload.clone(),
        payload_type: PAYLOAD_TYPE.to_owned(),
        signatures: [Signature { keyid: ours.kid, sig: STANDARD.encode(sig) }],
    };
    Ok(Some([file, line.written().as_bytes()].concat()))
}

/// Holds the lines about an artifact against the keys that are believed: one of them must have signed a statement about it, and none
/// of them anything else in its name.
pub(crate) fn verify(file: Option<&[u8]>, record: &Record, trusted: &[PublicKey]) -> Result<(), AttestationFault> {
    let envelopes = envelopes(file.ok_or(AttestationFault::Missing)?).ok_or(AttestationFault::Malformed)?;
    let mut by = Vec::new();
    let mut is_signed = false;
    for Envelope { payload, signatures: [Signature { keyid, sig }], .. } in envelopes {
        let Some(key) = trusted.iter().find(|key| key.kid == keyid) else {
            by.push(keyid);
            continue;
        };
        let decode = |text: &str| STANDARD.decode(text).map_err(|_| AttestationFault::Malformed);
        let (payload, sig) = (decode(&payload)?, decode(&sig)?);
        if !key.verifies(&pre_authentication(&payload), &sig) {
            return Err(AttestationFault::Wrong { by: keyid });
        }
        let (name, digest) = provenance::subject(&payload).ok_or(AttestationFault::Malformed)?;
        if name != record.app || digest != record.digest.as_str() {
            return Err(AttestationFault::OtherSubject { name, digest });
        }
        is_signed = true;
    }
    if is_signed { Ok(()) } else { Err(AttestationFault::Untrusted { by }) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::Digest;
    use super::*;

    fn attestor() -> Attestor {
        Attestor::new(jwk::generate().unwrap(), Origin { builder: "here".into(), ..Origin::default() }).unwrap()
    }

    fn record(app: &str, byte: u8) -> Record {
        let digest = Digest::of(&[byte; 32]);
        Record { app: app.into(), digest, inputs: "1".into(), bytes: 1, packed_bytes: 1, files: 1, packages: 0 }
    }

    #[test]
    fn what_is_signed_is_laid_out_as_the_standard_says() {
        // The standard's own example, with this type in place of its.
        assert_eq!(pre_authentication(b"hello"), b"DSSEv1 28 application/vnd.in-toto+json 5 hello");
    }

    #[test]
    fn only_a_statement_about_this_artifact_by_a_trusted_key_is_believed() {
        let (ours, other) = (attestor(), attestor());
        let (record, another) = (record("api", 1), record("api", 2));
        let line = ours.line(&record).unwrap();
        let trusted = [ours.public().clone()];
        assert_eq!(verify(Some(line.as_bytes()), &record, &trusted), Ok(()));
        assert_eq!(ours.line(&record).unwrap(), line, "the same build says the same");

        assert_eq!(verify(None, &record, &trusted), Err(AttestationFault::Missing));
        assert_eq!(verify(Some(b""), &record, &trusted), Err(AttestationFault::Malformed));
        assert_eq!(verify(Some(b"{}\n"), &record, &trusted), Err(AttestationFault::Malformed));
        let foreign = other.line(&record).unwrap();
        let by = vec![other.public().kid.clone()];
        assert_eq!(verify(Some(foreign.as_bytes()), &record, &trusted), Err(AttestationFault::Untrusted { by }));
        let fault = verify(Some(line.as_bytes()), &another, &trusted).unwrap_err();
        assert!(matches!(fault, AttestationFault::OtherSubject { .. }), "{fault}");
        let mut renamed = record.clone();
        renamed.app = "admin".into();
        let fault = verify(Some(line.as_bytes()), &renamed, &trusted).unwrap_err();
        assert!(matches!(fault, AttestationFault::OtherSubject { .. }), "{fault}");

        // Whoever claims to be us.
        let mut forged: Envelope = serde_json::from_str(&foreign).unwrap();
        forged.signatures[0].keyid = ours.public().kid.clone();
        let fault = verify(Some(forged.written().as_bytes()), &record, &trusted).unwrap_err();
        assert_eq!(fault, AttestationFault::Wrong { by: ours.public().kid.clone() });

        // Two environments built it; each believes its own.
        let both = format!("{foreign}{line}");
        assert_eq!(verify(Some(both.as_bytes()), &record, &trusted), Ok(()));
        assert_eq!(verify(Some(both.as_bytes()), &record, &[other.public().clone()]), Ok(()));
    }

    #[test]
    fn what_is_endorsed_is_believed_by_who_endorsed_it_and_only_what_was_believed_is() {
        let (staging, production, stranger) = (attestor(), jwk::generate().unwrap(), attestor());
        let record = record("api", 1);
        let line = staging.line(&record).unwrap();
        let ours = jwk::public_half(&production).unwrap();
        let believed = [staging.public().clone()];
        let fault = endorsed(Some(line.as_bytes()), &record, &[stranger.public().clone()], &production).unwrap_err();
        assert!(matches!(fault, AttestationFault::Untrusted { .. }), "{fault}");
        let file = endorsed(Some(line.as_bytes()), &record, &believed, &production).unwrap().unwrap();
        assert_eq!(verify(Some(&file), &record, &[ours]), Ok(()));
        assert_eq!(verify(Some(&file), &record, &believed), Ok(()));
        assert_eq!(endorsed(Some(&file), &record, &believed, &production), Ok(None), "once is enough");
    }

    proptest! {
        #[test]
        fn any_changed_byte_is_refused(place in any::<prop::sample::Index>(), mask in 1_u8..) {
            let attestor = attestor();
            let record = record("api", 1);
            let mut line = attestor.line(&record).unwrap().into_bytes();
            let place = place.index(line.len());
            line[place] ^= mask;
            prop_assert!(verify(Some(&line), &record, &[attestor.public().clone()]).is_err());
        }

        #[test]
        fn a_line_that_is_cut_short_is_refused(place in any::<prop::sample::Index>()) {
            let attestor = attestor();
            let record = record("api", 1);
            let line = attestor.line(&record).unwrap();
            let cut = &line.as_bytes()[..place.index(line.len())];
            prop_assert!(verify(Some(cut), &record, &[attestor.public().clone()]).is_err());
        }
    }
}
