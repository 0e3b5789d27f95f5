//! For which requests an answer is: those that are alike in the fields that it names (RFC 9111, section 4.1).

use http::HeaderMap;
use http::header::{ACCEPT_CHARSET, ACCEPT_ENCODING, ACCEPT_LANGUAGE, CONTENT_ENCODING, HeaderName, VARY};

/// More would be somebody who tries what happens.
const MOST_FIELDS: usize = 16;

/// The names of fields, in order and each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Vary(Vec<HeaderName>);

/// What a request has in these fields.
pub(crate) type Selected = Box<[u8]>;

impl Vary {
    /// `None`: it fits no other request (`*`), or nobody knows which.
    pub(crate) fn read(headers: &HeaderMap) -> Option<Self> {
        let mut names = Vec::new();
        for value in headers.get_all(VARY) {
            for name in value.to_str().ok()?.split(',').map(str::trim).filter(|name| !name.is_empty()) {
                // `*` is a fine name of a field, were it not for its meaning.
                names.push(HeaderName::from_bytes(name.as_bytes()).ok().filter(|name| name != "*")?);
            }
        }
        // Whoever cannot read this encoding must not get it, even if the app forgot to say so.
        if headers.contains_key(CONTENT_ENCODING) {
            names.push(ACCEPT_ENCODING);
        }
        names.sort_by(|one, other| one.as_str().cmp(other.as_str()));
        names.dedup();
        (names.len() <= MOST_FIELDS).then_some(Self(names))
    }

    /// Equal for two requests only if they mean the same by these fields.
    pub(crate) fn select(&self, request: &HeaderMap) -> Selected {
        let mut selected = Vec::new();
        for name in &self.0 {
            let mut lines = request.get_all(name).iter().peekable();
            // No field is another thing than an empty one, and no value has a line end.
            selected.push(if lines.peek().is_some() { b'+' } else { b'-' });
            let from = selected.len();
            for line in lines {
                if selected.len() > from {
                    selected.push(b',');
                }
                // Blanks beside commas mean nothing outside of quotes (RFC 9110, section 5.6.1).
                let is_quoted = line.as_bytes().contains(&b'"');
                if is_quoted {
                    selected.extend_from_slice(line.as_bytes());
                    continue;
                }
                for (at, member) in line.as_bytes().split(|byte| *byte == b',').enumerate() {
                    if at > 0 {
                        selected.push(b',');
                    }
                    selected.extend_from_slice(member.trim_ascii());
                }
            }
            if [ACCEPT_LANGUAGE, ACCEPT_ENCODING, ACCEPT_CHARSET].contains(name) {
                selected[from..].make_ascii_lowercase();
            }
            selected.push(b'\n');
        }
        selected.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::freshness::tests::headers;

    #[test]
    fn requests_are_alike_if_they_mean_the_same() {
        let vary = Vary::read(&headers(&[("vary", "Foo, accept-language"), ("vary", ", FOO")])).unwrap();
        let alike = |one: &[(&'static str, &str)], other: &[(&'static str, &str)]| {
            vary.select(&headers(one)) == vary.select(&headers(other))
        };
        assert!(alike(&[("foo", "1,2")], &[("foo", "1"), ("foo", "2")]));
        assert!(alike(&[("foo", "1 , 2")], &[("foo", "1,2"), ("bar", "x")]));
        assert!(alike(&[("accept-language", "de, EN")], &[("accept-language", "De,en")]));
        for (one, other) in [("1", "2"), ("1", "1,"), ("a", "A"), ("\"1, 2\"", "\"1,2\""), ("1", "1,1")] {
            assert!(!alike(&[("foo", one)], &[("foo", other)]), "{one} {other}");
        }
        assert!(!alike(&[("foo", "")], &[]) && !alike(&[("foo", "1")], &[("accept-language", "1")]));
        // The second line counts.
        assert!(!alike(&[("foo", "1"), ("foo", "2")], &[("foo", "1")]));
    }

    #[test]
    fn what_fits_nobody_else_or_cannot_be_read_is_for_nobody() {
        for value in ["*", "foo, *", ", *", "a b", "foo(", "\u{e9}"] {
            let mut headers = HeaderMap::new();
            headers.insert(VARY, http::HeaderValue::from_bytes(value.as_bytes()).unwrap());
            assert_eq!(Vary::read(&headers), None, "{value}");
        }
    }

    #[test]
    fn an_encoded_answer_is_for_those_who_can_read_it() {
        let vary = Vary::read(&headers(&[("content-encoding", "gzip")])).unwrap();
        assert_ne!(vary.select(&headers(&[("accept-encoding", "gzip")])), vary.select(&headers(&[])));
    }
}
