//! What the edge says in its own name: small pages for people, problem documents for programs.

use bytes::Bytes;
use http::header::{
    ACCEPT, ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, LOCATION,
    REFERRER_POLICY, RETRY_AFTER, WWW_AUTHENTICATE, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Response, StatusCode};

use crate::access::{NO_INDEX, ROBOTS};
use crate::body::Body;
use crate::refusal::Refusal;

/// What the asker can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taste {
    Page,
    Problem,
}

impl Taste {
    /// A program says so (`application/json`); everybody else gets a page.
    pub fn of(headers: &HeaderMap) -> Self {
        let accept = headers.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
        let wants_json = accept.contains("application/json") || accept.contains("application/problem+json");
        if wants_json && !accept.contains("text/html") { Self::Problem } else { Self::Page }
    }
}

pub fn refusal(refusal: Refusal, id: &HeaderValue, taste: Taste) -> Response<Body> {
    let status = refusal.status();
    let id = id.to_str().unwrap_or("-");
    let (kind, text) = match taste {
        Taste::Page => ("text/html; charset=utf-8", page(status, refusal.sentence(), id)),
        Taste::Problem => ("application/problem+json", problem(status, refusal.sentence(), id)),
    };
    let mut response = own(status, kind, Bytes::from(text));
    let headers = response.headers_mut();
    headers.insert(ROBOTS, NO_INDEX);
    if let Some(seconds) = refusal.retry_after() {
        headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    match refusal {
        refusal if refusal.status() == StatusCode::UNAUTHORIZED => {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Basic realm=\"protected\", charset=\"UTF-8\""));
        }
        Refusal::MethodNotAllowed => {
            headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
        }
        _ => {}
    }
    response
}

/// A problem document whose words are another's.
pub fn problem_of(status: StatusCode, text: Bytes) -> Response<Body> {
    own(status, "application/problem+json", text)
}

/// 308, so that a form that was posted is posted again.
pub fn redirect(location: &str) -> Response<Body> {
    let mut response = own(StatusCode::PERMANENT_REDIRECT, "text/plain; charset=utf-8", Bytes::from_static(b"moved\n"));
    // The parts were checked: a host of the table, and a target of visible ASCII.
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    response
}

/// Public settings of a static app: another environment or release has others, so nobody keeps them.
pub fn json(text: Bytes) -> Response<Body> {
    own(StatusCode::OK, "application/json", text)
}

/// Public keys, which anybody may keep for so many seconds and any page may read.
pub fn key_set(text: Bytes, max_age: u64) -> Response<Body> {
    let mut response = own(StatusCode::OK, "application/jwk-set+json", text);
    let headers = response.headers_mut();
    if let Ok(value) = HeaderValue::from_str(&format!("public, max-age={max_age}")) {
        headers.insert(CACHE_CONTROL, value);
    }
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}

/// What an authority asked for. Plain text, as it is compared byte by byte.
pub fn proof(text: Bytes) -> Response<Body> {
    own(StatusCode::OK, "text/plain", text)
}

/// A page of ours.
pub fn of_ours(status: StatusCode, kind: &'static str, text: Bytes) -> Response<Body> {
    own(status, kind, text)
}

/// Nothing of ours is framed, sniffed, kept or allowed to load anything.
fn own(status: StatusCode, kind: &'static str, text: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::Full(text));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; base-uri 'none'",
        ),
    );
    response
}

fn title(status: StatusCode) -> &'static str {
    match status.as_u16() {
        401 => "Please sign in",
        404 => "Not found",
        502 => "Something broke",
        503 => "Back in a moment",
        504 => "That took too long",
        _ => status.canonical_reason().unwrap_or("Error"),
    }
}

fn problem(status: StatusCode, sentence: &str, id: &str) -> String {
    serde_json::json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("Error"),
        "status": status.as_u16(),
        "detail": sentence,
        "request_id": id,
    })
    .to_string()
}

/// Sentence and id are our own words and a checked shape: nothing in them needs escaping.
fn page(status: StatusCode, sentence: &str, id: &str) -> String {
    let (title, code) = (title(status), status.as_u16());
    in_frame(title, &format!("<h1>{title}</h1>\n<p>{sentence}</p>\n<p><small>Error {code}.</small></p>\n"), id)
}

/// A page of ours around what it says, whose parts were made safe.
pub fn in_frame(title: &str, content: &str, id: &str) -> String {
    format!(
        r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; }}
body {{ font: 1.1rem/1.6 system-ui, sans-serif; display: grid; place-content: center; min-height: 100vh; margin: 0; padding: 0 1.5rem; box-sizing: border-box; }}
main {{ max-width: 34rem; }}
h1 {{ font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; }}
p {{ margin: 0 0 1rem; }}
small {{ opacity: .75; }}
code {{ font-size: .9em; user-select: all; }}
button {{ font: inherit; padding: .5rem 1.2rem; margin: 0 0 1rem; cursor: pointer; }}
</style>
<main>
{content}<p><small>If you ask for help, please give this number: <code>{id}</code></small></p>
</main>
</html>
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_gets_a_page_and_a_program_a_problem() {
        let taste = |accept: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accept));
            Taste::of(&headers)
        };
        assert_eq!(taste("text/html,application/xhtml+xml,*/*;q=0.8"), Taste::Page);
        assert_eq!(taste("application/json"), Taste::Problem);
        assert_eq!(taste("application/json, text/html"), Taste::Page);
        assert_eq!(taste("*/*"), Taste::Page);
    }

    #[test]
    fn a_page_names_the_request() {
        let page = page(StatusCode::BAD_GATEWAY, Refusal::AppBroke.sentence(), "id-12345678");
        assert!(
            page.contains("id-12345678")
                && page.contains("<title>Something broke</title>")
                && page.contains("lang=\"en\"")
        );
    }
}
