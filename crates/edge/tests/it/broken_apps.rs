//! Apps that hang, hang up, or talk nonsense: what their visitor is told, and that the next request is answered all the same.

use std::time::Duration;

use reconcile::ports::Target;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;

use crate::visitor::{exchange, get, read_until, tls};
use crate::world::{SHOP, World, instances, site};

/// What the app does with requests for this path, and what becomes of them: status and word in the log. None: the answer breaks off.
type Case = (&'static str, &'static str, Option<u16>, Option<&'static str>);

const CASES: &[Case] = &[
    ("says nothing", "/hangs", Some(504), Some("app-too-slow")),
    ("half a head, and nothing more", "/half-head", Some(504), Some("app-too-slow")),
    ("a head that drips for ever", "/drips", Some(504), Some("app-too-slow")),
    ("hints without end", "/hints", Some(504), Some("app-too-slow")),
    ("hangs up", "/hangs-up", Some(502), Some("app-broke")),
    ("resets", "/resets", Some(502), Some("app-broke")),
    ("hangs up in the head", "/half-head-then-gone", Some(502), Some("app-broke")),
    ("nonsense", "/nonsense", Some(502), Some("app-broke")),
    ("TLS", "/tls", Some(502), Some("app-broke")),
    ("another protocol unasked", "/switches", Some(502), Some("app-broke")),
    ("a head without an end", "/endless-head", Some(502), Some("app-broke")),
    ("one huge field", "/huge-field", Some(502), Some("app-broke")),
    ("a status that is none", "/status", Some(502), Some("app-broke")),
    ("a body that is cut off", "/short-body", None, Some("answer-broke-off")),
    ("a chunk that is none", "/bad-chunk", None, Some("answer-broke-off")),
    ("a body that is reset", "/resets-body", None, Some("answer-broke-off")),
    ("a hint, and an answer", "/hint", Some(200), None),
];

/// One request per connection, so that each has the app to itself.
async fn misbehave(mut stream: TcpStream) -> Option<()> {
    let head = String::from_utf8(read_until(&mut stream, b"\r\n\r\n").await?).ok()?;
    let path = head.split(' ').nth(1)?;
    let ok = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
    match path {
        "/good" => stream.write_all(ok).await.ok()?,
        "/hangs" => drop(stream.read(&mut [0]).await),
        "/half-head" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nX: ").await.ok()?;
            let _ = stream.read(&mut [0]).await;
        }
        "/drips" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n").await.ok()?;
            loop {
                stream.write_all(b"X: y\r\n").await.ok()?;
                sleep(Duration::from_millis(50)).await;
            }
        }
        "/hints" => loop {
            stream.write_all(&b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(100)).await.ok()?;
            sleep(Duration::from_millis(5)).await;
        },
        "/resets" => reset(stream),
        "/half-head-then-gone" => stream.write_all(b"HTTP/1.1 200 OK\r\nX: ").await.ok()?,
        "/nonsense" => stream.write_all(b"MAIL FROM:<a@b>\r\n\r\n").await.ok()?,
        "/tls" => stream.write_all(&[21, 3, 3, 0, 2, 2, 40]).await.ok()?,
        "/switches" => stream
            .write_all(b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
            .await
            .ok()?,
        "/endless-head" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n").await.ok()?;
            loop {
                stream.write_all(&b"X: y\r\n".repeat(1000)).await.ok()?;
            }
        }
        "/huge-field" => {
            let field = format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "y".repeat(4 << 20));
            stream.write_all(field.as_bytes()).await.ok()?;
        }
        "/status" => stream.write_all(b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n").await.ok()?,
        "/short-body" => stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhello").await.ok()?,
        "/bad-chunk" => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nzz\r\n")
                .await
                .ok()?;
        }
        "/resets-body" => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nhello").await.ok()?;
            sleep(Duration::from_millis(50)).await;
            reset(stream);
        }
        "/hint" => {
            stream
                .write_all(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n")
                .await
                .ok()?;
            stream.write_all(ok).await.ok()?;
        }
        _ => {}
    }
    Some(())
}

/// Hangs up without a word: what is not sent yet is thrown away.
fn reset(stream: TcpStream) {
    let _ = stream.set_zero_linger();
}

async fn app() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(misbehave(stream));
        }
    });
    port
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_an_app_does_its_visitor_is_told_and_the_next_is_served() {
    let world = World::new().await;
    let target = match instances(&[app().await]) {
        Target::Instances { upstreams, idle_ms, longest_body, protocol, wake_ms, .. } => {
            Target::Instances { upstreams, first_byte_ms: 600, idle_ms, longest_body, protocol, wake_ms }
        }
        files => files,
    };
    world.publish(vec![site(&[SHOP], target)]).await;
    let mut wrong = Vec::new();
    for (at, (name, path, status, error)) in CASES.iter().enumerate() {
        let mut stream = tls(&world, SHOP).await;
        // An order, which nobody repeats.
        let order = format!("POST {path} HTTP/1.1\r\nHost: {SHOP}\r\nContent-Length: 0\r\n\r\n");
        let answered = exchange(&mut stream, order.as_bytes()).await.map(|reply| reply.status);
        if answered != *status {
            wrong.push(format!("{name}: answered {answered:?}"));
        }
        drop(stream);
        let good = get(&world, SHOP, "/good", "").await;
        if (good.status, good.text()) != (200, "ok") {
            wrong.push(format!("after {name}: {} {}", good.status, good.head));
        }
        let log = world.log(|lines| lines.len() >= at * 2 + 2).await;
        let found = log.iter().find(|line| line["path"] == *path).unwrap();
        if found["error"].as_str() != *error {
            wrong.push(format!("{name}: the log says {found}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
