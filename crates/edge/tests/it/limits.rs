//! How often visitors may ask.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http::Request;
use http_body_util::{BodyExt, Full};
use reconcile::ports::{RouteTable, Site};
use reconcile::rate_limits::{LOGIN_HEADER, LimitedBy, LimitedClass, LimitedRoute, Rate, RateLimits};
use rustls::pki_types::ServerName;
use tokio::net::TcpSocket;
use tokio_rustls::TlsConnector;

use crate::app::{App, full};
use crate::visitor::{Protocol, Reply, exchange, get_candidate, request, tcp, tls_config};
use crate::world::{SHOP, World, shop};

pub(crate) fn rate(count: u64, burst: u64) -> Rate {
    Rate { count, period_ms: 3_600_000, burst }
}

pub(crate) fn class(name: &str, rate: Rate, path: Option<&str>) -> LimitedClass {
    let route = |path: &str| LimitedRoute { app: "shop".to_owned(), methods: Vec::new(), path: path.to_owned() };
    LimitedClass {
        name: name.to_owned(),
        rate,
        by: LimitedBy::Client,
        shadow: false,
        shared: false,
        strict: false,
        failures: None,
        routes: path.map(route).into_iter().collect(),
    }
}

pub(crate) async fn publish(world: &World, site: Site, classes: Vec<LimitedClass>) {
    let exempt =
        vec![LimitedRoute { app: "shop".to_owned(), methods: vec!["GET".to_owned()], path: "/health".to_owned() }];
    let rate_limits = Some(RateLimits { classes, exempt });
    world.try_publish(RouteTable { rate_limits, ..world.table(vec![site]) }).await.unwrap();
}

/// A POST from an address of this machine's own: each is another client.
pub(crate) async fn post_from(world: &World, client: u8, path: &str, lines: &str) -> Reply {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind(SocketAddr::from(([127, 0, 0, client], 0))).unwrap();
    let stream = socket.connect(world.https).await.unwrap();
    let name = ServerName::try_from(SHOP).unwrap();
    let mut stream = TlsConnector::from(tls_config(world, &[b"http/1.1"])).connect(name, stream).await.unwrap();
    let wire = format!("POST {path} HTTP/1.1\r\nHost: {SHOP}\r\n{lines}Content-Length: 0\r\n\r\n");
    exchange(&mut stream, wire.as_bytes()).await.expect("an answer")
}

pub(crate) async fn statuses(world: &World, client: u8, path: &str, times: usize) -> Vec<u16> {
    let mut statuses = Vec::new();
    for _ in 0..times {
        statuses.push(post_from(world, client, path, "").await.status);
    }
    statuses
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_again_and_nobody_else_notices() {
    let app = App::saying("ok").await;
    let world = World::new().await;
    let classes = vec![class("default", rate(3600, 6), None), class("auth", rate(60, 3), Some("/auth/*"))];
    publish(&world, shop(app.port), classes).await;

    for left in (0..3).rev() {
        let reply = post_from(&world, 2, "/auth/login", "").await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("ratelimit-policy"), Some("\"auth\";q=3;w=180"));
        let limit = reply.header("ratelimit").unwrap();
        assert!(limit.starts_with(&format!("\"auth\";r={left};t=")), "{limit}");
    }
    let refused = post_from(&world, 2, "/AUTH//login", "X-Request-Id: asked-too-often-1\r\n").await;
    assert_eq!(refused.status, 429);
    assert_eq!(refused.header("content-type"), Some("application/problem+json"));
    assert_eq!(refused.header("ratelimit-policy"), Some("\"auth\";q=3;w=180"));
    let seconds: u64 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((55..=60).contains(&seconds), "{seconds}");
    assert_eq!(refused.header("ratelimit"), Some(format!("\"auth\";r=0;t={seconds}").as_str()));
    let problem: serde_json::Value = serde_json::from_slice(&refused.body).unwrap();
    assert_eq!(problem["type"], "https://iana.org/assignments/http-problem-types#quota-exceeded");
    assert_eq!((&problem["status"], &problem["violated-policies"][0]), (&429.into(), &"auth".into()));
    assert_eq!(problem["request_id"], "asked-too-often-1");

    assert_eq!(post_from(&world, 3, "/auth/login", "").await.status, 200, "another client");
    let other = post_from(&world, 2, "/", "X-Forwarded-For: 127.0.0.9\r\n").await;
    assert_eq!((other.status, other.header("ratelimit")), (200, None), "another class, of which half is left");
    assert_eq!(statuses(&world, 2, "/", 6).await, [200, 200, 200, 200, 200, 429], "whatever a client says of others");

    let lines = world.log(|lines| lines.len() >= 12).await;
    let line = lines.iter().find(|line| line["request_id"] == "asked-too-often-1").unwrap();
    assert_eq!(line["error"], "asked-too-often");
    assert_eq!(line["limit"], serde_json::json!({ "class": "auth", "rule": "own", "outcome": "refused" }));
}

#[tokio::test]
async fn health_apps_and_candidates_are_not_limited_and_http_2_is() {
    let app = App::saying("ok").await;
    let world = World::new().await;
    let site = Site { internal_socket: None, ..shop(app.port) };
    let limits = RateLimits {
        classes: vec![class("default", rate(1, 1), None)],
        exempt: vec![LimitedRoute {
            app: "shop".to_owned(),
            methods: vec!["GET".to_owned()],
            path: "/health".to_owned(),
        }],
    };
    let table = world.table(vec![shop(app.port)]);
    world.try_publish(RouteTable { rate_limits: Some(limits), candidate: vec![site], ..table }).await.unwrap();
    for _ in 0..3 {
        assert_eq!(crate::visitor::get(&world, SHOP, "/health", "").await.status, 200);
        assert_eq!(get_candidate(&world, SHOP, "/").await.status, 200);
        let mut inside = tcp(world.internal).await;
        let wire = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
        assert_eq!(exchange(&mut inside, wire).await.unwrap().status, 200);
    }
    let ask = || Request::get(format!("https://{SHOP}/")).body(Full::default()).unwrap();
    let first = request(&world, SHOP, Protocol::H2, ask()).await;
    assert_eq!(
        (first.status().as_u16(), first.headers()["ratelimit"].to_str().unwrap()),
        (200, "\"default\";r=0;t=3600")
    );
    let second = request(&world, SHOP, Protocol::H2, ask()).await;
    assert_eq!((second.status().as_u16(), second.headers()["retry-after"].to_str().unwrap()), (429, "3600"));
}

#[tokio::test]
async fn a_shadow_refuses_nobody_and_says_whom_it_would_have() {
    let app = App::saying("ok").await;
    let world = World::new().await;
    let shadow = LimitedClass { shadow: true, ..class("default", rate(1, 1), None) };
    publish(&world, shop(app.port), vec![shadow]).await;
    for _ in 0..2 {
        let reply = post_from(&world, 2, "/", "").await;
        assert_eq!((reply.status, reply.header("ratelimit")), (200, None));
    }
    let lines = world.log(|lines| lines.len() == 2).await;
    assert_eq!(lines[0].get("limit"), None);
    assert_eq!(lines[1]["limit"]["outcome"], "would-refuse");
}

/// Lets `right` in and nobody else, and says so to the edge.
async fn login() -> App {
    App::start(|request: Request<hyper::body::Incoming>| async move {
        let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        let account = header("x-account").unwrap_or_default();
        let is_right = header("x-password").as_deref() == Some("right");
        let mut answer = full("");
        *answer.status_mut() = if is_right { http::StatusCode::OK } else { http::StatusCode::UNAUTHORIZED };
        let outcome = if is_right { "passed" } else { "failed" };
        answer.headers_mut().insert(LOGIN_HEADER, format!("{outcome} {account}").parse().unwrap());
        answer.headers_mut().insert("set-cookie", "session=secret".parse().unwrap());
        answer
    })
    .await
}

async fn guess(world: &World, client: u8, account: &str, password: &str) -> Reply {
    let lines = format!("X-Account: {account}\r\nX-Password: {password}\r\n");
    post_from(world, client, "/auth/login", &lines).await
}

#[tokio::test]
async fn who_guesses_learns_nothing_any_more_and_locks_nobody_out() {
    let app = login().await;
    let world = World::new().await;
    let auth = LimitedClass { failures: Some(rate(1, 2)), ..class("auth", rate(3600, 1000), Some("/auth/*")) };
    publish(&world, shop(app.port), vec![auth]).await;

    for _ in 0..2 {
        let reply = guess(&world, 2, "judy", "wrong").await;
        assert_eq!(
            (reply.status, reply.header(LOGIN_HEADER)),
            (401, None),
            "what the app says to us is not for visitors"
        );
    }
    for password in ["wrong", "right"] {
        let reply = guess(&world, 2, "Judy", password).await;
        assert_eq!(reply.status, 429, "{password}: both look the same");
        assert_eq!((reply.header("set-cookie"), reply.header(LOGIN_HEADER)), (None, None));
        assert!(reply.header("retry-after").is_some() && reply.header("ratelimit").is_none(), "{}", reply.head);
    }
    assert_eq!(guess(&world, 2, "bob", "right").await.status, 200, "another account");
    let owner = guess(&world, 3, "judy", "right").await;
    assert_eq!((owner.status, owner.header("set-cookie")), (200, Some("session=secret")), "the owner, from elsewhere");

    // Ten clients fail as often as they may. From then on answers take longer, and none is refused.
    for client in 10..20 {
        for _ in 0..2 {
            guess(&world, client, "judy", "wrong").await;
        }
    }
    let began = Instant::now();
    let owner = guess(&world, 3, "judy", "right").await;
    assert_eq!(owner.status, 200);
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
    let lines = world.log(|lines| lines.iter().any(|line| line["limit"]["rule"] == "failures")).await;
    assert!(lines.iter().all(|line| !line.to_string().contains("judy")), "no account is in the log");
}

#[tokio::test]
async fn what_an_app_says_of_a_login_reaches_nobody_where_nothing_is_limited_either() {
    let app = login().await;
    let world = World::new().await;
    world.publish(vec![shop(app.port)]).await;
    assert_eq!(guess(&world, 2, "judy", "right").await.header(LOGIN_HEADER), None);
    let mut inside = tcp(world.internal).await;
    let wire = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    let reply = exchange(&mut inside, wire).await.unwrap();
    assert_eq!(reply.header(LOGIN_HEADER), None);
}

#[tokio::test]
async fn made_up_sessions_and_keys_are_one_client_in_the_end() {
    let app = App::saying("ok").await;
    let world = World::new().await;
    let by_cookie = LimitedBy::Account { cookie: "session".to_owned() };
    let classes = vec![
        LimitedClass { by: by_cookie, ..class("payment", rate(10, 2), Some("/pay")) },
        LimitedClass { by: LimitedBy::ApiKey, ..class("admin", rate(10, 2), Some("/admin")) },
        LimitedClass { by: LimitedBy::Route, ..class("webhook", rate(10, 2), Some("/hook")) },
    ];
    publish(&world, shop(app.port), classes).await;
    for (path, header) in [("/pay", "Cookie: a=b; session="), ("/admin", "X-Api-Key: ")] {
        let mut let_in = 0;
        for at in 0..20 {
            let_in += usize::from(post_from(&world, 2, path, &format!("{header}{at}\r\n")).await.status == 200);
        }
        assert_eq!(let_in, 16, "{path}: eight times two");
        let own = format!("{header}mine\r\n");
        let mut told = Vec::new();
        for client in [3, 4, 5] {
            told.push(post_from(&world, client, path, &own).await.status);
        }
        assert_eq!(told, [200, 200, 429], "{path}: one session is one, wherever it comes from");
    }
    let mut told = Vec::new();
    for client in [2, 3, 4] {
        told.push(post_from(&world, client, "/hook", "").await.status);
    }
    assert_eq!(told, [200, 200, 429], "what is behind it takes no more, from whomever");
}

#[tokio::test]
async fn other_routes_wash_nobody_clean() {
    let app = App::saying("ok").await;
    let world = World::new().await;
    publish(&world, shop(app.port), vec![class("default", rate(1, 3), None)]).await;
    assert_eq!(statuses(&world, 2, "/", 4).await, [200, 200, 200, 429]);
    publish(&world, shop(app.port), vec![class("default", rate(1, 4), None), class("auth", rate(1, 1), Some("/a"))])
        .await;
    assert_eq!(statuses(&world, 2, "/", 2).await, [200, 429], "one more, and not four");
    let drained =
        request(&world, SHOP, Protocol::H1, Request::get("/").header("host", SHOP).body(Full::default()).unwrap());
    drop(drained.await.into_body().collect().await);
}
