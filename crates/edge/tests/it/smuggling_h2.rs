//! As `smuggling`, over HTTP/2: what its frames may carry and HTTP/1 may not must not become a second request, or another one, where
//! it is written down as HTTP/1 for the app.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use crate::frames::{DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM, SETTINGS, connected, frame, literals};
use crate::matrix::Fate::{self, Forwarded, Refused};
use crate::smuggling::{innocent, is_as_it_should_be, stage};
use crate::witness::Carried;
use crate::world::{SHOP, World};

/// The status is not looked at: some of this ends the stream, some the connection, some gets a page.
const NO: Fate = Refused(0);

/// A name, fields beside the usual ones (a pseudo field replaces its usual one, an empty value takes it away), a body, its trailers.
type Case = (
    &'static str,
    &'static [(&'static str, &'static str)],
    Option<&'static str>,
    &'static [(&'static str, &'static str)],
    Fate,
);

const SMUGGLED: &str = "0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: www.shop.localhost\r\n\r\n";

const CASES: &[Case] = &[
    // The plain ones.
    ("GET", &[], None, &[], Forwarded("GET / HTTP/1.1", "")),
    ("POST without a length", &[(":method", "POST")], Some("hello"), &[], Forwarded("POST / HTTP/1.1", "hello")),
    (
        "POST with a length",
        &[(":method", "POST"), ("content-length", "5")],
        Some("hello"),
        &[],
        Forwarded("POST / HTTP/1.1", "hello"),
    ),
    ("GET with a body", &[], Some("hello"), &[], Forwarded("GET / HTTP/1.1", "hello")),
    (
        "a request inside a body is a body",
        &[(":method", "POST")],
        Some(SMUGGLED),
        &[],
        Forwarded("POST / HTTP/1.1", SMUGGLED),
    ),
    ("trailers", &[(":method", "POST")], Some("hi"), &[("x-sum", "1")], Forwarded("POST / HTTP/1.1", "hi")),
    ("TE: trailers", &[("te", "trailers")], None, &[], Forwarded("GET / HTTP/1.1", "")),
    ("a host beside the authority, the same", &[("host", SHOP)], None, &[], Forwarded("GET / HTTP/1.1", "")),
    ("dot segments", &[(":path", "/static/../admin")], None, &[], Forwarded("GET /admin HTTP/1.1", "")),
    // Two lengths.
    ("a length beyond the body", &[(":method", "POST"), ("content-length", "10")], Some("hello"), &[], NO),
    ("a length short of the body", &[(":method", "POST"), ("content-length", "0")], Some(SMUGGLED), &[], NO),
    ("a length of a request without a body", &[("content-length", "5")], None, &[], NO),
    (
        "a length twice, equal",
        &[(":method", "POST"), ("content-length", "5"), ("content-length", "5")],
        Some("hello"),
        &[],
        NO,
    ),
    (
        "a length twice, different",
        &[(":method", "POST"), ("content-length", "5"), ("content-length", "0")],
        Some("hello"),
        &[],
        NO,
    ),
    ("a length as a list", &[(":method", "POST"), ("content-length", "5, 5")], Some("hello"), &[], NO),
    ("a length with a sign", &[(":method", "POST"), ("content-length", "+5")], Some("hello"), &[], NO),
    ("a length that is none", &[(":method", "POST"), ("content-length", "x")], Some("hello"), &[], NO),
    ("TE chunked", &[(":method", "POST"), ("transfer-encoding", "chunked")], Some(SMUGGLED), &[], NO),
    ("TE identity", &[(":method", "POST"), ("transfer-encoding", "identity")], Some(SMUGGLED), &[], NO),
    (
        "TE beside a length",
        &[(":method", "POST"), ("content-length", "5"), ("transfer-encoding", "chunked")],
        Some("0\r\n\r\n"),
        &[],
        NO,
    ),
    (
        "TE hidden behind a connection field",
        &[("connection", "transfer-encoding"), ("transfer-encoding", "chunked")],
        Some(SMUGGLED),
        &[],
        NO,
    ),
    ("TE in trailers", &[(":method", "POST")], Some("hi"), &[("transfer-encoding", "chunked")], NO),
    (
        "a length in trailers",
        &[(":method", "POST")],
        Some("hi"),
        &[("content-length", "0")],
        Forwarded("POST / HTTP/1.1", "hi"),
    ),
    // Fields of one connection.
    ("connection", &[("connection", "close")], None, &[], NO),
    ("keep-alive", &[("keep-alive", "timeout=5")], None, &[], NO),
    ("proxy-connection", &[("proxy-connection", "close")], None, &[], NO),
    ("upgrade", &[("upgrade", "websocket")], None, &[], NO),
    ("TE: gzip", &[("te", "gzip")], None, &[], NO),
    // Line ends and other bytes.
    ("a line end in a value", &[("x", "a\r\ntransfer-encoding: chunked")], None, &[], NO),
    ("a line feed in a value", &[("x", "a\nx-real-ip: 6.6.6.6")], None, &[], NO),
    ("a carriage return in a value", &[("x", "a\rb")], None, &[], NO),
    ("a zero byte in a value", &[("x", "a\0b")], None, &[], NO),
    ("a blank before a value", &[("x", " a")], None, &[], NO),
    ("a tab after a value", &[("x", "a\t")], None, &[], NO),
    ("a line end in a name", &[("x: y\r\nz", "a")], None, &[], NO),
    ("a colon in a name", &[("transfer-encoding: chunked\r\nx", "a")], None, &[], NO),
    ("a blank in a name", &[("transfer-encoding ", "chunked")], None, &[], NO),
    ("capitals in a name", &[("Transfer-Encoding", "chunked")], None, &[], NO),
    ("an underscore in a name", &[("x_forwarded_for", "6.6.6.6")], None, &[], NO),
    ("a field without a name", &[("", "a")], None, &[], NO),
    // Pseudo fields.
    ("a line end in the path", &[(":path", "/ HTTP/1.1\r\nHost: a\r\n\r\nGET /smuggled")], None, &[], NO),
    ("a blank in the path", &[(":path", "/a b")], None, &[], NO),
    ("a version in the path", &[(":path", "/ HTTP/1.1")], None, &[], NO),
    ("a path that is none", &[(":path", "admin")], None, &[], NO),
    ("another URL as the path", &[(":path", "http://evil.example/")], None, &[], NO),
    ("no path", &[(":path", "")], None, &[], NO),
    ("an asterisk", &[(":method", "OPTIONS"), (":path", "*")], None, &[], NO),
    ("a fragment", &[(":path", "/a#b")], None, &[], Forwarded("GET /a HTTP/1.1", "")),
    ("a line end in the method", &[(":method", "GET / HTTP/1.1\r\nHost: a\r\n\r\nGET")], None, &[], NO),
    ("a blank in the method", &[(":method", "GET /admin")], None, &[], NO),
    ("no method", &[(":method", "")], None, &[], NO),
    ("CONNECT", &[(":method", "CONNECT")], None, &[], NO),
    ("TRACE", &[(":method", "TRACE")], None, &[], NO),
    ("a line end in the authority", &[(":authority", "www.shop.localhost\r\nx: y")], None, &[], NO),
    ("a path in the authority", &[(":authority", "www.shop.localhost/evil")], None, &[], NO),
    ("a user in the authority", &[(":authority", "evil@www.shop.localhost")], None, &[], NO),
    ("another host than the handshake's", &[(":authority", "evil.example")], None, &[], NO),
    ("another host beside the authority", &[("host", "evil.example")], None, &[], NO),
    ("two hosts", &[("host", SHOP), ("host", SHOP)], None, &[], NO),
    ("a scheme that is none", &[(":scheme", "https://evil.example/?")], None, &[], NO),
    ("a pseudo field nobody knows", &[(":evil", "x")], None, &[], NO),
    ("a pseudo field of answers", &[(":status", "200")], None, &[], NO),
    ("an expectation nobody knows", &[("expect", "miracles")], None, &[], NO),
];

/// The fields of a request as the case wants them, pseudo fields first.
fn block(fields: &[(&'static str, &'static str)]) -> Vec<u8> {
    let usual = [(":method", "GET"), (":scheme", "https"), (":authority", SHOP), (":path", "/")];
    let of = |name: &str| fields.iter().find(|(other, _)| *other == name).map(|(_, value)| *value);
    let pseudo =
        usual.into_iter().map(|(name, value)| (name, of(name).unwrap_or(value))).filter(|(_, value)| !value.is_empty());
    let rest = fields.iter().copied().filter(|(name, _)| !usual.iter().any(|(usual, _)| usual == name));
    let (unknown, rest): (Vec<_>, Vec<_>) = rest.partition(|(name, _)| name.starts_with(':'));
    let all: Vec<_> = pseudo.chain(unknown).chain(rest).collect();
    literals(all.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())))
}

/// Sends the request and waits until its stream, or the connection, is over.
async fn ask(world: &World, (_, fields, body, trailers, _): &Case) {
    let mut stream = connected(world).await;
    let (mut wire, ends) = (Vec::new(), |last: bool| if last { END_STREAM } else { 0 });
    wire.extend(frame(HEADERS, END_HEADERS | ends(body.is_none()), 1, &block(fields)));
    if let Some(body) = body {
        wire.extend(frame(DATA, ends(trailers.is_empty()), 1, body.as_bytes()));
    }
    if !trailers.is_empty() {
        let block = literals(trailers.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())));
        wire.extend(frame(HEADERS, END_HEADERS | END_STREAM, 1, &block));
    }
    let _ = stream.write_all(&wire).await;
    let over = async {
        loop {
            let mut head = [0; 9];
            if stream.read_exact(&mut head).await.is_err() {
                return;
            }
            let mut payload = vec![0; u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize];
            if stream.read_exact(&mut payload).await.is_err() {
                return;
            }
            match head[3] {
                RST_STREAM | GOAWAY => return,
                SETTINGS => {}
                _ if head[8] == 1 && matches!(head[3], HEADERS | DATA) && head[4] & END_STREAM != 0 => return,
                _ => {}
            }
        }
    };
    timeout(Duration::from_secs(20), over).await.expect("an end of the stream");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_field_of_http_2_becomes_a_second_request_of_http_1() {
    let (world, witness) = stage().await;
    assert!(CASES.len() >= 50, "the table has {} cases", CASES.len());
    let (mut wrong, mut shared, mut forwarded) = (Vec::new(), 0, 0);
    for (number, case) in CASES.iter().enumerate() {
        let (name, fate) = (case.0, &case.4);
        ask(&world, case).await;
        let (seen, after) = innocent(&world, &witness, number).await;
        if !is_as_it_should_be(&seen, fate) {
            wrong.push(format!("{name}: the app saw {seen:?}"));
        }
        forwarded += usize::from(matches!(fate, Forwarded(..)));
        match (after, seen.as_slice()) {
            (Err(why), _) => wrong.push(format!("{name}: {why}")),
            (Ok(connection), [Carried::Request { connection: before, .. }]) => {
                shared += usize::from(connection == *before)
            }
            (Ok(_), _) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert_eq!(shared, forwarded, "requests by the connection that another's came by just before");
}
