//! Lets a request through only if everybody who reads it, here and behind us, must understand the same.
//!
//! What has already been lost when the parser is done (equal lengths merged, a length beside `chunked`) is judged on the wire,
//! in [`crate::head`]; here is the rest, for HTTP/1 and HTTP/2 alike.

use std::net::IpAddr;

use http::header::{CONTENT_LENGTH, EXPECT, HOST, HeaderName, TE, TRANSFER_ENCODING};
use http::request::Parts;
use http::uri::{Authority, PathAndQuery};
use http::{HeaderMap, Method, Version};
use hyper::ext::Protocol;

use crate::connection::{Door, Visitor};
use crate::head::{decimal, has_control};
use crate::refusal::Refusal;

/// What a request asks for, after everything doubtful was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Lower case, without port and final dot: the key of the routes.
    pub host: String,
    /// As the client wrote it, port included: what the app is told.
    pub authority: String,
    /// Without dot segments. What was routed is what is forwarded.
    pub target: PathAndQuery,
    /// Who asks, whatever stands between us.
    pub client: IpAddr,
}

/// Longest target: what browsers and the usual servers behind us accept.
const TARGET_LIMIT: usize = 8 * 1024;

pub fn check(parts: &Parts, visitor: &Visitor, limits: &crate::Limits) -> Result<Asked, Refusal> {
    check_method(parts)?;
    check_fields(&parts.headers, limits)?;
    check_framing(parts)?;
    let authority = the_one_host(parts)?;
    let host = host_of(&authority).ok_or(Refusal::BadHost)?;
    // A connection that was opened for one site must not reach another: that is what its certificate was for.
    if visitor.sni.as_ref().is_some_and(|sni| !sni.eq_ignore_ascii_case(&host)) {
        return Err(Refusal::Misdirected);
    }
    let target = the_target(parts)?;
    Ok(Asked { host, authority, target, client: visitor.peer.ip() })
}

fn check_method(parts: &Parts) -> Result<(), Refusal> {
    let is_websocket = || parts.extensions.get::<Protocol>().is_some_and(|protocol| protocol.as_str() == "websocket");
    // CONNECT would make a tunnel of us, unless it only asks a site for a WebSocket (RFC 8441); TRACE shows a page the headers that
    // we add behind its back.
    match parts.method {
        Method::CONNECT if parts.version == Version::HTTP_2 && is_websocket() => Ok(()),
        // Over HTTP/2 it has to say with whom to connect.
        Method::CONNECT if parts.version == Version::HTTP_2 && parts.uri.authority().is_none() => {
            Err(Refusal::Malformed)
        }
        Method::CONNECT | Method::TRACE => Err(Refusal::MethodNotAllowed),
        _ => Ok(()),
    }
}

fn check_fields(headers: &HeaderMap, limits: &crate::Limits) -> Result<(), Refusal> {
    // The parser has this limit for HTTP/1. HTTP/2 bounds bytes only, and a request must be the same over both.
    if headers.len() > limits.headers {
        return Err(Refusal::HeadTooLarge);
    }
    let mut bytes = 0;
    for (name, value) in headers {
        bytes += name.as_str().len() + value.len() + 4;
        // `X_Forwarded_For` and `X-Forwarded-For` are one variable to whatever stands in CGI's tradition.
        if memchr::memchr(b'_', name.as_str().as_bytes()).is_some() {
            return Err(Refusal::UnderscoreInName);
        }
        if has_control(value.as_bytes()) {
            return Err(Refusal::Malformed);
        }
        // HTTP/1 takes blanks off that are at the ends. HTTP/2 has none there (RFC 9113, 8.2.1), and whoever is asked next takes them off.
        if matches!(value.as_bytes(), [b' ' | b'\t', ..] | [.., b' ' | b'\t']) {
            return Err(Refusal::Malformed);
        }
    }
    if bytes > limits.head_bytes {
        return Err(Refusal::HeadTooLarge);
    }
    let mut expectations = headers.get_all(EXPECT).iter();
    if expectations.any(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(Refusal::UnknownExpectation);
    }
    Ok(())
}

fn check_framing(parts: &Parts) -> Result<(), Refusal> {
    let headers = &parts.headers;
    let mut encodings = headers.get_all(TRANSFER_ENCODING).iter();
    match (encodings.next(), encodings.next()) {
        (None, _) => {}
        // HTTP/2 frames its bodies itself, and HTTP/1.0 knows no encodings.
        (Some(_), _) if parts.version != Version::HTTP_11 => return Err(Refusal::AmbiguousLength),
        (Some(one), None) if one.as_bytes().eq_ignore_ascii_case(b"chunked") => {}
        (Some(_), None) => return Err(Refusal::UnknownTransferEncoding),
        (Some(_), Some(_)) => return Err(Refusal::AmbiguousLength),
    }
    let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
    match (lengths.next(), lengths.next()) {
        (None, _) => {}
        (Some(one), None) if decimal(one.as_bytes()).is_some() && !headers.contains_key(TRANSFER_ENCODING) => {}
        _ => return Err(Refusal::AmbiguousLength),
    }
    if parts.version == Version::HTTP_2 && headers.get_all(TE).iter().any(|te| te != "trailers") {
        return Err(Refusal::Malformed);
    }
    Ok(())
}

/// The host that the request names: exactly once, or twice the same.
fn the_one_host(parts: &Parts) -> Result<String, Refusal> {
    let mut hosts = parts.headers.get_all(HOST).iter();
    let header = match (hosts.next(), hosts.next()) {
        (_, Some(_)) => return Err(Refusal::BadHost),
        (Some(one), None) => Some(one.to_str().map_err(|_| Refusal::BadHost)?),
        (None, None) => None,
    };
    let in_target = parts.uri.authority().map(Authority::as_str);
    match (header, in_target) {
        // HTTP/2 has `:authority` in place of `Host`. HTTP/1 must send `Host` even beside an absolute target.
        (None, Some(authority)) if parts.version == Version::HTTP_2 => Ok(authority.to_owned()),
        (Some(header), None) => Ok(header.to_owned()),
        (Some(header), Some(authority)) if header.eq_ignore_ascii_case(authority) => Ok(header.to_owned()),
        // Of one request over HTTP/2 there is one authority (RFC 9113, 8.3.1).
        (Some(_), Some(_)) if parts.version == Version::HTTP_2 => Err(Refusal::BadHost),
        (Some(_), Some(_)) => Err(Refusal::Misdirected),
        (None, _) => Err(Refusal::BadHost),
    }
}

/// The host's name in an authority, if it is one: letters, digits, `-` and `.`, or an address in brackets; a port if any.
fn host_of(authority: &str) -> Option<String> {
    let (name, port) = match authority.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (authority, None),
    };
    if port.is_some_and(|port| port.is_empty() || port.len() > 5 || !port.bytes().all(|byte| byte.is_ascii_digit())) {
        return None;
    }
    if let Some(address) = name.strip_prefix('[') {
        let address: std::net::Ipv6Addr = address.strip_suffix(']')?.parse().ok()?;
        return Some(format!("[{address}]"));
    }
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_name = !name.is_empty()
        && name.len() <= 253
        && name.split('.').all(|label| {
            (1..=63).contains(&label.len()) && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        });
    is_name.then(|| name.to_ascii_lowercase())
}

fn the_target(parts: &Parts) -> Result<PathAndQuery, Refusal> {
    let uri = &parts.uri;
    if uri.scheme_str().is_some_and(|scheme| scheme != "http" && scheme != "https") {
        return Err(Refusal::Malformed);
    }
    let target = uri.path_and_query().ok_or(Refusal::Malformed)?;
    if target.as_str().len() > TARGET_LIMIT {
        return Err(Refusal::TargetTooLong);
    }
    if !target.path().starts_with('/') || !target.as_str().bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Refusal::Malformed);
    }
    Ok(match without_dot_segments(target.path()) {
        None => target.clone(),
        Some(path) => {
            let text = match target.query() {
                Some(query) => format!("{path}?{query}"),
                None => path,
            };
            text.parse().map_err(|_| Refusal::Malformed)?
        }
    })
}

/// The path without `.` and `..` segments, also where they are written `%2e`; None if there are none. Never above `/`.
pub fn without_dot_segments(path: &str) -> Option<String> {
    fn dots(segment: &str) -> Option<usize> {
        let mut rest = segment.as_bytes();
        let mut count = 0;
        while !rest.is_empty() {
            rest = match rest {
                [b'.', rest @ ..] | [b'%', b'2', b'e' | b'E', rest @ ..] => rest,
                _ => return None,
            };
            count += 1;
        }
        matches!(count, 1 | 2).then_some(count)
    }
    if !path.split('/').any(|segment| dots(segment).is_some()) {
        return None;
    }
    let mut kept: Vec<&str> = Vec::new();
    let mut ends_in_folder = false;
    for segment in path.split('/').skip(1) {
        ends_in_folder = true;
        match dots(segment) {
            Some(1) => {}
            Some(_) => drop(kept.pop()),
            None => {
                kept.push(segment);
                ends_in_folder = false;
            }
        }
    }
    let mut clean = String::with_capacity(path.len());
    for segment in &kept {
        clean.push('/');
        clean.push_str(segment);
    }
    if ends_in_folder || clean.is_empty() {
        clean.push('/');
    }
    Some(clean)
}

/// A page in somebody's browser may call `http://127.0.0.1:PORT` under a name of its own (DNS rebinding); what is meant for
/// apps on this machine answers to the machine's own names only.
pub fn check_internal_host(door: &Door, host: &str) -> Result<(), Refusal> {
    let is_own_name = matches!(host, "127.0.0.1" | "localhost" | "[::1]");
    match door {
        Door::Internal(_) if !is_own_name => Err(Refusal::Misdirected),
        _ => Ok(()),
    }
}

/// Who a visitor proved to be by TLS (RFC 9440): the certificate, and the name in it.
pub const CLIENT_CERTIFICATE: HeaderName = HeaderName::from_static("client-cert");
pub const CLIENT_NAME: HeaderName = HeaderName::from_static("x-client-name");

/// Whether only we may set a header.
pub fn is_ours(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "x-roadbed-user"
            | "x-roadbed-asks"
            | "x-roadbed-email"
            | "client-cert"
            | "client-cert-chain"
            | "x-client-name"
            | "forwarded"
            | "x-forwarded-for"
            | "x-forwarded-host"
            | "x-forwarded-port"
            | "x-forwarded-proto"
            | "x-forwarded-server"
            | "x-real-ip"
            | "x-request-id"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dot_segments_go_and_the_rest_stays_as_written() {
        for (path, clean) in [
            ("/static/../admin", "/admin"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/./b/", "/a/b/"),
            ("/../../etc", "/etc"),
            ("/a/..", "/"),
            ("/a/b/.", "/a/b/"),
            ("/.%2e/x", "/x"),
            ("/a//../b", "/a/b"),
        ] {
            assert_eq!(without_dot_segments(path).as_deref(), Some(clean), "{path}");
        }
        for path in ["/", "/a.b/..c/...", "/a//b", "/%2f..x", "/.well-known/x"] {
            assert_eq!(without_dot_segments(path), None, "{path}");
        }
    }

    #[test]
    fn a_cleaned_path_never_holds_a_dot_segment() {
        let pieces = ["/", ".", "..", "%2e", "%2E", "a", "%2f", "//", "b.c", ""];
        let mut random = 42_u64;
        for _ in 0..50_000 {
            let mut path = String::from("/");
            for _ in 0..8 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                path.push_str(pieces[usize::try_from(random >> 33).unwrap() % pieces.len()]);
            }
            if let Some(clean) = without_dot_segments(&path) {
                assert!(clean.starts_with('/'), "{path} became {clean}");
                assert_eq!(without_dot_segments(&clean), None, "{path} became {clean}");
            }
        }
    }

    #[test]
    fn only_host_names_are_hosts() {
        for (authority, host) in [
            ("WWW.shop.localhost:8443", "www.shop.localhost"),
            ("shop.example.", "shop.example"),
            ("127.0.0.1:80", "127.0.0.1"),
            ("[::1]:8443", "[::1]"),
        ] {
            assert_eq!(host_of(authority).as_deref(), Some(host), "{authority}");
        }
        for authority in [
            "", "a/evil", "a b", "a:b", "a:", "a:123456", "user@a", "a..b", ".", "[::1", "[zz]", "a_b", "a,b", "a?b",
            "-\u{e9}",
        ] {
            assert_eq!(host_of(authority), None, "{authority}");
        }
    }
}
