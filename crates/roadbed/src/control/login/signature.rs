//! Signatures as `ssh-keygen -Y sign` and agents make them, verified. Format: OpenSSH's `PROTOCOL.sshsig`, keys of `PROTOCOL.u2f`,
//! read by `ssh-key`. Ed25519 only, in a file or on a security key that was touched. `ssh-key` verifies by a second Ed25519 and
//! does not look whether a security key was touched, so that part is here.

use aws_lc_rs::digest::{self, SHA256};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use ssh_key::public::KeyData;
use ssh_key::{Algorithm, PublicKey, SshSig};

/// The flag of a security key that somebody touched.
const TOUCHED: u8 = 1;

/// Bytes of an Ed25519 signature. What a security key adds to it comes behind: flags and a counter.
const SIGNATURE: usize = 64;

/// A signature in its armour is 500 characters long or so.
const LONGEST: usize = 8192;

/// Why a signature is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSigned {
    #[error("it is no signature of OpenSSH")]
    Unreadable,
    #[error("it was made with a kind of key or digest that is not taken: use Ed25519")]
    Kind,
    #[error("it was made for another purpose or another environment")]
    Namespace,
    #[error("the security key was not touched")]
    Untouched,
    #[error("it does not fit what was to be signed")]
    Wrong,
}

/// The public key in a signature that was verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signer(KeyData);

impl Signer {
    /// Whether a line of a `.pub` file is this key.
    pub(crate) fn is(&self, line: &str) -> bool {
        PublicKey::from_openssh(line).is_ok_and(|key| *key.key_data() == self.0)
    }
}

/// Who signed `message` for `namespace`.
pub(crate) fn signer(armoured: &str, namespace: &str, message: &[u8]) -> Result<Signer, NotSigned> {
    if armoured.len() > LONGEST {
        return Err(NotSigned::Unreadable);
    }
    let found = SshSig::from_pem(armoured.trim()).map_err(|error| match error {
        ssh_key::Error::AlgorithmUnknown | ssh_key::Error::AlgorithmUnsupported { .. } => NotSigned::Kind,
        _ => NotSigned::Unreadable,
    })?;
    // It takes older versions than the first, and what is reserved is no part of what it says was signed.
    if found.version() != SshSig::VERSION || !found.reserved().is_empty() {
        return Err(NotSigned::Unreadable);
    }
    if found.namespace() != namespace {
        return Err(NotSigned::Namespace);
    }
    let signed = SshSig::signed_data(namespace, found.hash_alg(), message).map_err(|_| NotSigned::Unreadable)?;
    verify(&found, signed)?;
    Ok(Signer(found.public_key().clone()))
}

fn verify(found: &SshSig, signed: Vec<u8>) -> Result<(), NotSigned> {
    let (signature, added) = found.signature_bytes().split_at_checked(SIGNATURE).ok_or(NotSigned::Unreadable)?;
    let (point, signed, flags) = match (found.public_key(), found.algorithm()) {
        (KeyData::Ed25519(key), Algorithm::Ed25519) if added.is_empty() => (key, signed, TOUCHED),
        (KeyData::SkEd25519(key), Algorithm::SkEd25519) => {
            let (flags, _) = added.split_first().ok_or(NotSigned::Unreadable)?;
            let application = digest::digest(&SHA256, key.application().as_bytes());
            let message = digest::digest(&SHA256, &signed);
            (key.public_key(), [application.as_ref(), added, message.as_ref()].concat(), *flags)
        }
        (KeyData::Ed25519(_) | KeyData::SkEd25519(_), _) => return Err(NotSigned::Unreadable),
        _ => return Err(NotSigned::Kind),
    };
    UnparsedPublicKey::new(&ED25519, point.as_ref()).verify(&signed, signature).map_err(|_| NotSigned::Wrong)?;
    // Told only now: the flags are signed.
    if flags & TOUCHED == 0 { Err(NotSigned::Untouched) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use proptest::prelude::*;
    use ssh_key::public::{Ed25519PublicKey, SkEd25519};
    use ssh_key::{HashAlg, LineEnding, Signature};

    use super::*;

    const NAMESPACE: &str = "roadbed-login@root";
    const BEGINNING: &str = "-----BEGIN SSH SIGNATURE-----";
    const END: &str = "-----END SSH SIGNATURE-----";

    /// As a security key signs: what it was asked for, whether it was touched, how often it signed.
    fn signed_by_a_token(flags: u8, namespace: &str, message: &[u8]) -> (String, Signer) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let point = Ed25519PublicKey(pair.public_key().as_ref().try_into().unwrap());
        let key = KeyData::from(SkEd25519::new(point, "ssh:"));
        let asked = SshSig::signed_data(namespace, HashAlg::Sha512, message).unwrap();
        let added = [&[flags][..], &9_u32.to_be_bytes()].concat();
        let application = digest::digest(&SHA256, b"ssh:");
        let whole = [application.as_ref(), &added, digest::digest(&SHA256, &asked).as_ref()].concat();
        let signature = Signature::new(Algorithm::SkEd25519, [pair.sign(&whole).as_ref(), &added].concat()).unwrap();
        let whole = SshSig::new(key.clone(), namespace, HashAlg::Sha512, signature).unwrap();
        (whole.to_pem(LineEnding::LF).unwrap(), Signer(key))
    }

    fn unarmoured(text: &str) -> Vec<u8> {
        let body = text.trim().strip_prefix(BEGINNING).unwrap().strip_suffix(END).unwrap();
        STANDARD.decode(body.split_whitespace().collect::<String>()).unwrap()
    }

    #[test]
    fn a_security_key_signs_when_it_is_touched() {
        let (signature, key) = signed_by_a_token(TOUCHED, NAMESPACE, b"message");
        assert_eq!(signer(&signature, NAMESPACE, b"message"), Ok(key));
        let (untouched, _) = signed_by_a_token(0, NAMESPACE, b"message");
        assert_eq!(signer(&untouched, NAMESPACE, b"message"), Err(NotSigned::Untouched));
    }

    #[test]
    fn a_signature_is_for_one_message_and_one_purpose() {
        let (signature, _) = signed_by_a_token(TOUCHED, NAMESPACE, b"message");
        assert_eq!(signer(&signature, NAMESPACE, b"another"), Err(NotSigned::Wrong));
        assert_eq!(signer(&signature, "roadbed-login@other", b"message"), Err(NotSigned::Namespace));
        let (of_another, _) = signed_by_a_token(TOUCHED, "git", b"message");
        assert_eq!(signer(&of_another, NAMESPACE, b"message"), Err(NotSigned::Namespace));
    }

    #[test]
    fn a_changed_byte_is_not_accepted() {
        let (signature, _) = signed_by_a_token(TOUCHED, NAMESPACE, b"message");
        let blob = unarmoured(&signature);
        for at in 0..blob.len() {
            let mut changed = blob.clone();
            changed[at] ^= 1;
            let text = format!("{BEGINNING}\n{}\n{END}", STANDARD.encode(changed));
            assert!(signer(&text, NAMESPACE, b"message").is_err(), "byte {at}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(blob in prop::collection::vec(any::<u8>(), 0..300), text in ".{0,300}") {
            let armoured = format!("{BEGINNING}\n{}\n{END}", STANDARD.encode([&b"SSHSIG\0\0\0\x01"[..], &blob].concat()));
            prop_assert!(signer(&armoured, NAMESPACE, b"m").is_err());
            prop_assert!(signer(&text, NAMESPACE, b"m").is_err());
        }
    }
}
