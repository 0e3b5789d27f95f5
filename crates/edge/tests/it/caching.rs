//! Answers of an app that are given to others: to whom, for how long, and what is never given.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use edge::{Limits, Purge};
use http::header::{CACHE_CONTROL, HeaderName};
use http::{HeaderValue, Request};
use http_body::Frame;
use http_body_util::BodyExt;
use hyper::body::Incoming;
use reconcile::ports::{CacheRules, Site, SiteAccess};
use response_cache::Selector;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};

use crate::app::{Answer, App, Frames, full};
use crate::visitor::{Reply, exchange, read_until, tcp, tls};
use crate::world::{SHOP, World, eventually, shop};

const RULES: CacheRules = CacheRules { bytes: 4 << 20, largest: 64 << 10 };
const KEPT: &str = "max-age=60";

/// An app that counts what it is asked for, and says with its number how often it was.
struct Shop {
    app: App,
    asked: Arc<Mutex<BTreeMap<String, usize>>>,
}

impl Shop {
    async fn start(answer: impl Fn(&Request<Incoming>, Answer) -> Answer + Send + Sync + 'static) -> Self {
        let asked: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
        let counter = Arc::clone(&asked);
        let app = App::start(move |request| {
            let what = format!("{} {}", request.method(), request.uri());
            let mut asked = counter.lock().unwrap();
            let number = asked.entry(what).or_default();
            *number += 1;
            let answer = answer(&request, full(format!("number {number}")));
            async move { answer }
        })
        .await;
        Self { app, asked }
    }

    /// One that says the same about each answer.
    async fn saying(lines: &'static [(&'static str, &'static str)]) -> Self {
        Self::start(move |_, answer| with(answer, lines)).await
    }

    fn asked(&self, what: &str) -> usize {
        self.asked.lock().unwrap().get(what).copied().unwrap_or(0)
    }

    fn site(&self) -> Site {
        Site { cache: Some(RULES), ..shop(self.app.port) }
    }

    async fn world(&self) -> World {
        let world = World::new().await;
        world.publish(vec![self.site()]).await;
        world
    }
}

fn with(mut answer: Answer, lines: &[(&'static str, &'static str)]) -> Answer {
    for (name, value) in lines {
        answer.headers_mut().append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    answer
}

/// As a browser asks, which names the port.
async fn ask(world: &World, method: &str, path: &str, lines: &str) -> Reply {
    ask_at(world, &format!("{SHOP}:{}", world.https.port()), method, path, lines).await
}

async fn ask_at(world: &World, authority: &str, method: &str, path: &str, lines: &str) -> Reply {
    let mut stream = tls(world, SHOP).await;
    let wire = format!("{method} {path} HTTP/1.1\r\nHost: {authority}\r\n{lines}\r\n");
    if method != "HEAD" {
        return exchange(&mut stream, wire.as_bytes()).await.expect("an answer");
    }
    stream.write_all(wire.as_bytes()).await.unwrap();
    let head = String::from_utf8(read_until(&mut stream, b"\r\n\r\n").await.unwrap()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    Reply { status, head, body: Vec::new() }
}

async fn get(world: &World, path: &str, lines: &str) -> Reply {
    ask(world, "GET", path, lines).await
}

fn told(reply: &Reply) -> &str {
    reply.header("cache-status").unwrap_or("nothing")
}

#[tokio::test]
async fn an_answer_is_given_again_as_it_is_asked_for() {
    let shop = Shop::saying(&[("cache-control", KEPT), ("etag", "\"v1\""), ("x-of-app", "a"), ("x-of-app", "b")]).await;
    let world = shop.world().await;
    let first = get(&world, "/a?b=c", "").await;
    assert_eq!((first.text(), told(&first)), ("number 1", "roadbed; fwd=uri-miss; stored"));
    let again = get(&world, "/a?b=c", "").await;
    assert!(told(&again).starts_with("roadbed; hit; ttl="), "{}", again.head);
    assert_eq!((again.text(), again.header("etag"), again.header("age").is_some()), ("number 1", Some("\"v1\""), true));
    assert_eq!(again.head.matches("x-of-app").count(), 2);
    let head = ask(&world, "HEAD", "/a?b=c", "").await;
    assert_eq!((head.status, head.header("content-length")), (200, Some("8")));
    let part = get(&world, "/a?b=c", "Range: bytes=0-2\r\n").await;
    assert_eq!((part.status, part.text(), part.header("content-range")), (206, "num", Some("bytes 0-2/8")));
    assert_eq!(get(&world, "/a?b=c", "If-None-Match: W/\"v1\"\r\n").await.status, 304);
    assert_eq!(shop.asked("GET /a?b=c"), 1);
    assert_eq!(get(&world, "/a?b=d", "").await.text(), "number 1");
    assert_eq!((shop.asked("GET /a?b=d"), shop.asked("HEAD /a?b=c")), (1, 0));
    let lines = world.log(|lines| lines.len() == 6).await;
    let words: Vec<_> = lines.iter().map(|line| line["cache"].as_str().unwrap()).collect();
    assert_eq!(words, ["stored", "hit", "hit", "hit", "hit", "stored"]);
    assert!(lines[1]["upstream"].is_null() && lines[0]["upstream"] == "shop-1");
    let counted = &world.edge.caches().await.unwrap()["shop"];
    assert_eq!((counted.hits, counted.misses, counted.stored, counted.kept), (4, 2, 2, 2));
}

#[tokio::test]
async fn nothing_is_kept_where_nobody_asked_for_a_cache() {
    let shop = Shop::saying(&[("cache-control", "public, s-maxage=60")]).await;
    let world = World::new().await;
    world.publish(vec![Site { cache: None, ..shop.site() }]).await;
    for _ in 0..2 {
        assert_eq!(told(&get(&world, "/", "").await), "nothing");
    }
    assert_eq!(shop.asked("GET /"), 2);
    // Nor on a site that is not for everybody, whatever its app says.
    let file = world.root.path().join("credentials");
    // SHA-256 of "open sesame".
    std::fs::write(&file, "ali:41ef4bb0b23661e66301aac36066912dac037827b4ae63a7b1165a5aa93ed4eb\n").unwrap();
    let access = SiteAccess::Protected { credentials_file: file, sign_in: None };
    world.publish(vec![Site { access, ..shop.site() }]).await;
    for _ in 0..2 {
        // Told in parts: whole, it would be a password to who looks for those.
        let login = format!("Authorization: Basic {}\r\n", "YWxpOm9wZW4gc2VzYW1l");
        assert_eq!(get(&world, "/", &login).await.status, 200);
    }
    assert_eq!((shop.asked("GET /"), get(&world, "/", "").await.status), (4, 401));
}

#[tokio::test]
async fn nobody_gets_what_is_somebodys() {
    let shop = Shop::start(|request, answer| match request.uri().path() {
        "/gives-a-cookie" => with(answer, &[("cache-control", "public, s-maxage=60"), ("set-cookie", "sid=1")]),
        "/private" => with(answer, &[("cache-control", "private, max-age=60")]),
        // A page by the name of a file, which an app answers all the same.
        "/account/x.css" => with(answer, &[("cache-control", "no-store, max-age=60"), ("content-type", "text/css")]),
        "/account/y.css" => {
            with(answer, &[("content-type", "text/css"), ("last-modified", "Thu, 01 Jan 1970 00:00:00 GMT")])
        }
        _ => with(answer, &[("cache-control", "public, s-maxage=60")]),
    })
    .await;
    let world = shop.world().await;
    for (path, lines, word) in [
        ("/cookie", "Cookie: sid=1\r\n", "fwd=bypass; detail=cookie"),
        ("/authorization", "Authorization: Bearer x\r\n", "fwd=bypass; detail=authorization"),
        ("/gives-a-cookie", "", "fwd=uri-miss; detail=set-cookie"),
        ("/private", "", "fwd=uri-miss; detail=private"),
        ("/account/x.css", "", "fwd=uri-miss; detail=no-store"),
        ("/account/y.css", "", "fwd=uri-miss; detail=not-explicit"),
    ] {
        for number in ["number 1", "number 2"] {
            let reply = get(&world, path, lines).await;
            assert_eq!((reply.text(), told(&reply)), (number, format!("roadbed; {word}").as_str()), "{path}");
        }
        // And the next one, who says nothing of himself, is no better off.
        assert_eq!(get(&world, path, "").await.text(), "number 3", "{path}");
    }
    // What is kept for everybody is for those who say nothing of themselves alone.
    assert_eq!(get(&world, "/cookie", "").await.text(), "number 3");
    assert_eq!(get(&world, "/cookie", "Cookie: sid=2\r\n").await.text(), "number 4");
    let counted = &world.edge.caches().await.unwrap()["shop"];
    assert_eq!((counted.bypassed["cookie"], counted.refused["set-cookie"], counted.kept), (3, 3, 2));
}

#[tokio::test]
async fn no_field_that_is_not_in_the_key_makes_a_page_of_others() {
    let shop = Shop::start(|request, answer| {
        let of = |name: &str| request.headers().get(name).map_or("-", |value| value.to_str().unwrap()).to_owned();
        let names = [
            "host",
            "x-forwarded-host",
            "x-forwarded-proto",
            "x-original-url",
            "x-http-method-override",
            "x-forwarded-scheme",
        ];
        let said = names.map(of).join(" ");
        let (mut parts, _) = answer.into_parts();
        parts.headers.insert(CACHE_CONTROL, HeaderValue::from_static(KEPT));
        Answer::from_parts(parts, full(said).into_body())
    })
    .await;
    let world = shop.world().await;
    let authority = format!("{SHOP}:{}", world.https.port());
    for lines in [
        "X-Original-URL: /admin\r\n",
        "X-HTTP-Method-Override: POST\r\n",
        "X-Forwarded-Scheme: http\r\n",
        "Content-Length: 4\r\n\r\nbody",
    ] {
        let reply = get(&world, "/", lines).await;
        assert!(told(&reply).starts_with("roadbed; fwd=bypass"), "{lines} {}", told(&reply));
    }
    for odd in [SHOP.to_owned(), format!("{SHOP}:1"), authority.to_uppercase()] {
        assert_eq!(told(&ask_at(&world, &odd, "GET", "/", "").await), "nothing", "{odd}");
    }
    // These are ours, whatever is sent: the first one's page is the right one.
    let evil = "X-Forwarded-Host: evil.example\r\nX-Forwarded-Proto: http\r\nForwarded: host=evil.example\r\n";
    let right = format!("{authority} {authority} https - - -");
    let first = get(&world, "/", evil).await;
    assert_eq!((first.text(), told(&first)), (right.as_str(), "roadbed; fwd=uri-miss; stored"));
    assert_eq!(get(&world, "/", "").await.text(), right);
}

#[tokio::test]
async fn an_answer_is_for_those_who_are_alike_in_what_it_varies_by() {
    let shop = Shop::saying(&[("cache-control", KEPT), ("vary", "Accept-Language")]).await;
    let world = shop.world().await;
    let speaking = async |language: &str| get(&world, "/", &format!("Accept-Language: {language}\r\n")).await;
    assert_eq!(speaking("de").await.text(), "number 1");
    let other = speaking("en").await;
    assert_eq!((other.text(), told(&other)), ("number 2", "roadbed; fwd=vary-miss; stored"));
    assert_eq!((speaking("DE").await.text(), speaking("en").await.text()), ("number 1", "number 2"));
}

#[tokio::test]
async fn a_release_never_says_what_the_one_before_said() {
    let (one, two) =
        (Shop::saying(&[("cache-control", KEPT)]).await, Shop::saying(&[("cache-control", "max-age=61")]).await);
    let world = World::new().await;
    let site = |shop: &Shop, release: &str| Site { release: Some(release.to_owned()), ..shop.site() };
    world.publish(vec![site(&one, "r1")]).await;
    get(&world, "/", "").await;
    world.publish(vec![site(&two, "r2")]).await;
    let next = get(&world, "/", "").await;
    assert_eq!((next.header("cache-control"), told(&next)), (Some("max-age=61"), "roadbed; fwd=uri-miss; stored"));
    // Back again, what it said is still right.
    world.publish(vec![site(&one, "r1")]).await;
    assert!(told(&get(&world, "/", "").await).contains("hit"));
    assert_eq!((one.asked("GET /"), two.asked("GET /")), (1, 1));
}

#[tokio::test]
async fn what_changes_something_takes_back_what_was_kept_about_it() {
    let shop = Shop::start(|request, answer| {
        let mut answer = with(answer, &[("cache-control", KEPT), ("location", "/item")]);
        if request.uri().query().is_some() {
            *answer.status_mut() = http::StatusCode::BAD_REQUEST;
        }
        answer
    })
    .await;
    let world = shop.world().await;
    let hits = async |path: &str| told(&get(&world, path, "").await).contains("hit");
    for path in ["/list", "/item", "/other"] {
        assert!(!hits(path).await && hits(path).await);
    }
    assert_eq!(
        told(&ask(&world, "POST", "/list", "Content-Length: 0\r\nCookie: a=b\r\n").await),
        "roadbed; fwd=method"
    );
    assert!(!hits("/list").await && !hits("/item").await && hits("/other").await);
    ask(&world, "DELETE", "/list?fails", "").await;
    assert!(hits("/list").await && hits("/item").await);
    // Another app does so from inside.
    let wire = "PUT /other HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n";
    assert_eq!(exchange(&mut tcp(world.internal).await, wire.as_bytes()).await.unwrap().status, 200);
    assert!(!hits("/other").await);
    // And the operator.
    let selector = Selector::Prefix(format!("https://{SHOP}:{}/", world.https.port()));
    let nobodys = Purge { app: Some("nobody".to_owned()), selector: selector.clone() };
    assert_eq!(world.edge.purge(&nobodys).await.unwrap(), 0);
    // What was put there named the item, too.
    assert_eq!(world.edge.purge(&Purge { app: None, selector }).await.unwrap(), 2);
    assert!(!hits("/list").await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_who_ask_at_once_are_one_question_to_the_app() {
    let (go, going) = watch::channel(false);
    let asked = Arc::new(Mutex::new(0));
    let counter = Arc::clone(&asked);
    let app = App::start(move |_| {
        *counter.lock().unwrap() += 1;
        let mut going = going.clone();
        async move {
            going.wait_for(|go| *go).await.unwrap();
            with(full("once"), &[("cache-control", KEPT)])
        }
    })
    .await;
    let world = Arc::new(World::new().await);
    world.publish(vec![Site { cache: Some(RULES), ..shop(app.port) }]).await;
    let (wrote, mut written) = mpsc::unbounded_channel();
    let visitors: Vec<_> = (0..50)
        .map(|_| {
            let (world, wrote) = (Arc::clone(&world), wrote.clone());
            tokio::spawn(async move {
                let mut stream = tls(&world, SHOP).await;
                let wire = format!("GET / HTTP/1.1\r\nHost: {SHOP}:{}\r\n\r\n", world.https.port());
                stream.write_all(wire.as_bytes()).await.unwrap();
                stream.flush().await.unwrap();
                wrote.send(()).unwrap();
                crate::visitor::read_reply(&mut stream).await.unwrap()
            })
        })
        .collect();
    for _ in 0..50 {
        written.recv().await.unwrap();
    }
    eventually("the app is asked", async || *asked.lock().unwrap() > 0).await;
    go.send(true).unwrap();
    let mut stored = 0;
    for visitor in visitors {
        let reply = visitor.await.unwrap();
        assert_eq!(reply.text(), "once");
        stored += usize::from(told(&reply).contains("stored"));
    }
    assert_eq!((*asked.lock().unwrap(), stored), (1, 1));
    assert_eq!(world.edge.caches().await.unwrap()["shop"].hits, 49);
}

#[tokio::test]
async fn who_leaves_or_reads_slowly_keeps_nobody_waiting() {
    let (frames, receiver) = mpsc::unbounded_channel();
    let receiver = Mutex::new(Some(receiver));
    let app = App::start(move |_| {
        let body = receiver.lock().unwrap().take().map(|receiver| Frames(receiver).boxed());
        let answer = body.map_or_else(|| full("asked again"), Answer::new);
        async move { with(answer, &[("cache-control", KEPT)]) }
    })
    .await;
    let world = World::new().await;
    world.publish(vec![Site { cache: Some(RULES), ..shop(app.port) }]).await;
    let mut leaver = tls(&world, SHOP).await;
    let wire = format!("GET / HTTP/1.1\r\nHost: {SHOP}:{}\r\n\r\n", world.https.port());
    leaver.write_all(wire.as_bytes()).await.unwrap();
    frames.send(Frame::data("begun, ".into())).unwrap();
    let head = String::from_utf8(read_until(&mut leaver, b"begun, ").await.unwrap()).unwrap();
    assert!(head.contains("stored"), "it arrives as it comes: {head}");
    drop(leaver);
    let waiting = get(&world, "/", "");
    let app_goes_on = async {
        frames.send(Frame::data("and ended".into())).unwrap();
        drop(frames);
    };
    let (reply, ()) = tokio::join!(waiting, app_goes_on);
    assert_eq!(reply.text(), "begun, and ended");
    assert!(told(&reply).contains("hit"), "{}", reply.head);
}

#[tokio::test]
async fn an_app_that_is_gone_is_stood_in_for_where_it_said_so() {
    let shop = Shop::start(|request, answer| match request.uri().path() {
        "/stands-in" => with(answer, &[("cache-control", "max-age=0, stale-if-error=60")]),
        "/never" => {
            with(answer, &[("cache-control", "max-age=0, stale-if-error=60, must-revalidate"), ("etag", "\"1\"")])
        }
        _ => with(answer, &[("cache-control", "max-age=0"), ("etag", "\"1\"")]),
    })
    .await;
    let world = World::with(Limits { restart_patience: Duration::from_millis(50), ..Limits::default() }).await;
    world.publish(vec![shop.site()]).await;
    for path in ["/stands-in", "/never", "/silent"] {
        assert!(told(&get(&world, path, "").await).contains("stored"));
    }
    // While it answers, it is asked.
    assert_eq!(get(&world, "/stands-in", "").await.text(), "number 2");
    shop.app.kill().await;
    let reply = get(&world, "/stands-in", "").await;
    assert_eq!((reply.status, reply.text()), (200, "number 2"));
    assert!(told(&reply).contains("detail=stale-if-error"), "{}", reply.head);
    for path in ["/never", "/silent"] {
        assert_eq!(get(&world, path, "").await.status, 503, "{path}");
    }
}

#[tokio::test]
async fn a_newer_answer_is_got_while_the_old_one_is_given() {
    let shop = Shop::saying(&[("cache-control", "max-age=0, stale-while-revalidate=60")]).await;
    let world = shop.world().await;
    assert_eq!(get(&world, "/", "").await.text(), "number 1");
    assert_eq!(get(&world, "/", "").await.text(), "number 1");
    eventually("the newer one is there", async || get(&world, "/", "").await.text() != "number 1").await;
    // Whoever asks for the newest waits for it.
    let before = shop.asked("GET /");
    let newest = get(&world, "/", "Cache-Control: no-cache\r\n").await;
    let number: usize = newest.text().strip_prefix("number ").unwrap().parse().unwrap();
    assert!(number > before, "{number} of {before}");
    assert_eq!(get(&world, "/other", "Cache-Control: only-if-cached\r\n").await.status, 504);
}

#[tokio::test]
async fn an_answer_that_is_still_right_is_renewed() {
    let shop = Shop::start(|request, answer| {
        let mut answer = with(answer, &[("cache-control", "no-cache"), ("etag", "\"v1\"")]);
        if request.headers().get("if-none-match").is_some_and(|tag| tag == "\"v1\"") {
            *answer.status_mut() = http::StatusCode::NOT_MODIFIED;
            answer.headers_mut().insert("x-said", HeaderValue::from_static("later"));
            answer = answer.map(|_| full("").into_body());
        }
        answer
    })
    .await;
    let world = shop.world().await;
    get(&world, "/", "").await;
    // What he has is another one, and what he gets is what is kept.
    let reply = get(&world, "/", "If-None-Match: \"his\"\r\n").await;
    assert_eq!((reply.status, reply.text(), reply.header("x-said")), (200, "number 1", Some("later")));
    assert!(told(&reply).contains("fwd=stale; fwd-status=304"), "{}", reply.head);
    assert_eq!(get(&world, "/", "If-None-Match: \"v1\"\r\n").await.status, 304);
    assert_eq!(shop.asked("GET /"), 3);
}

#[tokio::test]
async fn what_is_too_long_or_has_no_end_passes_by() {
    const LONG: usize = 200 << 10;
    let shop = Shop::start(|request, answer| {
        let answer = match request.uri().path() {
            "/long" => full(vec![b'x'; LONG]),
            "/long-in-pieces" => {
                let (frames, receiver) = mpsc::unbounded_channel();
                (0..200).for_each(|_| frames.send(Frame::data(vec![b'x'; 1 << 10].into())).unwrap());
                Answer::new(Frames(receiver).boxed())
            }
            "/events" => with(answer, &[("content-type", "text/event-stream")]),
            _ => answer,
        };
        with(answer, &[("cache-control", KEPT)])
    })
    .await;
    let world = shop.world().await;
    for path in ["/long", "/long-in-pieces", "/events"] {
        for _ in 0..2 {
            let reply = get(&world, path, "").await;
            assert_eq!(reply.body.len(), if path == "/events" { 8 } else { LONG }, "{path}");
        }
        assert!(shop.asked(&format!("GET {path}")) >= 2, "{path}");
        assert!(!told(&get(&world, path, "").await).contains("hit"), "{path}");
    }
    // However much is asked for, so much is kept.
    for at in 0..100 {
        get(&world, &format!("/{at}"), "").await;
    }
    let counted = &world.edge.caches().await.unwrap()["shop"];
    assert!(
        counted.bytes <= RULES.bytes && counted.refused["too-large"] >= 4 && counted.refused["stream"] >= 2,
        "{counted:?}"
    );
}

#[tokio::test]
async fn half_an_answer_is_never_taken_for_one() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let head = String::from_utf8(read_until(&mut stream, b"\r\n\r\n").await.unwrap()).unwrap();
            let framing = match head.split(' ').nth(1).unwrap() {
                "/length" => "Content-Length: 100\r\n\r\n",
                "/chunks" => "Transfer-Encoding: chunked\r\n\r\n64\r\n",
                _ => "\r\n",
            };
            let wire = format!("HTTP/1.1 200 OK\r\nCache-Control: {KEPT}\r\nConnection: close\r\n{framing}half");
            let _ = stream.write_all(wire.as_bytes()).await;
        }
    });
    let world = World::new().await;
    world.publish(vec![Site { cache: Some(RULES), ..shop(port) }]).await;
    for path in ["/length", "/chunks"] {
        let mut stream = tls(&world, SHOP).await;
        let wire = format!("GET {path} HTTP/1.1\r\nHost: {SHOP}:{}\r\n\r\n", world.https.port());
        assert!(exchange(&mut stream, wire.as_bytes()).await.is_none(), "{path}: the visitor sees that it broke off");
    }
    // Where nobody can tell, nothing is kept either.
    assert_eq!(told(&get(&world, "/close", "").await), "roadbed; fwd=uri-miss; detail=unfinished");
    let counted = &world.edge.caches().await.unwrap()["shop"];
    assert_eq!((counted.kept, counted.refused["unfinished"]), (0, 3));
}

#[tokio::test]
async fn what_is_kept_is_compressed_for_those_who_can_read_it() {
    let page = "<li>Bicycle bell, brass, loud enough for town</li>\n".repeat(200);
    let body = page.clone();
    let shop = Shop::start(move |_, _| {
        with(full(body.clone()), &[("cache-control", KEPT), ("content-type", "text/html"), ("etag", "\"v1\"")])
    })
    .await;
    let world = shop.world().await;
    let first = get(&world, "/", "Accept-Encoding: gzip\r\n").await;
    assert_eq!((first.header("content-encoding"), first.header("etag")), (Some("gzip"), Some("W/\"v1\"")));
    assert!(told(&first).contains("stored"), "{}", first.head);
    let plain = get(&world, "/", "").await;
    assert_eq!((plain.text(), plain.header("vary")), (page.as_str(), Some("accept-encoding")));
    let again = get(&world, "/", "Accept-Encoding: zstd\r\n").await;
    assert_eq!(zstd::decode_all(&again.body[..]).unwrap(), page.as_bytes());
    assert!(told(&plain).contains("hit") && told(&again).contains("hit"));
    assert_eq!(shop.asked("GET /"), 1);
}
