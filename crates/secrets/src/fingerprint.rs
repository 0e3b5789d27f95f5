//! Telling that two environments hold the same value without opening either: a keyed fingerprint.
//!
//! The key is this user's, beside the operator's identity and outside every root. Without it a fingerprint says nothing about a
//! value, not even to whoever guesses.

use std::path::Path;
use std::sync::Mutex;

use aws_lc_rs::{digest, hmac};
use host::files::{self, Access, FileFault};
use zeroize::Zeroizing;

use crate::seat::UserKeys;
use crate::{Secret, SecretName};

/// Bytes of a fingerprint, and of the key.
const LENGTH: usize = 32;

/// Bytes by which a key is known.
const KEY_ID: usize = 8;

/// The fingerprint of a value that is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    pub name: SecretName,
    /// Tells fingerprints of one user's key from those of another, which mean nothing beside each other.
    pub key: Vec<u8>,
    pub(crate) print: Vec<u8>,
}

impl Fingerprint {
    pub fn is_of_the_same_value_as(&self, other: &Self) -> bool {
        self.key == other.key && self.print == other.print
    }
}

/// The key by which this user's values are compared. No `Debug`.
#[expect(missing_debug_implementations, reason = "a key is never shown")]
pub struct Fingerprints {
    key: hmac::Key,
    /// Tells fingerprints of this key from those of another, which mean nothing beside each other.
    pub(crate) id: Vec<u8>,
}

impl Fingerprints {
    /// The key of this user; `None` if there is none, so that nothing was ever compared with it.
    pub fn of_user(keys: &UserKeys) -> Result<Option<Self>, FileFault> {
        keys.fingerprint_key().map_or(Ok(None), |path| Self::read(&path))
    }

    /// The key of this user, made first if there is none; `None` if this user keeps no settings.
    pub fn ensure_of_user(keys: &UserKeys) -> Result<Option<Self>, FileFault> {
        keys.fingerprint_key().map(|path| Self::ensure(&path)).transpose()
    }

    /// A fingerprint to be noted of a value that was handed to somebody else. One for another purpose looks otherwise, and so does one
    /// by another key.
    pub fn note_of(&self, purpose: &str, secret: &Secret) -> String {
        let mut context = hmac::Context::with_key(&self.key);
        context.update(purpose.as_bytes());
        context.update(&[0]);
        context.update(secret.expose().as_bytes());
        let tag = context.sign();
        self.id.iter().chain(tag.as_ref()).map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether this is the value that `known` is the fingerprint of.
    pub fn is_value_of(&self, value: &str, known: &Fingerprint) -> bool {
        self.id == known.key && self.of(value) == known.print
    }

    /// Reads the key, made first if there is none.
    pub(crate) fn ensure(path: &Path) -> Result<Self, FileFault> {
        static MAKING: Mutex<()> = Mutex::new(());
        let _making = MAKING.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(found) = Self::read(path)? {
            return Ok(found);
        }
        let mut bytes = Zeroizing::new(vec![0_u8; LENGTH]);
        getrandom::fill(&mut bytes).map_err(|error| FileFault::new("make", path, std::io::Error::other(error)))?;
        files::create_dir(path.parent().unwrap_or(Path::new(".")), Access::Owner)?;
        files::write_new(path, &bytes, Access::Owner)?;
        Self::read(path)?.ok_or_else(|| {
            FileFault::new("read", path, std::io::Error::new(std::io::ErrorKind::InvalidData, "it is damaged"))
        })
    }

    /// One that is cut short is no key: fingerprints by it would be guessed.
    fn read(path: &Path) -> Result<Option<Self>, FileFault> {
        let Some(bytes) = files::read_if_exists(path)?.map(Zeroizing::new) else { return Ok(None) };
        if bytes.len() != LENGTH {
            let damaged = std::io::Error::new(std::io::ErrorKind::InvalidData, "it is damaged");
            return Err(FileFault::new("read", path, damaged));
        }
        let id = digest::digest(&digest::SHA256, &[b"roadbed fingerprint key", bytes.as_slice()].concat());
        Ok(Some(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &bytes), id: id.as_ref()[..KEY_ID].to_vec() }))
    }

    pub(crate) fn of(&self, value: &str) -> Vec<u8> {
        hmac::sign(&self.key, value.as_bytes()).as_ref().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fingerprint_tells_values_apart_and_needs_its_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fingerprint-key");
        let one = Fingerprints::ensure(&path).unwrap();
        let again = Fingerprints::ensure(&path).unwrap();
        assert_eq!((one.of("a value"), &one.id), (again.of("a value"), &again.id));
        assert_ne!(one.of("a value"), one.of("another"));
        let other = Fingerprints::ensure(&folder.path().join("another")).unwrap();
        assert_ne!(one.of("a value"), other.of("a value"));
        assert_ne!(one.id, other.id);
        let note = |of: &Fingerprints, purpose: &str, value: &str| of.note_of(purpose, &Secret::new(value.to_owned()));
        assert_eq!(note(&one, "github", "a value"), note(&again, "github", "a value"));
        let noted = note(&one, "github", "a value");
        for other in
            [note(&one, "elsewhere", "a value"), note(&one, "github", "another"), note(&other, "github", "a value")]
        {
            assert_ne!(noted, other);
        }
    }

    #[test]
    fn a_damaged_key_is_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fingerprint-key");
        files::write(&path, b"", Access::Owner).unwrap();
        assert!(Fingerprints::ensure(&path).is_err());
    }
}
