//! Sites that are files: which file, in which encoding, how fresh, and which part of it.
//!
//! ```text
//!   path ─► locate ─► encoding (.br .zst .gz beside it) ─► freshness (304?) ─► range (206, 416?) ─► bytes
//! ```
//!
//! Nothing is compressed here: a build does that once, and the edge picks.

pub mod encoding;
pub mod freshness;
pub mod locate;
pub mod range;
mod read;

use http::header::{
    ACCEPT_ENCODING, ACCEPT_RANGES, ALLOW, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE,
    CONTENT_TYPE, ETAG, LAST_MODIFIED, LOCATION, REFERRER_POLICY, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Response, StatusCode};

use crate::body::Body;
use crate::files::encoding::Encoding;
use crate::files::freshness::Validators;
use crate::files::locate::Place;
use crate::files::range::Part;
use crate::refusal::Refusal;

pub use locate::Folder;
pub use read::Reading;

pub async fn serve(
    folder: &Folder,
    method: &Method,
    headers: &HeaderMap,
    path: &str,
) -> Result<Response<Body>, Refusal> {
    if !matches!(*method, Method::GET | Method::HEAD) {
        let mut response = Response::new(Body::Empty);
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(response);
    }
    let wanted = encoding::wanted(headers.get_all(ACCEPT_ENCODING));
    let found = match locate::find(folder, path, locate::is_navigation(headers), wanted).await? {
        Place::File(found) => found,
        Place::Folder => return Ok(to_folder(path)),
    };

    let mut response = Response::new(Body::Empty);
    let fields = response.headers_mut();
    let validators = Validators { etag: &found.etag, modified: found.modified };
    fields.insert(ETAG, header(&found.etag));
    fields.insert(LAST_MODIFIED, header(&httpdate::fmt_http_date(found.modified)));
    fields.insert(CACHE_CONTROL, HeaderValue::from_static(freshness::cache_control(&found.name)));
    if found.has_siblings {
        fields.insert(VARY, HeaderValue::from_static("accept-encoding"));
    }
    if freshness::is_unchanged(headers, &validators) {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }

    fields.insert(CONTENT_TYPE, header(&content_type(&found.name)));
    fields.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    fields.insert(X_FRAME_OPTIONS, HeaderValue::from_static("SAMEORIGIN"));
    fields.insert(REFERRER_POLICY, HeaderValue::from_static("strict-origin-when-cross-origin"));
    fields.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if found.encoding != Encoding::Identity {
        fields.insert(CONTENT_ENCODING, HeaderValue::from_static(found.encoding.name()));
    }
    let part = range::wanted(method, headers, &validators, found.length);
    let (first, length) = match part {
        Part::Whole => (0, found.length),
        Part::Bytes { first, last } => {
            fields.insert(CONTENT_RANGE, header(&format!("bytes {first}-{last}/{}", found.length)));
            (first, last - first + 1)
        }
        Part::None => {
            fields.insert(CONTENT_RANGE, header(&format!("bytes */{}", found.length)));
            fields.remove(CONTENT_TYPE);
            *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
            return Ok(response);
        }
    };
    fields.insert(CONTENT_LENGTH, HeaderValue::from(length));
    if matches!(part, Part::Bytes { .. }) {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    if *method == Method::GET {
        *response.body_mut() = Body::File(Reading::new(found.file, first, length));
    }
    Ok(response)
}

/// A page in a folder links relative to it, so its address must end with a slash.
fn to_folder(path: &str) -> Response<Body> {
    let mut response = Response::new(Body::Empty);
    *response.status_mut() = StatusCode::PERMANENT_REDIRECT;
    // `//host` would be an address on another host.
    let path = format!("/{}/", path.trim_matches('/'));
    response.headers_mut().insert(LOCATION, header(&path));
    response
}

fn content_type(name: &str) -> String {
    let guess = mime_guess::from_path(name).first_or_octet_stream();
    let kind = guess.essence_str();
    let is_text =
        kind.starts_with("text/") || matches!(kind, "application/javascript" | "application/json" | "image/svg+xml");
    if is_text { format!("{kind}; charset=utf-8") } else { kind.to_owned() }
}

/// For text that we made of digits, names of types and checked paths.
fn header(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""))
}
