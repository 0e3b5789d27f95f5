//! The name under which one request is found in every log, from the visitor's browser to the last app.

use host::clock::Timestamp;
use http::{HeaderMap, HeaderName, HeaderValue};
use uuid::{NoContext, Uuid};

pub const HEADER: HeaderName = HeaderName::from_static("x-request-id");

/// The id that came with the request if it has the shape of one (it may be an app calling another, which passes its own on),
/// else a new one. The shape keeps anything that could forge a line in a log, or flood it, out.
pub fn accept_or_make(headers: &HeaderMap, now: Timestamp) -> HeaderValue {
    let mut sent = headers.get_all(HEADER).iter();
    match (sent.next(), sent.next()) {
        (Some(one), None) if has_shape(one.as_bytes()) => one.clone(),
        _ => make(now),
    }
}

/// A version 7 UUID: sorts by time, which makes a log readable.
pub fn make(now: Timestamp) -> HeaderValue {
    let millis = u64::try_from(now.unix_millis()).unwrap_or_default();
    let nanos = u32::try_from(millis % 1000).unwrap_or_default() * 1_000_000;
    let id = Uuid::new_v7(uuid::Timestamp::from_unix(NoContext, millis / 1000, nanos));
    let mut text = Uuid::encode_buffer();
    HeaderValue::from_str(id.hyphenated().encode_lower(&mut text)).expect("a UUID is a header value")
}

fn has_shape(id: &[u8]) -> bool {
    (8..=64).contains(&id.len())
        && id.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepted(id: &str) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, HeaderValue::from_str(id).unwrap());
        accept_or_make(&headers, Timestamp::from_unix_millis(1_000)) == id
    }

    #[test]
    fn an_id_of_the_trusted_shape_is_kept_and_any_other_replaced() {
        assert!(accepted("0192f0c1-7d0e-7000-8000-0123456789ab"));
        assert!(accepted("checkout_42.a"));
        for foreign in ["short", "with space in it", "quote\"in-it", &"a".repeat(65), "semi;colon-id"] {
            assert!(!accepted(foreign), "{foreign:?} was accepted");
        }
    }

    #[test]
    fn two_ids_are_none() {
        let mut headers = HeaderMap::new();
        headers.append(HEADER, HeaderValue::from_static("first-id-1"));
        headers.append(HEADER, HeaderValue::from_static("second-id-2"));
        let id = accept_or_make(&headers, Timestamp::from_unix_millis(1_000));
        assert!(Uuid::parse_str(id.to_str().unwrap()).is_ok());
    }
}
