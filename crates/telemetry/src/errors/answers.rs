//! What clients are told: by status, and in the header that makes them wait.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::spool::SpoolFault;
use crate::body::BodyFault;
use crate::envelope::Broken;

/// Which categories may come again when: `SECONDS:CATEGORY;CATEGORY:SCOPE:REASON`.
const RATE_LIMITS: HeaderName = HeaderName::from_static("x-sentry-rate-limits");
/// Why, for people who look.
const ERROR: HeaderName = HeaderName::from_static("x-sentry-error");

/// What nobody here keeps: clients stop sending it for a day. Kinds that they send beside events.
const NOT_KEPT: &str =
    "86400:transaction;span;profile;profile_chunk;replay;log_item;log_byte;trace_metric;monitor:organization:not-kept";

/// What became of what was sent.
#[derive(Debug)]
pub(crate) enum Answer {
    /// It is on the disk.
    Kept {
        event_id: Option<String>,
        some_not_kept: bool,
    },
    /// An event had no room; what else there was is kept.
    Wait {
        seconds: u64,
        reason: &'static str,
    },
    /// Nothing is taken just now.
    Full {
        reason: &'static str,
    },
    Refused {
        status: StatusCode,
        why: String,
    },
}

impl From<BodyFault> for Answer {
    fn from(fault: BodyFault) -> Self {
        Self::Refused { status: fault.status(), why: fault.to_string() }
    }
}

impl From<Broken> for Answer {
    fn from(broken: Broken) -> Self {
        Self::Refused { status: StatusCode::BAD_REQUEST, why: broken.to_string() }
    }
}

impl From<SpoolFault> for Answer {
    fn from(fault: SpoolFault) -> Self {
        Self::Refused { status: StatusCode::SERVICE_UNAVAILABLE, why: fault.to_string() }
    }
}

impl Answer {
    /// Neither of both says which was wrong: number or key.
    pub(crate) fn stranger() -> Self {
        Self::Refused {
            status: StatusCode::FORBIDDEN,
            why: "there is no such project, or the key is not its own".into(),
        }
    }
}

impl IntoResponse for Answer {
    fn into_response(self) -> Response {
        let json = |value: serde_json::Value| ([(header::CONTENT_TYPE, "application/json")], value.to_string());
        match self {
            Self::Kept { event_id, some_not_kept } => {
                let mut response = match event_id {
                    Some(id) => json(serde_json::json!({ "id": id })).into_response(),
                    None => json(serde_json::json!({})).into_response(),
                };
                if some_not_kept {
                    response.headers_mut().insert(RATE_LIMITS, HeaderValue::from_static(NOT_KEPT));
                }
                response
            }
            Self::Wait { seconds, reason } => waiting(StatusCode::TOO_MANY_REQUESTS, seconds, "error;default", reason),
            Self::Full { reason } => waiting(StatusCode::TOO_MANY_REQUESTS, 60, "", reason),
            Self::Refused { status, why } => {
                let mut response = (status, json(serde_json::json!({ "detail": why }))).into_response();
                if let Ok(why) = HeaderValue::from_str(&why) {
                    response.headers_mut().insert(ERROR, why);
                }
                response
            }
        }
    }
}

fn waiting(status: StatusCode, seconds: u64, categories: &str, reason: &str) -> Response {
    let body = serde_json::json!({ "detail": reason }).to_string();
    let limits = format!("{seconds}:{categories}:project:{}", reason.replace(' ', "_"));
    let headers = [
        (header::CONTENT_TYPE, "application/json".to_owned()),
        (header::RETRY_AFTER, seconds.to_string()),
        (RATE_LIMITS, limits),
    ];
    (status, headers, body).into_response()
}

/// Pages of other origins may send, and read how long to wait.
pub(crate) fn for_pages(headers: &mut HeaderMap) {
    let exposed = "X-Sentry-Error, X-Sentry-Rate-Limits, Retry-After";
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(exposed));
    // What a page of another origin gets is no business of the one that embeds it.
    headers.insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("cross-origin"));
}

/// What a browser asks before it sends with headers of its own.
pub(crate) async fn preflight() -> Response {
    let headers = [
        (header::ACCESS_CONTROL_ALLOW_METHODS, "POST"),
        (
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            "x-sentry-auth, content-type, content-encoding, sentry-trace, baggage, traceparent",
        ),
        (header::ACCESS_CONTROL_MAX_AGE, "3600"),
    ];
    (StatusCode::NO_CONTENT, headers).into_response()
}
