//! The edge goes, and what was begun is finished.

use std::time::{Duration, Instant};

use bytes::Bytes;
use edge::Limits;
use http::{Request, Response};
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use crate::app::{App, Frames, full};
use crate::visitor::{Protocol, closes_within, exchange, read_reply, request, tcp, tls};
use crate::world::{SHOP, World, eventually, shop};

const SOON: Duration = Duration::from_secs(10);

fn limits() -> Limits {
    Limits { lame_duck: Duration::from_millis(200), drain: Duration::from_secs(8), ..Limits::default() }
}

#[tokio::test]
async fn a_long_answer_over_tls_arrives_whole_though_the_edge_is_going() {
    let app = App::start(|_| async { full(vec![b'x'; 8 * 1024 * 1024]) }).await;
    let mut world = World::with(limits()).await;
    world.publish(vec![shop(app.port)]).await;
    let mut stream = tls(&world, SHOP).await;
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n").as_bytes()).await.unwrap();
    crate::visitor::read_until(&mut stream, b"HTTP/1.1 200").await.unwrap();
    world.begin_stop();
    let rest = async {
        let mut rest = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut rest).await.unwrap();
        rest
    };
    let (rest, ()) = tokio::join!(rest, world.stopped());
    assert_eq!(rest.iter().filter(|&&byte| byte == b'x').count() & !0xff, 8 * 1024 * 1024);
}

#[tokio::test]
async fn a_request_under_way_is_answered_and_told_that_it_was_the_last() {
    let (arrived, mut arrivals) = mpsc::unbounded_channel();
    let (go, went) = tokio::sync::watch::channel(false);
    let app = App::start(move |_| {
        let (arrived, mut went) = (arrived.clone(), went.clone());
        async move {
            arrived.send(()).unwrap();
            went.wait_for(|&went| went).await.unwrap();
            full("done")
        }
    })
    .await;
    let mut world = World::with(limits()).await;
    world.publish(vec![shop(app.port)]).await;
    let h2 = Request::get(format!("https://{SHOP}/")).body(Default::default()).unwrap();
    let mut h1 = tls(&world, SHOP).await;
    h1.write_all(format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n").as_bytes()).await.unwrap();
    let h2 = request(&world, SHOP, Protocol::H2, h2);
    let course = async {
        arrivals.recv().await.unwrap();
        arrivals.recv().await.unwrap();
        world.begin_stop();
        eventually("the edge's own socket is closed", async || world.edge.health().await.is_err()).await;
        go.send(true).unwrap();
        let reply = read_reply(&mut h1).await.unwrap();
        assert_eq!((reply.status, reply.text(), reply.header("connection")), (200, "done", Some("close")));
        assert!(closes_within(&mut h1, SOON).await);
    };
    let (h2, ()) = tokio::join!(
        async {
            let response = h2.await;
            response.into_body().collect().await.unwrap().to_bytes()
        },
        course
    );
    assert_eq!(h2, "done");
    world.stopped().await;
}

#[tokio::test]
async fn an_idle_edge_goes_at_once_and_closes_who_is_idle() {
    let app = App::saying("ok").await;
    let mut world = World::with(limits()).await;
    world.publish(vec![shop(app.port)]).await;
    let mut idle = tls(&world, SHOP).await;
    let wire = format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n");
    exchange(&mut idle, wire.as_bytes()).await.unwrap();
    let began = Instant::now();
    world.stop().await;
    assert!(began.elapsed() < Duration::from_secs(6), "took {:?}", began.elapsed());
    assert!(closes_within(&mut idle, SOON).await);
}

#[tokio::test]
async fn a_request_of_the_lame_ducks_time_is_still_answered() {
    let app = App::saying("ok").await;
    let mut world = World::with(Limits { lame_duck: Duration::from_secs(3), ..limits() }).await;
    world.publish(vec![shop(app.port)]).await;
    let mut kept = tls(&world, SHOP).await;
    let wire = format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n");
    assert_eq!(exchange(&mut kept, wire.as_bytes()).await.unwrap().header("connection"), None);
    world.begin_stop();
    // Answered before and after the lame duck's time has begun, and told to go from then on.
    let told = async {
        loop {
            let reply = exchange(&mut kept, wire.as_bytes()).await.unwrap();
            assert_eq!(reply.status, 200);
            if reply.header("connection") == Some("close") {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(2), told).await.expect("it is told to go in the lame duck's time");
    world.stopped().await;
}

#[tokio::test]
async fn an_endless_answer_is_cut_at_the_deadline() {
    let (send, receive) = mpsc::unbounded_channel();
    let receive = std::sync::Mutex::new(Some(receive));
    let app = App::start(move |_| {
        let frames = receive.lock().unwrap().take().unwrap();
        async move { Response::new(Frames(frames).boxed()) }
    })
    .await;
    let mut world = World::with(Limits { drain: Duration::from_millis(500), ..limits() }).await;
    world.publish(vec![shop(app.port)]).await;
    let mut stream = tls(&world, SHOP).await;
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n").as_bytes()).await.unwrap();
    send.send(Frame::data(Bytes::from("tick"))).unwrap();
    crate::visitor::read_until(&mut stream, b"tick").await.unwrap();
    world.stop().await;
    assert!(closes_within(&mut stream, SOON).await);
}

#[tokio::test]
async fn visitors_queue_in_the_socket_while_there_is_no_edge() {
    let app = App::saying("ok").await;
    let mut world = World::with(limits()).await;
    world.publish(vec![shop(app.port)]).await;
    world.stop().await;
    let mut early = tcp(world.internal).await;
    early.write_all(b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n").await.unwrap();
    world.start().await;
    assert_eq!(read_reply(&mut early).await.unwrap().text(), "ok");
}
