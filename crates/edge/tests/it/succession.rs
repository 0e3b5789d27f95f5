//! Another edge serves: the one before lets nobody in, cuts nobody off, and goes when the last has gone.

use std::time::{Duration, Instant};

use bytes::Bytes;
use edge::Limits;
use http::Response;
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use crate::app::{App, Frames};
use crate::visitor::{closes_within, exchange, read_until, tls};
use crate::world::{SHOP, World, eventually, shop};

const SOON: Duration = Duration::from_secs(10);

/// Long, so that nothing here ends by a deadline.
fn patient() -> Limits {
    let long = Duration::from_secs(60);
    Limits { succeeded_lame_duck: long, succeeded_drain: long * 2, ..Limits::default() }
}

fn wire() -> String {
    format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n")
}

#[tokio::test]
async fn a_kept_connection_gets_one_more_answer_whenever_it_asks() {
    let app = App::saying("ok").await;
    let mut world = World::with(patient()).await;
    world.publish(vec![shop(app.port)]).await;
    let mut kept = tls(&world, SHOP).await;
    assert_eq!(exchange(&mut kept, wire().as_bytes()).await.unwrap().header("connection"), None);
    let before = world.succeed().await;
    // Longer than the lame duck's time of an edge that nobody follows.
    assert!(!closes_within(&mut kept, Limits::default().lame_duck * 3).await);
    // Who comes anew comes to the next one, and the one before still waits for its visitor.
    for _ in 0..20 {
        let mut new = tls(&world, SHOP).await;
        assert_eq!(exchange(&mut new, wire().as_bytes()).await.unwrap().header("connection"), None);
    }
    assert!(!before.is_gone());
    let reply = exchange(&mut kept, wire().as_bytes()).await.unwrap();
    assert_eq!((reply.status, reply.text(), reply.header("connection")), (200, "ok", Some("close")));
    assert!(closes_within(&mut kept, SOON).await);
    tokio::time::timeout(SOON, before.gone()).await.expect("nobody is left, so it goes");
    world.stop().await;
}

#[tokio::test]
async fn a_stream_goes_on_until_the_environment_is_stopped() {
    let (send, receive) = mpsc::unbounded_channel();
    let receive = std::sync::Mutex::new(Some(receive));
    let app = App::start(move |_| {
        let frames = receive.lock().unwrap().take().unwrap();
        async move { Response::new(Frames(frames).boxed()) }
    })
    .await;
    let short = Limits { lame_duck: Duration::from_millis(100), drain: Duration::from_millis(500), ..patient() };
    let mut world = World::with(short).await;
    world.publish(vec![shop(app.port)]).await;
    let mut stream = tls(&world, SHOP).await;
    stream.write_all(wire().as_bytes()).await.unwrap();
    let mut before = world.succeed().await;
    for tick in ["one;", "two;", "three;"] {
        send.send(Frame::data(Bytes::from(tick))).unwrap();
        read_until(&mut stream, tick.as_bytes()).await.unwrap();
    }
    let began = Instant::now();
    before.begin_stop();
    assert!(closes_within(&mut stream, SOON).await);
    before.gone().await;
    assert!(began.elapsed() < Duration::from_secs(5), "took {:?}", began.elapsed());
    world.stop().await;
}

#[tokio::test]
async fn a_stream_that_never_ends_is_cut_at_last() {
    let (send, receive) = mpsc::unbounded_channel();
    let receive = std::sync::Mutex::new(Some(receive));
    let app = App::start(move |_| {
        let frames = receive.lock().unwrap().take().unwrap();
        async move { Response::new(Frames(frames).boxed()) }
    })
    .await;
    let limits = Limits {
        succeeded_lame_duck: Duration::from_millis(100),
        succeeded_drain: Duration::from_millis(600),
        ..Limits::default()
    };
    let mut world = World::with(limits).await;
    world.publish(vec![shop(app.port)]).await;
    let mut stream = tls(&world, SHOP).await;
    stream.write_all(wire().as_bytes()).await.unwrap();
    send.send(Frame::data(Bytes::from("tick"))).unwrap();
    read_until(&mut stream, b"tick").await.unwrap();
    let before = world.succeed().await;
    assert!(closes_within(&mut stream, SOON).await);
    before.gone().await;
    world.stop().await;
}

#[tokio::test]
async fn an_edge_takes_its_own_socket_back_from_one_that_did_not_come_to_serve() {
    let app = App::saying("ok").await;
    let mut world = World::with(patient()).await;
    world.publish(vec![shop(app.port)]).await;
    // One that took the place and died.
    drop(host::socket::listen_unix(&world.root.edge_socket()).unwrap());
    assert!(world.edge.health().await.is_err());
    eventually("the edge answers again", async || world.edge.health().await.is_ok()).await;
    world.stop().await;
}
