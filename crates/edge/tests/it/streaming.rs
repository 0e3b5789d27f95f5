//! Both ways, piece by piece: nothing waits in the edge.

use bytes::Bytes;
use http::Response;
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::io::AsyncWriteExt;
use tokio::sync::mpsc;

use crate::app::{App, Frames};
use crate::visitor::{Protocol, read_until, request, tls};
use crate::world::{SHOP, World, shop};

/// An app whose answer comes frame by frame, as the test sends them.
async fn app_on_demand() -> (App, mpsc::UnboundedSender<Frame<Bytes>>) {
    let (send, receive) = mpsc::unbounded_channel();
    let receive = std::sync::Mutex::new(Some(receive));
    let app = App::start(move |_| {
        let frames = receive.lock().unwrap().take().unwrap();
        async move {
            Response::builder()
                .header("content-type", "text/event-stream")
                .header("trailer", "x-sum")
                .body(Frames(frames).boxed())
                .unwrap()
        }
    })
    .await;
    (app, send)
}

#[tokio::test]
async fn an_event_arrives_when_it_is_sent_over_http_1() {
    let (app, send) = app_on_demand().await;
    let world = World::new().await;
    world.publish(vec![shop(app.port)]).await;
    let mut stream = tls(&world, SHOP).await;
    stream.write_all(format!("GET /events HTTP/1.1\r\nHost: {SHOP}\r\n\r\n").as_bytes()).await.unwrap();
    read_until(&mut stream, b"\r\n\r\n").await.unwrap();
    for event in ["data: one\n\n", "data: two\n\n"] {
        send.send(Frame::data(Bytes::from(event))).unwrap();
        // The next is sent only when this one was read: a buffer in between would wait for ever.
        let chunk = read_until(&mut stream, b"\n\n\r\n").await.unwrap();
        assert!(String::from_utf8(chunk).unwrap().contains(event));
    }
}

#[tokio::test]
async fn an_event_arrives_when_it_is_sent_over_http_2_and_trailers_follow() {
    let (app, send) = app_on_demand().await;
    let world = World::new().await;
    world.publish(vec![shop(app.port)]).await;
    let ask = http::Request::get(format!("https://{SHOP}/events")).header("te", "trailers");
    let mut body = request(&world, SHOP, Protocol::H2, ask.body(Default::default()).unwrap()).await.into_body();
    for event in ["data: one\n\n", "data: two\n\n"] {
        send.send(Frame::data(Bytes::from(event))).unwrap();
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), event);
    }
    send.send(Frame::trailers([("x-sum".parse().unwrap(), "42".parse().unwrap())].into_iter().collect())).unwrap();
    drop(send);
    let trailers = body.frame().await.unwrap().unwrap().into_trailers().unwrap();
    assert_eq!(trailers["x-sum"], "42");
}

#[tokio::test]
async fn the_app_reads_the_first_piece_of_a_body_before_the_visitor_sends_the_second() {
    let (seen, mut pieces) = mpsc::unbounded_channel();
    let app = App::start(move |request| {
        let seen = seen.clone();
        async move {
            let mut body = request.into_body();
            while let Some(Ok(frame)) = body.frame().await {
                seen.send(frame.into_data().unwrap()).unwrap();
            }
            crate::app::full("done")
        }
    })
    .await;
    let world = World::new().await;
    world.publish(vec![shop(app.port)]).await;
    let mut stream = tls(&world, SHOP).await;
    let head = format!("POST / HTTP/1.1\r\nHost: {SHOP}\r\nTransfer-Encoding: chunked\r\n\r\n");
    stream.write_all(head.as_bytes()).await.unwrap();
    for piece in ["first", "other"] {
        stream.write_all(format!("5\r\n{piece}\r\n").as_bytes()).await.unwrap();
        stream.flush().await.unwrap();
        assert_eq!(pieces.recv().await.unwrap(), piece);
    }
    let reply = crate::visitor::exchange(&mut stream, b"0\r\n\r\n").await.unwrap();
    assert_eq!((reply.status, reply.text()), (200, "done"));
}

#[tokio::test]
async fn an_answer_that_breaks_off_does_not_look_whole() {
    let (app, send) = app_on_demand().await;
    let world = World::new().await;
    world.publish(vec![shop(app.port)]).await;
    let mut stream = tls(&world, SHOP).await;
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n").as_bytes()).await.unwrap();
    read_until(&mut stream, b"\r\n\r\n").await.unwrap();
    send.send(Frame::data(Bytes::from("part\n\n"))).unwrap();
    read_until(&mut stream, b"\n\n\r\n").await.unwrap();
    app.kill().await;
    // The last chunk is missing.
    assert_eq!(read_until(&mut stream, b"0\r\n\r\n").await, None);
    let log = world.log(|lines| !lines.is_empty()).await;
    assert_eq!(log[0]["error"], "answer-broke-off");
}

#[tokio::test]
async fn a_visitor_who_leaves_ends_the_apps_work() {
    let (app, send) = app_on_demand().await;
    let world = World::new().await;
    world.publish(vec![shop(app.port)]).await;
    let mut stream = tls(&world, SHOP).await;
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n").as_bytes()).await.unwrap();
    read_until(&mut stream, b"\r\n\r\n").await.unwrap();
    drop(stream);
    crate::world::eventually("the app notices", async || send.is_closed()).await;
}

#[tokio::test]
async fn a_visitor_who_leaves_before_the_answer_is_in_the_log() {
    let app = App::start(|_| std::future::pending()).await;
    let world = World::new().await;
    world.publish(vec![shop(app.port)]).await;
    let mut stream = tls(&world, SHOP).await;
    stream.write_all(format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n").as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    drop(stream);
    let log = world.log(|lines| !lines.is_empty()).await;
    assert_eq!((log[0]["status"].as_u64(), log[0]["error"].as_str()), (Some(499), Some("client-gone")));
}
