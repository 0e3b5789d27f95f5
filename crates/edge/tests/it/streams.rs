//! Streams are counted apart from requests, and ended in order before their instance goes.

use std::time::{Duration, Instant};

use bytes::Bytes;
use http::Response;
use http_body::Frame;
use http_body_util::BodyExt;
use reconcile::ports::{Routes, Traffic};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use crate::app::{App, Frames, full};
use crate::tunnel::{UPGRADE, echo};
use crate::visitor::{Protocol, closes_within, exchange, get, read_until, request, tls};
use crate::world::{SHOP, World, eventually, shop};

const SOON: Duration = Duration::from_secs(10);

/// Streams of events that never end, and answers at every other path.
async fn events() -> App {
    App::start(|request| async move {
        if request.uri().path() != "/events" {
            return full("fine");
        }
        let (send, receive) = mpsc::unbounded_channel();
        send.send(Frame::data(Bytes::from("data: one\n\n"))).unwrap();
        tokio::spawn(async move {
            // Until the edge hangs up.
            send.closed().await;
        });
        Response::builder().header("content-type", "text/event-stream").body(Frames(receive).boxed()).unwrap()
    })
    .await
}

async fn traffic(world: &World) -> Traffic {
    world.edge.traffic().await.unwrap().into_iter().find(|traffic| traffic.instance == "shop-1").unwrap()
}

async fn has_streams(world: &World, n: usize) {
    eventually("so many streams are open", async || traffic(world).await.streams == n).await;
}

#[tokio::test]
async fn a_stream_of_events_is_no_request_under_way_and_ends_properly_when_its_turn_comes() {
    let app = events().await;
    let world = World::new().await;
    world.publish(vec![shop(app.port)]).await;
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = tls(&world, SHOP).await;
        stream.write_all(format!("GET /events HTTP/1.1\r\nHost: {SHOP}\r\n\r\n").as_bytes()).await.unwrap();
        read_until(&mut stream, b"one\n\n\r\n").await.unwrap();
        streams.push(stream);
    }
    has_streams(&world, 3).await;
    assert_eq!(traffic(&world).await.in_flight, 0);
    // Nobody waits for them who waits for what is under way.
    let began = Instant::now();
    world.edge.rest("shop-1", Duration::from_millis(1)).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(1));

    world.edge.end_streams("shop-1", Duration::from_millis(900)).await.unwrap();
    let began = Instant::now();
    let ended = streams.into_iter().map(|mut stream| {
        tokio::spawn(async move {
            // The last chunk: the answer is whole, and the connection goes on.
            read_until(&mut stream, b"0\r\n\r\n").await.unwrap();
            let end = began.elapsed();
            let again = format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n");
            assert_eq!(exchange(&mut stream, again.as_bytes()).await.unwrap().text(), "fine");
            end
        })
    });
    let mut ends = Vec::new();
    for end in ended.collect::<Vec<_>>() {
        ends.push(end.await.unwrap());
    }
    ends.sort();
    assert!(ends[2] < Duration::from_secs(5), "{ends:?}");
    assert!(ends[2] - ends[0] > Duration::from_millis(400), "all at once: {ends:?}");
    has_streams(&world, 0).await;
    // Who comes back stays: it was those that were open then.
    let ask = http::Request::get(format!("https://{SHOP}/events"));
    let mut body = request(&world, SHOP, Protocol::H2, ask.body(Default::default()).unwrap()).await.into_body();
    assert!(body.frame().await.unwrap().is_ok());
    assert!(tokio::time::timeout(Duration::from_millis(300), body.frame()).await.is_err());
    // By HTTP/2 too it ends as an answer does, and not as one that broke off.
    world.edge.end_streams("shop-1", Duration::ZERO).await.unwrap();
    while let Some(frame) = tokio::time::timeout(SOON, body.frame()).await.unwrap() {
        assert!(frame.unwrap().into_data().unwrap().is_empty());
    }
}

/// An app whose WebSocket sends what the test says.
async fn speaker() -> (App, mpsc::UnboundedSender<Vec<u8>>) {
    let (say, said) = mpsc::unbounded_channel::<Vec<u8>>();
    let said = std::sync::Arc::new(tokio::sync::Mutex::new(said));
    let app = App::start(move |mut request| {
        let said = said.clone();
        async move {
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let mut stream = hyper_util::rt::TokioIo::new(upgrade.await.unwrap());
                while let Some(bytes) = said.lock().await.recv().await {
                    if stream.write_all(&bytes).await.is_err() {
                        break;
                    }
                }
            });
            let mut response = full("");
            *response.status_mut() = http::StatusCode::SWITCHING_PROTOCOLS;
            response.headers_mut().insert("upgrade", "websocket".parse().unwrap());
            response.headers_mut().insert("connection", "Upgrade".parse().unwrap());
            response
        }
    })
    .await;
    (app, say)
}

#[tokio::test]
async fn a_web_socket_is_told_that_it_ends_between_two_frames_and_may_answer() {
    const TEXT: &[u8] = &[0x81, 4, b't', b'i', b'c', b'k'];
    const GOODBYE: &[u8] = &[0x88, 2, 0x03, 0xf4];
    // Between frames; and in the midst of one, whose rest comes later.
    for (before, after) in [TEXT.split_at(TEXT.len()), TEXT.split_at(3)] {
        let (app, say) = speaker().await;
        let world = World::new().await;
        world.publish(vec![shop(app.port)]).await;
        let mut stream = tls(&world, SHOP).await;
        assert_eq!(exchange(&mut stream, UPGRADE.as_bytes()).await.unwrap().status, 101);
        say.send(before.to_vec()).unwrap();
        let mut seen = vec![0; before.len()];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut seen).await.unwrap();
        world.edge.end_streams("shop-1", Duration::ZERO).await.unwrap();
        say.send(after.to_vec()).unwrap();
        let mut rest = vec![0; TEXT.len() - before.len() + GOODBYE.len()];
        tokio::io::AsyncReadExt::read_exact(&mut stream, &mut rest).await.unwrap();
        assert_eq!([seen, rest].concat(), [TEXT, GOODBYE].concat());
        // Masked, as visitors send it.
        stream.write_all(&[0x88, 0x82, 0, 0, 0, 0, 0x03, 0xf4]).await.unwrap();
        assert!(closes_within(&mut stream, SOON).await);
        has_streams(&world, 0).await;
    }
}

#[tokio::test]
async fn a_web_socket_is_a_stream_and_outlives_the_routes_to_its_instance() {
    let app = echo().await;
    let world = World::new().await;
    world.publish(vec![shop(app.port)]).await;
    let mut stream = tls(&world, SHOP).await;
    assert_eq!(exchange(&mut stream, UPGRADE.as_bytes()).await.unwrap().status, 101);
    has_streams(&world, 1).await;
    assert_eq!(traffic(&world).await.in_flight, 0);
    let other = App::saying("other").await;
    let green = reconcile::ports::Target::Instances {
        upstreams: vec![reconcile::ports::Upstream { instance: "shop-green-1".into(), port: other.port }],
        first_byte_ms: 30_000,
        idle_ms: 5_000,
        longest_body: None,
        protocol: reconcile::ports::Protocol::Http1,
        wake_ms: None,
    };
    world.publish(vec![crate::world::site(&[SHOP], green)]).await;
    assert_eq!(get(&world, SHOP, "/", "").await.text(), "other");
    let mut back = [0; 5];
    stream.write_all(b"still").await.unwrap();
    tokio::io::AsyncReadExt::read_exact(&mut stream, &mut back).await.unwrap();
    // Nothing is routed to it any more, and it is found all the same.
    world.edge.end_streams("shop-1", Duration::ZERO).await.unwrap();
    assert!(closes_within(&mut stream, SOON).await);
    let log = world.log(|lines| lines.len() == 2).await;
    assert!(log.iter().any(|line| line["status"] == 101 && line["error"] == "drained"), "{log:?}");
}
