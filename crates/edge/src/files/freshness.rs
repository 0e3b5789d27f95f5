//! Whether a visitor's copy is still good, and how long the next one may be kept.

use std::time::SystemTime;

use http::HeaderMap;
use http::header::{IF_MODIFIED_SINCE, IF_NONE_MATCH};

/// What identifies one representation of a file.
#[derive(Debug)]
pub struct Validators<'a> {
    /// Strong: the digest of the bytes.
    pub etag: &'a str,
    pub modified: SystemTime,
}

/// 304? `If-None-Match` decides alone where it is sent; a date has only seconds.
pub fn is_unchanged(headers: &HeaderMap, validators: &Validators<'_>) -> bool {
    if headers.contains_key(IF_NONE_MATCH) {
        return headers
            .get_all(IF_NONE_MATCH)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|value| value.split(','))
            .map(str::trim)
            .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == validators.etag);
    }
    headers
        .get(IF_MODIFIED_SINCE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| httpdate::parse_http_date(value).ok())
        .is_some_and(|since| seconds(validators.modified) <= seconds(since))
}

pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// A name with a digest in it stands for these bytes for ever; anything else is asked for again, which costs a 304.
pub fn cache_control(name: &str) -> &'static str {
    if has_digest(name) { "public, max-age=31536000, immutable" } else { "no-cache" }
}

/// `index-BqZx81fA.js`, `main.3f2a9c1b.css`, `logo.D4f0Aa12.svg`: a part of at least eight letters and digits before the
/// extension, that no word looks like: it has a digit, or changes case inside.
pub fn has_digest(name: &str) -> bool {
    let Some((stem, extension)) = name.rsplit_once('.') else { return false };
    // `app.3f2a9c1b.js.map` is the map of a name with a digest.
    let stem = if extension == "map" { stem.rsplit_once('.').map_or(stem, |(stem, _)| stem) } else { stem };
    if extension == "html" {
        return false;
    }
    let looks_like_digest = |part: &str| {
        let is_word_like = part.bytes().all(|byte| byte.is_ascii_alphabetic())
            && !part.bytes().skip(1).any(|byte| byte.is_ascii_uppercase());
        (8..=64).contains(&part.len())
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
            && !is_word_like
            // A date or a version number is no digest.
            && !part.bytes().all(|byte| byte.is_ascii_digit())
    };
    // Some digests hold a `-` themselves (base64url of eight characters).
    let tail = stem.len().checked_sub(9).and_then(|at| stem.get(at..));
    let is_base64url = tail.is_some_and(|tail| {
        let (separator, digest) = tail.split_at(1);
        matches!(separator, "-" | ".")
            && digest.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && digest.bytes().any(|byte| byte.is_ascii_digit())
            && digest.bytes().any(|byte| byte.is_ascii_uppercase())
    });
    let last = stem.rsplit(['-', '.']).next().filter(|last| last.len() < stem.len());
    is_base64url || last.is_some_and(looks_like_digest)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn only_names_with_a_digest_are_kept_for_ever() {
        for name in [
            "index-BqZx81fA.js",
            "index-D3-Kf_9a.js",
            "main.3f2a9c1b.css",
            "logo.D4f0Aa12.svg",
            "chunk-4bd1b696cf22b6f1.js",
            "app.3f2a9c1b.js.map",
            "index-CPbnRxDe.css",
        ] {
            assert!(has_digest(name), "{name}");
        }
        for name in [
            "index.html",
            "app.js",
            "site.webmanifest",
            "data-20260101.json",
            "my-components.js",
            "logo-large.svg",
            "x-3f2a9c1b.html",
            "favicon.ico",
            "abcdefgh1.js",
        ] {
            assert!(!has_digest(name), "{name}");
        }
    }

    #[test]
    fn a_tag_beats_a_date() {
        let validators = Validators { etag: "\"abc\"", modified: SystemTime::UNIX_EPOCH + Duration::from_secs(1000) };
        let check = |name: HeaderName, value: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_MODIFIED_SINCE, HeaderValue::from_static("Thu, 01 Jan 1970 01:00:00 GMT"));
            headers.insert(name, HeaderValue::from_static(value));
            is_unchanged(&headers, &validators)
        };
        assert!(check(IF_NONE_MATCH, "\"abc\""));
        assert!(check(IF_NONE_MATCH, "\"x\", W/\"abc\""));
        assert!(check(IF_NONE_MATCH, "*"));
        assert!(!check(IF_NONE_MATCH, "\"x\""));
        assert!(check(IF_MODIFIED_SINCE, "Thu, 01 Jan 1970 00:16:40 GMT"));
        assert!(!check(IF_MODIFIED_SINCE, "Thu, 01 Jan 1970 00:16:39 GMT"));
        assert!(!check(IF_MODIFIED_SINCE, "yesterday"));
    }
}
