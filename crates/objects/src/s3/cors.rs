//! Pages of other origins, as far as a bucket lets them.

use http::header::{HeaderMap, HeaderValue};

use super::fault::Refusal;
use crate::settings::Bucket;

/// Whether a page of this origin may ask. `None` where not.
fn permitted<'a>(bucket: Option<&'a Bucket>, origin: &str) -> Option<&'a str> {
    bucket?.origins.iter().map(String::as_str).find(|known| *known == "*" || known.eq_ignore_ascii_case(origin))
}

/// Answers the question of a browser before it asks. A bucket that is not there is as one that lets nobody.
pub(crate) fn preflight(bucket: Option<&Bucket>, headers: &HeaderMap, to: &mut HeaderMap) -> Result<(), Refusal> {
    let denied = || {
        Refusal::new(http::StatusCode::FORBIDDEN, "AccessForbidden", "pages of this origin may not ask for this bucket")
    };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let origin = header("origin").ok_or_else(|| Refusal::bad("BadRequest", "the header `origin` is missing"))?;
    let method = header("access-control-request-method").ok_or_else(denied)?;
    if !["GET", "HEAD", "PUT", "POST", "DELETE"].contains(&method) {
        return Err(denied());
    }
    permitted(bucket, origin).ok_or_else(denied)?;
    decorate(bucket, headers, to);
    let mut put = |name: &'static str, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            to.insert(name, value);
        }
    };
    put("access-control-allow-methods", method);
    // Whatever they send, the signature says whether it counts.
    put("access-control-allow-headers", header("access-control-request-headers").unwrap_or_default());
    put("access-control-max-age", "600");
    Ok(())
}

/// Says in an answer that the page may read it.
pub(crate) fn decorate(bucket: Option<&Bucket>, headers: &HeaderMap, to: &mut HeaderMap) {
    if bucket.is_none_or(|bucket| bucket.origins.is_empty()) {
        return;
    }
    to.append("vary", HeaderValue::from_static("Origin"));
    let Some(origin) = headers.get("origin") else { return };
    let Some(permitted) = origin.to_str().ok().and_then(|origin| permitted(bucket, origin)) else { return };
    // Never with credentials: a signature is in the request itself.
    let said = if permitted == "*" { HeaderValue::from_static("*") } else { origin.clone() };
    to.insert("access-control-allow-origin", said);
    to.insert("access-control-expose-headers", HeaderValue::from_static("ETag, Content-Range, x-amz-request-id"));
}
