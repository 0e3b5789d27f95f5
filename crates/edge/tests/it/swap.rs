//! Routes change under load, and no request notices.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use bytes::Bytes;
use http::Request;
use http_body_util::BodyExt;
use hyper_util::rt::{TokioExecutor, TokioIo};

use crate::app::{App, full};
use crate::visitor::{exchange, tls, try_tls};
use crate::world::{SHOP, World, shop};

const SWAPS: usize = 100;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_swaps_lose_no_request() {
    let blue = echo("blue").await;
    let green = echo("green").await;
    let world = Arc::new(World::new().await);
    world.publish(vec![shop(blue.port)]).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let answered = Arc::new(AtomicUsize::new(0));

    let mut visitors = tokio::task::JoinSet::new();
    for number in 0..4 {
        let (world, is_over, answered) = (Arc::clone(&world), Arc::clone(&is_over), Arc::clone(&answered));
        visitors.spawn(async move {
            while !is_over.load(Ordering::SeqCst) {
                if number % 2 == 0 { over_h1(&world, &answered).await } else { over_h2(&world, &answered).await }
            }
        });
    }
    for swap in 0..SWAPS {
        let app = if swap % 2 == 0 { &green } else { &blue };
        let before = answered.load(Ordering::SeqCst);
        world.publish(vec![shop(app.port)]).await;
        // Every generation serves something before the next comes.
        crate::world::eventually("requests go on", async || answered.load(Ordering::SeqCst) > before + 4).await;
    }
    is_over.store(true, Ordering::SeqCst);
    while let Some(visitor) = visitors.join_next().await {
        visitor.unwrap();
    }
    assert_eq!(world.edge.health().await.unwrap().generation, 1 + SWAPS as u64);
    let log = world.log(|lines| lines.len() >= answered.load(Ordering::SeqCst)).await;
    assert!(log.iter().all(|line| line["status"] == 200 && line.get("error").is_none()));
}

async fn echo(colour: &'static str) -> App {
    App::start(move |request| async move {
        let body = request.into_body().collect().await.unwrap().to_bytes();
        full(format!("{colour} {}", body.len()))
    })
    .await
}

/// Twenty orders over one connection.
pub(crate) async fn over_h1(world: &World, answered: &AtomicUsize) {
    let mut stream = tls(world, SHOP).await;
    for _ in 0..20 {
        let wire = format!("POST / HTTP/1.1\r\nHost: {SHOP}\r\nContent-Length: 5\r\n\r\nhello");
        let reply = exchange(&mut stream, wire.as_bytes()).await.expect("an answer");
        assert!(reply.status == 200 && reply.text().ends_with(" 5"), "{reply:?}");
        answered.fetch_add(1, Ordering::SeqCst);
    }
}

pub(crate) async fn over_h2(world: &World, answered: &AtomicUsize) {
    let stream = try_tls(world, SHOP, &[b"h2"]).await.unwrap();
    let (sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let ask = |_| {
        let mut sender = sender.clone();
        async move {
            let request = Request::post(format!("https://{SHOP}/"))
                .body(http_body_util::Full::new(Bytes::from("hello")))
                .unwrap();
            let response = sender.send_request(request).await.unwrap();
            assert_eq!(response.status(), 200);
            response.into_body().collect().await.unwrap();
            answered.fetch_add(1, Ordering::SeqCst);
        }
    };
    for round in 0..5 {
        tokio::join!(ask(round), ask(round), ask(round), ask(round));
    }
}
