//! Connections that leave HTTP.

use std::time::Duration;

use bytes::Bytes;
use edge::Limits;
use http::{Request, Response, StatusCode};
use http_body_util::Full;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::app::{App, full};
use crate::visitor::{closes_within, exchange, tls, try_tls};
use crate::world::{SHOP, World, shop};

/// Answers 101 and sends everything back.
pub(crate) async fn echo() -> App {
    App::start(|mut request| async move {
        if request.headers().get("upgrade").is_none_or(|protocol| protocol != "websocket") {
            return full("no upgrade");
        }
        assert_eq!(request.headers()["connection"], "upgrade");
        let key = request.headers().get("sec-websocket-key").cloned();
        let upgrade = hyper::upgrade::on(&mut request);
        tokio::spawn(async move {
            let (mut read, mut write) = tokio::io::split(TokioIo::new(upgrade.await.unwrap()));
            let _ = tokio::io::copy(&mut read, &mut write).await;
            let _ = write.shutdown().await;
        });
        let mut response = full("").map(|body| body);
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().insert("upgrade", "websocket".parse().unwrap());
        response.headers_mut().insert("connection", "Upgrade".parse().unwrap());
        response.headers_mut().insert("sec-websocket-accept", key.unwrap());
        response
    })
    .await
}

pub(crate) const UPGRADE: &str = "GET /hmr HTTP/1.1\r\nHost: www.shop.localhost\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\
    Sec-WebSocket-Key: abc\r\n\r\n";

#[tokio::test]
async fn bytes_go_both_ways_and_the_end_is_logged() {
    let app = echo().await;
    let world = World::new().await;
    world.publish(vec![shop(app.port)]).await;
    let mut stream = tls(&world, SHOP).await;
    let reply = exchange(&mut stream, UPGRADE.as_bytes()).await.unwrap();
    assert_eq!((reply.status, reply.header("upgrade")), (101, Some("websocket")));
    assert_eq!(reply.header("sec-websocket-accept"), Some("abc"));
    assert!(reply.header("connection").unwrap().eq_ignore_ascii_case("upgrade"));
    // Bytes that would be a bad request: nobody reads them as one any more.
    for message in ["GET / HTTP/9\n\n", "\u{1}\u{2}binary"] {
        stream.write_all(message.as_bytes()).await.unwrap();
        let mut back = vec![0; message.len()];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(back, message.as_bytes());
    }
    stream.shutdown().await.unwrap();
    assert!(closes_within(&mut stream, Duration::from_secs(10)).await);
    let log = world.log(|lines| !lines.is_empty()).await;
    assert_eq!((log[0]["status"].as_u64(), log[0]["bytes"].as_u64()), (Some(101), Some(22)));
    assert_eq!(log[0]["upstream"], "shop-1");
}

#[tokio::test]
async fn a_quiet_tunnel_is_no_slow_head() {
    let app = echo().await;
    let moment = Duration::from_millis(200);
    let limits =
        Limits { first_byte: moment, head: moment, keep_alive: moment, write_stall: moment, ..Limits::default() };
    let world = World::with(limits).await;
    world.publish(vec![shop(app.port)]).await;
    let mut stream = tls(&world, SHOP).await;
    assert_eq!(exchange(&mut stream, UPGRADE.as_bytes()).await.unwrap().status, 101);
    for _ in 0..2 {
        // The beginning of a request line, to one who does not know better.
        stream.write_all(b"GET").await.unwrap();
        let mut back = [0; 3];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"GET");
        tokio::time::sleep(moment * 3).await;
    }
}

#[tokio::test]
async fn an_upgrade_that_the_app_declines_is_an_answer() {
    let app = App::saying("no thanks").await;
    let world = World::new().await;
    world.publish(vec![shop(app.port)]).await;
    let mut stream = tls(&world, SHOP).await;
    for _ in 0..2 {
        // The connection goes on as HTTP: the second request is judged and answered like the first.
        let reply = exchange(&mut stream, UPGRADE.as_bytes()).await.unwrap();
        assert_eq!((reply.status, reply.text()), (200, "no thanks"));
    }
}

/// One connection of HTTP/2 that knows by now what the edge can do.
pub(crate) async fn over_http_2(world: &World) -> hyper::client::conn::http2::SendRequest<Full<Bytes>> {
    let stream = try_tls(world, SHOP, &[b"h2"]).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let first = Request::get(format!("https://{SHOP}/")).body(Full::default()).unwrap();
    assert_eq!(sender.send_request(first).await.unwrap().status(), 200);
    sender
}

pub(crate) fn connect(protocol: &'static str) -> Request<Full<Bytes>> {
    Request::connect(format!("https://{SHOP}/hmr"))
        .extension(hyper::ext::Protocol::from_static(protocol))
        .header("sec-websocket-version", "13")
        .body(Full::default())
        .unwrap()
}

#[tokio::test]
async fn a_websocket_in_one_stream_of_http_2_lives_beside_requests() {
    let app = echo().await;
    let world = World::new().await;
    world.publish(vec![shop(app.port)]).await;
    let mut sender = over_http_2(&world).await;
    let mut answer = sender.send_request(connect("websocket")).await.unwrap();
    assert_eq!(answer.status(), 200);
    for name in ["upgrade", "connection", "sec-websocket-accept"] {
        assert!(!answer.headers().contains_key(name), "{name} is of HTTP/1");
    }
    let mut tunnel = TokioIo::new(hyper::upgrade::on(&mut answer).await.unwrap());
    for message in ["hello", "GET / HTTP/9"] {
        tunnel.write_all(message.as_bytes()).await.unwrap();
        let mut back = vec![0; message.len()];
        tunnel.read_exact(&mut back).await.unwrap();
        assert_eq!(back, message.as_bytes());
        let beside = Request::get(format!("https://{SHOP}/")).body(Full::default()).unwrap();
        assert_eq!(sender.send_request(beside).await.unwrap().status(), 200);
    }
    drop(tunnel);
    let log = world.log(|lines| lines.iter().any(|line| line["method"] == "CONNECT")).await;
    let line = log.iter().find(|line| line["method"] == "CONNECT").unwrap();
    assert_eq!((line["status"].as_u64(), line["upstream"].as_str()), (Some(200), Some("shop-1")));
}

#[tokio::test]
async fn no_other_tunnel_is_made_in_a_stream() {
    let app = echo().await;
    let world = World::new().await;
    world.publish(vec![shop(app.port)]).await;
    let mut sender = over_http_2(&world).await;
    assert_eq!(sender.send_request(connect("connect-udp")).await.unwrap().status(), 405);
}

#[tokio::test]
async fn an_app_without_a_websocket_has_not_said_yes() {
    let app = App::saying("no thanks").await;
    let world = World::new().await;
    world.publish(vec![shop(app.port)]).await;
    let mut sender = over_http_2(&world).await;
    assert_eq!(sender.send_request(connect("websocket")).await.unwrap().status(), 502);
}

#[tokio::test]
async fn an_app_that_switches_unasked_is_broken() {
    let app = App::start(|_| async {
        let mut response = Response::new(Default::default());
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().insert("upgrade", "websocket".parse().unwrap());
        response
    })
    .await;
    let world = World::new().await;
    world.publish(vec![shop(app.port)]).await;
    assert_eq!(crate::visitor::get(&world, SHOP, "/", "").await.status, 502);
}

#[tokio::test]
async fn an_open_tunnel_uses_the_drain_and_not_more() {
    let app = echo().await;
    let mut world = World::with(Limits {
        lame_duck: Duration::from_millis(50),
        drain: Duration::from_millis(600),
        ..Limits::default()
    })
    .await;
    world.publish(vec![shop(app.port)]).await;
    let mut stream = tls(&world, SHOP).await;
    assert_eq!(exchange(&mut stream, UPGRADE.as_bytes()).await.unwrap().status, 101);
    world.begin_stop();
    let mut back = [0; 5];
    stream.write_all(b"still").await.unwrap();
    stream.read_exact(&mut back).await.unwrap();
    world.stopped().await;
    assert!(closes_within(&mut stream, Duration::from_secs(10)).await);
    let log = world.log(|lines| !lines.is_empty()).await;
    assert_eq!(log[0]["error"], "drained");
}
