//! TLS as a browser would check it.

use bytes::Bytes;
use http::Request;

use crate::app::App;
use crate::visitor::{Protocol, exchange, request, text_of, tls, try_tls};
use crate::world::{SHOP, World, shop};

async fn stage() -> (World, App) {
    let app = App::saying("shop").await;
    let world = World::new().await;
    world.publish(vec![shop(app.port)]).await;
    (world, app)
}

#[tokio::test]
async fn both_protocols_answer_and_the_chain_verifies() {
    let (world, _app) = stage().await;
    let ask = || Request::get(format!("https://{SHOP}/")).header("host", SHOP).body(Default::default()).unwrap();
    let h1 = Request::get("/").header("host", SHOP).body(Default::default()).unwrap();
    let response = request(&world, SHOP, Protocol::H1, h1).await;
    assert_eq!(response.version(), http::Version::HTTP_11);
    assert_eq!(text_of(response).await, "shop");
    let response = request(&world, SHOP, Protocol::H2, ask()).await;
    assert_eq!(response.version(), http::Version::HTTP_2);
    assert!(response.headers().contains_key("x-request-id"));
    assert_eq!(text_of(response).await, "shop");
}

#[tokio::test]
async fn a_name_that_no_site_has_learns_nothing() {
    let (world, _app) = stage().await;
    let refused = try_tls(&world, "nobody.localhost", &[b"http/1.1"]).await;
    assert!(refused.is_err());
    // By address: a scanner's way. No name is sent, no certificate comes back.
    assert!(try_tls(&world, "127.0.0.1", &[b"http/1.1"]).await.is_err());
}

#[tokio::test]
async fn http_2_keeps_to_the_host_of_its_connection() {
    let (world, _app) = stage().await;
    // The second is none at all: a request over HTTP/2 has one authority.
    for (uri, host, status) in
        [("https://evil.example/", None, 421), ("https://www.shop.localhost/", Some("evil.example"), 400)]
    {
        let mut ask = Request::get(uri);
        if let Some(host) = host {
            ask = ask.header("host", host);
        }
        let response = request(&world, SHOP, Protocol::H2, ask.body(Default::default()).unwrap()).await;
        assert_eq!(response.status(), status, "{uri} {host:?}");
    }
}

#[tokio::test]
async fn http_2_is_judged_like_http_1() {
    let (world, _app) = stage().await;
    let uri = format!("https://{SHOP}/");
    let many = (0..101).fold(Request::get(&uri), |ask, at| ask.header(format!("x-{at}"), "y"));
    for (ask, status) in [
        (Request::get(&uri).header("x_y", "z"), 400),
        (Request::builder().method("TRACE").uri(&uri), 405),
        (Request::get(&uri).header("expect", "miracles"), 417),
        (many, 431),
    ] {
        let response = request(&world, SHOP, Protocol::H2, ask.body(Bytes::new().into()).unwrap()).await;
        assert_eq!(response.status(), status);
    }
}

#[tokio::test]
async fn a_body_over_http_2_reaches_the_app() {
    let recorder = crate::recorder::Recorder::start().await;
    let world = World::new().await;
    world.publish(vec![shop(recorder.address.port())]).await;
    let ask = Request::post(format!("https://{SHOP}/cart")).body(Bytes::from("hello").into()).unwrap();
    assert_eq!(request(&world, SHOP, Protocol::H2, ask).await.status(), 200);
    let seen = recorder.take();
    assert_eq!((seen[0].line(), seen[0].body.as_slice()), ("POST /cart HTTP/1.1", &b"hello"[..]));
    assert_eq!(seen[0].all("host"), [SHOP]);
}

#[tokio::test]
async fn a_new_certificate_is_served_without_a_restart() {
    let (world, app) = stage().await;
    assert!(try_tls(&world, "api.shop.localhost", &[b"http/1.1"]).await.is_err());
    let mut open = tls(&world, SHOP).await;
    let api = reconcile::ports::Site {
        app: "api".into(),
        internal_socket: None,
        ..crate::world::site(&["api.shop.localhost"], crate::world::instances(&[app.port]))
    };
    world.publish(vec![shop(app.port), api]).await;
    let _ = tls(&world, "api.shop.localhost").await;
    let wire = format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n");
    assert_eq!(exchange(&mut open, wire.as_bytes()).await.unwrap().status, 200);
}
