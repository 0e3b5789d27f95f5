//! The head of each answer, and which part of a body is sent.

use axum::body::Body;
use axum::http::header::{
    ACCEPT, ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, IF_RANGE, RANGE, VARY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use crate::Settings;
use crate::cache::{Content, Entry};

const RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
const TIMING_ALLOW_ORIGIN: HeaderName = HeaderName::from_static("timing-allow-origin");

/// Nothing of it runs, loads or opens anything, whatever it is and wherever it is shown.
const SANDBOX: &str = "default-src 'none'; style-src 'unsafe-inline'; sandbox";

/// Whether the answer depends on `Accept`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Choice {
    Negotiated,
    Named,
}

/// An answer without a body but words.
pub(crate) fn words(method: &Method, status: StatusCode, text: &str) -> Response<Body> {
    let text = format!("{text}\n");
    let length = text.len();
    let body = if *method == Method::HEAD { Body::empty() } else { Body::from(text) };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    every_answer(headers);
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(CONTENT_LENGTH, length.into());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    }
    response
}

pub(crate) fn every_answer(headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(SANDBOX));
    // Pages of other hosts show pictures and may measure them: that is what this host is for. It has no cookies to protect.
    headers.insert(RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
    headers.insert(TIMING_ALLOW_ORIGIN, HeaderValue::from_static("*"));
}

/// What is kept, as this request wants it: whole, a part, or only that it has not changed.
pub(crate) fn entry(
    method: &Method,
    asked: &HeaderMap,
    entry: &Entry,
    choice: Choice,
    settings: &Settings,
) -> Response<Body> {
    let etag = format!("\"{}\"", &entry.about.digest[..32]);
    let length = entry.body.len();
    let mut response = Response::new(Body::empty());
    let headers = response.headers_mut();
    every_answer(headers);
    headers.insert(ETAG, HeaderValue::from_str(&etag).expect("a digest is hexadecimal"));
    headers.insert(CACHE_CONTROL, lifetime(&entry.about.object, settings));
    if choice == Choice::Negotiated && matches!(entry.about.content, Content::Picture(_)) {
        headers.insert(VARY, HeaderValue::from_name(ACCEPT));
    }
    if is_known(asked, &etag) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return response;
    }
    describe(headers, &entry.about.content, &entry.about.object);
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    let part = wanted(method, asked, &etag, length);
    let (first, end) = match part {
        Part::Whole => (0, length),
        Part::Bytes { first, last } => {
            let range = format!("bytes {first}-{last}/{length}");
            headers.insert(CONTENT_RANGE, HeaderValue::from_str(&range).expect("numbers are ASCII"));
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            (first, last + 1)
        }
        Part::Nothing => {
            let mut response = words(method, StatusCode::RANGE_NOT_SATISFIABLE, "the range lies behind the end");
            let range = HeaderValue::from_str(&format!("bytes */{length}")).expect("numbers are ASCII");
            response.headers_mut().insert(CONTENT_RANGE, range);
            return response;
        }
    };
    response.headers_mut().insert(CONTENT_LENGTH, (end - first).into());
    if *method != Method::HEAD {
        *response.body_mut() = Body::from(entry.body.slice(first..end));
    }
    response
}

/// Type, and for what is no picture that it is to be saved.
pub(crate) fn describe(headers: &mut HeaderMap, content: &Content, object: &str) {
    match content {
        Content::Picture(format) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(format.content_type()));
        }
        Content::File(content_type) => {
            let octets = HeaderValue::from_static("application/octet-stream");
            headers.insert(CONTENT_TYPE, HeaderValue::from_str(content_type).unwrap_or(octets));
            let name = object.rsplit('/').next().unwrap_or_default();
            let disposition = format!("attachment; filename*=UTF-8''{}", utf8_percent_encode(name, NON_ALPHANUMERIC));
            let attachment = HeaderValue::from_static("attachment");
            headers.insert(CONTENT_DISPOSITION, HeaderValue::from_str(&disposition).unwrap_or(attachment));
        }
    }
}

/// The type of a file that is no picture. What a browser would run, whoever included it, is only bytes.
pub(crate) fn file_type(said: Option<&str>) -> String {
    const HARMLESS: [&str; 6] = ["audio/", "video/", "application/pdf", "application/zip", "text/plain", "text/csv"];
    let said = said.unwrap_or_default().to_ascii_lowercase();
    let is_harmless = HARMLESS.iter().any(|kind| said.starts_with(kind))
        && said.bytes().all(|byte| byte.is_ascii_graphic() || byte == b' ');
    if is_harmless { said } else { "application/octet-stream".to_owned() }
}

/// How long others may keep it.
pub(crate) fn lifetime(object: &str, settings: &Settings) -> HeaderValue {
    if is_digest(object) {
        return HeaderValue::from_static("public, max-age=31536000, immutable");
    }
    let text = format!("public, max-age={}, stale-while-revalidate={}", settings.fresh_seconds, settings.stale_seconds);
    HeaderValue::from_str(&text).expect("numbers are ASCII")
}

/// Whether the name holds a digest of what it names, so that another picture would have another name.
pub(crate) fn is_digest(object: &str) -> bool {
    /// Of MD5, the shortest that is used so.
    const SHORTEST: usize = 32;
    let name = object.rsplit('/').next().unwrap_or_default();
    let is_hex = |char: char| char.is_ascii_digit() || ('a'..='f').contains(&char);
    // An UUID is random and no digest; it has dashes.
    name.split(|char: char| !is_hex(char)).any(|run| run.len() >= SHORTEST)
}

fn is_known(asked: &HeaderMap, etag: &str) -> bool {
    let values = asked.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .any(|known| known == "*" || known.strip_prefix("W/").unwrap_or(known) == etag)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Whole,
    Bytes { first: usize, last: usize },
    Nothing,
}

/// One range; several are answered with the whole, which is always allowed.
fn wanted(method: &Method, asked: &HeaderMap, etag: &str, length: usize) -> Part {
    let mut values = asked.get_all(RANGE).iter();
    let (Some(range), None) = (values.next(), values.next()) else { return Part::Whole };
    let is_same = asked.get(IF_RANGE).is_none_or(|condition| condition == etag);
    let spec = range.to_str().ok().and_then(|range| range.strip_prefix("bytes="));
    let (Some((first, last)), true) = (spec.and_then(|spec| spec.split_once('-')), is_same && *method == Method::GET)
    else {
        return Part::Whole;
    };
    let number = |text: &str| {
        let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        // A number that is too large for us is behind every end.
        plain.then(|| text.parse::<usize>().unwrap_or(usize::MAX))
    };
    match (number(first), number(last)) {
        (None, Some(0)) if first.is_empty() => Part::Nothing,
        (None, Some(count)) if first.is_empty() && length > 0 => {
            Part::Bytes { first: length.saturating_sub(count), last: length - 1 }
        }
        (Some(first), _) if last.is_empty() || number(last).is_some_and(|last| first <= last) => {
            let last = number(last).unwrap_or(usize::MAX).min(length.saturating_sub(1));
            if first < length { Part::Bytes { first, last } } else { Part::Nothing }
        }
        _ => Part::Whole,
    }
}
