//! MongoDB on a real mongod.

use mongodb::Client;
use mongodb::bson::{Document, doc};
use stores::mongo::{app_secret, mongo_url};

use crate::stand::{Stand, app, converge_mongo, mongo_settings};

async fn as_app(stand: &Stand) -> Client {
    let url = mongo_url(&mongo_settings(), &app(), stand.port, &stand.secret(&app_secret(&app())));
    Client::with_uri_str(url.expose()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_folder_becomes_a_guarded_mongodb_and_then_nothing_is_left_to_do() {
    let stand = Stand::new();
    let mongo = stand.mongo().await;
    let steps = converge_mongo(&mongo).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    println!("{steps:#?}");
    assert_eq!(converge_mongo(&mongo).await.unwrap(), Vec::<String>::new());

    let client = as_app(&stand).await;
    let things = client.database("shop-local").collection::<Document>("things");
    things.insert_one(doc! { "_id": 1 }).await.unwrap();
}
