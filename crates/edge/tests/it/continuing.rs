//! What comes beside a body: the word to go on before it, and trailers after it.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::recorder::Recorder;
use crate::visitor::{read_reply, read_until, tls};
use crate::world::{SHOP, World, shop};

/// An app by hand: answers each request head with what it is given, then hands on what else arrives.
async fn saying(answer: &'static [u8]) -> (World, tokio::sync::mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (tell, told) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let Some(head) = read_until(&mut stream, b"\r\n\r\n").await else { continue };
            let _ = tell.send(String::from_utf8(head).unwrap());
            let _ = stream.write_all(answer).await;
            let _ = stream.read(&mut [0]).await;
        }
    });
    let world = World::new().await;
    world.publish(vec![shop(port)]).await;
    (world, told)
}

#[tokio::test]
async fn who_waits_for_the_word_gets_it_when_the_app_reads() {
    let recorder = Recorder::start().await;
    let world = World::new().await;
    world.publish(vec![shop(recorder.address.port())]).await;
    let mut stream = tls(&world, SHOP).await;
    let head = format!("POST / HTTP/1.1\r\nHost: {SHOP}\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let word = read_until(&mut stream, b"\r\n\r\n").await.unwrap();
    assert_eq!(word, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"hello").await.unwrap();
    assert_eq!(read_reply(&mut stream).await.unwrap().status, 200);
    let seen = recorder.take();
    // The app is not asked for what we have answered.
    assert_eq!((seen[0].header("expect"), seen[0].body.as_slice()), (None, &b"hello"[..]));
}

#[tokio::test]
async fn an_app_that_says_no_before_it_reads_is_heard() {
    let (world, _told) =
        saying(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno").await;
    let mut stream = tls(&world, SHOP).await;
    // 8 MiB are announced, some of them sent, and the rest never.
    let head = format!("POST / HTTP/1.1\r\nHost: {SHOP}\r\nContent-Length: 8388608\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    let _ = stream.write_all(&[b'x'; 1000]).await;
    let reply = read_reply(&mut stream).await.unwrap();
    assert_eq!((reply.status, reply.text()), (413, "no"));
}

#[tokio::test]
async fn trailers_of_a_request_reach_the_app() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let world = World::new().await;
    world.publish(vec![shop(listener.local_addr().unwrap().port())]).await;
    let mut visitor = tls(&world, SHOP).await;
    let wire = format!(
        "POST / HTTP/1.1\r\nHost: {SHOP}\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n2\r\nhi\r\n0\r\nX-Sum: 1\r\nX-Real-IP: 6.6.6.6\r\n\r\n"
    );
    visitor.write_all(wire.as_bytes()).await.unwrap();
    let (mut app, _) = listener.accept().await.unwrap();
    let head = String::from_utf8(read_until(&mut app, b"\r\n\r\n").await.unwrap()).unwrap().to_ascii_lowercase();
    assert!(head.contains("\r\ntrailer: x-sum\r\n"), "{head}");
    let body = String::from_utf8(read_until(&mut app, b"\r\n\r\n").await.unwrap()).unwrap();
    // Those that were announced, and none that says what only we may say.
    assert_eq!(body.to_ascii_lowercase(), "2\r\nhi\r\n0\r\nx-sum: 1\r\n\r\n");
}

#[tokio::test]
async fn trailers_of_an_answer_reach_a_visitor_that_takes_them() {
    let answer =
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x-sum\r\n\r\n2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n";
    for (takes, expected) in [("TE: trailers\r\n", "2\r\nok\r\n0\r\nx-sum: 1\r\n\r\n"), ("", "2\r\nok\r\n0\r\n\r\n")] {
        let (world, mut told) = saying(answer).await;
        let mut visitor = tls(&world, SHOP).await;
        let wire = format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n{takes}Connection: TE\r\n\r\n");
        visitor.write_all(wire.as_bytes()).await.unwrap();
        read_until(&mut visitor, b"\r\n\r\n").await.unwrap();
        let body = String::from_utf8(read_until(&mut visitor, b"\r\n\r\n").await.unwrap()).unwrap();
        assert_eq!(body.to_ascii_lowercase(), expected);
        assert_eq!(told.recv().await.unwrap().contains("te: trailers"), !takes.is_empty());
    }
}

#[tokio::test]
async fn a_body_that_is_larger_than_the_app_takes_is_a_413_whether_it_says_so_or_not() {
    let recorder = Recorder::start().await;
    let world = World::new().await;
    let mut site = shop(recorder.address.port());
    if let reconcile::ports::Target::Instances { longest_body, .. } = &mut site.target {
        *longest_body = Some(5);
    }
    world.publish(vec![site]).await;
    for (rest, status) in [
        ("Content-Length: 5\r\n\r\nhello", 200),
        ("Content-Length: 6\r\nExpect: 100-continue\r\n\r\n", 413),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", 200),
        ("Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n", 413),
    ] {
        let mut stream = tls(&world, SHOP).await;
        stream.write_all(format!("POST / HTTP/1.1\r\nHost: {SHOP}\r\n{rest}").as_bytes()).await.unwrap();
        let reply = read_reply(&mut stream).await.unwrap();
        assert_eq!(reply.status, status, "{rest}");
        assert_eq!(recorder.take().len(), usize::from(status == 200), "{rest}: the app sees a whole request or none");
    }
}
