//! Requests with two meanings, and their relatives: what the edge makes of each, and what the app behind it gets to see.
//!
//! Every case is sent as raw bytes through the public door (inside TLS) and through the one between apps, over a new connection
//! to a running edge with a recording app behind it. `{H}` stands for the host name of the door.

use crate::recorder::{Recorder, Seen};
use crate::visitor::{Stream, exchange, read_reply, tcp, tls};
use crate::world::{SHOP, World, eventually, shop};

/// What becomes of a request.
pub(crate) enum Fate {
    /// Answered by the edge with this status; the app sees nothing whole.
    Refused(u16),
    /// The app sees exactly this: request line, body.
    Forwarded(&'static str, &'static str),
}
use Fate::{Forwarded, Refused};

pub(crate) const CASES: &[(&str, &str, Fate)] = &[
    // The plain ones, so that the rest proves something.
    ("GET", "GET /a?b=c HTTP/1.1\r\nHost: {H}\r\n\r\n", Forwarded("GET /a?b=c HTTP/1.1", "")),
    ("GET in HTTP/1.0", "GET / HTTP/1.0\r\nHost: {H}\r\n\r\n", Forwarded("GET / HTTP/1.1", "")),
    (
        "POST with a length",
        "POST / HTTP/1.1\r\nHost: {H}\r\nContent-Length: 5\r\n\r\nhello",
        Forwarded("POST / HTTP/1.1", "hello"),
    ),
    (
        "POST in chunks",
        "POST / HTTP/1.1\r\nHost: {H}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        Forwarded("POST / HTTP/1.1", "hello"),
    ),
    (
        "GET with a body in chunks",
        "GET / HTTP/1.1\r\nHost: {H}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        Forwarded("GET / HTTP/1.1", "hello"),
    ),
    (
        "chunked in capitals",
        "POST / HTTP/1.1\r\nHost: {H}\r\nTransfer-Encoding: Chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n",
        Forwarded("POST / HTTP/1.1", "hi"),
    ),
    (
        "a chunk extension",
        "POST / HTTP/1.1\r\nHost: {H}\r\nTransfer-Encoding: chunked\r\n\r\n2;a=b\r\nhi\r\n0\r\n\r\n",
        Forwarded("POST / HTTP/1.1", "hi"),
    ),
    ("a method of its own", "PURGE / HTTP/1.1\r\nHost: {H}\r\n\r\n", Forwarded("PURGE / HTTP/1.1", "")),
    ("an empty line before the request", "\r\nGET / HTTP/1.1\r\nHost: {H}\r\n\r\n", Forwarded("GET / HTTP/1.1", "")),
    (
        "a request inside a body is a body",
        "POST / HTTP/1.1\r\nHost: {H}\r\nContent-Length: 33\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n",
        Forwarded("POST / HTTP/1.1", "GET /smuggled HTTP/1.1\r\nHost: a\r\n"),
    ),
    // Two lengths.
    (
        "CL beside TE",
        "POST / HTTP/1.1\r\nHost: {H}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: {H}\r\n\r\n",
        Refused(400),
    ),
    (
        "TE beside CL",
        "POST / HTTP/1.1\r\nHost: {H}\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: {H}\r\n\r\n",
        Refused(400),
    ),
    (
        "CL twice, equal",
        "POST / HTTP/1.1\r\nHost: {H}\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
        Refused(400),
    ),
    (
        "CL twice, different",
        "POST / HTTP/1.1\r\nHost: {H}\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        Refused(400),
    ),
    ("CL as a list", "POST / HTTP/1.1\r\nHost: {H}\r\nContent-Length: 5, 5\r\n\r\nhello", Refused(400)),
    ("CL with a sign", "POST / HTTP/1.1\r\nHost: {H}\r\nContent-Length: +5\r\n\r\nhello", Refused(400)),
    ("CL below zero", "POST / HTTP/1.1\r\nHost: {H}\r\nContent-Length: -1\r\n\r\n", Refused(400)),
    ("CL in hexadecimal", "POST / HTTP/1.1\r\nHost: {H}\r\nContent-Length: 0x5\r\n\r\nhello", Refused(400)),
    ("CL of nothing", "POST / HTTP/1.1\r\nHost: {H}\r\nContent-Length: \r\n\r\n", Refused(400)),
    ("CL beyond 64 bits", "POST / HTTP/1.1\r\nHost: {H}\r\nContent-Length: 99999999999999999999\r\n\r\n", Refused(400)),
    // Encodings that some know and some do not.
    (
        "TE identity, chunked",
        "POST / HTTP/1.1\r\nHost: {H}\r\nTransfer-Encoding: identity, chunked\r\n\r\n0\r\n\r\n",
        Refused(501),
    ),
    (
        "TE gzip, chunked",
        "POST / HTTP/1.1\r\nHost: {H}\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        Refused(501),
    ),
    (
        "TE identity and chunked in two lines",
        "POST / HTTP/1.1\r\nHost: {H}\r\nTransfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Refused(501),
    ),
    (
        "TE chunked twice",
        "POST / HTTP/1.1\r\nHost: {H}\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "TE chunked, identity",
        "POST / HTTP/1.1\r\nHost: {H}\r\nTransfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    ("TE xchunked", "POST / HTTP/1.1\r\nHost: {H}\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", Refused(400)),
    ("TE in HTTP/1.0", "POST / HTTP/1.0\r\nHost: {H}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", Refused(400)),
    (
        "TE folded over two lines",
        "POST / HTTP/1.1\r\nHost: {H}\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "TE with a space before the colon",
        "POST / HTTP/1.1\r\nHost: {H}\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        Refused(400),
    ),
    // Hosts.
    ("two hosts, equal", "GET / HTTP/1.1\r\nHost: {H}\r\nHost: {H}\r\n\r\n", Refused(400)),
    ("two hosts, different", "GET / HTTP/1.1\r\nHost: {H}\r\nHost: evil.example\r\n\r\n", Refused(400)),
    ("no host", "GET / HTTP/1.1\r\n\r\n", Refused(400)),
    ("no host in HTTP/1.0", "GET / HTTP/1.0\r\n\r\n", Refused(400)),
    ("an empty host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", Refused(400)),
    ("a host with a path", "GET / HTTP/1.1\r\nHost: {H}/evil\r\n\r\n", Refused(400)),
    ("a host with a user", "GET / HTTP/1.1\r\nHost: user@{H}\r\n\r\n", Refused(400)),
    ("a list of hosts", "GET / HTTP/1.1\r\nHost: {H},evil.example\r\n\r\n", Refused(400)),
    ("a host that is not ours", "GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", Refused(421)),
    ("absolute form, another host", "GET http://evil.example/ HTTP/1.1\r\nHost: {H}\r\n\r\n", Refused(421)),
    (
        "absolute form, the same host",
        "GET http://{H}/a HTTP/1.1\r\nHost: {H}\r\n\r\n",
        Forwarded("GET /a HTTP/1.1", ""),
    ),
    ("absolute form, no host", "GET http://{H}/a HTTP/1.1\r\n\r\n", Refused(400)),
    ("absolute form, another scheme", "GET ftp://{H}/a HTTP/1.1\r\nHost: {H}\r\n\r\n", Refused(400)),
    ("a host with a final dot", "GET / HTTP/1.1\r\nHost: {H}.\r\n\r\n", Forwarded("GET / HTTP/1.1", "")),
    // Lines.
    ("bare line feeds", "GET / HTTP/1.1\nHost: {H}\n\n", Refused(400)),
    ("one bare line feed", "GET / HTTP/1.1\r\nX: y\nHost: {H}\r\n\r\n", Refused(400)),
    ("a bare carriage return", "GET / HTTP/1.1\r\nHost: {H}\r\nX: a\rb\r\n\r\n", Refused(400)),
    ("a folded header", "GET / HTTP/1.1\r\nHost: {H}\r\nX: a\r\n b\r\n\r\n", Refused(400)),
    ("a header without a colon", "GET / HTTP/1.1\r\nHost: {H}\r\nnonsense\r\n\r\n", Refused(400)),
    ("a header without a name", "GET / HTTP/1.1\r\nHost: {H}\r\n: x\r\n\r\n", Refused(400)),
    ("a zero byte in a header", "GET / HTTP/1.1\r\nHost: {H}\r\nX: a\0b\r\n\r\n", Refused(400)),
    ("a control byte in a header", "GET / HTTP/1.1\r\nHost: {H}\r\nX: a\x01b\r\n\r\n", Refused(400)),
    ("an underscore in a name", "GET / HTTP/1.1\r\nHost: {H}\r\nX_Forwarded_For: 1.2.3.4\r\n\r\n", Refused(400)),
    ("two spaces in the request line", "GET  / HTTP/1.1\r\nHost: {H}\r\n\r\n", Refused(400)),
    ("a tab in the request line", "GET\t/ HTTP/1.1\r\nHost: {H}\r\n\r\n", Refused(400)),
    ("HTTP/0.9", "GET /\r\n\r\n", Refused(400)),
    ("HTTP/1.2", "GET / HTTP/1.2\r\nHost: {H}\r\n\r\n", Refused(400)),
    ("HTTP/2 without a connection of its own", "GET / HTTP/2.0\r\nHost: {H}\r\n\r\n", Refused(400)),
    ("a method that is no token", "G@T / HTTP/1.1\r\nHost: {H}\r\n\r\n", Refused(400)),
    ("a control byte in the path", "GET /a\x01b HTTP/1.1\r\nHost: {H}\r\n\r\n", Refused(400)),
    ("a fragment", "GET /a#b HTTP/1.1\r\nHost: {H}\r\n\r\n", Refused(400)),
    // Chunks.
    (
        "a chunk size that is none",
        "POST / HTTP/1.1\r\nHost: {H}\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "a chunk longer than it says",
        "POST / HTTP/1.1\r\nHost: {H}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "a chunk size ended by a line feed",
        "POST / HTTP/1.1\r\nHost: {H}\r\nTransfer-Encoding: chunked\r\n\r\n5\nhello\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "a chunk extension ended by a line feed",
        "POST / HTTP/1.1\r\nHost: {H}\r\nTransfer-Encoding: chunked\r\n\r\n5;a\nhello\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "a chunk size beyond 64 bits",
        "POST / HTTP/1.1\r\nHost: {H}\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        Refused(400),
    ),
    (
        "a chunk size with a sign",
        "POST / HTTP/1.1\r\nHost: {H}\r\nTransfer-Encoding: chunked\r\n\r\n+5\r\nhello\r\n0\r\n\r\n",
        Refused(400),
    ),
    // Methods and forms that are not for us.
    ("CONNECT", "CONNECT {H}:443 HTTP/1.1\r\nHost: {H}:443\r\n\r\n", Refused(405)),
    ("TRACE", "TRACE / HTTP/1.1\r\nHost: {H}\r\n\r\n", Refused(405)),
    ("asterisk form", "OPTIONS * HTTP/1.1\r\nHost: {H}\r\n\r\n", Refused(400)),
    (
        "an expectation nobody knows",
        "POST / HTTP/1.1\r\nHost: {H}\r\nExpect: miracles\r\nContent-Length: 0\r\n\r\n",
        Refused(417),
    ),
    // Paths.
    (
        "dot segments",
        "GET /static/../admin?x=/../y HTTP/1.1\r\nHost: {H}\r\n\r\n",
        Forwarded("GET /admin?x=/../y HTTP/1.1", ""),
    ),
    (
        "dot segments, encoded",
        "GET /static/%2e%2E/admin HTTP/1.1\r\nHost: {H}\r\n\r\n",
        Forwarded("GET /admin HTTP/1.1", ""),
    ),
    (
        "an encoded slash stays",
        "GET /a%2f..%2fb HTTP/1.1\r\nHost: {H}\r\n\r\n",
        Forwarded("GET /a%2f..%2fb HTTP/1.1", ""),
    ),
];

#[derive(Clone, Copy, Debug)]
enum Way {
    Public,
    BetweenApps,
}

impl Way {
    fn host(self) -> &'static str {
        match self {
            Self::Public => SHOP,
            Self::BetweenApps => "127.0.0.1",
        }
    }

    async fn connect(self, world: &World) -> Box<dyn Stream> {
        match self {
            Self::Public => Box::new(tls(world, SHOP).await),
            Self::BetweenApps => Box::new(tcp(world.internal).await),
        }
    }
}

async fn stage() -> (World, Recorder) {
    let recorder = Recorder::start().await;
    let world = World::new().await;
    world.publish(vec![shop(recorder.address.port())]).await;
    (world, recorder)
}

async fn one(world: &World, recorder: &Recorder, wire: &str) -> (u16, Seen) {
    let mut stream = Way::Public.connect(world).await;
    let wire = wire.replace("{H}", SHOP);
    let reply = exchange(stream.as_mut(), wire.as_bytes()).await.expect("an answer");
    let mut seen = recorder.take();
    assert_eq!(seen.len(), 1, "the app saw {seen:?}");
    (reply.status, seen.remove(0))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_request_has_one_meaning_or_is_refused() {
    let (world, recorder) = stage().await;
    assert!(CASES.len() >= 50, "the table has {} cases", CASES.len());
    let mut wrong = Vec::new();
    for way in [Way::Public, Way::BetweenApps] {
        for (name, wire, fate) in CASES {
            let mut stream = way.connect(&world).await;
            let reply = exchange(stream.as_mut(), wire.replace("{H}", way.host()).as_bytes()).await;
            let status = reply.as_ref().map(|reply| reply.status);
            // What might follow on the same connection must not get through either.
            if let Refused(_) = fate {
                let _ = exchange(stream.as_mut(), b"").await;
            }
            let seen = recorder.take();
            let as_expected = match fate {
                Refused(expected) => status == Some(*expected) && seen.is_empty(),
                Forwarded(line, body) => {
                    status == Some(200) && seen.len() == 1 && seen[0].line() == *line && seen[0].body == body.as_bytes()
                }
            };
            if !as_expected {
                wrong.push(format!("{way:?}: {name}: answered {status:?}, the app saw {seen:#?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn too_large_is_said_so() {
    let (world, recorder) = stage().await;
    let long = "x".repeat(100 * 1024);
    let many: String = (0..101).map(|at| format!("X-{at}: y\r\n")).collect();
    let target = "a".repeat(9000);
    for (wire, status) in [
        (format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\nX: {long}\r\n\r\n"), 431),
        (format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n{many}\r\n"), 431),
        (format!("GET /{target} HTTP/1.1\r\nHost: {SHOP}\r\n\r\n"), 414),
    ] {
        let mut stream = tls(&world, SHOP).await;
        let reply = exchange(&mut stream, wire.as_bytes()).await.map(|reply| reply.status);
        assert_eq!(reply, Some(status), "{}", &wire[..60]);
        assert!(recorder.take().is_empty());
    }
}

#[tokio::test]
async fn what_a_visitor_says_about_himself_is_replaced_by_what_we_know() {
    let (world, recorder) = stage().await;
    let wire = "GET / HTTP/1.1\r\nHost: {H}\r\nX-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Forwarded-For: 6.6.6.6\r\n\
        X-Forwarded-Proto: gopher\r\nX-Forwarded-Host: evil.example\r\nX-Forwarded-Port: 1\r\nX-Request-Id: \"forged\" line\r\n\r\n";
    let (status, seen) = one(&world, &recorder, wire).await;
    assert_eq!(status, 200);
    assert!(
        !seen.head.contains("6.6.6.6") && !seen.head.contains("evil") && !seen.head.contains("gopher"),
        "{}",
        seen.head
    );
    assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.all("x-real-ip"), ["127.0.0.1"]);
    assert_eq!(seen.all("x-forwarded-proto"), ["https"]);
    assert_eq!(seen.all("x-forwarded-host"), [SHOP]);
    assert_eq!(seen.all("forwarded"), [format!("for=127.0.0.1;host=\"{SHOP}\";proto=https")]);
    assert!(seen.all("x-forwarded-port").is_empty());
    assert_eq!(seen.header("x-request-id").unwrap().len(), 36);
}

#[tokio::test]
async fn what_is_meant_for_one_hop_stays_there() {
    let (world, recorder) = stage().await;
    let wire = "GET / HTTP/1.1\r\nHost: {H}\r\nConnection: keep-alive, X-Internal, Host, Upgrade\r\nX-Internal: 1\r\nKeep-Alive: 5\r\n\
        Proxy-Authorization: Basic eA==\r\nProxy-Connection: close\r\nTE: gzip\r\nUpgrade: h2c\r\nHTTP2-Settings: AAAA\r\nX-Kept: 1\r\n\r\n";
    let (status, seen) = one(&world, &recorder, wire).await;
    assert_eq!(status, 200);
    for gone in [
        "connection",
        "x-internal",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "upgrade",
        "http2-settings",
    ] {
        assert_eq!(seen.header(gone), None, "{}", seen.head);
    }
    assert_eq!(seen.header("x-kept"), Some("1"));
    assert_eq!(seen.all("host"), [SHOP]);
}

#[tokio::test]
async fn an_upgrade_with_a_body_is_none() {
    let (world, recorder) = stage().await;
    let wire =
        "GET / HTTP/1.1\r\nHost: {H}\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 5\r\n\r\nhello";
    let (status, seen) = one(&world, &recorder, wire).await;
    assert_eq!((status, seen.header("upgrade"), seen.body.as_slice()), (200, None, &b"hello"[..]));
}

#[tokio::test]
async fn pipelined_requests_are_answered_one_by_one() {
    let (world, recorder) = stage().await;
    let mut stream = tls(&world, SHOP).await;
    let two = format!(
        "GET /1 HTTP/1.1\r\nHost: {SHOP}\r\n\r\nPOST /2 HTTP/1.1\r\nHost: {SHOP}\r\nContent-Length: 2\r\n\r\nhi"
    );
    assert_eq!(exchange(&mut stream, two.as_bytes()).await.unwrap().status, 200);
    assert_eq!(read_reply(&mut stream).await.unwrap().status, 200);
    let lines: Vec<_> = recorder.take().iter().map(|seen| seen.line().to_owned()).collect();
    assert_eq!(lines, ["GET /1 HTTP/1.1", "POST /2 HTTP/1.1"]);
}

#[tokio::test]
async fn a_good_request_after_a_bad_one_is_not_heard() {
    let (world, recorder) = stage().await;
    let mut stream = tls(&world, SHOP).await;
    let wire = format!("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\nGET /after HTTP/1.1\r\nHost: {SHOP}\r\n\r\n");
    let reply = exchange(&mut stream, wire.as_bytes()).await.unwrap();
    assert_eq!((reply.status, reply.header("connection")), (421, Some("close")));
    assert!(read_reply(&mut stream).await.is_none());
    assert!(recorder.take().is_empty());
}

#[tokio::test]
async fn a_body_that_breaks_off_never_looks_whole() {
    let (world, recorder) = stage().await;
    for start in ["Content-Length: 10\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"] {
        let mut stream = tcp(world.internal).await;
        let wire = format!("POST / HTTP/1.1\r\nHost: 127.0.0.1\r\n{start}");
        tokio::io::AsyncWriteExt::write_all(&mut stream, wire.as_bytes()).await.unwrap();
        drop(stream);
        eventually("the log has it", async || {
            let log = std::fs::read_to_string(world.root.access_log()).unwrap_or_default();
            log.contains("upload-broken") || log.contains("client-gone")
        })
        .await;
        assert!(recorder.take().is_empty(), "{start:?} looked whole");
        std::fs::write(world.root.access_log(), "").unwrap();
    }
}
