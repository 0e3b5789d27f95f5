//! Headers on their way through: what belongs to one connection stays there, what we say about the visitor only we say.

use std::fmt::Write;

use http::header::{
    CONNECTION, CONTENT_LENGTH, EXPECT, HOST, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, STRICT_TRANSPORT_SECURITY, TE,
    TRAILER, TRANSFER_ENCODING, UPGRADE,
};
use http::{HeaderMap, HeaderName, HeaderValue};

use reconcile::ports::Hsts;

use crate::connection::{Door, Visitor};
use crate::guard::{Asked, CLIENT_CERTIFICATE, CLIENT_NAME, OURS};
use crate::request_id;
use crate::trace::Trace;

const KEEP_ALIVE: HeaderName = HeaderName::from_static("keep-alive");
const PROXY_CONNECTION: HeaderName = HeaderName::from_static("proxy-connection");
const HTTP2_SETTINGS: HeaderName = HeaderName::from_static("http2-settings");

/// Removes what is meant for the next hop only, named in the standard or by the sender.
pub fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let nominated: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| HeaderName::from_bytes(name.trim().as_bytes()).ok())
        // These carry the message itself; nobody may nominate them away.
        .filter(|name| *name != HOST && *name != CONTENT_LENGTH && *name != TRAILER)
        .collect();
    for name in nominated {
        headers.remove(name);
    }
    for name in
        [CONNECTION, KEEP_ALIVE, PROXY_CONNECTION, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING]
    {
        headers.remove(name);
    }
    headers.remove(UPGRADE);
    headers.remove(HTTP2_SETTINGS);
}

/// Makes a visitor's headers those of our request to the app.
pub fn toward_app(headers: &mut HeaderMap, asked: &Asked, visitor: &Visitor, (id, trace): (&HeaderValue, &Trace)) {
    let accepts_trailers = headers.get_all(TE).iter().any(|value| {
        value.to_str().is_ok_and(|value| value.split(',').any(|coding| coding.trim().eq_ignore_ascii_case("trailers")))
    });
    strip_hop_by_hop(headers);
    // We answer `100-continue` ourselves, when the app begins to read.
    headers.remove(EXPECT);
    for name in OURS {
        headers.remove(name);
    }
    if accepts_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        headers.insert(CONNECTION, HeaderValue::from_static("te"));
    }
    let address = asked.client;
    let scheme = match visitor.door {
        Door::Https | Door::Candidate => "https",
        Door::Http | Door::Internal(_) => "http",
    };
    let mut text = address.to_string();
    let value = |text: &str| HeaderValue::from_str(text).expect("addresses and checked hosts are header values");
    let address_value = value(&text);
    headers.insert(HOST, value(&asked.authority));
    headers.insert(HeaderName::from_static("x-forwarded-host"), value(&asked.authority));
    headers.insert(HeaderName::from_static("x-forwarded-proto"), HeaderValue::from_static(scheme));
    headers.insert(HeaderName::from_static("x-real-ip"), address_value.clone());
    headers.insert(HeaderName::from_static("x-forwarded-for"), address_value);
    text.clear();
    let node = if address.is_ipv6() { format!("\"[{address}]\"") } else { address.to_string() };
    let _ = write!(text, "for={node};host=\"{}\";proto={scheme}", asked.authority);
    headers.insert(HeaderName::from_static("forwarded"), value(&text));
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
    strip_hop_by_hop(headers);
}

/// What browsers are told where the manifest says nothing: a year.
const USUAL: Hsts = Hsts { max_age_s: 31_536_000, subdomains: false, preload: false };

/// Tells browsers not to come without TLS. Not on `.localhost`: they would hold it against every other project on this machine.
/// What the manifest says wins over what an app says.
pub fn promise_https(headers: &mut HeaderMap, visitor: &Visitor, hsts: Option<Hsts>) {
    // Whoever came in by this door has named a host of ours in the handshake.
    let Some(host) = visitor.sni.as_deref().filter(|_| visitor.door == Door::Https) else { return };
    if is_local(host) {
        headers.remove(STRICT_TRANSPORT_SECURITY);
        return;
    }
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
