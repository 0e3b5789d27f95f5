//! One client that opens connection after connection.

use std::time::Duration;

use edge::Limits;

use crate::app::App;
use crate::visitor::{closes_within, exchange, get, tcp};
use crate::world::{SHOP, World, eventually, shop};

#[tokio::test]
async fn a_client_that_has_its_share_of_connections_gets_no_more_until_it_leaves() {
    let app = App::saying("shop").await;
    let world = World::with(Limits { connections_per_client: 3, counts_this_machine: true, ..Limits::default() }).await;
    world.publish(vec![shop(app.port)]).await;
    let wire = format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n");
    let mut open = Vec::new();
    for _ in 0..3 {
        let mut stream = tcp(world.http).await;
        assert_eq!(exchange(&mut stream, wire.as_bytes()).await.unwrap().status, 308);
        open.push(stream);
    }
    // Whichever door it comes to.
    for door in [world.http, world.https] {
        assert!(closes_within(&mut tcp(door).await, Duration::from_secs(10)).await);
    }
    // Those that are there are served on.
    assert_eq!(exchange(&mut open[0], wire.as_bytes()).await.unwrap().status, 308);
    open.clear();
    eventually("its places are free again", async || {
        exchange(&mut tcp(world.http).await, wire.as_bytes()).await.is_some()
    })
    .await;
}

#[tokio::test]
async fn this_machine_is_not_counted() {
    let app = App::saying("shop").await;
    let world = World::with(Limits { connections_per_client: 1, ..Limits::default() }).await;
    world.publish(vec![shop(app.port)]).await;
    let _open = [tcp(world.http).await, tcp(world.http).await, tcp(world.https).await];
    assert_eq!(get(&world, SHOP, "/", "").await.status, 200);
}
