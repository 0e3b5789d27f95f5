//! Lent users on real servers: what they may do, and that nothing of them stays.

use std::time::Duration;

use host::clock::{Moment, Timestamp};
use host::process::Identity;
use mongodb::Client;
use mongodb::bson::{Document, doc};
use reconcile::loaded::Loaded;
use redis::AsyncCommands;
use secrets::{Secret, generate};
use stores::leases::{self, Holder, InRedis, Lease, Rights, State, book};

use crate::stand::{Stand, app, converge_mongo, converge_redis, mongo_settings, redis_settings, until};

pub(crate) fn lease(rights: Rights, password: &Secret) -> Lease {
    Lease {
        id: leases::name("anna", "0a1b2c3d"),
        app: app(),
        rights,
        holder: Holder {
            name: "anna".to_owned(),
            uid: 1000,
            process: Identity { pid: 1, start_time: 1 },
            boot_id: "boot".to_owned(),
        },
        since: Timestamp::from_unix_millis(0),
        until: Timestamp::from_unix_millis(1_900_000_000_000),
        renewed: None,
        lasts: Duration::from_secs(60),
        state: State::Live,
        reason: None,
        mongodb: Some(mongo_settings().database),
        redis: Some(InRedis::new(password, &redis_settings().key_prefix)),
        loaded: Loaded::new(),
    }
}

/// The address of a user that reads.
pub(crate) async fn borrow_mongo_to_read(stand: &Stand) -> Secret {
    let password = generate::credential().unwrap();
    let id = leases::name("anna", &password.expose()[..8].to_lowercase());
    let lease = Lease { redis: None, id, ..lease(Rights::ReadOnly, &password) };
    book::note(&stand.ground.root, lease.clone()).unwrap();
    leases::mongo::lend(&stand.ground, &stand.port.into(), &lease, &password).await.unwrap();
    leases::mongo::mongo_url(&mongo_settings(), &lease, &stand.ground, &stand.port.into(), &password).unwrap()
}

async fn borrow_mongo(stand: &Stand, rights: Rights) -> (Lease, Client) {
    let password = generate::credential().unwrap();
    let lease = Lease { redis: None, ..lease(rights, &password) };
    book::note(&stand.ground.root, lease.clone()).unwrap();
    leases::mongo::lend(&stand.ground, &stand.port.into(), &lease, &password)
        .await
        .unwrap_or_else(|fault| panic!("{fault:#?}"));
    let url =
        leases::mongo::mongo_url(&mongo_settings(), &lease, &stand.ground, &stand.port.into(), &password).unwrap();
    // As a client of anybody's would read it.
    (lease, mongodb::Client::with_uri_str(url.expose()).await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lent_user_of_mongodb_may_what_the_app_may_until_it_is_taken_back() {
    let stand = Stand::new();
    let mongo = stand.mongo().await;
    converge_mongo(&mongo).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    let (lease, client) = borrow_mongo(&stand, Rights::OfApp).await;
    let things = client.database("shop-local").collection::<Document>("things");
    things.insert_one(doc! { "_id": 1 }).await.unwrap();
    let drop = client.database("shop-local").run_command(doc! { "drop": "things" }).await;
    assert!(drop.is_err(), "no more than the app");
    assert_eq!(converge_mongo(&mongo).await.unwrap(), Vec::<String>::new(), "it is no stranger");
    let far = Moment::new(Timestamp::from_unix_millis(1_900_000_000_000), "b", Duration::ZERO);
    let longer = book::renew(&stand.ground.root, &lease.id, &far).unwrap();
    leases::mongo::renew(&stand.ground, &stand.port.into(), &longer.unwrap()).await.unwrap();
    things.insert_one(doc! { "_id": 2 }).await.unwrap();

    book::end(&stand.ground.root, &lease.id).unwrap();
    leases::mongo::take_back(&stand.ground, &stand.port.into(), &lease).await.unwrap();
    leases::mongo::take_back(&stand.ground, &stand.port.into(), &lease).await.unwrap();
    book::strike(&stand.ground.root, &lease.id).unwrap();
    assert!(things.find_one(doc! {}).await.is_err(), "a connection that was open is of nobody now");
    assert_eq!(converge_mongo(&mongo).await.unwrap(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_only_reads_in_mongodb_changes_nothing_and_an_orphan_is_taken_away() {
    let stand = Stand::new();
    let mongo = stand.mongo().await;
    converge_mongo(&mongo).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    let (lease, client) = borrow_mongo(&stand, Rights::ReadOnly).await;
    let database = client.database("shop-local");
    database.list_collection_names().await.unwrap();
    assert_eq!(database.collection::<Document>("things").count_documents(doc! {}).await.unwrap(), 0);
    let refused =
        |answer: Result<_, mongodb::error::Error>| assert!(answer.unwrap_err().to_string().contains("not authorized"));
    refused(database.collection::<Document>("things").insert_one(doc! { "a": 1 }).await.map(|_| ()));
    refused(database.create_collection("other").await);
    refused(client.database("admin").run_command(doc! { "usersInfo": 1 }).await.map(|_| ()));

    // The book is lost, the user is still there.
    std::fs::remove_file(book::path(&stand.ground.root)).unwrap();
    let removed = format!("remove user {} of shop-local, which nobody asked for", lease.id);
    assert_eq!(converge_mongo(&mongo).await.unwrap(), [removed]);
    assert!(database.list_collection_names().await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lent_user_of_redis_comes_and_goes_and_nobody_else_notices() {
    let stand = Stand::new();
    let redis = stand.redis().await;
    converge_redis(&redis).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    let app_url = stores::redis::redis_url(
        &app(),
        stand.port,
        &stand.versioned(&stores::redis::Purpose::Durable.app_secret(&app())),
    );
    let mut of_app = stand.redis_by(&app_url).await.unwrap();
    let id_of_app = async |connection: &mut redis::aio::MultiplexedConnection| -> u64 {
        redis::cmd("CLIENT").arg("ID").query_async(connection).await.unwrap()
    };
    let before = id_of_app(&mut of_app).await;
    let _: () = of_app.set("shop:local:a", "1").await.unwrap();

    for rights in [Rights::OfApp, Rights::ReadOnly] {
        let password = generate::credential().unwrap();
        let lease = Lease { mongodb: None, ..lease(rights, &password) };
        book::note(&stand.ground.root, lease.clone()).unwrap();
        leases::redis::lend(&redis, &lease).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
        let url = leases::redis::redis_url(&lease, stand.port, &password);
        let mut lent = stand.redis_by(&url).await.unwrap();
        let value: String = lent.get("shop:local:a").await.unwrap();
        assert_eq!(value, "1");
        let written: redis::RedisResult<()> = lent.set("shop:local:b", "2").await;
        assert_eq!(written.is_ok(), rights == Rights::OfApp);
        for command in [vec!["GET", "somebody-else"], vec!["FLUSHALL"], vec!["ACL", "LIST"], vec!["CONFIG", "GET", "*"]]
        {
            let mut asked = redis::cmd(command[0]);
            asked.arg(&command[1..]);
            let answer: redis::RedisResult<redis::Value> = asked.query_async(&mut lent).await;
            assert_eq!(answer.unwrap_err().code(), Some("NOPERM"), "{command:?}");
        }
        assert_eq!(converge_redis(&redis).await.unwrap(), Vec::<String>::new(), "it is as the file says");
        let acl = stand.ground.root.conf().join("redis/users.acl");
        let text = || std::fs::read_to_string(&acl).unwrap();
        assert!(text().contains(&lease.id) && !text().contains(password.expose()));

        // A server that starts again still knows it.
        if rights == Rights::ReadOnly {
            stand.units.kill("redis");
            until("redis answers the lent user again", || async {
                let _ = reconcile::ports::Units::list(stand.units.as_ref()).await;
                stand.redis_by(&url).await.is_ok()
            })
            .await;
        } else {
            assert_eq!(id_of_app(&mut of_app).await, before, "the app's connection is the same");
        }

        book::end(&stand.ground.root, &lease.id).unwrap();
        leases::redis::take_back(&redis, &lease).await.unwrap();
        leases::redis::take_back(&redis, &lease).await.unwrap();
        book::strike(&stand.ground.root, &lease.id).unwrap();
        assert!(stand.redis_by(&url).await.is_err());
        let gone: redis::RedisResult<String> = lent.get("shop:local:a").await;
        assert!(gone.is_err(), "a connection that was open is closed");
        assert!(!text().contains(&lease.id));
        assert_eq!(converge_redis(&redis).await.unwrap(), Vec::<String>::new());
        if rights == Rights::OfApp {
            assert_eq!(id_of_app(&mut of_app).await, before);
        }
    }
}
