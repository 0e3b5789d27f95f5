//! Apps that speak HTTP/2 to the edge.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, Version};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use reconcile::ports::{Protocol as Speaks, Target};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};

use crate::app::{Answer, Frames, full};
use crate::tunnel::{UPGRADE, connect, over_http_2};
use crate::visitor::{Protocol, exchange, get, read_until, request, text_of, tls, try_tls};
use crate::world::{SHOP, World, eventually, instances, site};

/// A server of HTTP/2 alone. Counts its connections, and says goodbye on them when it is told to.
struct App {
    port: u16,
    connections: Arc<AtomicUsize>,
    goodbye: watch::Sender<usize>,
}

impl App {
    async fn start<F, R>(handler: F) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Send + Sync + 'static,
        R: Future<Output = Answer> + Send + 'static,
    {
        Self::with(handler, false).await
    }

    /// `has_web_sockets`: it says that a stream may be one.
    async fn with<F, R>(handler: F, has_web_sockets: bool) -> Self
    where
        F: Fn(Request<Incoming>) -> R + Send + Sync + 'static,
        R: Future<Output = Answer> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let connections = Arc::new(AtomicUsize::new(0));
        let (goodbye, told) = watch::channel(0);
        let counter = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counter.fetch_add(1, Ordering::SeqCst);
                tokio::spawn(serve(stream, Arc::clone(&handler), has_web_sockets, told.clone()));
            }
        });
        Self { port, connections, goodbye }
    }
}

async fn serve<F, R>(stream: TcpStream, handler: Arc<F>, has_web_sockets: bool, mut told: watch::Receiver<usize>)
where
    F: Fn(Request<Incoming>) -> R + Send + Sync + 'static,
    R: Future<Output = Answer> + Send + 'static,
{
    told.mark_unchanged();
    let service = service_fn(move |request| {
        let answer = handler(request);
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let mut server = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    if has_web_sockets {
        server.enable_connect_protocol();
    }
    let connection = server.serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => return,
        _ = told.changed() => connection.as_mut().graceful_shutdown(),
    }
    let _ = connection.await;
}

fn target(port: u16) -> Target {
    match instances(&[port]) {
        Target::Instances { upstreams, first_byte_ms, idle_ms, wake_ms, .. } => {
            Target::Instances { upstreams, first_byte_ms, idle_ms, longest_body: None, protocol: Speaks::H2c, wake_ms }
        }
        files => files,
    }
}

async fn stage(port: u16) -> World {
    let world = World::new().await;
    world.publish(vec![site(&[SHOP], target(port))]).await;
    world
}

/// What it was asked, as it was written down for it.
async fn tells(request: Request<Incoming>) -> Answer {
    let (parts, body) = request.into_parts();
    assert_eq!(parts.version, Version::HTTP_2);
    let body = body.collect().await.unwrap().to_bytes();
    let field = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("-").to_owned();
    let body = String::from_utf8_lossy(&body);
    full(format!(
        "{} {} {} {} {} {body}",
        parts.method,
        parts.uri,
        field("x-forwarded-proto"),
        field("connection"),
        field("transfer-encoding")
    ))
}

/// Sends back what comes in a stream that is a WebSocket.
async fn echoes(mut request: Request<Incoming>) -> Answer {
    let Some(protocol) = request.extensions().get::<hyper::ext::Protocol>() else { return full("no upgrade") };
    assert_eq!((request.method().as_str(), protocol.as_str(), request.uri().path()), ("CONNECT", "websocket", "/hmr"));
    for name in ["upgrade", "connection", "sec-websocket-key"] {
        assert!(!request.headers().contains_key(name), "{name} is of HTTP/1");
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let (mut read, mut write) = tokio::io::split(TokioIo::new(upgrade.await.unwrap()));
        let _ = tokio::io::copy(&mut read, &mut write).await;
        let _ = write.shutdown().await;
    });
    full("")
}

async fn comes_back(tunnel: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    for message in ["hello", "GET / HTTP/9\n\n"] {
        tunnel.write_all(message.as_bytes()).await.unwrap();
        let mut back = vec![0; message.len()];
        tunnel.read_exact(&mut back).await.unwrap();
        assert_eq!(back, message.as_bytes());
    }
}

#[tokio::test]
async fn its_websockets_are_streams_for_visitors_of_both_versions() {
    let app = App::with(echoes, true).await;
    let world = stage(app.port).await;
    let mut stream = tls(&world, SHOP).await;
    let wire = UPGRADE.replace("Key: abc", "Key: dGhlIHNhbXBsZSBub25jZQ==");
    let reply = exchange(&mut stream, wire.as_bytes()).await.unwrap();
    assert_eq!((reply.status, reply.header("upgrade")), (101, Some("websocket")));
    assert_eq!(reply.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    comes_back(&mut stream).await;
    let mut sender = over_http_2(&world).await;
    let mut answer = sender.send_request(connect("websocket")).await.unwrap();
    assert_eq!(answer.status(), 200);
    let mut tunnel = TokioIo::new(hyper::upgrade::on(&mut answer).await.unwrap());
    comes_back(&mut tunnel).await;
    // The first one is still there beside it, and others are served.
    comes_back(&mut stream).await;
    assert_eq!(get(&world, SHOP, "/", "").await.text(), "no upgrade");
}

#[tokio::test]
async fn whoever_asks_an_app_without_websockets_for_one_disturbs_nobody() {
    let app = App::start(tells).await;
    let world = stage(app.port).await;
    let mut sender = over_http_2(&world).await;
    assert_eq!(sender.send_request(connect("websocket")).await.unwrap().status(), 502);
    let mut stream = tls(&world, SHOP).await;
    let reply = exchange(&mut stream, UPGRADE.as_bytes()).await.unwrap();
    assert!(reply.status == 502 && reply.text().contains("no WebSocket"), "{} {}", reply.status, reply.text());
    // Another method's upgrade is none, and the request one like any other.
    let mut stream = tls(&world, SHOP).await;
    let reply = exchange(&mut stream, UPGRADE.replace("GET /hmr", "PUT /hmr").as_bytes()).await.unwrap();
    assert!(reply.text().starts_with("PUT "), "{}", reply.text());
    assert!(get(&world, SHOP, "/", "").await.text().starts_with("GET "));
}

#[tokio::test]
async fn requests_of_both_versions_reach_it_by_one_connection() {
    let app = App::start(tells).await;
    let world = stage(app.port).await;
    let reply = get(&world, SHOP, "/a?b=c", "").await;
    assert_eq!(reply.text(), format!("GET http://{SHOP}/a?b=c https - - "));
    let mut stream = tls(&world, SHOP).await;
    let wire = format!("POST / HTTP/1.1\r\nHost: {SHOP}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
    let reply = exchange(&mut stream, wire.as_bytes()).await.unwrap();
    assert_eq!(reply.text(), format!("POST http://{SHOP}/ https - - hi"));
    let ask = Request::put(format!("https://{SHOP}/x")).body(Full::new(Bytes::from("ho"))).unwrap();
    assert_eq!(
        text_of(request(&world, SHOP, Protocol::H2, ask).await).await,
        format!("PUT http://{SHOP}/x https - - ho")
    );
    assert_eq!(app.connections.load(Ordering::SeqCst), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_has_no_more_requests_than_it_should_and_nobody_waits_for_a_place() {
    let (open, go) = (Arc::new(AtomicUsize::new(0)), watch::Sender::new(false));
    let (counter, told) = (Arc::clone(&open), go.subscribe());
    let app = App::start(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
        let mut told = told.clone();
        async move {
            told.wait_for(|go| *go).await.unwrap();
            full("ok")
        }
    })
    .await;
    let world = Arc::new(stage(app.port).await);
    let asked: Vec<_> = (0..150)
        .map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { get(&world, SHOP, "/", "").await.status })
        })
        .collect();
    eventually("all of them are there at once", async || open.load(Ordering::SeqCst) == 150).await;
    let connections = app.connections.load(Ordering::SeqCst);
    assert!((3..100).contains(&connections), "{connections} connections for 150 requests");
    go.send(true).unwrap();
    for asked in asked {
        assert_eq!(asked.await.unwrap(), 200);
    }
    assert_eq!(get(&world, SHOP, "/", "").await.status, 200);
    assert_eq!(app.connections.load(Ordering::SeqCst), connections, "those that are there are used again");
}

/// As gRPC does it: messages both ways at once, and in the end how it went.
#[tokio::test]
async fn messages_go_both_ways_at_once_and_trailers_follow() {
    let app = App::start(|request: Request<Incoming>| async move {
        assert_eq!(request.headers().get("te").unwrap(), "trailers");
        let (tell, told) = mpsc::unbounded_channel();
        tokio::spawn(async move {
            let mut body = request.into_body();
            while let Some(Ok(frame)) = body.frame().await {
                match frame.into_data() {
                    Ok(data) => drop(tell.send(Frame::data(data))),
                    Err(frame) => {
                        let asked = frame.into_trailers().unwrap();
                        let status = HeaderMap::from_iter([("grpc-status".parse().unwrap(), asked["x-asked"].clone())]);
                        let _ = tell.send(Frame::trailers(status));
                    }
                }
            }
        });
        let mut answer = Response::new(BodyExt::boxed(Frames(told)));
        answer.headers_mut().insert("content-type", "application/grpc".parse().unwrap());
        answer
    })
    .await;
    let world = stage(app.port).await;
    let stream = try_tls(&world, SHOP, &[b"h2"]).await.unwrap();
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    let (tell, told) = mpsc::channel::<Result<Frame<Bytes>, Infallible>>(1);
    let frames = futures_channel(told);
    let ask = Request::post(format!("https://{SHOP}/Chat/Talk"))
        .header("te", "trailers")
        .header("content-type", "application/grpc")
        .body(StreamBody::new(frames))
        .unwrap();
    let mut answer = sender.send_request(ask).await.unwrap().into_body();
    for message in ["one", "two", "three"] {
        tell.send(Ok(Frame::data(Bytes::from(message)))).await.unwrap();
        assert_eq!(answer.frame().await.unwrap().unwrap().into_data().unwrap(), message);
    }
    let trailers = HeaderMap::from_iter([("x-asked".parse().unwrap(), "0".parse().unwrap())]);
    tell.send(Ok(Frame::trailers(trailers))).await.unwrap();
    drop(tell);
    assert_eq!(answer.frame().await.unwrap().unwrap().into_trailers().unwrap()["grpc-status"], "0");
}

/// A channel as a stream of frames.
fn futures_channel<T>(mut receiver: mpsc::Receiver<T>) -> impl futures_util::Stream<Item = T> {
    futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_app_that_says_goodbye_finishes_what_it_has_and_loses_nothing() {
    let app = App::start(|request: Request<Incoming>| async move {
        if request.uri().path() == "/slow" {
            tokio::time::sleep(Duration::from_millis(400)).await;
        }
        full("ok")
    })
    .await;
    let world = Arc::new(stage(app.port).await);
    let slow = {
        let world = Arc::clone(&world);
        tokio::spawn(async move { get(&world, SHOP, "/slow", "").await.status })
    };
    let mut stream = tls(&world, SHOP).await;
    let order = format!("POST /orders HTTP/1.1\r\nHost: {SHOP}\r\nContent-Length: 0\r\n\r\n");
    // Orders, which nobody would repeat for an app that had taken them; it goes again and again meanwhile.
    for at in 0..60 {
        if at % 3 == 0 {
            app.goodbye.send_modify(|times| *times += 1);
        }
        assert_eq!(exchange(&mut stream, order.as_bytes()).await.unwrap().status, 200, "order {at}");
    }
    assert_eq!(slow.await.unwrap(), 200);
    assert!(app.connections.load(Ordering::SeqCst) > 5);
}

/// An app by hand that does with each request, by its number, what it is told: refuse it, or break it, or answer.
async fn by_hand(what: &'static [Option<h2::Reason>]) -> (u16, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let counter = Arc::clone(&counter);
            tokio::spawn(async move {
                let mut connection = h2::server::handshake(stream).await.unwrap();
                while let Some(Ok((_, mut respond))) = connection.accept().await {
                    match what.get(counter.fetch_add(1, Ordering::SeqCst)).copied().flatten() {
                        Some(reason) => respond.send_reset(reason),
                        None => drop(respond.send_response(Response::new(()), true).unwrap()),
                    }
                }
            });
        }
    });
    (port, asked)
}

#[tokio::test]
async fn a_request_is_sent_again_where_the_app_says_that_it_did_nothing_and_not_where_it_may_have() {
    let order = format!("POST /orders HTTP/1.1\r\nHost: {SHOP}\r\nContent-Length: 0\r\n\r\n");
    const REFUSED: Option<h2::Reason> = Some(h2::Reason::REFUSED_STREAM);
    const BROKEN: Option<h2::Reason> = Some(h2::Reason::INTERNAL_ERROR);
    let (port, asked) = by_hand(&[REFUSED]).await;
    let world = stage(port).await;
    assert_eq!(exchange(&mut tls(&world, SHOP).await, order.as_bytes()).await.unwrap().status, 200);
    assert_eq!(asked.load(Ordering::SeqCst), 2);
    let (port, asked) = by_hand(&[BROKEN]).await;
    let world = stage(port).await;
    assert_eq!(exchange(&mut tls(&world, SHOP).await, order.as_bytes()).await.unwrap().status, 502);
    assert_eq!(asked.load(Ordering::SeqCst), 1, "it may have been placed");
    let (port, asked) = by_hand(&[BROKEN]).await;
    let world = stage(port).await;
    assert_eq!(get(&world, SHOP, "/", "").await.status, 200);
    assert_eq!(asked.load(Ordering::SeqCst), 2, "a page may be asked for again");
}

#[tokio::test]
async fn one_that_speaks_http_1_after_all_is_a_502() {
    let world = World::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            read_until(&mut stream, b"\r\n\r\n").await;
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await;
        }
    });
    world.publish(vec![site(&[SHOP], target(port))]).await;
    let mut stream = tls(&world, SHOP).await;
    let order = format!("POST /orders HTTP/1.1\r\nHost: {SHOP}\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(exchange(&mut stream, order.as_bytes()).await.unwrap().status, 502);
}
