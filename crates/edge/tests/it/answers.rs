//! What the edge does with an app's answers on their way: headers that it adds, and bytes that it makes fewer.

use std::collections::BTreeMap;
use std::io::Read;

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG};
use http::{HeaderValue, Response};
use http_body::Frame;
use http_body_util::BodyExt;
use reconcile::ports::Site;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use crate::app::{Answer, App, Frames, full};
use crate::visitor::{Reply, exchange, get, read_until, tcp, tls};
use crate::world::{SHOP, World, shop};

/// Longer than a packet, and of a kind that gets smaller.
fn long() -> String {
    "<li>Bicycle bell, brass, loud enough for town</li>\n".repeat(200)
}

async fn answering(make: impl Fn() -> Answer + Send + Sync + 'static) -> (World, App) {
    let app = App::start(move |_| {
        let answer = make();
        async move { answer }
    })
    .await;
    let world = World::new().await;
    world.publish(vec![shop(app.port)]).await;
    (world, app)
}

fn page() -> Answer {
    let mut answer = full(long());
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    answer.headers_mut().insert(ETAG, HeaderValue::from_static("\"v1\""));
    answer
}

fn unpacked(reply: &Reply) -> String {
    let mut text = String::new();
    match reply.header("content-encoding") {
        Some("gzip") => flate2::read::GzDecoder::new(&reply.body[..]).read_to_string(&mut text).unwrap(),
        Some("zstd") => zstd::Decoder::new(&reply.body[..]).unwrap().read_to_string(&mut text).unwrap(),
        other => panic!("{other:?}"),
    };
    text
}

#[tokio::test]
async fn an_answer_says_what_the_manifest_wants_unless_the_app_says_it_itself() {
    let app = App::start(|request| async move {
        let mut answer = full("shop");
        if request.uri().path() == "/own" {
            answer.headers_mut().insert("x-frame-options", HeaderValue::from_static("DENY"));
        }
        answer
    })
    .await;
    let world = World::new().await;
    let wanted = [("x-frame-options", "SAMEORIGIN"), ("x-content-type-options", "nosniff")];
    let headers: BTreeMap<_, _> = wanted.iter().map(|(name, value)| (name.to_string(), value.to_string())).collect();
    world.publish(vec![Site { headers, ..shop(app.port) }]).await;
    let reply = get(&world, SHOP, "/", "").await;
    assert_eq!(reply.header("x-frame-options"), Some("SAMEORIGIN"));
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    let reply = get(&world, SHOP, "/own", "").await;
    assert_eq!(reply.header("x-frame-options"), Some("DENY"));
    assert_eq!(reply.head.to_ascii_lowercase().matches("x-frame-options").count(), 1, "{}", reply.head);
}

#[tokio::test]
async fn what_is_no_header_is_not_published() {
    let app = App::saying("shop").await;
    let world = World::new().await;
    let headers = BTreeMap::from([("x-frame-options".to_owned(), "SAME\r\nset-cookie: a=b".to_owned())]);
    let refused = world.try_publish(world.table(vec![Site { headers, ..shop(app.port) }])).await.unwrap_err();
    assert!(format!("{refused:?}").contains("x-frame-options"), "{refused:?}");
}

#[tokio::test]
async fn a_page_is_smaller_on_its_way_and_the_same_when_it_arrives() {
    let (world, _app) = answering(page).await;
    for (accepted, encoding) in
        [("gzip, br", "gzip"), ("gzip, deflate, br, zstd", "zstd"), ("zstd;q=0.1, gzip", "gzip")]
    {
        let reply = get(&world, SHOP, "/", &format!("Accept-Encoding: {accepted}\r\n")).await;
        assert_eq!(reply.header("content-encoding"), Some(encoding), "{accepted}");
        assert_eq!(reply.header("content-length"), None);
        assert_eq!(reply.header("vary"), Some("accept-encoding"));
        // The bytes are not those that the app's own tag names.
        assert_eq!(reply.header("etag"), Some("W/\"v1\""));
        assert!(reply.body.len() < long().len() / 10, "{}", reply.body.len());
        assert_eq!(unpacked(&reply), long());
    }
}

#[tokio::test]
async fn who_cannot_read_it_gets_it_as_it_is() {
    let (world, _app) = answering(page).await;
    for accepted in ["", "Accept-Encoding: br\r\n", "Accept-Encoding: gzip;q=0, identity\r\n"] {
        let reply = get(&world, SHOP, "/", accepted).await;
        assert_eq!((reply.header("content-encoding"), reply.text()), (None, long().as_str()), "{accepted}");
        // A cache between us must not give it to who asked otherwise.
        assert_eq!(reply.header("vary"), Some("accept-encoding"));
        assert_eq!(reply.header("etag"), Some("\"v1\""));
    }
}

#[tokio::test]
async fn what_would_not_get_smaller_or_must_not_change_stays_as_it_is() {
    type Change = fn(&mut Response<()>);
    let as_is: [(&str, Change); 5] = [
        ("a picture", |answer| drop(answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("image/png")))),
        ("compressed by the app", |answer| {
            answer.headers_mut().insert(CONTENT_ENCODING, HeaderValue::from_static("br"));
        }),
        ("not to be changed", |answer| {
            answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("public, no-transform"));
        }),
        ("an error", |answer| *answer.status_mut() = http::StatusCode::INTERNAL_SERVER_ERROR),
        ("a part", |answer| {
            *answer.status_mut() = http::StatusCode::PARTIAL_CONTENT;
            answer.headers_mut().insert("content-range", HeaderValue::from_static("bytes 0-9/10"));
        }),
    ];
    for (what, change) in as_is {
        let (world, _app) = answering(move || {
            let (head, body) = page().into_parts();
            let mut answer = Response::from_parts(head, ());
            change(&mut answer);
            answer.map(|()| body)
        })
        .await;
        let reply = get(&world, SHOP, "/", "Accept-Encoding: gzip\r\n").await;
        assert_eq!(reply.body, long().as_bytes(), "{what}");
    }
    let (world, _app) = answering(|| {
        let mut answer = full("short");
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
        answer
    })
    .await;
    let reply = get(&world, SHOP, "/", "Accept-Encoding: gzip\r\n").await;
    assert_eq!((reply.header("content-encoding"), reply.text()), (None, "short"));
}

#[tokio::test]
async fn a_page_that_comes_in_pieces_arrives_in_pieces() {
    let (send, receive) = mpsc::unbounded_channel();
    let frames = std::sync::Mutex::new(Some(Frames(receive)));
    let (world, _app) = answering(move || {
        let mut answer = Response::new(frames.lock().unwrap().take().unwrap().boxed());
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html"));
        answer
    })
    .await;
    let mut stream = tls(&world, SHOP).await;
    let wire = format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\nAccept-Encoding: gzip\r\n\r\n");
    stream.write_all(wire.as_bytes()).await.unwrap();
    let head = read_until(&mut stream, b"\r\n\r\n").await.unwrap();
    assert!(String::from_utf8(head).unwrap().to_ascii_lowercase().contains("content-encoding: gzip"));
    let mut decoder = flate2::write::GzDecoder::new(Vec::new());
    // Each piece is sent only when the one before has been read: nothing waits for the end.
    for piece in ["<header>", "<main>"] {
        send.send(Frame::data(Bytes::from(piece))).unwrap();
        while !String::from_utf8_lossy(decoder.get_ref()).ends_with(piece) {
            let size = String::from_utf8(read_until(&mut stream, b"\r\n").await.unwrap()).unwrap();
            let mut chunk = vec![0; usize::from_str_radix(size.trim(), 16).unwrap() + 2];
            tokio::io::AsyncReadExt::read_exact(&mut stream, &mut chunk).await.unwrap();
            std::io::Write::write_all(&mut decoder, &chunk[..chunk.len() - 2]).unwrap();
            std::io::Write::flush(&mut decoder).unwrap();
        }
    }
}

#[tokio::test]
async fn apps_among_themselves_do_not_compress() {
    let (world, _app) = answering(page).await;
    let wire = b"GET / HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: gzip\r\n\r\n";
    let reply = exchange(&mut tcp(world.internal).await, wire).await.unwrap();
    assert_eq!((reply.header("content-encoding"), reply.body.len()), (None, long().len()));
}
