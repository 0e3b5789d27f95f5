//! What a request says about who signed it, and whether that is so.

use std::time::Duration;

use aws_lc_rs::constant_time;
use host::clock::Timestamp;

use crate::canonical::{Request, canonical, decoded_pairs};
use crate::key::{Scope, Secret, SigningKey, string_to_sign};
use crate::moment::read_stamp;

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// How far the clocks of a client and ours may be apart: as S3 has it.
const SKEW: Duration = Duration::from_secs(15 * 60);

/// Where a signature was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Means {
    Header,
    /// In an address, which is good for so long.
    Query {
        expires: Duration,
    },
}

/// A signature, and what it says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    pub key_id: String,
    pub scope: Scope,
    /// Names in lower case.
    pub signed_headers: Vec<String>,
    pub means: Means,
    stamp: String,
    at: Timestamp,
    signature: String,
}

/// Why a text is no signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    #[error("the algorithm is not AWS4-HMAC-SHA256")]
    Algorithm,
    #[error("the credential is not KEY/DAY/REGION/SERVICE/aws4_request")]
    Credential,
    #[error("the date is not YYYYMMDDTHHMMSSZ, or not the credential's day")]
    Date,
    #[error("the time to expire is no number of seconds")]
    Expires,
    #[error("the list of signed headers has no host, or is none")]
    SignedHeaders,
    #[error("the signature is not 64 hexadecimal digits")]
    Signature,
    #[error("a part of the signature is said twice, or is missing")]
    Parts,
}

/// Why a signature is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("the clock of whoever signed and ours are more than 15 minutes apart")]
    Skewed,
    #[error("the address has expired")]
    Expired,
    #[error("it is signed for another region or service")]
    Scope,
    #[error("the signature is not that of this request with this key")]
    Mismatch,
}

/// A request whose signature is right.
#[derive(Clone, Debug)]
pub struct Verified {
    pub key: SigningKey,
    pub stamp: String,
    pub scope: Scope,
    /// What the signature of a first chunk builds on.
    pub signature: String,
}

impl Claim {
    /// Reads the values of `authorization` and `x-amz-date`.
    ///
    /// # Errors
    /// Where they are no signature of version 4.
    pub fn of_header(authorization: &str, date: &str) -> Result<Self, Malformed> {
        let (algorithm, rest) = authorization.split_once(' ').ok_or(Malformed::Algorithm)?;
        if algorithm != ALGORITHM {
            return Err(Malformed::Algorithm);
        }
        let (mut credential, mut names, mut signature) = (None, None, None);
        for part in rest.split(',') {
            let (name, value) = part.trim().split_once('=').ok_or(Malformed::Parts)?;
            let place = match name {
                "Credential" => &mut credential,
                "SignedHeaders" => &mut names,
                "Signature" => &mut signature,
                _ => return Err(Malformed::Parts),
            };
            if place.replace(value).is_some() {
                return Err(Malformed::Parts);
            }
        }
        let missing = Malformed::Parts;
        Self::new(credential.ok_or(missing)?, date, names.ok_or(missing)?, signature.ok_or(missing)?, Means::Header)
    }

    /// Reads a query; `None` where nothing in it is of a signature.
    ///
    /// # Errors
    /// Where something is, and it is no signature of version 4.
    pub fn of_query(query: &str) -> Result<Option<Self>, Malformed> {
        const NAMES: [&str; 6] = [
            "X-Amz-Algorithm",
            "X-Amz-Credential",
            "X-Amz-Date",
            "X-Amz-Expires",
            "X-Amz-SignedHeaders",
            "X-Amz-Signature",
        ];
        let mut parts: [Option<String>; 6] = Default::default();
        for (name, value) in decoded_pairs(query) {
            let Some(index) = NAMES.iter().position(|known| known.as_bytes().eq_ignore_ascii_case(&name)) else {
                continue;
            };
            let value = String::from_utf8(value).map_err(|_| Malformed::Parts)?;
            // In another case it would be read here and not be left out of what is signed.
            if NAMES[index].as_bytes() != name || parts[index].replace(value).is_some() {
                return Err(Malformed::Parts);
            }
        }
        if parts.iter().all(Option::is_none) {
            return Ok(None);
        }
        let [algorithm, credential, date, expires, names, signature] = parts;
        if algorithm.as_deref() != Some(ALGORITHM) {
            return Err(Malformed::Algorithm);
        }
        let missing = Malformed::Parts;
        let expires = expires.ok_or(missing)?;
        let digits = !expires.is_empty() && expires.bytes().all(|byte| byte.is_ascii_digit());
        let expires = expires.parse().ok().filter(|_| digits).ok_or(Malformed::Expires)?;
        Self::new(
            &credential.ok_or(missing)?,
            &date.ok_or(missing)?,
            &names.ok_or(missing)?,
            &signature.ok_or(missing)?,
            Means::Query { expires: Duration::from_secs(expires) },
        )
        .map(Some)
    }

    fn new(credential: &str, date: &str, names: &str, signature: &str, means: Means) -> Result<Self, Malformed> {
        // A key's id may have slashes in it.
        let mut parts = credential.rsplitn(5, '/');
        let mut next = || parts.next().filter(|part| !part.is_empty()).ok_or(Malformed::Credential);
        let (end, service, region, day, key_id) = (next()?, next()?, next()?, next()?, next()?);
        if end != "aws4_request" {
            return Err(Malformed::Credential);
        }
        let at = read_stamp(date).filter(|_| date.starts_with(day) && day.len() == 8).ok_or(Malformed::Date)?;
        let signed_headers: Vec<String> = names.split(';').map(str::to_owned).collect();
        let is_name = |name: &String| {
            !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_graphic() && !byte.is_ascii_uppercase())
        };
        if !signed_headers.iter().all(is_name) || !signed_headers.iter().any(|name| name == "host") {
            return Err(Malformed::SignedHeaders);
        }
        if signature.len() != 64 || !signature.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(Malformed::Signature);
        }
        let scope = Scope { day: day.to_owned(), region: region.to_owned(), service: service.to_owned() };
        let (key_id, stamp, signature) = (key_id.to_owned(), date.to_owned(), signature.to_owned());
        Ok(Self { key_id, scope, signed_headers, means, stamp, at, signature })
    }

    /// Whether a header is among those that are signed.
    pub fn signs(&self, header: &str) -> bool {
        self.signed_headers.iter().any(|name| name == header)
    }

    /// Judges the signature. The request's headers are those that it says it signs, as they came; one that did not come is not among
    /// them, and so makes it wrong.
    ///
    /// # Errors
    /// Why it is not believed.
    pub fn verify(
        &self,
        request: &Request<'_>,
        secret: &Secret,
        region: &str,
        service: &str,
        now: Timestamp,
    ) -> Result<Verified, Refusal> {
        let key = SigningKey::new(secret, &self.scope);
        let without = matches!(self.means, Means::Query { .. }).then_some("X-Amz-Signature");
        let right = key.sign(&string_to_sign(&self.stamp, &self.scope, &canonical(request, without)));
        // Before all else, so that what is told about the clock is told to whoever has the key alone.
        constant_time::verify_slices_are_equal(right.as_bytes(), self.signature.as_bytes())
            .map_err(|_| Refusal::Mismatch)?;
        if self.scope.region != region || self.scope.service != service {
            return Err(Refusal::Scope);
        }
        match self.means {
            Means::Header if self.at.since(now).max(now.since(self.at)) > SKEW => return Err(Refusal::Skewed),
            Means::Query { .. } if self.at.since(now) > SKEW => return Err(Refusal::Skewed),
            Means::Query { expires } if now.since(self.at) > expires => return Err(Refusal::Expired),
            _ => {}
        }
        Ok(Verified { key, stamp: self.stamp.clone(), scope: self.scope.clone(), signature: self.signature.clone() })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{Key, UNSIGNED_PAYLOAD, authorization, encoded, presign, stamp};

    const NOW: Timestamp = Timestamp::from_unix_millis(1_800_000_000_000);

    fn key() -> Key {
        Key { id: "an/id".into(), secret: Secret::new("hush") }
    }

    fn later(seconds: u64) -> Timestamp {
        NOW.after(Duration::from_secs(seconds))
    }

    proptest! {
        #[test]
        fn what_is_signed_is_believed_and_nothing_else(
            key_text in "[^\0]{1,20}", name in "[a-z]{1,5}", value in ".{0,10}", other in ".{0,10}"
        ) {
            let moment = stamp(NOW);
            let scope = Scope::of_s3(&moment, "here");
            let path = format!("/bucket/{}", encoded(&key_text));
            let query = format!("{name}={}", encoded(&value));
            let headers = [("host", "a:1"), ("x-amz-date", moment.as_str())];
            let request = Request { method: "GET", path: &path, query: &query, headers: &headers, payload: "00" };
            let claim = Claim::of_header(&authorization(&request, &key(), &scope, &moment), &moment).unwrap();
            prop_assert_eq!(claim.key_id.as_str(), "an/id");
            prop_assert!(claim.verify(&request, &key().secret, "here", "s3", NOW).is_ok());
            let judged = |request: &Request<'_>| claim.verify(request, &key().secret, "here", "s3", NOW).map(drop);
            if value != other {
                let query = format!("{name}={}", encoded(&other));
                prop_assert_eq!(judged(&Request { query: &query, ..request }), Err(Refusal::Mismatch));
            }
            prop_assert_eq!(judged(&Request { method: "PUT", ..request }), Err(Refusal::Mismatch));
            prop_assert_eq!(judged(&Request { payload: "01", ..request }), Err(Refusal::Mismatch));
            prop_assert_eq!(judged(&Request { headers: &headers[..1], ..request }), Err(Refusal::Mismatch));
            let wrong = claim.verify(&request, &Secret::new("other"), "here", "s3", NOW).map(drop);
            prop_assert_eq!(wrong, Err(Refusal::Mismatch));
        }

        #[test]
        fn an_address_is_good_until_it_expires(name in "[a-z-]{1,9}", value in ".{0,10}", path in "/[ -~]{0,20}") {
            let moment = stamp(NOW);
            let scope = Scope::of_s3(&moment, "here");
            let query = format!("{name}={}", encoded(&value));
            let path = path.replace(['?', '#', '%'], "");
            let request = Request {
                method: "GET", path: &path, query: &query, headers: &[("host", "a")], payload: UNSIGNED_PAYLOAD,
            };
            let query = presign(&request, &key(), &scope, &moment, Duration::from_secs(60));
            let claim = Claim::of_query(&query).unwrap().unwrap();
            let request = Request { query: &query, ..request };
            let judged = |now| claim.verify(&request, &key().secret, "here", "s3", now).map(drop);
            prop_assert_eq!(judged(NOW), Ok(()));
            prop_assert_eq!(judged(later(60)), Ok(()));
            prop_assert_eq!(judged(later(61)), Err(Refusal::Expired));
        }

        #[test]
        fn nothing_makes_the_readers_panic(one in ".{0,200}", two in ".{0,20}") {
            let _ = Claim::of_header(&one, &two);
            let _ = Claim::of_header(&format!("AWS4-HMAC-SHA256 {one}"), &two);
            let _ = Claim::of_query(&one);
            let _ = Claim::of_query(&format!("X-Amz-Algorithm={one}"));
        }
    }

    #[test]
    fn clocks_and_places_are_held_to() {
        let moment = stamp(NOW);
        let scope = Scope::of_s3(&moment, "here");
        let headers = [("host", "a"), ("x-amz-date", moment.as_str())];
        let request = Request { method: "GET", path: "/", query: "", headers: &headers, payload: "" };
        let claim = Claim::of_header(&authorization(&request, &key(), &scope, &moment), &moment).unwrap();
        let judged = |region, now| claim.verify(&request, &key().secret, region, "s3", now).map(drop);
        assert_eq!(judged("here", later(900)), Ok(()));
        assert_eq!(judged("here", later(901)), Err(Refusal::Skewed));
        assert_eq!(judged("here", Timestamp::from_unix_millis(NOW.unix_millis() - 901_000)), Err(Refusal::Skewed));
        assert_eq!(judged("there", NOW), Err(Refusal::Scope));
    }

    #[test]
    fn a_part_that_is_said_twice_or_in_another_case_is_no_signature() {
        let moment = stamp(NOW);
        let scope = Scope::of_s3(&moment, "here");
        let request =
            Request { method: "GET", path: "/", query: "", headers: &[("host", "a")], payload: UNSIGNED_PAYLOAD };
        let query = presign(&request, &key(), &scope, &moment, Duration::from_secs(60));
        assert_eq!(Claim::of_query(&format!("{query}&X-Amz-Expires=9")), Err(Malformed::Parts));
        assert_eq!(Claim::of_query(&format!("{query}&x-amz-expires=9")), Err(Malformed::Parts));
        assert_eq!(Claim::of_query("prefix=a"), Ok(None));
    }
}
