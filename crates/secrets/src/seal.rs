//! Sealing bytes so that they open only with their key and only where they belong.
//!
//! XChaCha20-Poly1305 with a random nonce of 24 bytes: so long that no count of sealings has to be kept. What a sealed text belongs
//! to is part of what is authenticated, each field with its length before it, so that no two places have the same bytes:
//!
//! ```text
//!   "rb1" ‖ lp(install) ‖ lp(environment) ‖ lp(name) ‖ u32 version ‖ lp(class) ‖ lp(kind) ‖ lp(each further field)
//! ```

use chacha20poly1305::aead::{Aead, KeyInit, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use zeroize::Zeroizing;

/// Bytes of a key.
pub(crate) const KEY: usize = 32;

/// Bytes of a nonce.
const NONCE: usize = 24;

/// A symmetric key: wiped when dropped, and it has no `Debug`. Boxed, so that moving it leaves no copy on the stack.
pub(crate) struct Key(Box<Zeroizing<[u8; KEY]>>);

impl Key {
    /// A fresh one, of the kernel's random numbers.
    pub(crate) fn fresh() -> Result<Self, getrandom::Error> {
        let mut bytes = Box::new(Zeroizing::new([0_u8; KEY]));
        getrandom::fill(bytes.as_mut_slice())?;
        Ok(Self(bytes))
    }

    pub(crate) fn of(bytes: &[u8]) -> Option<Self> {
        let mut key = Box::new(Zeroizing::new([0_u8; KEY]));
        if bytes.len() != KEY {
            return None;
        }
        key.copy_from_slice(bytes);
        Some(Self(key))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.0.as_slice()
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new_from_slice(self.bytes()).expect("a key has the length of a key")
    }
}

/// Where something sealed belongs.
#[derive(Clone, Copy)]
pub(crate) struct Belonging<'a> {
    pub(crate) install: &'a str,
    pub(crate) environment: &'a str,
    pub(crate) name: &'a str,
    pub(crate) version: u32,
    pub(crate) class: &'a str,
    /// What is sealed: `value`, `dek`, `signer`, `recipient`.
    pub(crate) kind: &'a str,
}

impl Belonging<'_> {
    fn bytes(&self, further: &[&[u8]]) -> Vec<u8> {
        let mut bytes = b"rb1".to_vec();
        for field in [self.install, self.environment, self.name] {
            prefixed(&mut bytes, field.as_bytes());
        }
        bytes.extend(self.version.to_be_bytes());
        for field in [self.class, self.kind] {
            prefixed(&mut bytes, field.as_bytes());
        }
        for field in further {
            prefixed(&mut bytes, field);
        }
        bytes
    }
}

/// Appends a field with its length before it, so that `ab`,`c` and `a`,`bc` are not the same bytes.
pub(crate) fn prefixed(bytes: &mut Vec<u8>, field: &[u8]) {
    let length = u32::try_from(field.len()).expect("no field has 4 GiB");
    bytes.extend(length.to_be_bytes());
    bytes.extend(field);
}

/// Seals `plain`: nonce, then ciphertext and tag.
pub(crate) fn seal(
    key: &Key,
    belonging: Belonging<'_>,
    further: &[&[u8]],
    plain: &[u8],
) -> Result<Vec<u8>, getrandom::Error> {
    let mut nonce = [0_u8; NONCE];
    getrandom::fill(&mut nonce)?;
    let aad = belonging.bytes(further);
    let sealed = key
        .cipher()
        .encrypt(&XNonce::from(nonce), Payload { msg: plain, aad: &aad })
        .expect("only a text of 256 GiB is too long to be sealed");
    Ok([nonce.as_slice(), &sealed].concat())
}

/// Opens what [`seal`] made; `None` if it was made by another key, belongs elsewhere or was changed.
pub(crate) fn open(
    key: &Key,
    belonging: Belonging<'_>,
    further: &[&[u8]],
    sealed: &[u8],
) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, sealed) = sealed.split_first_chunk::<NONCE>()?;
    let aad = belonging.bytes(further);
    key.cipher().decrypt(&XNonce::from(*nonce), Payload { msg: sealed, aad: &aad }).ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HERE: Belonging<'_> = Belonging {
        install: "root-1",
        environment: "production",
        name: "var/PAYMENT_SECRET_KEY",
        version: 3,
        class: "payment",
        kind: "value",
    };

    #[test]
    fn what_is_sealed_opens_only_where_it_belongs() {
        let key = Key::fresh().unwrap();
        let sealed = seal(&key, HERE, &[b"x"], b"the value").unwrap();
        assert_eq!(open(&key, HERE, &[b"x"], &sealed).unwrap().as_slice(), b"the value");
        let elsewhere = [
            Belonging { install: "root-2", ..HERE },
            Belonging { environment: "preview/pr-1", ..HERE },
            Belonging { name: "var/SESSION_SECRET", ..HERE },
            Belonging { version: 2, ..HERE },
            Belonging { class: "secret", ..HERE },
            Belonging { kind: "dek", ..HERE },
            // The same letters, cut otherwise.
            Belonging { install: "root-1p", environment: "roduction", ..HERE },
        ];
        for place in elsewhere {
            assert!(open(&key, place, &[b"x"], &sealed).is_none());
        }
        assert!(open(&key, HERE, &[], &sealed).is_none());
        assert!(open(&Key::fresh().unwrap(), HERE, &[b"x"], &sealed).is_none());
    }

    proptest! {
        #[test]
        fn no_changed_byte_goes_unnoticed(plain in proptest::collection::vec(any::<u8>(), 0..200), at in any::<prop::sample::Index>(), bit in 0_u8..8) {
            let key = Key::fresh().unwrap();
            let mut sealed = seal(&key, HERE, &[], &plain).unwrap();
            prop_assert_eq!(open(&key, HERE, &[], &sealed).unwrap().to_vec(), plain);
            let at = at.index(sealed.len());
            sealed[at] ^= 1 << bit;
            prop_assert!(open(&key, HERE, &[], &sealed).is_none());
        }

        #[test]
        fn no_bytes_make_opening_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(open(&Key::fresh().unwrap(), HERE, &[], &bytes).is_none());
        }
    }
}
