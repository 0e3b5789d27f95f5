//! Values that only GitHub can read: libsodium's sealed box for the public key of a repository or an environment.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crypto_box::PublicKey;
use crypto_box::aead::OsRng;
use reconcile::Fault;
use secrets::Secret;

/// GitHub takes no longer one.
const LONGEST: usize = 48 << 10;

/// Bytes of a key.
const KEY: usize = 32;

/// Sealed for a key as GitHub shows it, in base64. Another time it is another text.
pub(crate) fn seal(key: &str, value: &Secret) -> Result<String, Fault> {
    let bytes = STANDARD.decode(key).ok().and_then(|bytes| <[u8; KEY]>::try_from(bytes).ok());
    // Whoever is given zeros for a key writes for everybody.
    let bytes = bytes.filter(|bytes| *bytes != [0; KEY]).ok_or_else(|| {
        Fault::new("cannot seal a secret: what GitHub says is no public key")
            .hint("see whether the address of the API is right")
    })?;
    if value.expose().len() > LONGEST {
        return Err(Fault::new("cannot write a secret: it is longer than the 48 KiB that GitHub takes")
            .hint("keep it elsewhere, and a key to it at GitHub"));
    }
    let sealed = PublicKey::from_bytes(bytes).seal(&mut OsRng, value.expose().as_bytes());
    let sealed = sealed.map_err(|_| Fault::new("cannot seal a secret").hint("run this again"))?;
    Ok(STANDARD.encode(sealed))
}

#[cfg(test)]
mod tests {
    use crypto_box::SecretKey;

    use super::*;

    #[test]
    fn what_is_sealed_is_opened_by_the_key_of_the_other_side_alone() {
        let (theirs, other) = (SecretKey::generate(&mut OsRng), SecretKey::generate(&mut OsRng));
        let value = Secret::new("grüße \"and\" a line\nend".to_owned());
        let sealed = |value: &Secret| {
            STANDARD.decode(seal(&STANDARD.encode(theirs.public_key().as_bytes()), value).unwrap()).unwrap()
        };
        let (one, two) = (sealed(&value), sealed(&value));
        assert_eq!(theirs.unseal(&one).unwrap(), value.expose().as_bytes());
        assert_ne!(one, two, "nobody sees that it is the same value");
        assert!(other.unseal(&one).is_err());
        assert_eq!(one.len(), value.expose().len() + 48, "as libsodium: a public key and a tag");
    }

    #[test]
    fn what_is_no_key_seals_nothing_and_too_much_is_refused() {
        let value = Secret::new("hunter2".to_owned());
        for key in ["", "AAAA", "no base64!", &STANDARD.encode([0; 32]), &STANDARD.encode([1; 33])] {
            let fault = seal(key, &value).unwrap_err();
            assert!(fault.to_string().contains("no public key") && !format!("{fault:?}").contains("hunter2"));
        }
        let long = Secret::new("x".repeat(LONGEST + 1));
        assert!(seal(&STANDARD.encode([9; 32]), &long).unwrap_err().to_string().contains("48 KiB"));
    }
}
