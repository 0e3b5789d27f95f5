//! Keys, and what is derived of them for a day and a place.

use std::fmt;

use aws_lc_rs::hmac;
use zeroize::Zeroizing;

use crate::canonical::{hex, sha256_hex};

/// The secret of a key.
pub struct Secret(Zeroizing<String>);

impl Secret {
    pub fn new(secret: impl Into<String>) -> Self {
        Self(Zeroizing::new(secret.into()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Who signs.
#[derive(Debug)]
pub struct Key {
    pub id: String,
    pub secret: Secret,
}

/// For which day and place a signature is good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Eight digits.
    pub day: String,
    pub region: String,
    pub service: String,
}

impl Scope {
    /// Of S3, on the day of a stamp.
    ///
    /// # Panics
    /// Where the stamp is none of [`crate::stamp`].
    pub fn of_s3(stamp: &str, region: &str) -> Self {
        Self { day: stamp[..8].to_owned(), region: region.to_owned(), service: "s3".to_owned() }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}/aws4_request", self.day, self.region, self.service)
    }
}

/// What signs on one day in one place, and opens nothing else.
#[derive(Clone)]
pub struct SigningKey(hmac::Key);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey")
    }
}

fn mac(key: &[u8], text: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes())
}

impl SigningKey {
    pub fn new(secret: &Secret, scope: &Scope) -> Self {
        let secret = Zeroizing::new(format!("AWS4{}", *secret.0));
        let of_day = mac(secret.as_bytes(), &scope.day);
        let of_region = mac(of_day.as_ref(), &scope.region);
        let of_service = mac(of_region.as_ref(), &scope.service);
        Self(hmac::Key::new(hmac::HMAC_SHA256, mac(of_service.as_ref(), "aws4_request").as_ref()))
    }

    /// The signature of a text, in hexadecimal digits.
    pub(crate) fn sign(&self, text: &str) -> String {
        hex(hmac::sign(&self.0, text.as_bytes()).as_ref())
    }
}

/// What is signed: not the canonical request, but its digest with moment and place.
pub(crate) fn string_to_sign(stamp: &str, scope: &Scope, canonical: &str) -> String {
    format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{}", sha256_hex(canonical.as_bytes()))
}
