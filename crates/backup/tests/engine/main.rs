//! The engine of backups with a real mongod, a real redis-server and restic itself.

#![allow(clippy::unwrap_used, reason = "what cannot be set up has failed")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests start, damage and kill what production code only reaches by `host`"
)]

mod adversity;
mod destinations;
mod elsewhere;
mod faults;
mod forge;
mod objects;
mod power_loss;
mod releases;
mod restoring;
mod stand;
mod telemetry;
mod yielding;

use std::sync::Arc;
use std::time::Duration;

use backup::{
    Drill, Keep, Naming, Repository, Scratch, SliceTaken, append, chain_end, doomed, put_back, rebuild, rehearse, take,
};
use host::clock::{Clock, SystemClock};
use mongodb::bson::{Document, doc};
use stand::{KEY, Stand, sorted};

/// A base of what the stand has now.
async fn base(stand: &Stand) -> backup::Taken {
    take(&stand.repository, stand.sources(), SystemClock.now()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_saved_is_restored_to_the_byte_with_indexes_and_options_and_the_living_stays_as_it_was() {
    let stand = Stand::new().await;
    let shop = stand.database();
    shop.run_command(doc! { "create": "orders", "validator": { "total": { "$gte": 0 } } }).await.unwrap();
    stand.orders(0..3000).await;
    shop.run_command(
        doc! { "createIndexes": "orders", "indexes": [{ "key": { "n": 1 }, "name": "by_n", "unique": true }] },
    )
    .await
    .unwrap();
    shop.run_command(
        doc! { "create": "big", "viewOn": "orders", "pipeline": [{ "$match": { "n": { "$gt": 2990 } } }] },
    )
    .await
    .unwrap();
    shop.run_command(doc! { "create": "log", "capped": true, "size": 100_000 }).await.unwrap();
    shop.collection::<Document>("log").insert_one(doc! { "line": "a/b" }).await.unwrap();
    shop.collection::<Document>("a/b..c").insert_one(doc! { "odd": true }).await.unwrap();
    let taken = base(&stand).await;
    let before = stand.documents("orders").await;
    shop.collection::<Document>("orders").delete_many(doc! {}).await.unwrap();
    let mut scratch = Scratch::new(&stand.scratch()).unwrap();
    let client = scratch.mongod(&stand.engines.mongod.clone().unwrap()).await.unwrap();
    let at = taken.contents.mongodb.as_ref().unwrap().at;
    let course = Arc::new(backup::Course::default());
    backup::watched(course.clone(), rebuild(&stand.repository, Some(at), at, &client)).await.unwrap();
    assert!(course.done() > 0 && course.done() == course.expected(), "{course:?}");
    let copied = put_back(
        (&client, "shop"),
        (&stand.client, "shop"),
        Some("orders"),
        &Naming::Beside { suffix: "-then".into() },
    )
    .await;
    assert_eq!(copied.unwrap()[0].documents, 3000);
    assert_eq!(stand.documents("orders").await, Vec::<Document>::new(), "what lives is not touched");
    assert_eq!(sorted(stand.documents("orders-then").await), sorted(before.clone()));
    put_back((&client, "shop"), (&stand.client, "shop"), None, &Naming::InPlace).await.unwrap();
    assert_eq!(sorted(stand.documents("orders").await), sorted(before));
    assert_eq!(stand.documents("big").await.len(), 9);
    assert_eq!(stand.documents("a/b..c").await.len(), 1);
    let names = shop.list_collection_names().await.unwrap();
    assert!(!names.contains(&"orders-then".to_owned()), "in place means as it was then: {names:?}");
    let indexes = shop.collection::<Document>("orders").list_index_names().await.unwrap();
    assert_eq!(sorted_names(indexes), ["_id_", "by_n"]);
    let refused = shop.collection::<Document>("orders").insert_one(doc! { "total": -1 }).await;
    assert!(refused.is_err(), "the validator is there again");
    scratch.end().await.unwrap();
    assert!(!stand.scratch().exists(), "nothing stays of the rehearsal");
}

fn sorted_names(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn any_moment_between_is_restored_from_the_oplog() {
    let stand = Stand::new().await;
    stand.orders(0..200).await;
    let taken = base(&stand).await;
    let orders = stand.database().collection::<Document>("orders");
    orders
        .update_many(doc! { "n": { "$lt": 50 } }, doc! { "$set": { "paid": true }, "$inc": { "total": 1.5 } })
        .await
        .unwrap();
    orders.delete_one(doc! { "n": 7 }).await.unwrap();
    stand.transaction(1000..1040).await;
    stand.large_transaction().await;
    stand
        .database()
        .run_command(doc! { "createIndexes": "orders", "indexes": [{ "key": { "total": 1 }, "name": "by_total" }] })
        .await
        .unwrap();
    stand.database().collection::<Document>("carts").insert_one(doc! { "cart": 1 }).await.unwrap();
    let rename = doc! { "renameCollection": "shop.carts", "to": "shop.baskets" };
    stand.client.database("admin").run_command(rename).await.unwrap();
    stand.other().insert_one(doc! { "not": "ours" }).await.unwrap();
    let then = stand.now().await;
    let (wanted, large) = (sorted(stand.documents("orders").await), stand.documents("large").await.len());
    tokio::time::sleep(Duration::from_millis(1100)).await;
    orders.delete_many(doc! {}).await.unwrap();
    stand.database().collection::<Document>("baskets").drop().await.unwrap();
    let end = chain_end(&stand.repository.snapshots().unwrap()).unwrap();
    let SliceTaken::Through { to, saved: Some(_) } =
        append(&stand.repository, &stand.client, "shop", (end, end), SystemClock.now()).await.unwrap()
    else {
        panic!("there are changes, and the oplog reaches back to the base")
    };
    assert!(to > then);
    assert!(taken.snapshot.is_base());
    let mut scratch = Scratch::new(&stand.scratch()).unwrap();
    let client = scratch.mongod(&stand.engines.mongod.clone().unwrap()).await.unwrap();
    let (_, restored) = rebuild(&stand.repository, Some(then), to, &client).await.unwrap();
    assert!(restored.changes > 40, "{restored:?}");
    let shop = client.database("shop");
    assert_eq!(sorted(stand::all(&shop, "orders").await), wanted);
    assert_eq!(stand::all(&shop, "large").await.len(), large);
    assert_eq!(stand::all(&shop, "baskets").await.len(), 1);
    let indexes = shop.collection::<Document>("orders").list_index_names().await.unwrap();
    assert!(indexes.contains(&"by_total".to_owned()));
    assert!(client.list_database_names().await.unwrap().iter().all(|name| name != "other"));
    scratch.end().await.unwrap();
    let nothing_new = append(&stand.repository, &stand.client, "shop", (to, to), SystemClock.now()).await.unwrap();
    assert!(matches!(nothing_new, SliceTaken::Through { saved: None, .. }));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_whole_leaves_no_snapshot() {
    let stand = Stand::new().await;
    stand.orders(0..20_000).await;
    let mut sources = stand.sources();
    // Its log is not there: found when everything else was read.
    sources.redis.push(backup::RedisSource { unit: "redis".into(), data: stand.scratch().join("nowhere"), keys: 1 });
    let fault = take(&stand.repository, sources, SystemClock.now()).await.unwrap_err();
    assert!(fault.message.contains("append-only log"), "{fault:?}");
    assert_eq!(stand.repository.snapshots().unwrap(), []);
    assert_eq!(std::fs::read_dir(stand.place().join("snapshots")).unwrap().count(), 0);
    // Half of the documents lie in the repository by now, and harm nobody.
    base(&stand).await;
    assert_eq!(stand.repository.verify(None).unwrap().damage, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn restic_itself_lists_checks_and_restores_and_a_second_backup_moves_little() {
    let stand = Stand::new().await;
    stand.orders(0..5000).await;
    let taken = base(&stand).await;
    let size = stand.size_of_repository();
    base(&stand).await;
    let grown = stand.size_of_repository() - size;
    assert!(grown < 8192, "{grown} more after {size}: lists of what is there, and nothing of it again");
    stand.restic(&["check", "--read-data"]);
    let target = stand.scratch();
    std::fs::create_dir_all(&target).unwrap();
    stand.restic(&["restore", &taken.snapshot.id, "--target", target.to_str().unwrap()]);
    let bson = std::fs::read(target.join("mongodb/shop/orders/documents-000000.bson")).unwrap();
    let digest = &taken.contents.mongodb.as_ref().unwrap().collections[0].digest;
    assert_eq!(bson.len() as u64, digest.bytes, "restic restores what was saved, and no empty files");
    assert_eq!(std::fs::read(target.join("files/roadbed.toml")).unwrap(), b"[product]");
    assert!(target.join("~contents.json").exists());
    std::fs::remove_dir_all(target).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rehearsal_passes_on_what_is_whole_and_says_what_a_flipped_byte_took() {
    let stand = Stand::with_redis().await;
    stand.orders(0..4000).await;
    stand.keys(500).await;
    let mut sources = stand.sources();
    sources.redis = vec![stand.redis_source()];
    let taken = take(&stand.repository, sources, SystemClock.now()).await.unwrap();
    stand.orders(4000..4010).await;
    let end = chain_end(&stand.repository.snapshots().unwrap()).unwrap();
    let SliceTaken::Through { to, .. } =
        append(&stand.repository, &stand.client, "shop", (end, end), SystemClock.now()).await.unwrap()
    else {
        panic!("the oplog reaches back")
    };
    let folder = stand.scratch();
    let sort = Some(r#"{ "n": -1 }"#);
    let probes = [backup::Probe::new("10 newest orders readable", "orders", None, sort, 10).unwrap()];
    let (repository, engines) = (&stand.repository, &stand.engines);
    let drill = Drill { repository, engines, folder: &folder, covered: to, probes: &probes };
    let record = rehearse(drill, &SystemClock).await;
    assert_eq!(record.bad, Vec::<String>::new());
    assert!(record.good.contains(&"10 newest orders readable: 10 read of orders".to_owned()), "{:?}", record.good);
    let none = Some(r#"{ "never": true }"#);
    let probes = [backup::Probe::new("paid orders", "orders", none, None, 3).unwrap()];
    let asked = rehearse(Drill { probes: &probes, ..drill }, &SystemClock).await;
    assert_eq!(asked.bad, ["paid orders: 0 of orders are there where at least 3 are wanted"]);
    let young = |or_all| {
        let of = |collection| backup::Probe::new("young", collection, None, None, 5000).unwrap().or_all(or_all);
        [of("orders"), of("returns")]
    };
    let asked = rehearse(Drill { probes: &young(true), ..drill }, &SystemClock).await;
    assert_eq!(asked.bad, Vec::<String>::new());
    assert!(asked.good.contains(&"young: 0 read of returns".to_owned()), "{:?}", asked.good);
    let asked = rehearse(Drill { probes: &young(false), ..drill }, &SystemClock).await;
    assert_eq!(asked.bad.len(), 2, "{:?}", asked.bad);
    assert_eq!(record.base.as_deref(), Some(taken.snapshot.name.as_str()));
    assert!(record.good.iter().any(|line| line.contains("4000 documents")), "{:?}", record.good);
    assert!(record.good.iter().any(|line| line.contains("10 changes")), "{:?}", record.good);
    assert!(record.good.iter().any(|line| line.contains("500 keys")), "{:?}", record.good);
    assert!(record.lost.unwrap() < Duration::from_secs(30));
    assert!(!folder.exists());
    stand.flip_a_byte_of_the_largest_pack();
    assert_ne!(stand.repository.verify(None).unwrap().damage, Vec::<String>::new());
    let record = rehearse(drill, &SystemClock).await;
    assert!(!record.passed(), "{record:?}");
    assert!(!folder.exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_open_it_and_others_do_not_and_what_is_held_stays() {
    let stand = Stand::new().await;
    let first = base(&stand).await.snapshot;
    let place = stand.place();
    assert!(Repository::open(&place, "another").is_err());
    stand.repository.add_key("recovery").unwrap();
    let by_recovery_key = Repository::open(&place, "recovery").unwrap().unwrap();
    assert_eq!(by_recovery_key.snapshots().unwrap().len(), 1);
    assert_eq!(Repository::open(&stand.scratch(), KEY).unwrap().map(drop), None, "where there is none there is none");
    let held = by_recovery_key.hold(&first.name, true).unwrap();
    assert!(held.held);
    base(&stand).await;
    base(&stand).await;
    let keep = Keep { hourly: 1, daily: 0, weekly: 0, monthly: 0, any_second: Duration::ZERO };
    let over = doomed(&stand.repository.snapshots().unwrap(), &keep, SystemClock.now());
    assert_eq!(over.len(), 1, "{over:?}");
    stand.repository.forget(&over).unwrap();
    stand.repository.prune().unwrap();
    let left = stand.repository.snapshots().unwrap();
    assert_eq!(left.len(), 2);
    assert!(left[0].held && left[0].name == first.name);
    stand.restic(&["check", "--read-data"]);
    let lock = stand.repository.lock("the first").unwrap();
    let fault = by_recovery_key.lock("the second").unwrap_err();
    assert!(fault.causes[0].contains("the first"));
    drop(lock);
    by_recovery_key.lock("the second").unwrap();
}
