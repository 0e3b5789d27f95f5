//! Instances, kept connections, hang-ups and deadlines.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use host::socket::free_port;
use reconcile::ports::Target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::app::{App, full};
use crate::visitor::{exchange, get, read_until, tls};
use crate::world::{SHOP, World, instances, shop, site};

/// An app that is told what to do with each connection: its number, and the stream behind the first request head.
async fn raw_app<F, R>(serve: F) -> u16
where
    F: Fn(usize, tokio::net::TcpStream) -> R + Send + 'static,
    R: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        for number in 0.. {
            let (mut stream, _) = listener.accept().await.unwrap();
            read_until(&mut stream, b"\r\n\r\n").await;
            tokio::spawn(serve(number, stream));
        }
    });
    port
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[tokio::test]
async fn two_instances_share_the_work_and_a_dead_one_is_left_out() {
    let (one, two) = (App::saying("one").await, App::saying("two").await);
    let world = World::new().await;
    world.publish(vec![site(&[SHOP], instances(&[one.port, two.port, free_port().unwrap()]))]).await;
    let mut answers = BTreeSet::new();
    for _ in 0..12 {
        let began = Instant::now();
        let reply = get(&world, SHOP, "/", "").await;
        assert_eq!(reply.status, 200);
        answers.insert(reply.text().to_owned());
        // Nobody waits for the dead one while others live. Generous: the machine is busy.
        assert!(began.elapsed() < Duration::from_secs(5));
    }
    assert_eq!(answers, BTreeSet::from(["one".to_owned(), "two".to_owned()]));
}

#[tokio::test]
async fn a_kept_connection_is_used_again_and_not_beyond_its_time() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    let port = raw_app(move |_, mut stream| {
        counter.fetch_add(1, Ordering::SeqCst);
        async move {
            loop {
                if stream.write_all(OK).await.is_err() || read_until(&mut stream, b"\r\n\r\n").await.is_none() {
                    return;
                }
            }
        }
    })
    .await;
    let world = World::new().await;
    let upstreams = |idle_ms| match instances(&[port]) {
        Target::Instances { upstreams, first_byte_ms, longest_body, protocol, wake_ms, .. } => {
            Target::Instances { upstreams, first_byte_ms, idle_ms, longest_body, protocol, wake_ms }
        }
        files => files,
    };
    world.publish(vec![site(&[SHOP], upstreams(60_000))]).await;
    for _ in 0..5 {
        assert_eq!(get(&world, SHOP, "/", "").await.status, 200);
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    // Another table, the same instance: its connection stays, but now it is too old at once.
    world.publish(vec![site(&[SHOP], upstreams(0))]).await;
    assert_eq!(get(&world, SHOP, "/", "").await.status, 200);
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_hang_up_without_an_answer_is_tried_again_if_that_is_safe() {
    // The first connection of each kind is closed after the request was read.
    let port = raw_app(|number, mut stream| async move {
        if number % 2 == 1 {
            let _ = stream.write_all(OK).await;
            let _ = stream.read(&mut [0]).await;
        }
    })
    .await;
    let world = World::new().await;
    world.publish(vec![shop(port)]).await;
    assert_eq!(get(&world, SHOP, "/", "").await.status, 200);

    let port = raw_app(|number, mut stream| async move {
        if number > 0 {
            let _ = stream.write_all(OK).await;
        }
    })
    .await;
    world.publish(vec![shop(port)]).await;
    let mut stream = tls(&world, SHOP).await;
    let order = format!("POST /orders HTTP/1.1\r\nHost: {SHOP}\r\nContent-Length: 2\r\n\r\nhi");
    let reply = exchange(&mut stream, order.as_bytes()).await.unwrap();
    // It may have been placed: nobody but the visitor may order again.
    assert_eq!(reply.status, 502);
    assert!(reply.text().contains(reply.header("x-request-id").unwrap()));
}

#[tokio::test]
async fn a_poisonous_request_is_not_sent_for_ever() {
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&connections);
    let port = raw_app(move |_, _| {
        counter.fetch_add(1, Ordering::SeqCst);
        async {}
    })
    .await;
    let world = World::new().await;
    world.publish(vec![shop(port)]).await;
    assert_eq!(get(&world, SHOP, "/", "").await.status, 502);
    assert_eq!(connections.load(Ordering::SeqCst), 3);
}

#[tokio::test]
async fn nonsense_from_an_app_is_a_502() {
    let port = raw_app(|_, mut stream| async move {
        let _ = stream.write_all(b"MAIL FROM:<a@b>\r\n\r\n").await;
    })
    .await;
    let world = World::new().await;
    world.publish(vec![shop(port)]).await;
    let mut stream = tls(&world, SHOP).await;
    let wire = format!("PATCH / HTTP/1.1\r\nHost: {SHOP}\r\nAccept: application/json\r\nContent-Length: 0\r\n\r\n");
    let reply = exchange(&mut stream, wire.as_bytes()).await.unwrap();
    assert_eq!((reply.status, reply.header("content-type")), (502, Some("application/problem+json")));
}

#[tokio::test]
async fn an_answer_that_does_not_begin_in_time_is_a_504() {
    let app = App::start(|_| async {
        std::future::pending::<()>().await;
        full("")
    })
    .await;
    let world = World::new().await;
    let target = match instances(&[app.port]) {
        Target::Instances { upstreams, idle_ms, longest_body, protocol, wake_ms, .. } => {
            Target::Instances { upstreams, first_byte_ms: 200, idle_ms, longest_body, protocol, wake_ms }
        }
        files => files,
    };
    world.publish(vec![site(&[SHOP], target)]).await;
    let reply = get(&world, SHOP, "/", "").await;
    assert_eq!(reply.status, 504);
    let log = world.log(|lines| !lines.is_empty()).await;
    assert_eq!(log[0]["error"], "app-too-slow");
}

#[tokio::test]
async fn the_time_for_an_answer_counts_from_the_last_piece_of_the_request() {
    let recorder = crate::recorder::Recorder::start().await;
    let world = World::new().await;
    let target = match instances(&[recorder.address.port()]) {
        Target::Instances { upstreams, idle_ms, longest_body, protocol, wake_ms, .. } => {
            Target::Instances { upstreams, first_byte_ms: 500, idle_ms, longest_body, protocol, wake_ms }
        }
        files => files,
    };
    world.publish(vec![site(&[SHOP], target)]).await;
    let mut stream = tls(&world, SHOP).await;
    let head = format!("POST / HTTP/1.1\r\nHost: {SHOP}\r\nContent-Length: 10\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    for _ in 0..10 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        stream.write_all(b"x").await.unwrap();
        stream.flush().await.unwrap();
    }
    assert_eq!(crate::visitor::read_reply(&mut stream).await.unwrap().status, 200);
}

#[tokio::test]
async fn hop_by_hop_headers_of_an_app_end_here() {
    let port = raw_app(|_, mut stream| async move {
        let answer = "HTTP/1.1 200 OK\r\nConnection: x-private\r\nX-Private: 1\r\nKeep-Alive: timeout=5\r\nContent-Length: 2\r\nX-Public: 1\r\n\
            X-Request-Id: another-one\r\n\r\nok";
        let _ = stream.write_all(answer.as_bytes()).await;
        let _ = stream.read(&mut [0]).await;
    })
    .await;
    let world = World::new().await;
    world.publish(vec![shop(port)]).await;
    let reply = get(&world, SHOP, "/", "X-Request-Id: the-only-one\r\n").await;
    assert_eq!((reply.header("x-private"), reply.header("keep-alive")), (None, None));
    assert_eq!((reply.header("x-public"), reply.header("x-request-id")), (Some("1"), Some("the-only-one")));
}
