//! Headers on their way through: what belongs to one connection stays there, what we say about the visitor only we say.

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, STRICT_TRANSPORT_SECURITY, TE, TRAILER, TRANSFER_ENCODING,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use reconcile::ports::Hsts;

use crate::connection::{Door, Visitor};
use crate::guard::{self, Asked, CLIENT_CERTIFICATE, CLIENT_NAME};
use crate::request_id;
use crate::snapshot::{Promise, Serving};
use crate::trace::Trace;

/// Whether a header is meant for the next hop only, by the standard (RFC 9110, section 7.6.1) or by habit. A comparison of lengths
/// rules out most; asking a map for each of these names would hash them all for every message.
fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        name.as_str(),
        "connection"
            | "keep-alive"
            | "proxy-connection"
            | "proxy-authenticate"
            | "proxy-authorization"
            | "te"
            | "transfer-encoding"
            | "upgrade"
            | "http2-settings"
    )
}

/// Removes what is meant for the next hop only, named in the standard or by the sender.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    strip(headers, is_hop_by_hop);
}

/// Removes what the sender nominated for the next hop, and what else shall go.
fn strip(headers: &mut HeaderMap, goes: impl Fn(&HeaderName) -> bool) {
    let nominated: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(',').map(str::trim))
        // What nearly all say; both are about the connection, and go by their own names if at all.
        .filter(|name| !name.eq_ignore_ascii_case("keep-alive") && !name.eq_ignore_ascii_case("close"))
        .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        // These carry the message itself; nobody may nominate them away.
        .filter(|name| *name != HOST && *name != CONTENT_LENGTH && *name != TRAILER)
        .collect();
    // Nothing is allocated where nothing goes, as with most answers.
    let going: Vec<HeaderName> = headers.keys().filter(|name| goes(name)).cloned().collect();
    for name in nominated.into_iter().chain(going) {
        headers.remove(name);
    }
}

/// Makes a visitor's headers those of our request to the app.
pub fn toward_app(headers: &mut HeaderMap, asked: &Asked, visitor: &Visitor, (id, trace): (&HeaderValue, &Trace)) {
    let accepts_trailers = headers.get_all(TE).iter().any(|value| {
        value.to_str().is_ok_and(|value| value.split(',').any(|coding| coding.trim().eq_ignore_ascii_case("trailers")))
    });
    // We answer `100-continue` ourselves, when the app begins to read.
    strip(headers, |name| is_hop_by_hop(name) || *name == EXPECT || guard::is_ours(name));
    if accepts_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    let scheme = match visitor.door {
        Door::Https | Door::Candidate => "https",
        Door::Http | Door::Internal(_) => "http",
    };
    let value = |text: &str| HeaderValue::from_str(text).expect("addresses and checked hosts are header values");
    let address = asked.client.to_string();
    let address_value = value(&address);
    // Over HTTP/1 it is there as it was written.
    let host = match headers.get(HOST) {
        Some(host) if *host == *asked.authority => host.clone(),
        _ => {
            let host = value(&asked.authority);
            headers.insert(HOST, host.clone());
            host
        }
    };
    headers.insert(HeaderName::from_static("x-forwarded-host"), host);
    headers.insert(HeaderName::from_static("x-forwarded-proto"), HeaderValue::from_static(scheme));
    headers.insert(HeaderName::from_static("x-real-ip"), address_value.clone());
    headers.insert(HeaderName::from_static("x-forwarded-for"), address_value);
    let (open, close) = if asked.client.is_ipv6() { ("\"[", "]\"") } else { ("", "") };
    let forwarded = ["for=", open, &address, close, ";host=\"", &asked.authority, "\";proto=", scheme].concat();
    headers.insert(HeaderName::from_static("forwarded"), value(&forwarded));
    headers.insert(request_id::HEADER, id.clone());
    trace.tell(headers);
    if let Some(client) = &visitor.client {
        headers.insert(CLIENT_CERTIFICATE, client.certificate.clone());
        if let Some(name) = &client.name {
            headers.insert(CLIENT_NAME, name.clone());
        }
    }
}

/// Makes an app's headers those of our answer.
pub fn toward_visitor(headers: &mut HeaderMap) {
    // Its chunks have said where it ends; a length beside them is another end, for whoever believes it (RFC 9112, 6.3).
    if headers.contains_key(TRANSFER_ENCODING) {
        headers.remove(CONTENT_LENGTH);
    }
    strip_hop_by_hop(headers);
}

/// What browsers are told where the manifest says nothing: a year.
const USUAL: Hsts = Hsts { max_age_s: 31_536_000, subdomains: false, preload: false };

/// Tells browsers not to come without TLS. Not on `.localhost`: they would hold it against every other project on this machine.
/// What the manifest says wins over what an app says.
pub fn promise_https(headers: &mut HeaderMap, visitor: &Visitor, serving: &Serving) {
    // Whoever came in by this door has named a host of ours in the handshake.
    let Some(host) = visitor.sni.as_deref().filter(|_| visitor.door == Door::Https) else { return };
    if is_local(host) {
        headers.remove(STRICT_TRANSPORT_SECURITY);
        return;
    }
    let Promise::Ours(hsts) = serving.promise(host) else { return };
    if hsts.is_none() && headers.contains_key(STRICT_TRANSPORT_SECURITY) {
        return;
    }
    if let Ok(value) = HeaderValue::from_str(&promise(hsts.unwrap_or(USUAL))) {
        headers.insert(STRICT_TRANSPORT_SECURITY, value);
    }
}

fn promise(hsts: Hsts) -> String {
    let mut text = format!("max-age={}", hsts.max_age_s);
    if hsts.subdomains {
        text.push_str("; includeSubDomains");
    }
    if hsts.preload {
        text.push_str("; preload");
    }
    text
}

fn is_local(host: &str) -> bool {
    let host = host.to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost") || host.parse::<std::net::IpAddr>().is_ok()
}
