//! Visitors that say nothing, drip, stall, or will not listen. All times are made short; what is asserted is who is let go.

use std::time::Duration;

use edge::Limits;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::AsyncWriteExt;
use tokio::time::sleep;

use crate::app::{App, full};
use crate::recorder::Recorder;
use crate::visitor::{closes_within, exchange, read_reply, tcp, tls, try_tls};
use crate::world::{SHOP, World, shop};

const SOON: Duration = Duration::from_secs(10);

fn short() -> Limits {
    let moment = Duration::from_millis(300);
    Limits {
        tls_handshake: moment,
        first_byte: moment,
        head: moment,
        keep_alive: Duration::from_millis(900),
        upload_stall: moment,
        write_stall: moment,
        ..Limits::default()
    }
}

async fn stage() -> (World, Recorder) {
    let recorder = Recorder::start().await;
    let world = World::with(short()).await;
    world.publish(vec![shop(recorder.address.port())]).await;
    (world, recorder)
}

#[tokio::test]
async fn who_says_nothing_is_let_go_at_every_door() {
    let (world, _recorder) = stage().await;
    let mut before_tls = tcp(world.https).await;
    let mut after_tls = tls(&world, SHOP).await;
    let mut in_h2 = try_tls(&world, SHOP, &[b"h2"]).await.unwrap();
    let mut plain = tcp(world.http).await;
    let mut internal = tcp(world.internal).await;
    assert!(closes_within(&mut before_tls, SOON).await, "before TLS");
    assert!(closes_within(&mut after_tls, SOON).await, "after TLS");
    assert!(closes_within(&mut in_h2, SOON).await, "in HTTP/2");
    assert!(closes_within(&mut plain, SOON).await, "plain");
    assert!(closes_within(&mut internal, SOON).await, "internal");
}

#[tokio::test]
async fn a_dripping_head_ends_in_total_not_per_line() {
    let recorder = Recorder::start().await;
    let world = World::with(Limits { keep_alive: Duration::from_secs(60), ..short() }).await;
    world.publish(vec![shop(recorder.address.port())]).await;
    let mut stream = tls(&world, SHOP).await;
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n").as_bytes()).await.unwrap();
    let mut lines = 0;
    // Each line comes well within the limit; without a total, this would go on to the hundredth.
    while lines < 90 && stream.write_all(b"X: y\r\n").await.is_ok() && stream.flush().await.is_ok() {
        lines += 1;
        sleep(Duration::from_millis(50)).await;
    }
    assert!(lines < 60, "{lines} lines were taken");
    assert!(recorder.take().is_empty());
}

#[tokio::test]
async fn a_kept_connection_may_rest_longer_than_a_head_and_not_for_ever() {
    let (world, _recorder) = stage().await;
    let mut stream = tls(&world, SHOP).await;
    let wire = format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n");
    assert_eq!(exchange(&mut stream, wire.as_bytes()).await.unwrap().status, 200);
    sleep(Duration::from_millis(500)).await;
    assert_eq!(exchange(&mut stream, wire.as_bytes()).await.unwrap().status, 200);
    assert!(closes_within(&mut stream, SOON).await);
}

#[tokio::test]
async fn a_stalled_body_is_answered_408() {
    let (world, recorder) = stage().await;
    let mut stream = tls(&world, SHOP).await;
    let wire = format!("POST / HTTP/1.1\r\nHost: {SHOP}\r\nContent-Length: 10\r\n\r\nhello");
    let reply = exchange(&mut stream, wire.as_bytes()).await.unwrap();
    assert_eq!((reply.status, reply.header("connection")), (408, Some("close")));
    assert!(recorder.take().is_empty());
}

#[tokio::test]
async fn a_slow_body_that_moves_is_taken_whole() {
    let (world, recorder) = stage().await;
    let mut stream = tls(&world, SHOP).await;
    let head = format!("POST / HTTP/1.1\r\nHost: {SHOP}\r\nContent-Length: 12\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..12 {
        sleep(Duration::from_millis(60)).await;
        stream.write_all(b"x").await.unwrap();
        stream.flush().await.unwrap();
    }
    assert_eq!(read_reply(&mut stream).await.unwrap().status, 200);
    assert_eq!(recorder.take()[0].body, b"xxxxxxxxxxxx");
}

#[tokio::test]
async fn who_will_not_read_is_let_go() {
    let app = App::start(|_| async { full(vec![b'x'; 64 * 1024 * 1024]) }).await;
    let world = World::with(short()).await;
    world.publish(vec![shop(app.port)]).await;
    let mut stream = tcp(world.internal).await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await.unwrap();
    let log = world.log(|lines| !lines.is_empty()).await;
    assert_eq!(log[0]["error"], "client-gone");
    assert!(log[0]["bytes"].as_u64().unwrap() < 64 * 1024 * 1024);
    drop(stream);
}

#[tokio::test]
async fn further_visitors_wait_for_a_slot() {
    let recorder = Recorder::start().await;
    let world = World::with(Limits { connections: 1, first_byte: SOON, ..short() }).await;
    world.publish(vec![shop(recorder.address.port())]).await;
    let first = tcp(world.internal).await;
    let mut second = tcp(world.internal).await;
    second.write_all(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await.unwrap();
    assert!(!closes_within(&mut second, Duration::from_millis(200)).await);
    assert!(recorder.take().is_empty());
    drop(first);
    assert_eq!(read_reply(&mut second).await.unwrap().status, 200);
}

#[tokio::test]
async fn an_http_2_connection_without_requests_is_closed_though_it_answers_pings() {
    let (world, _recorder) = stage().await;
    let stream = try_tls(&world, SHOP, &[b"h2"]).await.unwrap();
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    let connection = tokio::spawn(connection);
    let ask =
        || http::Request::get(format!("https://{SHOP}/")).body(http_body_util::Empty::<bytes::Bytes>::new()).unwrap();
    assert_eq!(sender.send_request(ask()).await.unwrap().status(), 200);
    tokio::time::timeout(SOON, connection).await.expect("closed in time").unwrap().unwrap();
}
