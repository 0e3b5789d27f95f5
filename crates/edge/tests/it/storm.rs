//! A hundred switches from one process to another, each with the end of the process before, as a deployment does it: orders, uploads
//! and streams of events go on, and none of them fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body::Frame;
use http_body_util::BodyExt;
use reconcile::ports::{Routes, Site, Target};
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use crate::app::{App, Frames, full};
use crate::swap::{over_h1, over_h2};
use crate::visitor::{read_reply, tls};
use crate::world::{SHOP, World, eventually, shop};

const SWITCHES: usize = 100;

/// Takes orders, and tells whoever asks for `/events` one thing after the other without end.
async fn colour(port: u16) -> App {
    App::start_on(port, |request| async move {
        if request.uri().path() == "/events" {
            let (tell, told) = mpsc::unbounded_channel();
            tokio::spawn(async move {
                while tell.send(Frame::data(Bytes::from("data: tick\n\n"))).is_ok() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
            let mut answer = http::Response::new(Frames(told).boxed());
            answer.headers_mut().insert("content-type", "text/event-stream".parse().unwrap());
            return answer;
        }
        let body = request.into_body().collect().await.unwrap().to_bytes();
        full(format!("got {}", body.len()))
    })
    .await
}

fn routed_to(colour: &App, name: &str) -> Vec<Site> {
    let mut site = shop(colour.port);
    if let Target::Instances { upstreams, .. } = &mut site.target {
        name.clone_into(&mut upstreams[0].instance);
    }
    vec![site]
}

/// 64 KiB in pieces.
async fn upload(world: &World, answered: &AtomicUsize) {
    let mut stream = tls(world, SHOP).await;
    let head = format!("PUT /file HTTP/1.1\r\nHost: {SHOP}\r\nTransfer-Encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..16 {
        stream.write_all(&[b"1000\r\n", [b'x'; 4096].as_slice(), b"\r\n"].concat()).await.unwrap();
        tokio::task::yield_now().await;
    }
    stream.write_all(b"0\r\n\r\n").await.unwrap();
    assert_eq!(read_reply(&mut stream).await.unwrap().text(), "got 65536");
    answered.fetch_add(1, Ordering::SeqCst);
}

/// A stream of events, which ends well: it is told to, and not cut.
async fn listen(world: &World, ended: &AtomicUsize) {
    let mut stream = tls(world, SHOP).await;
    stream.write_all(format!("GET /events HTTP/1.1\r\nHost: {SHOP}\r\n\r\n").as_bytes()).await.unwrap();
    let reply = read_reply(&mut stream).await.expect("a whole answer");
    assert_eq!(reply.status, 200);
    ended.fetch_add(1, Ordering::SeqCst);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_switches_that_end_the_process_before_lose_no_request() {
    let names = ["shop-blue-1", "shop-green-1"];
    let mut live = colour(0).await;
    let mut free_port = colour(0).await.kill().await;
    let world = Arc::new(World::new().await);
    world.publish(routed_to(&live, names[0])).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let (answered, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut visitors = tokio::task::JoinSet::new();
    for number in 0..5 {
        let (world, is_over) = (Arc::clone(&world), Arc::clone(&is_over));
        let (answered, ended) = (Arc::clone(&answered), Arc::clone(&ended));
        visitors.spawn(async move {
            while !is_over.load(Ordering::SeqCst) {
                match number {
                    0 | 1 => over_h1(&world, &answered).await,
                    2 => over_h2(&world, &answered).await,
                    3 => upload(&world, &answered).await,
                    _ => listen(&world, &ended).await,
                }
            }
        });
    }
    for switch in 0..SWITCHES {
        let (before, after) = (names[switch % 2], names[(switch + 1) % 2]);
        let next = colour(free_port).await;
        let so_far = answered.load(Ordering::SeqCst);
        world.publish(routed_to(&next, after)).await;
        world.edge.rest(before, Duration::from_secs(20)).await.unwrap();
        world.edge.end_streams(before, Duration::ZERO).await.unwrap();
        eventually("nothing is under way at the one before", async || {
            let traffic = world.edge.traffic().await.unwrap();
            traffic.iter().all(|one| one.instance != before || one.in_flight + one.streams == 0)
        })
        .await;
        free_port = std::mem::replace(&mut live, next).kill().await;
        world.edge.wake(before).await.unwrap();
        eventually("requests go on", async || answered.load(Ordering::SeqCst) > so_far).await;
    }
    is_over.store(true, Ordering::SeqCst);
    // Whoever listens has to be told that it is over.
    world.edge.end_streams(names[SWITCHES % 2], Duration::ZERO).await.unwrap();
    let all = async {
        while let Some(visitor) = visitors.join_next().await {
            visitor.unwrap()
        }
    };
    tokio::pin!(all);
    while tokio::time::timeout(Duration::from_millis(50), all.as_mut()).await.is_err() {
        world.edge.end_streams(names[SWITCHES % 2], Duration::ZERO).await.unwrap();
    }
    let (answered, ended) = (answered.load(Ordering::SeqCst), ended.load(Ordering::SeqCst));
    println!("{SWITCHES} switches, {answered} requests answered, {ended} streams ended well");
    assert!(answered > SWITCHES && ended > SWITCHES / 10, "{answered} requests, {ended} streams");
    let log = world.log(|lines| lines.len() >= answered + ended).await;
    assert!(log.iter().all(|line| line["status"] == 200 && line.get("error").is_none()));
}
