//! An instance that is being replaced gets no request, and nobody is refused for it.

use std::time::{Duration, Instant};

use reconcile::ports::Routes;

use crate::app::App;
use crate::visitor::get;
use crate::world::{SHOP, World, shop};

#[tokio::test]
async fn who_comes_while_the_only_instance_rests_waits_until_it_wakes() {
    let app = App::saying("here").await;
    let world = World::new().await;
    world.publish(vec![shop(app.port)]).await;
    assert_eq!(get(&world, SHOP, "/", "").await.text(), "here");
    let name = match &world.edge.current().await.unwrap().unwrap().sites[0].target {
        reconcile::ports::Target::Instances { upstreams, .. } => upstreams[0].instance.clone(),
        other => panic!("the shop is a process: {other:?}"),
    };
    world.edge.rest(&name, Duration::from_secs(30)).await.unwrap();
    let began = Instant::now();
    let (reply, ()) = tokio::join!(get(&world, SHOP, "/", ""), async {
        tokio::time::sleep(Duration::from_millis(400)).await;
        world.edge.wake(&name).await.unwrap();
    });
    assert_eq!((reply.status, reply.text()), (200, "here"));
    assert!(began.elapsed() >= Duration::from_millis(400), "it did not rest");

    // Whoever asked for the rest was killed: it ends by itself.
    world.edge.rest(&name, Duration::from_millis(300)).await.unwrap();
    assert_eq!(get(&world, SHOP, "/", "").await.text(), "here");

    // Routes that are published meanwhile change nothing about it.
    world.edge.rest(&name, Duration::from_millis(600)).await.unwrap();
    let began = Instant::now();
    world.publish(vec![shop(app.port)]).await;
    assert_eq!(get(&world, SHOP, "/", "").await.text(), "here");
    assert!(began.elapsed() >= Duration::from_millis(400), "new routes woke it");
    world.edge.rest("nobody", Duration::from_secs(1)).await.unwrap();
}
