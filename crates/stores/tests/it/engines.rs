//! Engines: where they are found, and that a fetch survives what happens to fetches.

use crate::stand::{located, mongod, redis_server};
use reconcile::Resource;

#[tokio::test(flavor = "multi_thread")]
async fn both_engines_are_there_after_a_fetch_and_need_no_second_one() {
    for engine in [mongod().await, redis_server().await] {
        let found = located(&engine).await;
        assert!(found.program.is_absolute(), "{found:?}");
        let seen = engine.observe().await.unwrap();
        assert_eq!(engine.plan(&seen), []);
    }
}
