//! What robots are told: that they must not ask for the honeypot. Whoever was told and asks all the same is caught by it.

use bytes::Bytes;
use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_MODIFIED_SINCE, IF_NONE_MATCH,
    LAST_MODIFIED, RANGE,
};
use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode};
use http_body_util::{BodyExt, Limited};

use crate::body::Body;

/// Bytes of a `robots.txt` that crawlers read is half a megabyte; ours is added to what is far smaller.
const LARGEST: usize = 64 * 1024;

/// Whether it is what is asked for. Then the answer comes whole and as it is written.
pub fn is_asked_for(parts: &mut Parts, path: &str) -> bool {
    if path != "/robots.txt" || parts.method != Method::GET {
        return false;
    }
    for name in [ACCEPT_ENCODING, RANGE, IF_NONE_MATCH, IF_MODIFIED_SINCE] {
        parts.headers.remove(name);
    }
    true
}

/// A site that has none.
pub fn none() -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::NOT_FOUND;
    response
}

/// What the site says, and that the honeypot is not for robots. A group of its own is read together with others of `*` (RFC 9309).
pub async fn with_honeypot(response: Response<Body>, honeypot: &str) -> Response<Body> {
    let (mut parts, body) = response.into_parts();
    let is_text = parts.headers.get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/plain"));
    let ours = format!("User-agent: *\nDisallow: {honeypot}\n");
    let text = match parts.status {
        // An app that answers every path with its page has none.
        StatusCode::OK if !is_text => ours,
        StatusCode::NOT_FOUND => ours,
        StatusCode::OK => match Limited::new(body, LARGEST).collect().await {
            Ok(body) => {
                let mut text = body.to_bytes().to_vec();
                text.extend_from_slice(b"\n\n");
                text.extend_from_slice(ours.as_bytes());
                String::from_utf8_lossy(&text).into_owned()
            }
            Err(_) => ours,
        },
        _ => return Response::from_parts(parts, body),
    };
    parts.status = StatusCode::OK;
    for name in [CONTENT_LENGTH, ETAG, LAST_MODIFIED, ACCEPT_RANGES] {
        parts.headers.remove(name);
    }
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    Response::from_parts(parts, Body::Full(Bytes::from(text)))
}
