//! What visitors are told of limits: the fields of draft-ietf-httpapi-ratelimit-headers-11, and the answer to who asked too often.
//!
//! No partition key is told: it would be somebody's address or account.

use bytes::Bytes;
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use super::gcra::Quota;
use crate::body::Body;
use crate::pages;

pub const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
pub const LIMIT: HeaderName = HeaderName::from_static("ratelimit");

/// The kind of problem that the draft registers for it.
const QUOTA_EXCEEDED: &str = "https://iana.org/assignments/http-problem-types#quota-exceeded";

const SECOND: u64 = 1_000_000;

/// What a class lets through: so much, in so many seconds.
pub fn policy(class: &str, quota: Quota) -> HeaderValue {
    let text = format!("\"{class}\";q={};w={}", quota.burst, quota.window().div_ceil(SECOND));
    HeaderValue::from_str(&text).expect("names of classes are words")
}

/// Says how much is left. Where nothing is, until there is something; else until all is.
pub fn tell(headers: &mut HeaderMap, class: &str, policy: &HeaderValue, quota: Quota, debt: u64) {
    let left = quota.remaining(debt);
    let until = if left > 0 { debt } else { (debt + quota.emission).saturating_sub(quota.window()) };
    headers.insert(POLICY, policy.clone());
    headers.insert(LIMIT, limit(class, left, until));
}

fn limit(class: &str, left: u64, until: u64) -> HeaderValue {
    // Rounded up, so that nobody comes too early.
    let text = format!("\"{class}\";r={left};t={}", until.div_ceil(SECOND));
    HeaderValue::from_str(&text).expect("names of classes are words")
}

/// The answer to who has asked too often, and may again after `wait` microseconds.
pub fn refusal(class: &str, policy: Option<&HeaderValue>, wait: u64, id: &HeaderValue) -> Response<Body> {
    let seconds = wait.div_ceil(SECOND).max(1);
    let text = serde_json::json!({
        "type": QUOTA_EXCEEDED,
        "title": "Too Many Requests",
        "status": StatusCode::TOO_MANY_REQUESTS.as_u16(),
        "detail": format!("This was asked too often. Please try again in {seconds} s."),
        "violated-policies": [class],
        "request_id": id.to_str().unwrap_or("-"),
    });
    let mut response = pages::problem_of(StatusCode::TOO_MANY_REQUESTS, Bytes::from(text.to_string()));
    let headers = response.headers_mut();
    headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    if let Some(policy) = policy {
        headers.insert(POLICY, policy.clone());
        headers.insert(LIMIT, limit(class, 0, seconds * SECOND));
    }
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_fields_are_as_the_draft_has_them() {
        let quota = Quota::new(10, Duration::from_mins(1), 5);
        let policy = policy("auth", quota);
        assert_eq!(policy, "\"auth\";q=5;w=30");
        let mut headers = HeaderMap::new();
        tell(&mut headers, "auth", &policy, quota, 12_000_001);
        assert_eq!(headers[LIMIT], "\"auth\";r=2;t=13");
        tell(&mut headers, "auth", &policy, quota, 30_000_000);
        assert_eq!(headers[LIMIT], "\"auth\";r=0;t=6", "until one comes back");
        let refused = refusal("auth", Some(&policy), 5_000_001, &HeaderValue::from_static("id-1"));
        assert_eq!(refused.headers()[RETRY_AFTER], "6");
        assert_eq!(refused.headers()[LIMIT], "\"auth\";r=0;t=6", "Retry-After is not before t");
    }
}
