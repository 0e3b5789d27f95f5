//! Apps that go away and come back.

use std::time::Duration;

use edge::Limits;
use host::socket::free_port;
use http_body_util::BodyExt;

use crate::app::{App, full};
use crate::visitor::{exchange, get, tls};
use crate::world::{SHOP, World, shop};

#[tokio::test]
async fn a_restart_is_a_slow_answer_and_a_body_survives_it() {
    let port = free_port().unwrap();
    let world = World::new().await;
    world.publish(vec![shop(port)]).await;
    let mut stream = tls(&world, SHOP).await;
    let order = format!("POST /orders HTTP/1.1\r\nHost: {SHOP}\r\nContent-Length: 9\r\n\r\none pizza");
    let ordering = tokio::spawn(async move { exchange(&mut stream, order.as_bytes()).await.unwrap() });
    // The request is there, and nobody listens.
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(!ordering.is_finished());
    let _app =
        App::start_on(port, |request| async move { full(request.into_body().collect().await.unwrap().to_bytes()) })
            .await;
    let reply = ordering.await.unwrap();
    assert_eq!((reply.status, reply.text()), (200, "one pizza"));
}

#[tokio::test]
async fn requests_go_on_while_an_app_is_killed_and_started_again() {
    let mut app = App::saying("ok").await;
    let world = std::sync::Arc::new(World::new().await);
    world.publish(vec![shop(app.port)]).await;
    let visitor = tokio::spawn({
        let world = std::sync::Arc::clone(&world);
        async move {
            for at in 0..150 {
                let reply = get(&world, SHOP, "/", "").await;
                assert_eq!(reply.status, 200, "request {at}: {reply:?}");
            }
        }
    });
    while !visitor.is_finished() {
        let port = app.kill().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
        app = App::start_on(port, |_| async { full("ok") }).await;
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    visitor.await.unwrap();
}

#[tokio::test]
async fn an_app_that_stays_away_is_a_503_that_says_when_to_come_back() {
    let world = World::with(Limits { restart_patience: Duration::from_millis(300), ..Limits::default() }).await;
    world.publish(vec![shop(free_port().unwrap())]).await;
    let reply = get(&world, SHOP, "/", "Accept: text/html\r\n").await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("5")));
    assert!(reply.text().contains("Back in a moment") && reply.text().contains(reply.header("x-request-id").unwrap()));
    let log = world.log(|lines| !lines.is_empty()).await;
    assert_eq!(log[0]["error"], "app-unreachable");
}
