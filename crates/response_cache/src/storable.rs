//! Whether an answer may be kept (RFC 9111, section 3).

use http::header::{CONTENT_TYPE, ETAG, LAST_MODIFIED, RANGE, SET_COOKIE};
use http::{HeaderMap, StatusCode};

use crate::directives::Directives;
use crate::freshness::{Freshness, Now};
use crate::request::Request;
use crate::vary::Vary;

/// Why an answer is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Refused {
    NoStore,
    Private,
    SetCookie,
    /// It fits no other request.
    Vary,
    /// The app says of no time that it may be kept.
    NotExplicit,
    /// It is over already, and nothing could be asked about it.
    Over,
    /// Of this status no answer is for others, or nobody here knows what it means.
    Status,
    Partial,
    /// It has no end of its own.
    Stream,
    TooLarge,
    /// Too much is being received at this moment.
    NoRoom,
    /// It broke off, or nobody can tell whether it did.
    Unfinished,
    Trailers,
    /// What it is about was changed, or taken back, while it was under way.
    TakenBack,
}

impl Refused {
    /// Whether the next answer to the same will hardly be kept either.
    pub(crate) fn lasts(self) -> bool {
        matches!(
            self,
            Self::NoStore
                | Self::Private
                | Self::SetCookie
                | Self::Vary
                | Self::NotExplicit
                | Self::Over
                | Self::Stream
                | Self::TooLarge
        )
    }

    /// The word for it in `Cache-Status` and in counters.
    pub fn word(self) -> &'static str {
        match self {
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::SetCookie => "set-cookie",
            Self::Vary => "vary",
            Self::NotExplicit => "not-explicit",
            Self::Over => "over",
            Self::Status => "status",
            Self::Partial => "partial",
            Self::Stream => "stream",
            Self::TooLarge => "too-large",
            Self::NoRoom => "no-room",
            Self::Unfinished => "unfinished",
            Self::Trailers => "trailers",
            Self::TakenBack => "taken-back",
        }
    }
}

/// What is known of an answer once it may be kept.
#[derive(Clone, Debug)]
pub(crate) struct Storable {
    pub(crate) freshness: Freshness,
    pub(crate) vary: Vary,
}

pub(crate) fn check(
    request: &Request,
    status: StatusCode,
    headers: &HeaderMap,
    (asked, received): (Now, Now),
) -> Result<Storable, Refused> {
    let directives = Directives::read(headers);
    let asks_for_part = request.headers.contains_key(RANGE);
    if status == StatusCode::PARTIAL_CONTENT || (asks_for_part && status != StatusCode::OK) {
        return Err(Refused::Partial);
    }
    if status.is_informational()
        || status == StatusCode::NOT_MODIFIED
        || is_about_the_asker(status)
        || (directives.must_understand && status.canonical_reason().is_none())
        || request.is_head
    {
        return Err(Refused::Status);
    }
    if directives.no_store {
        return Err(Refused::NoStore);
    }
    if directives.private {
        return Err(Refused::Private);
    }
    if headers.contains_key(SET_COOKIE) {
        return Err(Refused::SetCookie);
    }
    if headers.get(CONTENT_TYPE).is_some_and(is_stream) {
        return Err(Refused::Stream);
    }
    let vary = Vary::read(headers).ok_or(Refused::Vary)?;
    let freshness = Freshness::of(headers, &directives, asked, received).ok_or(Refused::NotExplicit)?;
    let has_validator = headers.contains_key(ETAG) || headers.contains_key(LAST_MODIFIED);
    if !freshness.is_of_use() && !has_validator {
        return Err(Refused::Over);
    }
    Ok(Storable { freshness, vary })
}

/// Errors about how something was asked, which the next one may ask better: kept, they would be a way to take a page from everybody
/// (by a field that is too long, or of odd letters).
fn is_about_the_asker(status: StatusCode) -> bool {
    matches!(status.as_u16(), 400 | 401 | 407 | 408 | 411..=413 | 415..=417 | 421 | 425 | 426 | 428 | 429 | 431)
}

fn is_stream(kind: &http::HeaderValue) -> bool {
    kind.as_bytes().get(..17).is_some_and(|kind| kind.eq_ignore_ascii_case(b"text/event-stream"))
}

#[cfg(test)]
mod tests {
    use http::Method;

    use super::*;
    use crate::freshness::tests::{headers, now};

    fn checked(status: u16, answer: &[(&'static str, &str)], asks: &[(&'static str, &str)]) -> Result<(), Refused> {
        let request = Request::read(&Method::GET, &headers(asks)).unwrap();
        let status = StatusCode::from_u16(status).unwrap();
        check(&request, status, &headers(answer), (now(), now())).map(drop)
    }

    #[test]
    fn only_what_an_app_says_may_be_kept_is_kept() {
        let cc = "cache-control";
        let kept = (cc, "max-age=60");
        assert_eq!(checked(200, &[kept], &[]), Ok(()));
        assert_eq!(checked(404, &[kept], &[]), Ok(()));
        assert_eq!(checked(200, &[(cc, "no-cache"), ("etag", "\"a\"")], &[]), Ok(()));
        assert_eq!(checked(200, &[(cc, "max-age=0, stale-if-error=60")], &[]), Ok(()));
        for (status, answer, why) in [
            (200, vec![], Refused::NotExplicit),
            (200, vec![("etag", "\"a\""), (cc, "public")], Refused::NotExplicit),
            (200, vec![(cc, "max-age=60, No-Store")], Refused::NoStore),
            (200, vec![(cc, "PRIVATE, max-age=60")], Refused::Private),
            (200, vec![kept, (cc, "private=\"x\"")], Refused::Private),
            (200, vec![kept, ("set-cookie", "a=b")], Refused::SetCookie),
            (200, vec![(cc, "public, s-maxage=60"), ("set-cookie", "a=b")], Refused::SetCookie),
            (200, vec![kept, ("vary", "*")], Refused::Vary),
            (200, vec![(cc, "max-age=0")], Refused::Over),
            (200, vec![(cc, "no-cache")], Refused::Over),
            (200, vec![kept, ("age", "60")], Refused::Over),
            (206, vec![kept], Refused::Partial),
            (304, vec![kept], Refused::Status),
            (400, vec![kept], Refused::Status),
            (599, vec![(cc, "max-age=60, must-understand")], Refused::Status),
            (200, vec![kept, ("content-type", "Text/Event-Stream; x")], Refused::Stream),
        ] {
            assert_eq!(checked(status, &answer, &[]), Err(why), "{status} {answer:?}");
        }
        assert_eq!(checked(200, &[kept], &[("range", "bytes=0-")]), Ok(()));
        assert_eq!(checked(404, &[kept], &[("range", "bytes=0-")]), Err(Refused::Partial));
    }
}
