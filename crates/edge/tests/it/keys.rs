//! The key set of an app that signs tokens, served by the edge itself.

use reconcile::ports::{KeySet, Site};

use crate::app::App;
use crate::visitor::get;
use crate::world::{SHOP, World, shop};

const PATH: &str = "/.well-known/jwks.json";

#[tokio::test]
async fn verifiers_get_the_keys_that_hold_and_are_told_how_long_to_keep_them() {
    let app = App::saying("of the app").await;
    let world = World::new().await;
    let signing = |kids: &[&str]| {
        let document = format!(r#"{{"keys":[{}]}}"#, kids.join(","));
        Site { key_set: Some(KeySet { document, max_age_s: 60 }), ..shop(app.port) }
    };
    world.publish(vec![signing(&[r#"{"kid":"one"}"#])]).await;
    let reply = get(&world, SHOP, PATH, "").await;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("cache-control").unwrap(), "public, max-age=60");
    assert_eq!(reply.header("content-type").unwrap(), "application/jwk-set+json");
    assert_eq!(reply.text(), r#"{"keys":[{"kid":"one"}]}"#);

    world.publish(vec![signing(&[r#"{"kid":"one"}"#, r#"{"kid":"two"}"#])]).await;
    assert!(get(&world, SHOP, PATH, "").await.text().contains("two"));
    // Whatever else is asked for is the app's.
    assert_eq!(get(&world, SHOP, "/.well-known/jwks.jsonx", "").await.text(), "of the app");

    world.publish(vec![shop(app.port)]).await;
    assert_eq!(get(&world, SHOP, PATH, "").await.text(), "of the app", "who signs nothing has no key set");
}
