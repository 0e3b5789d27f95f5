//! Whether what somebody has is still right (RFC 9110, section 13).

use http::header::{
    ETAG, HeaderMap, HeaderName, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, LAST_MODIFIED, RANGE,
};

use crate::directives::members;
use crate::freshness::{http_date, one};

/// Whether a visitor's copy is this answer. `If-None-Match` decides alone where it is sent.
pub(crate) fn is_unchanged(request: &HeaderMap, answer: &HeaderMap) -> bool {
    if request.contains_key(IF_NONE_MATCH) {
        let Some(tag) = answer.get(ETAG).and_then(|tag| tag.to_str().ok()) else { return false };
        let lines = request.get_all(IF_NONE_MATCH).iter().filter_map(|line| members(line.to_str().ok()?));
        return lines.flatten().any(|known| known == "*" || opaque(known) == opaque(tag));
    }
    let date = |headers: &HeaderMap, name: &HeaderName| one(headers, name).ok().flatten().and_then(http_date);
    let (since, modified) = (date(request, &IF_MODIFIED_SINCE), date(answer, &LAST_MODIFIED));
    since.zip(modified).is_some_and(|(since, modified)| modified <= since)
}

/// Tags are compared without their weakness here.
fn opaque(tag: &str) -> &str {
    tag.strip_prefix("W/").unwrap_or(tag)
}

/// Whether a part may be cut out of this answer: `If-Range` names it by a strong tag, or by exactly its date.
pub(crate) fn is_of_range(request: &HeaderMap, answer: &HeaderMap) -> bool {
    let Some(condition) = request.get(IF_RANGE) else { return true };
    let is = |name: HeaderName| answer.get(name).is_some_and(|value| value == condition);
    !condition.as_bytes().starts_with(b"W/") && (is(ETAG) || is(LAST_MODIFIED))
}

/// Asks whether an answer is still right, in place of what a visitor asks about his copy. False: there is nothing to ask by.
pub(crate) fn ask_about(request: &mut HeaderMap, answer: &HeaderMap) -> bool {
    if !answer.contains_key(ETAG) && !answer.contains_key(LAST_MODIFIED) {
        return false;
    }
    for name in [IF_NONE_MATCH, IF_MODIFIED_SINCE, IF_RANGE, RANGE] {
        request.remove(name);
    }
    for (name, of) in [(IF_NONE_MATCH, ETAG), (IF_MODIFIED_SINCE, LAST_MODIFIED)] {
        if let Some(value) = answer.get(of) {
            request.insert(name, value.clone());
        }
    }
    true
}

/// Whether an app that says "not modified" means this answer.
pub(crate) fn is_about(answer: &HeaderMap, said: &HeaderMap) -> bool {
    let text = |value: &HeaderValue| value.to_str().map(|tag| opaque(tag).to_owned()).ok();
    match (answer.get(ETAG), said.get(ETAG)) {
        (known, Some(tag)) => known.and_then(text) == text(tag),
        (_, None) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::freshness::tests::headers;

    #[test]
    fn a_tag_decides_before_a_date() {
        let answer = headers(&[("etag", "W/\"a,b\""), ("last-modified", "Thu, 01 Jan 1970 00:16:40 GMT")]);
        let asks = |name: &'static str, value: &str| {
            let since = ("if-modified-since", "Thu, 01 Jan 1970 01:00:00 GMT");
            let lines = if name == since.0 { vec![(name, value)] } else { vec![since, (name, value)] };
            is_unchanged(&headers(&lines), &answer)
        };
        for tag in ["\"a,b\"", "\"x\", W/\"a,b\"", "*"] {
            assert!(asks("if-none-match", tag), "{tag}");
        }
        for tag in ["\"a\"", "a,b", "\"x\"", ""] {
            assert!(!asks("if-none-match", tag), "{tag}");
        }
        assert!(asks("if-modified-since", "Thursday, 01-Jan-70 00:16:40 GMT"));
        assert!(!asks("if-modified-since", "Thu, 01 Jan 1970 00:16:39 GMT") && !asks("if-modified-since", "never"));
    }

    #[test]
    fn our_question_stands_in_place_of_the_visitors() {
        let mut request = headers(&[("if-none-match", "\"his\""), ("range", "bytes=0-1"), ("accept", "x")]);
        assert!(ask_about(&mut request, &headers(&[("etag", "\"ours\"")])));
        assert_eq!(request, headers(&[("if-none-match", "\"ours\""), ("accept", "x")]));
        assert!(!ask_about(&mut request, &headers(&[])));
    }
}
