//! Restores of what was saved while others wrote, dropped and renamed; of an oplog that was overwritten; cut off at any moment; and of
//! what the first Roadbed saved.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use backup::{
    ClusterTime, Drill, Engines, Naming, Repository, Scratch, SliceTaken, append, base_for, chain_end, files_of,
    put_back, rebuild, rehearse, take,
};
use host::clock::{Clock, SystemClock};
use mongodb::bson::{Document, doc};
use mongodb::options::WriteConcern;

use crate::stand::{KEY, Stand, all, engine, sorted};

/// Where a chain of slices goes on.
async fn slice(stand: &Stand, through: &mut Option<ClusterTime>) -> SliceTaken {
    let end = chain_end(&stand.repository.snapshots().unwrap()).unwrap();
    let stands = (end, through.unwrap_or(end));
    let taken = append(&stand.repository, &stand.client, "shop", stands, SystemClock.now()).await.unwrap();
    if let SliceTaken::Through { to, .. } = &taken {
        *through = Some(*to);
    }
    taken
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_before_a_second_is_there_and_nothing_that_came_after() {
    let stand = Stand::new().await;
    stand.orders(0..200).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let writer = {
        let (database, is_over) = (stand.database(), is_over.clone());
        tokio::spawn(async move {
            let options = mongodb::options::CollectionOptions::builder()
                .write_concern(WriteConcern::builder().w(mongodb::options::Acknowledgment::Majority).build())
                .build();
            let things = database.collection_with_options::<Document>("things", options);
            let mut written = Vec::new();
            for n in 0_i64.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                let begun = SystemClock.now().unix_millis() / 1000;
                things.insert_one(doc! { "_id": n }).await.unwrap();
                written.push((n, begun, SystemClock.now().unix_millis() / 1000));
            }
            written
        })
    };
    let (begun, mut through) = (Instant::now(), None);
    for round in 0.. {
        if round % 3 == 0 {
            take(&stand.repository, stand.sources(), SystemClock.now()).await.unwrap();
        }
        assert!(matches!(slice(&stand, &mut through).await, SliceTaken::Through { .. }));
        if begun.elapsed() > Duration::from_secs(8) {
            break;
        }
    }
    is_over.store(true, Ordering::Relaxed);
    let written = writer.await.unwrap();
    slice(&stand, &mut through).await;
    let first = written[0].2 + 1;
    let last = written[written.len() - 1].1 - 1;
    assert!(last > first + 2, "{first} to {last}");
    let mut scratch = Scratch::new(&stand.scratch()).unwrap();
    let client = scratch.mongod(stand.engines.mongod.as_ref().unwrap()).await.unwrap();
    for draw in 0..5 {
        // Anywhere between the first base and the end; which seconds these are depends on the machine.
        let spread = u64::try_from(last - first).unwrap();
        let second =
            first + i64::try_from((u64::from(begun.elapsed().subsec_nanos()) + draw * spread / 5) % spread).unwrap();
        let until = ClusterTime { seconds: u32::try_from(second).unwrap(), increment: u32::MAX };
        let rebuilt = rebuild(&stand.repository, Some(until), through.unwrap(), &client).await;
        let rebuilt = match rebuilt {
            Ok((_, rebuilt)) => rebuilt,
            // Before the first base was through.
            Err(fault) if fault.message.contains("from that time or before") => continue,
            Err(fault) => panic!("{fault}: {:?}", fault.causes),
        };
        assert!(rebuilt.at <= until);
        let found = all(&client.database("shop"), "things").await;
        let found: std::collections::BTreeSet<i64> = found.iter().map(|one| one.get_i64("_id").unwrap()).collect();
        for (n, begun, acknowledged) in &written {
            assert!(
                *acknowledged > second || found.contains(n),
                "{n}, acknowledged at {acknowledged}, is not there at {second}"
            );
            assert!(*begun <= second || !found.contains(n), "{n}, begun at {begun}, is there at {second}");
        }
        client.database("shop").drop().await.unwrap();
    }
    scratch.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_oplog_that_was_overwritten_is_a_gap_that_a_base_ends() {
    let stand = Stand::new().await;
    stand.orders(0..100).await;
    let first = take(&stand.repository, stand.sources(), SystemClock.now()).await.unwrap();
    let mut through = None;
    slice(&stand, &mut through).await;
    let large = stand.database().collection::<Document>("large");
    let saved = through.unwrap();
    // The server cuts when it comes to it, which on a busy machine takes its time.
    let deadline = Instant::now() + Duration::from_secs(180);
    // More than the oplog holds, until it was cut.
    let mut n = 0;
    while backup::oldest(&stand.client).await.unwrap() <= saved {
        assert!(Instant::now() < deadline, "the oplog is not cut");
        for _ in 0..16 {
            large
                .replace_one(doc! { "_id": 0 }, doc! { "_id": 0, "n": n, "text": "x".repeat(2 << 20) })
                .upsert(true)
                .await
                .unwrap();
            n += 1;
        }
    }
    let after = stand.now().await;
    let taken = slice(&stand, &mut through).await;
    let SliceTaken::Gap { oldest } = taken else { panic!("no gap was seen: {taken:?}") };
    assert!(oldest > saved);
    // What is in the gap cannot be had, and this is said.
    let mut scratch = Scratch::new(&stand.scratch()).unwrap();
    let client = scratch.mongod(stand.engines.mongod.as_ref().unwrap()).await.unwrap();
    let within = ClusterTime { seconds: after.seconds.max(saved.seconds + 1), increment: u32::MAX };
    let fault = rebuild(&stand.repository, Some(within), saved, &client).await.unwrap_err();
    assert!(fault.message.contains("are not in the backup"), "{fault}");
    // A base ends it.
    let second = take(&stand.repository, stand.sources(), SystemClock.now()).await.unwrap();
    stand.orders(100..110).await;
    let mut through = second.contents.mongodb.as_ref().map(|of| of.at);
    assert!(matches!(slice(&stand, &mut through).await, SliceTaken::Through { .. }));
    let (_, rebuilt) = rebuild(&stand.repository, None, through.unwrap(), &client).await.unwrap();
    assert_eq!(rebuilt.base, second.snapshot.name);
    assert_eq!(sorted(all(&client.database("shop"), "orders").await), sorted(stand.documents("orders").await));
    client.database("shop").drop().await.unwrap();
    // And what was before the gap is still there.
    let at = first.contents.mongodb.unwrap().at;
    assert_eq!(rebuild(&stand.repository, Some(at), at, &client).await.unwrap().1.base, first.snapshot.name);
    scratch.end().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_dropped_renamed_and_indexed_meanwhile_makes_no_backup_wrong() {
    let stand = Stand::new().await;
    stand.orders(0..5000).await;
    let is_over = Arc::new(AtomicBool::new(false));
    let churn = {
        let (client, is_over) = (stand.client.clone(), is_over.clone());
        tokio::spawn(async move {
            let database = client.database("shop");
            let orders = database.collection::<Document>("orders");
            for n in 0.. {
                if is_over.load(Ordering::Relaxed) {
                    break;
                }
                let passing = database.collection::<Document>(&format!("passing-{}", n % 3));
                passing.insert_one(doc! { "n": n }).await.unwrap();
                let rename = doc! { "renameCollection": format!("shop.passing-{}", n % 3), "to": format!("shop.renamed-{}", n % 3), "dropTarget": true };
                client.database("admin").run_command(rename).await.unwrap();
                let index =
                    doc! { "createIndexes": "orders", "indexes": [{ "name": "by_total", "key": { "total": 1 } }] };
                database.run_command(index).await.unwrap();
                orders.drop_index("by_total").await.unwrap();
                database.collection::<Document>(&format!("renamed-{}", (n + 1) % 3)).drop().await.unwrap();
            }
        })
    };
    let (mut taken, mut refused) = (0, 0);
    let deadline = Instant::now() + Duration::from_secs(40);
    while taken < 3 && Instant::now() < deadline {
        match take(&stand.repository, stand.sources(), SystemClock.now()).await {
            Ok(_) => taken += 1,
            // Said, and begun anew: that is as good.
            Err(fault) => {
                refused += 1;
                assert!(!fault.message.is_empty());
            }
        }
    }
    is_over.store(true, Ordering::Relaxed);
    churn.await.unwrap();
    let snapshots = stand.repository.snapshots().unwrap();
    assert_eq!(snapshots.len(), taken, "{refused} were refused, and left nothing");
    if taken == 0 {
        take(&stand.repository, stand.sources(), SystemClock.now()).await.unwrap();
    }
    let (repository, engines, folder) = (&stand.repository, &stand.engines, stand.scratch());
    let drill = Drill { repository, engines, folder: &folder, covered: ClusterTime::default(), probes: &[] };
    assert_eq!(rehearse(drill, &SystemClock).await.bad, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_cut_off_leaves_each_collection_whole_and_goes_on() {
    let stand = Stand::new().await;
    stand.orders(0..3000).await;
    let then = sorted(stand.documents("orders").await);
    take(&stand.repository, stand.sources(), SystemClock.now()).await.unwrap();
    stand.database().collection::<Document>("orders").delete_many(doc! { "n": { "$gte": 100 } }).await.unwrap();
    let now = sorted(stand.documents("orders").await);
    let mut scratch = Scratch::new(&stand.scratch()).unwrap();
    let client = scratch.mongod(stand.engines.mongod.as_ref().unwrap()).await.unwrap();
    let of = stand.repository.snapshots().unwrap();
    let (_, until) = base_for(&of, None).unwrap();
    rebuild(&stand.repository, Some(until), until, &client).await.unwrap();
    let from = (&client, "shop");
    for millis in [1, 5, 15, 40, 90, 200] {
        let to = (&stand.client, "shop");
        let restoring = put_back(from, to, None, &Naming::InPlace);
        let ended = tokio::time::timeout(Duration::from_millis(millis), restoring).await;
        let there = sorted(stand.documents("orders").await);
        assert!(there == now || there == then, "after {millis} ms: {} documents, of both", there.len());
        // One that failed came to nothing: the server may still be about what was cut off before.
        if matches!(ended, Ok(Ok(_))) {
            assert_eq!(there.len(), then.len());
        }
    }
    // The server may still be about what was cut off last.
    let deadline = Instant::now() + Duration::from_secs(20);
    while let Err(fault) = put_back(from, (&stand.client, "shop"), None, &Naming::InPlace).await {
        assert!(Instant::now() < deadline, "{fault}: {:?}", fault.causes);
    }
    assert_eq!(sorted(stand.documents("orders").await), then);
    let names = stand.database().list_collection_names().await.unwrap();
    assert!(names.iter().all(|name| !name.ends_with(".roadbed-restore")), "{names:?}");
    scratch.end().await.unwrap();
}

/// What Roadbed saved when its backups were of format 1. Written once, with `WRITE_FIXTURE=format-1.tar`, and restored for ever.
const FORMAT_1: &str = "tests/fixtures/format-1.tar";

/// The same of a MongoDB 5.0.4, with that one in the cache of engines.
const OLDER: &str = "tests/fixtures/mongodb-5.tar";

#[tokio::test(flavor = "multi_thread")]
async fn what_was_saved_in_format_1_is_restored_for_ever() {
    is_restored(FORMAT_1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_saved_of_an_older_mongodb_is_restored_in_a_newer_one() {
    let (saved, restored) = is_restored(OLDER).await;
    assert_eq!(saved, "5.0.4");
    let major: u32 = restored.split('.').next().unwrap().parse().unwrap();
    assert!(major > 5, "{restored} is no newer one");
}

/// Which MongoDB it was saved of, and which it is restored in.
async fn is_restored(fixture: &str) -> (String, String) {
    if std::env::var("WRITE_FIXTURE").is_ok_and(|wanted| fixture.ends_with(&wanted)) {
        write_fixture(fixture).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let unpacked = Command::new("tar").arg("xf").arg(fixture).arg("-C").arg(folder.path()).status().unwrap();
    assert!(unpacked.success());
    let repository = Repository::open(&folder.path().join("repository"), KEY).unwrap().unwrap();
    let (base, until) = base_for(&repository.snapshots().unwrap(), None).unwrap();
    let reader = Arc::new(repository.reader(&base.name).unwrap());
    let contents = reader.contents().unwrap();
    assert_eq!((contents.format, contents.product.as_str()), (1, "urbancart"));
    let files = files_of(&reader, &contents).await.unwrap();
    assert_eq!(files[0], ("roadbed.toml".to_owned(), b"[product]".to_vec()));
    let engines =
        Engines { mongod: Some(engine("mongod", "mongod")), redis: Some(engine("redis-server", "redis-server")) };
    let mut scratch = Scratch::new(&folder.path().join("scratch")).unwrap();
    let client = scratch.mongod(engines.mongod.as_ref().unwrap()).await.unwrap();
    let about = client.database("admin").run_command(doc! { "buildInfo": 1 }).await.unwrap();
    let (_, rebuilt) = rebuild(&repository, Some(until), until, &client).await.unwrap();
    assert_eq!(rebuilt.changes, 7, "5 orders, one change, one that went");
    let orders = all(&client.database("shop"), "orders").await;
    assert_eq!(orders.len(), 24);
    assert!(
        orders.iter().any(|order| order.get_i32("n").ok() == Some(3) && order.get_bool("shipped").unwrap_or(false))
    );
    let indexes = client.database("shop").collection::<Document>("orders").list_index_names().await.unwrap();
    assert_eq!(indexes, ["_id_", "by_number"]);
    let redis = engines.redis.as_ref().unwrap();
    let mut keys = backup::start(&reader, &contents.redis[0], redis, &mut scratch).await.unwrap();
    let value: String = redis::cmd("GET").arg("cart:3").query_async(&mut keys).await.unwrap();
    assert_eq!(value, "3");
    scratch.end().await.unwrap();
    let (repository, engines, folder) = (&repository, &engines, folder.path().join("scratch"));
    let drill = Drill { repository, engines, folder: &folder, covered: ClusterTime::default(), probes: &[] };
    assert_eq!(rehearse(drill, &SystemClock).await.bad, Vec::<String>::new());
    (contents.mongodb.unwrap().version, about.get_str("version").unwrap().to_owned())
}

async fn write_fixture(fixture: &str) {
    let stand = Stand::with_redis().await;
    stand.keys(5).await;
    stand.orders(0..20).await;
    let index =
        doc! { "createIndexes": "orders", "indexes": [{ "name": "by_number", "key": { "n": 1 }, "unique": true }] };
    stand.database().run_command(index).await.unwrap();
    let mut sources = stand.sources();
    sources.redis = vec![stand.redis_source()];
    let taken = take(&stand.repository, sources, SystemClock.now()).await.unwrap();
    stand.orders(20..25).await;
    let orders = stand.database().collection::<Document>("orders");
    orders.update_one(doc! { "n": 3 }, doc! { "$set": { "shipped": true } }).await.unwrap();
    orders.delete_one(doc! { "n": 4 }).await.unwrap();
    let mut through = taken.contents.mongodb.map(|of| of.at);
    slice(&stand, &mut through).await;
    let place = stand.place();
    std::fs::create_dir_all(Path::new(fixture).parent().unwrap()).unwrap();
    let packed = Command::new("tar")
        .args(["--exclude=roadbed.lock", "-cf", fixture, "-C"])
        .arg(place.parent().unwrap())
        .arg("repository")
        .status();
    assert!(packed.unwrap().success());
}
