//! Routes: durable, whole, and never silently lost.

use std::path::PathBuf;

use edge::api::State;
use reconcile::ports::{Published, Routes, Site};

use crate::app::App;
use crate::visitor::{exchange, get, tcp};
use crate::world::{SHOP, World, instances, shop, site};

fn routes(world: &World) -> PathBuf {
    world.root.routes().join("routes.json")
}

fn previous(world: &World) -> PathBuf {
    world.root.routes().join("routes.previous.json")
}

/// Changes a letter in a name: what is left reads well, and is not what was written.
fn damage(path: &PathBuf) {
    let text = std::fs::read_to_string(path).unwrap();
    assert!(text.contains("shop-1"));
    std::fs::write(path, text.replace("shop-1", "shop-7")).unwrap();
}

/// Two generations: the shop says "one", then "two".
async fn stage() -> (World, App, App) {
    let (one, two) = (App::saying("one").await, App::saying("two").await);
    let world = World::new().await;
    assert_eq!(world.publish(vec![shop(one.port)]).await, Published::Served { generation: 1 });
    assert_eq!(world.publish(vec![shop(two.port)]).await, Published::Served { generation: 2 });
    (world, one, two)
}

#[tokio::test]
async fn the_same_table_again_is_no_new_generation() {
    let (world, _one, two) = stage().await;
    assert_eq!(world.publish(vec![shop(two.port)]).await, Published::Unchanged { generation: 2 });
    assert_eq!(world.edge.current().await.unwrap(), Some(world.table(vec![shop(two.port)])));
    assert_eq!(world.edge.health().await.unwrap().generation, 2);
}

#[tokio::test]
async fn a_new_edge_serves_what_the_last_one_did() {
    let (mut world, _one, two) = stage().await;
    world.stop().await;
    world.start().await;
    assert_eq!(get(&world, SHOP, "/", "").await.text(), "two");
    assert_eq!(world.publish(vec![shop(two.port)]).await, Published::Unchanged { generation: 2 });
}

#[tokio::test]
async fn before_the_first_table_the_edge_says_so() {
    let world = World::new().await;
    assert_eq!(world.edge.health().await.unwrap().state, State::Empty);
    assert_eq!(world.edge.current().await.unwrap(), None);
    let reply = exchange(&mut tcp(world.http).await, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("5")));
}

#[tokio::test]
async fn a_damaged_table_gives_way_to_the_one_before() {
    for lose in
        [damage as fn(&PathBuf), |path| std::fs::remove_file(path).unwrap(), |path| std::fs::write(path, "").unwrap()]
    {
        let (mut world, _one, two) = stage().await;
        world.stop().await;
        lose(&routes(&world));
        world.start().await;
        assert_eq!(get(&world, SHOP, "/", "").await.text(), "one");
        // The damaged file is not kept as the previous one.
        assert_eq!(world.publish(vec![shop(two.port)]).await, Published::Served { generation: 2 });
        assert_eq!(get(&world, SHOP, "/", "").await.text(), "two");
        world.stop().await;
        damage(&routes(&world));
        world.start().await;
        assert_eq!(get(&world, SHOP, "/", "").await.text(), "one");
    }
}

#[tokio::test]
async fn when_all_copies_are_damaged_every_page_says_so_until_somebody_publishes() {
    let (mut world, one, _two) = stage().await;
    world.stop().await;
    damage(&routes(&world));
    damage(&previous(&world));
    world.start().await;
    assert_eq!(world.edge.health().await.unwrap().state, State::Damaged);
    let wire = format!("GET / HTTP/1.1\r\nHost: {SHOP}\r\n\r\n");
    let reply = exchange(&mut tcp(world.http).await, wire.as_bytes()).await.unwrap();
    assert_eq!(reply.status, 503);
    assert!(reply.text().contains("lost its routes"), "{}", reply.text());
    let over_tls = get(&world, SHOP, "/", "").await;
    assert!(over_tls.status == 503 && over_tls.text().contains("lost its routes"), "{over_tls:?}");
    // The generation goes on from the header that survived.
    assert_eq!(world.publish(vec![shop(one.port)]).await, Published::Served { generation: 3 });
    assert_eq!(get(&world, SHOP, "/", "").await.text(), "one");
}

#[tokio::test]
async fn a_table_that_cannot_be_served_changes_nothing() {
    let (world, one, _two) = stage().await;
    let other =
        |hosts: &[&str]| Site { app: "other".into(), internal_socket: None, ..site(hosts, instances(&[one.port])) };
    let twice = world.table(vec![shop(one.port), other(&[SHOP])]);
    let fault = world.try_publish(twice).await.unwrap_err();
    let told = fault.causes.join(" ");
    assert!(told.contains("\"other\"") && told.contains("\"shop\"") && told.contains(SHOP), "{told}");

    let nowhere = world.table(vec![shop(one.port), other(&[])]);
    assert!(world.try_publish(nowhere).await.is_err());

    // Published without a certificate for it.
    let fault = world.edge.publish(world.table(vec![other(&["new.localhost"])])).await.unwrap_err();
    assert!(fault.causes.join(" ").contains("new.localhost"), "{fault:?}");

    assert_eq!(get(&world, SHOP, "/", "").await.text(), "two");
    assert_eq!(world.edge.health().await.unwrap().generation, 2);
}

#[tokio::test]
async fn nobody_speaks_to_an_edge_that_is_away() {
    let (mut world, one, _two) = stage().await;
    world.stop().await;
    let fault = world.edge.publish(world.table(vec![shop(one.port)])).await.unwrap_err();
    assert_eq!(fault.retry, reconcile::fault::Retry::Safe);
    assert!(fault.hint.is_some());
}
