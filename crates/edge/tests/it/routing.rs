//! From host names to sites.

use reconcile::ports::Site;

use crate::app::App;
use crate::recorder::Recorder;
use crate::visitor::{exchange, get, tcp, tls};
use crate::world::{SHOP, World, instances, shop, site};

async fn plain(world: &World, wire: &str) -> crate::visitor::Reply {
    exchange(&mut tcp(world.http).await, wire.as_bytes()).await.unwrap()
}

#[tokio::test]
async fn plain_http_is_sent_to_https_with_the_port_that_visitors_see() {
    let app = App::saying("shop").await;
    let world = World::new().await;
    world.publish(vec![shop(app.port)]).await;
    let reply =
        plain(&world, &format!("POST /cart?x=1 HTTP/1.1\r\nHost: {SHOP}:8080\r\nContent-Length: 0\r\n\r\n")).await;
    let expected = format!("https://{SHOP}:{}/cart?x=1", world.https.port());
    assert_eq!((reply.status, reply.header("location")), (308, Some(expected.as_str())));
    assert_eq!(reply.header("strict-transport-security"), None);
    let mut table = world.table(vec![shop(app.port)]);
    table.https_port = 443;
    world.try_publish(table).await.unwrap();
    let reply = plain(&world, &format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n")).await;
    assert_eq!(reply.header("location"), Some("https://www.shop.localhost/"));
}

#[tokio::test]
async fn an_alias_is_sent_home_in_one_step_from_both_doors() {
    let app = App::saying("shop").await;
    let world = World::new().await;
    world.publish(vec![site(&[SHOP, "shop.localhost"], instances(&[app.port]))]).await;
    let home = format!("https://{SHOP}:{}/a", world.https.port());
    let over_tls = get(&world, "shop.localhost", "/a", "").await;
    assert_eq!((over_tls.status, over_tls.header("location")), (308, Some(home.as_str())));
    let over_tcp = plain(&world, "GET /a HTTP/1.1\r\nHost: shop.localhost\r\n\r\n").await;
    assert_eq!((over_tcp.status, over_tcp.header("location")), (308, Some(home.as_str())));
}

#[tokio::test]
async fn an_unknown_host_gets_a_page_that_names_the_request() {
    let app = App::saying("shop").await;
    let world = World::new().await;
    world.publish(vec![shop(app.port)]).await;
    let reply = plain(&world, "GET / HTTP/1.1\r\nHost: nobody.localhost\r\n\r\n").await;
    assert_eq!(reply.status, 404);
    assert!(reply.text().contains(reply.header("x-request-id").unwrap()), "{}", reply.text());
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    let reply = plain(&world, "GET / HTTP/1.1\r\nHost: nobody.localhost\r\nAccept: application/json\r\n\r\n").await;
    let problem: serde_json::Value = serde_json::from_str(reply.text()).unwrap();
    assert_eq!(reply.header("content-type"), Some("application/problem+json"));
    assert_eq!((problem["status"].as_u64(), problem["request_id"].as_str()), (Some(404), reply.header("x-request-id")));
}

#[tokio::test]
async fn one_connection_reaches_one_site() {
    let (one, two) = (App::saying("one").await, App::saying("two").await);
    let world = World::new().await;
    let api =
        Site { app: "api".into(), internal_socket: None, ..site(&["api.shop.localhost"], instances(&[two.port])) };
    world.publish(vec![shop(one.port), api]).await;
    assert_eq!(get(&world, SHOP, "/", "").await.text(), "one");
    assert_eq!(get(&world, "api.shop.localhost", "/", "").await.text(), "two");
    let mut stream = tls(&world, SHOP).await;
    let reply = exchange(&mut stream, b"GET / HTTP/1.1\r\nHost: api.shop.localhost\r\n\r\n").await.unwrap();
    assert_eq!(reply.status, 421);
}

#[tokio::test]
async fn apps_call_each_other_without_tls_and_keep_the_request_id() {
    let recorder = Recorder::start().await;
    let world = World::new().await;
    world.publish(vec![shop(recorder.address.port())]).await;
    let wire = format!(
        "GET /products HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nX-Request-Id: from-the-storefront-1\r\n\r\n",
        world.internal.port()
    );
    let reply = exchange(&mut tcp(world.internal).await, wire.as_bytes()).await.unwrap();
    assert_eq!((reply.status, reply.header("x-request-id")), (200, Some("from-the-storefront-1")));
    let seen = recorder.take();
    assert_eq!(seen[0].all("x-request-id"), ["from-the-storefront-1"]);
    assert_eq!(seen[0].all("x-forwarded-proto"), ["http"]);
    // A page in a browser may reach this port under a name of its own.
    let reply =
        exchange(&mut tcp(world.internal).await, b"GET / HTTP/1.1\r\nHost: rebound.example\r\n\r\n").await.unwrap();
    assert_eq!(reply.status, 421);
}

#[tokio::test]
async fn a_real_domain_promises_https_and_localhost_does_not() {
    let app = App::saying("shop").await;
    let world = World::new().await;
    let real = Site { app: "real".into(), internal_socket: None, ..site(&["shop.example"], instances(&[app.port])) };
    world.publish(vec![shop(app.port), real]).await;
    let promise = |reply: crate::visitor::Reply| reply.header("strict-transport-security").map(str::to_owned);
    assert_eq!(promise(get(&world, "shop.example", "/", "").await).as_deref(), Some("max-age=31536000"));
    assert_eq!(promise(get(&world, SHOP, "/", "").await), None);
}

#[tokio::test]
async fn the_log_tells_what_happened_and_no_secret_of_a_query() {
    let app = App::saying("shop").await;
    let world = World::new().await;
    world.publish(vec![shop(app.port)]).await;
    get(&world, SHOP, "/reset?token=s3cr3t", "X-Request-Id: the-request-1\r\n").await;
    plain(&world, "GET /x HTTP/1.1\r\nHost: nobody.localhost\r\n\r\n").await;
    let _ = exchange(&mut tcp(world.http).await, b"NONSENSE\r\n\r\n").await;
    let mut head = tcp(world.http).await;
    let wire = format!("HEAD / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n");
    tokio::io::AsyncWriteExt::write_all(&mut head, wire.as_bytes()).await.unwrap();
    let log = world.log(|lines| lines.len() == 4).await;
    assert_eq!((log[3]["status"].as_u64(), log[3].get("error")), (Some(308), None));
    let line = &log[0];
    assert_eq!(line["request_id"], "the-request-1");
    assert_eq!((line["method"].as_str(), line["path"].as_str()), (Some("GET"), Some("/reset?…")));
    assert_eq!((line["host"].as_str(), line["scheme"].as_str()), (Some(SHOP), Some("https")));
    assert_eq!((line["status"].as_u64(), line["bytes"].as_u64()), (Some(200), Some(4)));
    assert_eq!((line["app"].as_str(), line["upstream"].as_str()), (Some("shop"), Some("shop-1")));
    assert_eq!(line["protocol"], "HTTP/1.1");
    assert!(line["ms"].as_f64().unwrap() >= 0.0 && line["time"].as_str().unwrap().ends_with('Z'));
    assert_eq!((log[1]["status"].as_u64(), log[1]["error"].as_str()), (Some(404), Some("unknown-host")));
    assert_eq!((log[2]["status"].as_u64(), log[2]["error"].as_str()), (Some(400), Some("unparsed")));
    assert!(!std::fs::read_to_string(world.root.access_log()).unwrap().contains("s3cr3t"));
}
