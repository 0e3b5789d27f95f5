//! An environment that is asleep: its visitors are counted, and wait for as long as it takes to wake it.

use std::time::Duration;

use edge::{Arrived, Limits};
use host::socket::free_port;
use reconcile::ports::{Site, Target, Upstream};

use crate::app::{App, full};
use crate::visitor::get;
use crate::world::{SHOP, World, shop, site};

fn sleeper(port: u16) -> Site {
    let upstreams = vec![Upstream { instance: "shop-1".to_owned(), port }];
    // Shorter than it takes to wake it: that time is not the app's.
    site(
        &[SHOP],
        Target::Instances {
            upstreams,
            first_byte_ms: 300,
            idle_ms: 5_000,
            longest_body: None,
            protocol: reconcile::ports::Protocol::Http1,
            wake_ms: Some(30_000),
        },
    )
}

#[tokio::test]
async fn who_comes_to_one_that_is_asleep_waits_for_longer_than_for_one_that_restarts() {
    let limits = Limits { restart_patience: Duration::from_millis(200), ..Limits::default() };
    let (asleep, awake) = (World::with(limits.clone()).await, World::with(limits).await);
    let (port, other) = (free_port().unwrap(), free_port().unwrap());
    asleep.publish(vec![sleeper(port)]).await;
    awake.publish(vec![shop(other)]).await;
    assert_eq!(get(&awake, SHOP, "/", "").await.status, 503);
    let known = asleep.edge.arrivals(Arrived::default()).await.unwrap();
    assert_eq!(known.count, 0);
    let (reply, count) = tokio::join!(get(&asleep, SHOP, "/", ""), async {
        // As control does: it hears of the visitor, and takes its time.
        let told = asleep.edge.arrivals(known).await.unwrap();
        assert!(told.is_after(known));
        tokio::time::sleep(Duration::from_millis(600)).await;
        let app = App::start_on(port, |_| async { full("awake") }).await;
        (app, told.count)
    });
    let (_app, count) = count;
    assert_eq!((reply.status, reply.text(), count), (200, "awake", 1));
}

#[tokio::test]
async fn only_visitors_who_are_let_in_are_counted() {
    let app = App::saying("ok").await;
    let world = World::new().await;
    world.publish(vec![shop(app.port)]).await;
    assert_eq!(get(&world, SHOP, "/", "Host: elsewhere.example\r\n").await.status, 400);
    let known = world.edge.arrivals(Arrived::default()).await.unwrap();
    assert_eq!(known.count, 0);
    assert_eq!(get(&world, SHOP, "/", "").await.status, 200);
    assert_eq!(world.edge.arrivals(known).await.unwrap().count, 1);
}
