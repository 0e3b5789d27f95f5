//! Restores that are killed at any moment, and that find no room: what lives is as it was or as it was saved, and once more is enough.

use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use backup::{
    FileSource, Naming, Reader, ReleaseSources, Repository, Scratch, Sources, base_for, put_back, put_of_release,
};
use backup::{rebuild, restore_store, take};
use host::clock::{Clock, SystemClock};
use mongodb::bson::{Binary, Document, doc, spec::BinarySubtype};
use mongodb::options::{ClientOptions, ServerAddress};
use objects::store::Put;
use objects::{Bucket, Store};

use crate::faults::Small;
use crate::stand::{KEY, Stand, engine, noise, sorted};

const FOLDER: &str = "ROADBED_TEST_RESTORE";

fn newest(repository: &Repository) -> (Arc<Reader>, backup::Contents, backup::ClusterTime) {
    let (base, until) = base_for(&repository.snapshots().unwrap(), None).unwrap();
    let reader = Arc::new(repository.reader(&base.name).unwrap());
    let contents = reader.contents().unwrap();
    (reader, contents, until)
}

/// Restores everything, as a command does that somebody may kill. No test of its own.
#[test]
fn restorer() {
    let Some(folder) = std::env::var_os(FOLDER).map(PathBuf::from) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let repository = Repository::open(&folder.join("repository"), KEY).unwrap().unwrap();
        let (reader, contents, until) = newest(&repository);
        let place = folder.join("back");
        if !place.exists() {
            restore_store(&reader, contents.objects.as_ref().unwrap(), &place).await.unwrap();
        }
        let mut scratch = Scratch::new(&folder.join("scratch")).unwrap();
        let client = scratch.mongod(&engine("mongod", "mongod")).await.unwrap();
        rebuild(&repository, Some(until), until, &client).await.unwrap();
        let options = ClientOptions::builder()
            .hosts(vec![ServerAddress::Unix { path: folder.join("mongodb-27017.sock") }])
            .direct_connection(true);
        let living = mongodb::Client::with_options(options.build()).unwrap();
        // The living server may still be about what one that was killed had asked for.
        while let Err(fault) = put_back((&client, "shop"), (&living, "shop"), None, &Naming::InPlace).await {
            eprintln!("{fault}: {:?}", fault.causes);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        scratch.end().await.unwrap();
    });
}

async fn blobs_of(stand: &Stand) -> Vec<Document> {
    let mut all = stand.documents("blobs").await;
    all.sort_by_key(|blob| blob.get_i64("_id").unwrap());
    all
}

fn begin(folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "restoring::restorer", "--nocapture"])
        .env(FOLDER, folder)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::inherit())
        .spawn()
        .unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_moment_and_begun_again_a_restore_ends_with_what_was_saved() {
    let stand = Stand::new().await;
    stand.orders(0..2000).await;
    let folder = stand.place().parent().unwrap().to_owned();
    let store = Arc::new(Store::open(&folder.join("objects")).unwrap());
    store.settle(&[Bucket::private("letters")]).unwrap();
    for number in 0..40 {
        store.put("letters", &format!("{number}.bin"), &*noise(number, 100_000), Put::default()).unwrap();
    }
    let then = sorted(stand.documents("orders").await);
    let sources = Sources { objects: Some(store.clone()), ..stand.sources() };
    take(&stand.repository, sources, SystemClock.now()).await.unwrap();
    stand.database().collection::<Document>("orders").delete_many(doc! { "n": { "$gte": 100 } }).await.unwrap();
    stand.database().collection::<Document>("later").insert_one(doc! { "came": "later" }).await.unwrap();
    let now = sorted(stand.documents("orders").await);
    let mut seed = SystemClock.now().unix_millis().unsigned_abs();
    for _ in 0..3 {
        let mut child = begin(&folder);
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        tokio::time::sleep(Duration::from_millis((seed >> 33) % 2500)).await;
        child.kill().unwrap();
        let ended = child.wait().unwrap();
        assert!(ended.success() || ended.signal() == Some(9), "{ended}");
        let there = sorted(stand.documents("orders").await);
        assert!(there == now || there == then, "{} documents, of both", there.len());
    }
    let ended = tokio::task::spawn_blocking({
        let folder = folder.clone();
        move || begin(&folder).wait().unwrap()
    });
    assert!(ended.await.unwrap().success());
    assert_eq!(sorted(stand.documents("orders").await), then);
    assert_eq!(stand.database().list_collection_names().await.unwrap(), ["orders"], "and nothing beside");
    let back = Store::open(&folder.join("back")).unwrap();
    for number in 0..40 {
        let content = back.get("letters", &format!("{number}.bin")).unwrap().content.read_all().unwrap();
        assert_eq!(content, noise(number, 100_000), "{number}");
    }
    let left: Vec<_> = fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(!left.iter().any(|name| name == "scratch" || name == "back.restoring"), "{left:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_is_full_is_said_by_each_part_of_a_restore_and_with_room_it_ends() {
    let Some(small) = Small::new(3) else {
        // Only root mounts.
        return;
    };
    let stand = Stand::new().await;
    let folder = stand.place().parent().unwrap().to_owned();
    let blobs = stand.database().collection::<Document>("blobs");
    for number in 0..24 {
        let bytes = Binary { subtype: BinarySubtype::Generic, bytes: noise(number, 1 << 20) };
        blobs.insert_one(doc! { "_id": i64::try_from(number).unwrap(), "bytes": bytes }).await.unwrap();
    }
    let archive = folder.join("archive.tar.zst");
    fs::write(&archive, noise(77, 4_000_000)).unwrap();
    let store = Arc::new(Store::open(&folder.join("objects")).unwrap());
    store.settle(&[Bucket::private("letters")]).unwrap();
    store.put("letters", "one", &*noise(5, 200_000), Put::default()).unwrap();
    let file = FileSource::of_file("archive.tar.zst", fs::File::open(&archive).unwrap()).unwrap();
    let releases = Some(ReleaseSources { releases: Vec::new(), files: vec![file] });
    let sources = Sources { objects: Some(store.clone()), releases, ..stand.sources() };
    take(&stand.repository, sources, SystemClock.now()).await.unwrap();
    let then = blobs_of(&stand).await;
    blobs.delete_one(doc! { "_id": 7 }).await.unwrap();
    let now = blobs_of(&stand).await;
    let (reader, contents, until) = newest(&stand.repository);
    let place = |name: &str| small.0.path().join(name);

    // An archive of a release, and objects.
    let (of_archive, of_objects) = (&contents.releases.as_ref().unwrap().files[0], contents.objects.as_ref().unwrap());
    let fault = put_of_release(&reader, of_archive, &place("archive")).unwrap_err();
    assert!(format!("{fault:?}").contains("No space left"), "{fault:?}");
    assert!(!place("archive").exists(), "no half of it stays");
    let fault = restore_store(&reader, of_objects, &place("objects")).await.unwrap_err();
    assert!(fault.causes[0].contains("the disk has"), "{fault:?}");
    assert_eq!(fs::read_dir(small.0.path()).unwrap().count(), 0);
    small.resize(80);
    put_of_release(&reader, of_archive, &place("archive")).unwrap();
    assert_eq!(fs::read(place("archive")).unwrap(), fs::read(&archive).unwrap());
    restore_store(&reader, of_objects, &place("objects")).await.unwrap();
    fs::remove_file(place("archive")).unwrap();
    fs::remove_dir_all(place("objects")).unwrap();

    // MongoDB, in a server that fills the disk before anything that lives is touched.
    let mongod = stand.engines.mongod.as_ref().unwrap();
    small.resize(20);
    let mut scratch = Scratch::new(&place("scratch")).unwrap();
    let rebuilt = match scratch.mongod(mongod).await {
        Ok(client) => rebuild(&stand.repository, Some(until), until, &client).await.map(drop),
        Err(fault) => Err(fault),
    };
    let fault = scratch.why(rebuilt.unwrap_err());
    assert!(fault.causes.iter().any(|cause| cause.contains("is full")), "{fault:?}");
    assert!(fault.hint.as_deref().unwrap_or_default().contains("make room"), "{fault:?}");
    drop(scratch);
    assert_eq!(blobs_of(&stand).await, now, "what lives is not touched");
    small.resize(400);
    let mut scratch = Scratch::new(&place("scratch")).unwrap();
    let client = scratch.mongod(mongod).await.unwrap();
    rebuild(&stand.repository, Some(until), until, &client).await.unwrap();
    put_back((&client, "shop"), (&stand.client, "shop"), None, &Naming::InPlace).await.unwrap();
    assert_eq!(blobs_of(&stand).await, then);
    scratch.end().await.unwrap();
}
