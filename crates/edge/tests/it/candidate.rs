//! A release that is looked at before visitors get it, the switch to it, and who may switch.

use edge::EdgeClient;
use http::{Response, StatusCode};
use http_body_util::BodyExt;
use reconcile::ports::{Kept, RouteTable, Routes, Site, Target, Traffic, Upstream};

use crate::app::App;
use crate::visitor::{get, get_candidate};
use crate::world::{SHOP, World, eventually, shop, site};

/// The shop of another release, beside the first.
fn green(port: u16) -> Site {
    let upstreams = vec![Upstream { instance: "shop-green-1".into(), port }];
    let target = Target::Instances {
        upstreams,
        first_byte_ms: 30_000,
        idle_ms: 5_000,
        longest_body: None,
        protocol: reconcile::ports::Protocol::Http1,
        wake_ms: None,
    };
    Site { internal_socket: None, ..site(&[SHOP], target) }
}

fn beside(table: RouteTable, candidate: Site) -> RouteTable {
    RouteTable { candidate: vec![candidate], ..table }
}

async fn traffic(world: &World, instance: &str) -> Option<Traffic> {
    world.edge.traffic().await.unwrap().into_iter().find(|traffic| traffic.instance == instance)
}

#[tokio::test]
async fn a_candidate_is_reached_by_its_own_door_alone_at_the_public_address() {
    let (blue, green_app) = (App::saying("blue").await, App::saying("green").await);
    let world = World::new().await;
    // Where nothing is live yet, a candidate is reached all the same.
    world.publish(vec![shop(blue.port)]).await;
    world.try_publish(beside(world.table(Vec::new()), green(green_app.port))).await.unwrap();
    assert_eq!(get_candidate(&world, SHOP, "/").await.text(), "green");
    assert_eq!(get(&world, SHOP, "/", "").await.status, 404);
    world.try_publish(beside(world.table(vec![shop(blue.port)]), green(green_app.port))).await.unwrap();
    assert_eq!(get(&world, SHOP, "/", "").await.text(), "blue");
    assert_eq!(get_candidate(&world, SHOP, "/").await.text(), "green");

    world.try_publish(world.table(vec![green(green_app.port)])).await.unwrap();
    assert_eq!(get(&world, SHOP, "/", "").await.text(), "green");
    // Whoever means the candidate is never shown what is live.
    assert_eq!(get_candidate(&world, SHOP, "/").await.status, 404);
}

#[tokio::test]
async fn a_page_that_is_still_open_gets_the_files_it_was_made_with() {
    let app = App::saying("of the app").await;
    let world = World::new().await;
    let earlier = world.root.path().join("earlier");
    std::fs::create_dir_all(earlier.join("chunks")).unwrap();
    for name in ["chunks/main-3f2a9c1b.js", "chunks/config.js"] {
        std::fs::write(earlier.join(name), "of an earlier release").unwrap();
    }
    let kept = vec![Kept { prefix: "/static/".into(), folder: earlier }];
    world.publish(vec![Site { kept, ..shop(app.port) }]).await;
    let body = async |path: &str| get(&world, SHOP, path, "").await.text().to_owned();
    assert_eq!(body("/static/chunks/main-3f2a9c1b.js").await, "of an earlier release");
    // What the earlier release never had, what has no digest in its name, and what is elsewhere is the app's.
    for path in ["/static/chunks/main-00000001.js", "/static/chunks/config.js", "/chunks/main-3f2a9c1b.js", "/"] {
        assert_eq!(body(path).await, "of the app", "{path}");
    }
    let climbing = get(&world, SHOP, "/static/../../state/x-3f2a9c1b.js", "").await;
    assert_ne!(climbing.text(), "of an earlier release");
}

#[tokio::test]
async fn a_control_that_was_replaced_changes_no_routes_whatever_restarts() {
    let (blue, other) = (App::saying("blue").await, App::saying("other").await);
    let mut world = World::new().await;
    let client = |epoch| EdgeClient::new(world.root.clone()).of_epoch(epoch);
    let (old, new) = (client(1), client(2));
    world.publish(vec![shop(blue.port)]).await;
    old.publish(world.table(vec![shop(blue.port)])).await.unwrap();
    // The same routes, said by another: it is known from now on.
    new.publish(world.table(vec![shop(blue.port)])).await.unwrap();
    for _ in 0..2 {
        let fault = old.publish(world.table(vec![shop(other.port)])).await.unwrap_err();
        assert!(fault.causes.iter().any(|cause| cause.contains("control 2 has taken over")), "{fault:?}");
        assert!(old.rest("shop-1", std::time::Duration::from_secs(1)).await.is_err());
        assert_eq!(get(&world, SHOP, "/", "").await.text(), "blue");
        world.stop().await;
        world.start().await;
    }
    new.publish(world.table(vec![shop(other.port)])).await.unwrap();
    assert_eq!(get(&world, SHOP, "/", "").await.text(), "other");
}

#[tokio::test]
async fn what_an_instance_did_is_counted_also_after_it_was_left() {
    let (release, held) =
        (std::sync::Arc::new(tokio::sync::Notify::new()), std::sync::Arc::new(tokio::sync::Notify::new()));
    let (gate, entered) = (release.clone(), held.clone());
    let app = App::start(move |request| {
        let (gate, entered) = (gate.clone(), entered.clone());
        async move {
            match request.uri().path() {
                "/held" => {
                    entered.notify_one();
                    gate.notified().await;
                    crate::app::full("at last")
                }
                "/broken" => Response::builder()
                    .status(StatusCode::INTERNAL_SERVER_ERROR)
                    .body(crate::app::full("").into_body().boxed())
                    .unwrap(),
                _ => crate::app::full("fine"),
            }
        }
    })
    .await;
    let world = std::sync::Arc::new(World::new().await);
    world.publish(vec![shop(app.port)]).await;
    for path in ["/", "/", "/broken"] {
        get(&world, SHOP, path, "").await;
    }
    let seen = traffic(&world, "shop-1").await.unwrap();
    assert_eq!((seen.answered, seen.failed, seen.by_time.iter().sum::<u64>()), (3, 1, 3));

    let slow = tokio::spawn({
        let world = world.clone();
        async move { get(&world, SHOP, "/held", "").await.text().to_owned() }
    });
    held.notified().await;
    let other = App::saying("other").await;
    world.publish(vec![green(other.port)]).await;
    assert_eq!(get(&world, SHOP, "/", "").await.text(), "other");
    assert_eq!(traffic(&world, "shop-1").await.unwrap().in_flight, 1, "left, and still at work");
    release.notify_one();
    assert_eq!(slow.await.unwrap(), "at last");
    eventually("nothing is under way", async || traffic(&world, "shop-1").await.is_none_or(|left| left.in_flight == 0))
        .await;
}
