//! Requests to object storage that Roadbed signs itself.

use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderName, HeaderValue};
use host::clock::Timestamp;
use sigv4::{Key, Request, Scope, UNSIGNED_PAYLOAD, authorization, stamp};

use crate::world::objects::REGION;

const DATE: HeaderName = HeaderName::from_static("x-amz-date");
const CONTENT: HeaderName = HeaderName::from_static("x-amz-content-sha256");

/// What a request without a query says of who sends it. Its payload is not signed: it goes over loopback, or has none.
pub(crate) fn headers(
    key: &Key,
    method: &str,
    host: &str,
    path: &str,
    now: Timestamp,
) -> Vec<(HeaderName, HeaderValue)> {
    let stamp = stamp(now);
    let signed = [("host", host), ("x-amz-content-sha256", UNSIGNED_PAYLOAD), ("x-amz-date", stamp.as_str())];
    let request = Request { method, path, query: "", headers: &signed, payload: UNSIGNED_PAYLOAD };
    let said = authorization(&request, key, &Scope::of_s3(&stamp, REGION), &stamp);
    let value = |text: &str| HeaderValue::from_str(text).expect("a signature is ASCII");
    vec![(AUTHORIZATION, value(&said)), (DATE, value(&stamp)), (CONTENT, value(UNSIGNED_PAYLOAD))]
}
