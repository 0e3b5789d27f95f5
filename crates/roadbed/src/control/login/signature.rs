//! Signatures as `ssh-keygen -Y sign` and agents make them, read and verified. Format: OpenSSH's `PROTOCOL.sshsig`, keys of
//! `PROTOCOL.u2f`. Ed25519 only, in a file or on a security key that was touched.

use aws_lc_rs::digest::{self, SHA256, SHA512};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const BEGINNING: &str = "-----BEGIN SSH SIGNATURE-----";
const END: &str = "-----END SSH SIGNATURE-----";
const MAGIC: &[u8] = b"SSHSIG";
const VERSION: u32 = 1;

const PLAIN: &[u8] = b"ssh-ed25519";
const ON_A_TOKEN: &[u8] = b"sk-ssh-ed25519@openssh.com";

/// The flag of a security key that somebody touched.
const TOUCHED: u8 = 1;

/// A signature is 300 bytes long or so.
const LONGEST: usize = 4096;

/// Why a signature is not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotSigned {
    #[error("it is no signature of OpenSSH")]
    Unreadable,
    #[error("it was made with a kind of key that is not taken: use Ed25519")]
    Kind,
    #[error("it was made for another purpose or another environment")]
    Namespace,
    #[error("the security key was not touched")]
    Untouched,
    #[error("it does not fit what was to be signed")]
    Wrong,
}

/// The public key in a signature that was verified: the body of a line in a `.pub` file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Signer(pub(crate) String);

impl Signer {
    /// Whether a line of a `.pub` file is this key.
    pub(crate) fn is(&self, line: &str) -> bool {
        line.split(' ').nth(1) == Some(&self.0)
    }
}

/// Who signed `message` for `namespace`.
pub(crate) fn signer(armoured: &str, namespace: &str, message: &[u8]) -> Result<Signer, NotSigned> {
    let blob = unarmoured(armoured).ok_or(NotSigned::Unreadable)?;
    let mut reader = Reader(&blob);
    let parts = Parts::read(&mut reader).filter(|_| reader.0.is_empty()).ok_or(NotSigned::Unreadable)?;
    if parts.namespace != namespace.as_bytes() {
        return Err(NotSigned::Namespace);
    }
    let hashed = match parts.hash {
        b"sha512" => digest::digest(&SHA512, message),
        b"sha256" => digest::digest(&SHA256, message),
        _ => return Err(NotSigned::Unreadable),
    };
    let mut signed = MAGIC.to_vec();
    for part in [parts.namespace, parts.reserved, parts.hash, hashed.as_ref()] {
        put(&mut signed, part);
    }
    verify(&parts, signed)?;
    Ok(Signer(STANDARD.encode(parts.key)))
}

fn verify(parts: &Parts<'_>, signed: Vec<u8>) -> Result<(), NotSigned> {
    let (mut key, mut signature) = (Reader(parts.key), Reader(parts.signature));
    let unreadable = NotSigned::Unreadable;
    let kind = key.text().ok_or(unreadable)?;
    let point = key.text().filter(|point| point.len() == 32);
    if signature.text().ok_or(unreadable)? != kind {
        return Err(unreadable);
    }
    let (signed, flags) = match kind {
        PLAIN => (signed, TOUCHED),
        ON_A_TOKEN => {
            let application = digest::digest(&SHA256, key.text().ok_or(unreadable)?);
            let rest = Reader(signature.0).past_text().ok_or(unreadable)?;
            let [flags, counter @ ..] = rest else { return Err(unreadable) };
            if counter.len() != 4 {
                return Err(unreadable);
            }
            let message = digest::digest(&SHA256, &signed);
            ([application.as_ref(), &[*flags], counter, message.as_ref()].concat(), *flags)
        }
        _ => return Err(NotSigned::Kind),
    };
    let (point, bytes) = (point.ok_or(unreadable)?, signature.text().ok_or(unreadable)?);
    let is_whole = key.0.is_empty() && (kind == ON_A_TOKEN || signature.0.is_empty());
    if !is_whole {
        return Err(unreadable);
    }
    UnparsedPublicKey::new(&ED25519, point).verify(&signed, bytes).map_err(|_| NotSigned::Wrong)?;
    // Told only now: the flags are signed.
    if flags & TOUCHED == 0 { Err(NotSigned::Untouched) } else { Ok(()) }
}

fn unarmoured(text: &str) -> Option<Vec<u8>> {
    let body = text.trim().strip_prefix(BEGINNING)?.strip_suffix(END)?;
    let body: String = body.split_whitespace().collect();
    STANDARD.decode(body).ok().filter(|blob| blob.len() <= LONGEST)
}

struct Parts<'b> {
    key: &'b [u8],
    namespace: &'b [u8],
    reserved: &'b [u8],
    hash: &'b [u8],
    signature: &'b [u8],
}

impl<'b> Parts<'b> {
    fn read(reader: &mut Reader<'b>) -> Option<Self> {
        reader.0 = reader.0.strip_prefix(MAGIC)?;
        (reader.number()? == VERSION).then_some(())?;
        let mut text = || reader.text();
        Some(Self { key: text()?, namespace: text()?, reserved: text()?, hash: text()?, signature: text()? })
    }
}

/// What is left to read.
#[derive(Clone, Copy)]
struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    fn number(&mut self) -> Option<u32> {
        let (number, rest) = self.0.split_first_chunk::<4>()?;
        self.0 = rest;
        Some(u32::from_be_bytes(*number))
    }

    /// A text with its length before it.
    fn text(&mut self) -> Option<&'b [u8]> {
        let length = usize::try_from(self.number()?).ok()?;
        let (text, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(text)
    }

    fn past_text(mut self) -> Option<&'b [u8]> {
        self.text()?;
        Some(self.0)
    }
}

fn put(to: &mut Vec<u8>, text: &[u8]) {
    to.extend_from_slice(&u32::try_from(text.len()).expect("what is signed is short").to_be_bytes());
    to.extend_from_slice(text);
}

#[cfg(test)]
mod tests {
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use proptest::prelude::*;

    use super::*;

    const NAMESPACE: &str = "roadbed-login@root";

    /// As a security key signs: what it was asked for, whether it was touched, how often it signed.
    fn signed_by_a_token(flags: u8, namespace: &str, message: &[u8]) -> (String, Signer) {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let mut key = Vec::new();
        [ON_A_TOKEN, pair.public_key().as_ref(), b"ssh:"].iter().for_each(|part| put(&mut key, part));
        let mut asked = MAGIC.to_vec();
        let hashed = digest::digest(&SHA512, message);
        [namespace.as_bytes(), b"", b"sha512", hashed.as_ref()].iter().for_each(|part| put(&mut asked, part));
        let counter = 9_u32.to_be_bytes();
        let application = digest::digest(&SHA256, b"ssh:");
        let whole = [application.as_ref(), &[flags], &counter, digest::digest(&SHA256, &asked).as_ref()].concat();
        let mut signature = Vec::new();
        [ON_A_TOKEN, pair.sign(&whole).as_ref()].iter().for_each(|part| put(&mut signature, part));
        signature.push(flags);
        signature.extend(counter);
        let mut blob = [MAGIC, &VERSION.to_be_bytes()].concat();
        [key.as_slice(), namespace.as_bytes(), b"", b"sha512", &signature].iter().for_each(|part| put(&mut blob, part));
        (format!("{BEGINNING}\n{}\n{END}\n", STANDARD.encode(blob)), Signer(STANDARD.encode(key)))
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
        let blob = unarmoured(&signature).unwrap();
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
            let armoured = format!("{BEGINNING}\n{}\n{END}", STANDARD.encode([MAGIC, &VERSION.to_be_bytes(), &blob].concat()));
            prop_assert!(signer(&armoured, NAMESPACE, b"m").is_err());
            prop_assert!(signer(&text, NAMESPACE, b"m").is_err());
        }
    }
}
