//! Redis on a real redis-server.

use stores::redis::{app_secret, redis_url};

use crate::stand::{Stand, app, converge_redis};

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_folder_becomes_a_guarded_redis_and_then_nothing_is_left_to_do() {
    let stand = Stand::new();
    let redis = stand.redis().await;
    let steps = converge_redis(&redis).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    println!("{steps:#?}");
    assert_eq!(converge_redis(&redis).await.unwrap(), Vec::<String>::new());

    let url = redis_url(&app(), stand.port, &stand.secret(&app_secret(&app())));
    let mut connection = ::redis::Client::open(url.expose()).unwrap().get_multiplexed_async_connection().await.unwrap();
    let _: () = ::redis::cmd("SET").arg("shop:local:a").arg(1).query_async(&mut connection).await.unwrap();
}
