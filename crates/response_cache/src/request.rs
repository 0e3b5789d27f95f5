//! What of a request decides whether it may be answered from here.

use http::Method;
use http::header::{
    AUTHORIZATION, CONTENT_LENGTH, COOKIE, HeaderMap, HeaderName, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE, RANGE, TRANSFER_ENCODING, UPGRADE,
};

use crate::directives::Directives;

/// Why a request has nothing to do with the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bypass {
    /// It may change something.
    Method,
    Authorization,
    Cookie,
    /// It wants another protocol, or brings a body: two readers might answer it differently.
    Body,
    /// It forbids keeping, itself.
    NoStore,
    /// It is meant for the very version that it names.
    Precondition,
    /// It came by another way than visitors do, or called its host in another way.
    Host,
    /// It has a field by which frameworks take a request for another one, and that no key has.
    Override,
}

impl Bypass {
    /// The word for it in `Cache-Status`.
    pub fn word(self) -> &'static str {
        match self {
            Self::Method => "method",
            Self::Authorization => "authorization",
            Self::Cookie => "cookie",
            Self::Body => "body",
            Self::NoStore => "no-store",
            Self::Precondition => "precondition",
            Self::Host => "host",
            Self::Override => "override",
        }
    }
}

/// Fields by which a framework answers another request than the one that was asked: with another method, path, host, scheme or port. An
/// answer that one of them made would be somebody else's page.
const OVERRIDES: [&str; 17] = [
    "x-http-method",
    "x-http-method-override",
    "x-method-override",
    "x-original-url",
    "x-rewrite-url",
    "x-original-uri",
    "x-original-host",
    "x-host",
    "x-http-host-override",
    "x-forwarded-scheme",
    "x-forwarded-ssl",
    "x-forwarded-protocol",
    "x-forwarded-prefix",
    "x-forwarded-path",
    "x-url-scheme",
    "x-middleware-subrequest",
    "front-end-https",
];

/// A request that may be answered from here.
#[derive(Clone, Debug)]
pub struct Request {
    pub(crate) is_head: bool,
    pub(crate) directives: Directives,
    /// As the app sees them.
    pub(crate) headers: HeaderMap,
}

impl Request {
    /// `headers` are those that the app sees: what the edge adds or takes off is added and taken off. A request that changes
    /// something, or says who asks, is none.
    pub fn read(method: &Method, headers: &HeaderMap) -> Result<Self, Bypass> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Err(Bypass::Method);
        }
        let has = |name: HeaderName| headers.contains_key(name);
        if has(AUTHORIZATION) {
            return Err(Bypass::Authorization);
        }
        if has(COOKIE) {
            return Err(Bypass::Cookie);
        }
        let has_length = headers.get_all(CONTENT_LENGTH).iter().any(|length| length != "0");
        if has_length || has(TRANSFER_ENCODING) || has(UPGRADE) {
            return Err(Bypass::Body);
        }
        if has(IF_MATCH) || has(IF_UNMODIFIED_SINCE) {
            return Err(Bypass::Precondition);
        }
        if OVERRIDES.iter().any(|name| headers.contains_key(*name)) {
            return Err(Bypass::Override);
        }
        let directives = Directives::read(headers);
        if directives.no_store {
            return Err(Bypass::NoStore);
        }
        Ok(Self { is_head: *method == Method::HEAD, directives, headers: headers.clone() })
    }

    /// Nothing may be asked of the app for it.
    pub fn is_only_if_cached(&self) -> bool {
        self.directives.only_if_cached
    }

    /// Whether the whole answer is what it asks for: one that others can be given, too.
    pub fn is_for_the_whole(&self) -> bool {
        let partial = [RANGE, IF_RANGE, IF_NONE_MATCH, IF_MODIFIED_SINCE];
        !self.is_head && !partial.iter().any(|name| self.headers.contains_key(name))
    }

    /// Whether whoever asks takes what is there, and does not insist on a newer one.
    pub fn takes_what_is_there(&self) -> bool {
        let Directives { no_cache, max_age, min_fresh, .. } = self.directives;
        !no_cache && max_age.is_none() && min_fresh.is_none()
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(method: Method, lines: &[(&'static str, &'static str)]) -> Result<Request, Bypass> {
        let line = |&(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value));
        Request::read(&method, &lines.iter().map(line).collect())
    }

    #[test]
    fn who_says_who_he_is_gets_nothing_that_is_kept() {
        for (name, value, why) in [
            ("authorization", "Basic eDp5", Bypass::Authorization),
            ("cookie", "a=b", Bypass::Cookie),
            ("cookie", "", Bypass::Cookie),
            ("content-length", "3", Bypass::Body),
            ("transfer-encoding", "chunked", Bypass::Body),
            ("upgrade", "websocket", Bypass::Body),
            ("cache-control", "x, NO-STORE", Bypass::NoStore),
            ("if-match", "\"a\"", Bypass::Precondition),
            ("x-http-method-override", "POST", Bypass::Override),
            ("x-original-url", "/admin", Bypass::Override),
        ] {
            assert_eq!(read(Method::GET, &[(name, value)]).unwrap_err(), why, "{name}");
        }
        assert_eq!(read(Method::POST, &[]).unwrap_err(), Bypass::Method);
        assert!(read(Method::HEAD, &[("content-length", "0")]).is_ok());
    }
}
