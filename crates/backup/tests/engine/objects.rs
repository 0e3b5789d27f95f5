//! Objects in backups: saved while others put, restored with all that is said about them, and what is damaged on either side is named.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use backup::{
    ClusterTime, Contents, Drill, Engines, ObjectsWanted, OfObjects, Put as Placed, Reader, Repository, Sources, Taken,
    base_for, rehearse, restore_objects, restore_store, take,
};
use host::clock::{Clock, SystemClock, Timestamp};
use objects::store::{Digest, Expect, Head, List, Listed, Metadata, PartRef, Put};
use objects::{Bucket, Store};
use serde_json::Value;
use tempfile::TempDir;

use crate::forge::forged;
use crate::stand::{KEY, Stand, noise};

const BUCKET: &str = "shop-products";

/// Keys that a path could be confused by.
const AWKWARD: [&str; 16] = [
    "products/shoe.jpg",
    "products",
    "products/",
    "products//",
    "products-old/shoe.jpg",
    "a",
    "a/b",
    "a/b/c",
    "/leading",
    "%2e%2e",
    "%",
    "größe 40/été.png",
    // The same letters for people, in another form of Unicode.
    "gro\u{308}ße 40/e\u{301}te\u{301}.png",
    "line\nbreak \"quoted\" \\ back",
    "...",
    "~contents.json",
];

struct Shelf {
    folder: TempDir,
    store: Arc<Store>,
    repository: Repository,
}

impl Shelf {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("objects")).unwrap();
        let undo = Bucket { undo: Duration::from_secs(3600), ..Bucket::private(BUCKET) };
        store.settle(&[undo, Bucket::private("shop-empty"), Bucket::private("shop-letters")]).unwrap();
        let repository = Repository::open_or_create(&folder.path().join("repository"), KEY).unwrap();
        Self { store: Arc::new(store), repository, folder }
    }

    fn place(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, key: &str, content: &[u8]) -> Head {
        let user = BTreeMap::from([("sku".to_owned(), key.len().to_string())]);
        let metadata = Metadata {
            content_type: Some("image/jpeg".into()),
            cache_control: Some("max-age=60".into()),
            user,
            ..Metadata::default()
        };
        self.store.put(BUCKET, key, Cursor::new(content.to_vec()), Put { metadata, ..Put::default() }).unwrap()
    }

    /// Objects of all kinds.
    fn fill(&self) {
        for (number, key) in AWKWARD.iter().enumerate() {
            self.put(key, format!("{number}: {key}").as_bytes());
        }
        self.put(&"long/".repeat(204), b"1,020 bytes of key");
        self.put(&"é".repeat(512), b"1,024 bytes of key, in one segment");
        self.put(&format!("{}e", "é".repeat(511)), b"another of them");
        self.put("empty", b"");
        self.put("large.bin", &noise(1, 3_000_000));
        let id = self.store.begin_upload(BUCKET, "in parts.bin", &Metadata::default()).unwrap();
        let mut parts = Vec::new();
        for (number, length) in [(1, 5 << 20), (2, 70_000)] {
            let mut writer = self.store.writer().unwrap();
            writer.write(&noise(u64::from(number), length)).unwrap();
            let written = writer.finish().unwrap();
            let part = self.store.commit_part(BUCKET, "in parts.bin", &id, number, written, None).unwrap();
            parts.push(PartRef { number, etag: part.etag, checksum: None });
        }
        self.store.complete_upload(BUCKET, "in parts.bin", &id, &parts, &Expect::Anything, |_| None).unwrap();
        let letter = Cursor::new(b"Dear shop".to_vec());
        self.store.put("shop-letters", "2026/1.txt", letter, Put::default()).unwrap();
    }

    fn sources(&self) -> Sources {
        Sources {
            product: "urbancart".into(),
            environment: "stand".into(),
            objects: Some(self.store.clone()),
            ..Sources::default()
        }
    }

    async fn taken(&self) -> Taken {
        take(&self.repository, self.sources(), SystemClock.now()).await.unwrap()
    }

    /// The newest backup, opened.
    fn newest(&self) -> (Arc<Reader>, OfObjects) {
        let (base, _) = base_for(&self.repository.snapshots().unwrap(), None).unwrap();
        let reader = Arc::new(self.repository.reader(&base.name).unwrap());
        let contents: Contents = reader.contents().unwrap();
        (reader, contents.objects.unwrap())
    }

    async fn restored(&self, name: &str) -> Store {
        let (reader, of) = self.newest();
        let course = Arc::new(backup::Course::default());
        backup::watched(course.clone(), restore_store(&reader, &of, &self.place(name))).await.unwrap();
        assert_eq!((course.done(), course.expected()), (of.bytes(), of.bytes()));
        Store::open(&self.place(name)).unwrap()
    }

    async fn rehearsed(&self) -> backup::DrillRecord {
        let engines = Engines::default();
        let folder = self.place("rehearsal");
        let drill = Drill {
            repository: &self.repository,
            engines: &engines,
            folder: &folder,
            covered: ClusterTime::default(),
            probes: &[],
        };
        let record = rehearse(drill, &SystemClock).await;
        assert!(!folder.exists());
        record
    }

    fn blob(&self, digest: &Digest) -> PathBuf {
        let name = digest.hex();
        self.place("objects").join("blobs").join(&name[..2]).join(&name[2..3]).join(name)
    }

    fn size_of_repository(&self) -> u64 {
        packs(&self.place("repository")).iter().map(|(size, _)| size).sum()
    }
}

fn packs(place: &Path) -> Vec<(u64, PathBuf)> {
    let folders = std::fs::read_dir(place.join("data")).unwrap().flatten();
    let files = folders.flat_map(|folder| std::fs::read_dir(folder.path()).unwrap().flatten());
    files.map(|file| (file.metadata().unwrap().len(), file.path())).collect()
}

fn flip(path: &Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

fn heads(store: &Store, bucket: &str) -> Vec<Head> {
    let page = store.list(bucket, &List { limit: 100_000, ..List::default() }).unwrap();
    let head = |line| match line {
        Listed::Object(head) => *head,
        Listed::Prefix(prefix) => panic!("{prefix}"),
    };
    page.lines.into_iter().map(head).collect()
}

/// All that must be the same; versions are the store's own.
fn all_of(store: &Store, bucket: &str) -> Vec<(String, String, u32, Timestamp, Metadata, Vec<u8>)> {
    let of = |head: Head| {
        let content = store.get(bucket, &head.key).unwrap().content.read_all().unwrap();
        (head.key, head.etag, head.parts, head.modified, head.metadata, content)
    };
    heads(store, bucket).into_iter().map(of).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_come_back_with_every_key_and_all_that_was_said_about_them() {
    let shelf = Shelf::new();
    shelf.fill();
    let taken = shelf.taken().await;
    let of = taken.contents.objects.unwrap();
    assert_eq!((taken.contents.format, of.buckets.len(), of.objects()), (2, 3, 23));
    assert_eq!(of.bytes(), heads(&shelf.store, BUCKET).iter().map(|head| head.size).sum::<u64>() + 9);
    let restored = shelf.restored("restored").await;
    for bucket in [BUCKET, "shop-empty", "shop-letters"] {
        assert_eq!(all_of(&restored, bucket), all_of(&shelf.store, bucket), "{bucket}");
    }
    assert!(!shelf.place("restored.restoring").exists());
    // Never over what is there.
    let (reader, of) = shelf.newest();
    let fault = restore_store(&reader, &of, &shelf.place("restored")).await.unwrap_err();
    assert!(fault.message.contains("there are some"), "{fault:?}");
    let record = shelf.rehearsed().await;
    assert_eq!(record.bad, Vec::<String>::new());
    assert!(record.good.iter().any(|line| line.starts_with("3 buckets with 23 objects")), "{:?}", record.good);
    assert!(record.bytes > 8_000_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn restic_itself_restores_objects_by_their_keys_and_an_unchanged_second_backup_moves_little() {
    let shelf = Shelf::new();
    shelf.fill();
    let taken = shelf.taken().await;
    let size = shelf.size_of_repository();
    shelf.taken().await;
    let grown = shelf.size_of_repository() - size;
    assert!(grown < size / 100, "{grown} more after {size}");
    let restic = |args: &[&str]| {
        let place = shelf.place("repository");
        let mut line = Command::new("restic");
        line.args(["--no-cache", "--repo"]).arg(place).args(args).env("RESTIC_PASSWORD", KEY);
        let output = line.output().expect("restic is installed: ./setup does it");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    };
    restic(&["check", "--read-data"]);
    let target = shelf.place("by restic");
    restic(&["restore", &taken.snapshot.id, "--target", target.to_str().unwrap()]);
    let bucket = target.join("objects").join(BUCKET);
    assert_eq!(std::fs::read(bucket.join("data/products/shoe.jpg")).unwrap(), b"0: products/shoe.jpg");
    assert_eq!(std::fs::read(bucket.join("data/large.bin")).unwrap(), noise(1, 3_000_000));
    let list = std::fs::read_to_string(bucket.join("lists/objects-000000.jsonl")).unwrap();
    let mut keys = Vec::new();
    for line in list.lines() {
        let line: Value = serde_json::from_str(line).unwrap();
        let key = line["key"].as_str().unwrap().to_owned();
        let content = std::fs::read(bucket.join("data").join(line["path"].as_str().unwrap())).unwrap();
        assert_eq!(content, shelf.store.get(BUCKET, &key).unwrap().content.read_all().unwrap(), "{key}");
        assert_eq!(line["etag"], shelf.store.head(BUCKET, &key).unwrap().etag);
        keys.push(key);
    }
    keys.sort();
    assert_eq!(keys, heads(&shelf.store, BUCKET).into_iter().map(|head| head.key).collect::<Vec<_>>());
    let written = std::fs::metadata(bucket.join("data/large.bin")).unwrap().modified().unwrap();
    let put = shelf.store.head(BUCKET, "large.bin").unwrap().modified.unix_millis();
    let written = written.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    assert_eq!(i64::try_from(written).unwrap(), put, "a file is as old as the object");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_object_that_has_rotted_fails_the_backup_by_name_and_an_older_one_mends_it() {
    let shelf = Shelf::new();
    shelf.fill();
    let first = shelf.taken().await;
    let head = shelf.store.head(BUCKET, "large.bin").unwrap();
    flip(&shelf.blob(&head.digest), 2_900_000);
    let fault = take(&shelf.repository, shelf.sources(), SystemClock.now()).await.unwrap_err();
    assert_eq!(fault.message, "cannot read \"large.bin\" in shop-products for a backup", "{fault:?}");
    assert!(fault.causes[0].contains("has other bytes now"), "{fault:?}");
    // Gone, and two of them.
    std::fs::remove_file(shelf.blob(&shelf.store.head(BUCKET, "a/b").unwrap().digest)).unwrap();
    let fault = take(&shelf.repository, shelf.sources(), SystemClock.now()).await.unwrap_err();
    let said = format!("{fault:?}");
    assert!(fault.message.contains("2 objects") && said.contains("large.bin") && said.contains("a/b"), "{said}");
    let left = shelf.repository.snapshots().unwrap();
    assert_eq!(left.iter().map(|one| &one.name).collect::<Vec<_>>(), [&first.snapshot.name]);
    assert_eq!(std::fs::read_dir(shelf.place("repository/snapshots")).unwrap().count(), 1, "no snapshot of half of it");

    let (reader, of) = shelf.newest();
    shelf.put("a", b"came later, and stays as it is");
    let wanted = |put| ObjectsWanted { bucket: BUCKET.into(), prefix: String::new(), put, now: SystemClock.now() };
    let done = restore_objects(&reader, &of, &shelf.store, wanted(Placed::Mend)).await.unwrap();
    assert_eq!((done.objects, done.untouched, done.taken_away), (2, 19, 0), "{done:?}");
    assert_eq!(shelf.store.head(BUCKET, "a").unwrap().size, 30);
    assert_eq!(shelf.store.get(BUCKET, "large.bin").unwrap().content.read_all().unwrap(), noise(1, 3_000_000));
    assert_eq!(shelf.store.head(BUCKET, "large.bin").unwrap().etag, head.etag);
    shelf.taken().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn objects_of_a_beginning_come_back_beside_or_in_place_and_others_stay() {
    let shelf = Shelf::new();
    shelf.fill();
    let saved = all_of(&shelf.store, BUCKET);
    shelf.taken().await;
    shelf.put("products/shoe.jpg", b"spoiled");
    shelf.put("products/later.jpg", b"came later");
    shelf.put("a/b", b"not asked for");
    shelf.store.delete(BUCKET, "products/", &Expect::Anything).unwrap();
    let (reader, of) = shelf.newest();
    let wanted =
        |prefix: &str, put| ObjectsWanted { bucket: BUCKET.into(), prefix: prefix.into(), put, now: SystemClock.now() };
    let before = "restored-1/".to_owned();
    let beside = Placed::Beside { before: before.clone() };
    let done = restore_objects(&reader, &of, &shelf.store, wanted("products/", beside.clone())).await.unwrap();
    assert_eq!((done.objects, done.to.as_str()), (3, "restored-1/products/"), "{done:?}");
    let read = |key: &str| shelf.store.get(BUCKET, key).unwrap().content.read_all().unwrap();
    assert_eq!(read("products/shoe.jpg"), b"spoiled");
    assert_eq!(read("restored-1/products/shoe.jpg"), b"0: products/shoe.jpg");
    // A key has no room for more before it: said, and nothing is done.
    let fault = restore_objects(&reader, &of, &shelf.store, wanted("long/", beside)).await.unwrap_err();
    assert!(fault.message.contains("beside"), "{fault:?}");
    let done = restore_objects(&reader, &of, &shelf.store, wanted("products/", Placed::InPlace)).await.unwrap();
    assert_eq!((done.objects, done.untouched, done.taken_away), (2, 1, 1), "{done:?}");
    assert_eq!(read("a/b"), b"not asked for");
    let again = restore_objects(&reader, &of, &shelf.store, wanted("products/", Placed::InPlace)).await.unwrap();
    assert_eq!((again.objects, again.untouched, again.taken_away), (0, 3, 0), "{again:?}");
    let of_products = |all: Vec<(String, String, u32, Timestamp, Metadata, Vec<u8>)>| -> Vec<_> {
        let all = all.into_iter().filter(|one| one.0.starts_with("products/"));
        all.map(|(key, etag, parts, _, metadata, content)| (key, etag, parts, metadata, content)).collect()
    };
    assert_eq!(of_products(all_of(&shelf.store, BUCKET)), of_products(saved));
    let undone = shelf.store.kept(BUCKET, "products/later.jpg", None, 10).unwrap();
    assert_eq!(undone.len(), 1, "what was deleted is kept as long as the bucket says");
    let fault = restore_objects(&reader, &of, &shelf.store, wanted("nothing/", Placed::InPlace)).await.unwrap_err();
    assert!(fault.message.contains("begins with \"nothing/\""), "{fault:?}");
    let elsewhere = ObjectsWanted { bucket: "shop-other".into(), ..wanted("", Placed::InPlace) };
    let fault = restore_objects(&reader, &of, &shelf.store, elsewhere).await.unwrap_err();
    assert!(fault.hint.unwrap().contains("shop-letters"), "it names those that there are");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_repository_restores_no_objects_and_says_which() {
    let shelf = Shelf::new();
    shelf.fill();
    shelf.taken().await;
    let (_, pack) = packs(&shelf.place("repository")).into_iter().max().unwrap();
    flip(&pack, 1000);
    let verified = shelf.repository.verify(None).unwrap();
    assert_ne!(verified.damage, Vec::<String>::new());
    assert_eq!(verified.lost.len(), 1, "{verified:?}");
    let (reader, of) = shelf.newest();
    let fault = restore_store(&reader, &of, &shelf.place("restored")).await.unwrap_err();
    assert!(fault.message.starts_with("cannot read "), "{fault:?}");
    assert!(!shelf.place("restored").exists());
    let before = all_of(&shelf.store, BUCKET);
    shelf.store.delete(BUCKET, "large.bin", &Expect::Anything).unwrap();
    shelf.store.delete(BUCKET, "in parts.bin", &Expect::Anything).unwrap();
    let living = all_of(&shelf.store, BUCKET);
    assert_eq!(living.len() + 2, before.len());
    let wanted =
        ObjectsWanted { bucket: BUCKET.into(), prefix: String::new(), put: Placed::InPlace, now: SystemClock.now() };
    restore_objects(&reader, &of, &shelf.store, wanted).await.unwrap_err();
    assert_eq!(all_of(&shelf.store, BUCKET), living, "what lives is not touched by a restore that fails");
    let record = shelf.rehearsed().await;
    assert!(!record.passed(), "{record:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_put_meanwhile_is_whole_in_the_backup_or_not_there() {
    let shelf = Shelf::new();
    shelf.put("always", b"there");
    let is_over = Arc::new(AtomicBool::new(false));
    let writer = {
        let (store, is_over) = (shelf.store.clone(), is_over.clone());
        std::thread::spawn(move || {
            for round in 0_u64.. {
                for number in 0..10_u64 {
                    // What it holds says which one it is.
                    let content = noise(round * 100 + number, 60_000);
                    let user = BTreeMap::from([("seed".to_owned(), (round * 100 + number).to_string())]);
                    let metadata = Metadata { user, ..Metadata::default() };
                    let put = Put { metadata, ..Put::default() };
                    store.put(BUCKET, &format!("churn/{number}"), Cursor::new(content), put).unwrap();
                    let _ = store.delete(BUCKET, &format!("churn/{}", (number + 5) % 10), &Expect::Anything).unwrap();
                    if is_over.load(Ordering::Relaxed) {
                        return round;
                    }
                }
                let _ =
                    store.sweep(objects::store::Sweep { grace: Duration::ZERO, abandoned: Duration::from_secs(60) });
            }
            0
        })
    };
    for round in 0..4 {
        shelf.taken().await;
        let restored = shelf.restored(&format!("restored-{round}")).await;
        assert_eq!(restored.get(BUCKET, "always").unwrap().content.read_all().unwrap(), b"there");
        for (key, _, _, _, metadata, content) in all_of(&restored, BUCKET) {
            if key != "always" {
                let seed: u64 = metadata.user["seed"].parse().unwrap();
                assert!(content == noise(seed, 60_000), "{key} is not what was put as {seed}");
            }
        }
    }
    is_over.store(true, Ordering::Relaxed);
    assert!(writer.join().unwrap() > 0, "others put all the time");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_that_says_another_count_is_found_by_the_rehearsal() {
    let shelf = Shelf::new();
    shelf.fill();
    shelf.taken().await;
    assert!(shelf.rehearsed().await.passed());
    forged(&shelf.place("repository"), KEY, |contents| {
        assert_eq!(contents["objects"]["buckets"][2]["name"], BUCKET);
        contents["objects"]["buckets"][2]["digest"]["documents"] = 23.into();
    });
    let record = shelf.rehearsed().await;
    assert!(record.base.as_deref().unwrap().ends_with("-forged"), "{record:?}");
    assert!(record.bad[0].contains("23 objects were saved, 22 are there"), "{record:?}");
    // One that nobody lists.
    forged(&shelf.place("repository"), KEY, |contents| {
        contents["objects"]["buckets"][2]["digest"]["documents"] = 22.into();
        contents["objects"]["buckets"][2]["bytes"] = 7.into();
    });
    let record = shelf.rehearsed().await;
    assert!(record.bad[0].contains("7 bytes were saved"), "{record:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collection_of_which_another_count_is_said_is_found_by_the_rehearsal() {
    let stand = Stand::new().await;
    stand.orders(0..500).await;
    let taken = take(&stand.repository, stand.sources(), SystemClock.now()).await.unwrap();
    let at = taken.contents.mongodb.unwrap().at;
    let folder = stand.scratch();
    let (repository, engines) = (&stand.repository, &stand.engines);
    let drill = Drill { repository, engines, folder: &folder, covered: at, probes: &[] };
    assert_eq!(rehearse(drill, &SystemClock).await.bad, Vec::<String>::new());
    forged(&stand.place(), KEY, |contents| {
        let digest = &mut contents["mongodb"]["collections"][0]["digest"];
        assert_eq!(digest["documents"], 500);
        digest["documents"] = 501.into();
    });
    let record = rehearse(drill, &SystemClock).await;
    assert!(record.bad[0].contains("501 documents were saved, 500 are there"), "{record:?}");
}

const RESTORE_TO: &str = "ROADBED_TEST_RESTORE_TO";

/// Restores until somebody kills it. No test of its own.
#[test]
fn restorer() {
    let Some(folder) = std::env::var_os(RESTORE_TO).map(PathBuf::from) else { return };
    let repository = Repository::open(&folder.join("repository"), KEY).unwrap().unwrap();
    let (base, _) = base_for(&repository.snapshots().unwrap(), None).unwrap();
    let reader = Arc::new(repository.reader(&base.name).unwrap());
    let of = reader.contents().unwrap().objects.unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    std::fs::write(folder.join("begun"), "").unwrap();
    for number in 0.. {
        runtime.block_on(restore_store(&reader, &of, &folder.join(format!("restored-{number}")))).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_while_it_restores_there_is_nothing_or_all_and_the_next_one_comes_to_the_same() {
    let shelf = Shelf::new();
    shelf.fill();
    for number in 0..150_u64 {
        shelf.put(&format!("many/{number}"), &noise(number, 5000));
    }
    shelf.taken().await;
    let wanted = all_of(&shelf.store, BUCKET);
    for wait in [3, 40, 160, 420] {
        let _ = std::fs::remove_file(shelf.place("begun"));
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "objects::restorer"])
            .env(RESTORE_TO, shelf.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let patience = Instant::now() + Duration::from_secs(60);
        while !shelf.place("begun").exists() {
            assert!(child.try_wait().unwrap().is_none() && Instant::now() < patience, "the restore did not begin");
            std::thread::sleep(Duration::from_millis(5));
        }
        // Anywhere within: where, the machine says.
        std::thread::sleep(Duration::from_millis(wait));
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
        let whole = (0..).map(|number| format!("restored-{number}")).take_while(|name| shelf.place(name).exists());
        let whole: Vec<String> = whole.collect();
        for name in &whole {
            assert_eq!(all_of(&Store::open(&shelf.place(name)).unwrap(), BUCKET), wanted, "{name} after {wait} ms");
        }
        // The one that was cut off, anew.
        let next = format!("restored-{}", whole.len());
        assert_eq!(all_of(&shelf.restored(&next).await, BUCKET), wanted, "{next} after {wait} ms");
        assert!(!shelf.place(&format!("{next}.restoring")).exists());
        for name in whole.iter().chain([&next]) {
            std::fs::remove_dir_all(shelf.place(name)).unwrap();
        }
    }
}

/// What Roadbed saved when its backups were of format 2. Written once, with `WRITE_FIXTURE=1`, and restored for ever.
const FIXTURE: &str = "tests/fixtures/format-2.tar";

#[tokio::test(flavor = "multi_thread")]
async fn what_was_saved_in_format_2_is_restored_for_ever() {
    if std::env::var_os("WRITE_FIXTURE").is_some() {
        let shelf = Shelf::new();
        for key in ["products/shoe.jpg", "products", "größe 40/été.png"] {
            shelf.put(key, key.as_bytes());
        }
        shelf.taken().await;
        let packed = Command::new("tar")
            .args(["--exclude=roadbed.lock", "-cf", FIXTURE, "-C"])
            .arg(shelf.folder.path())
            .arg("repository")
            .status();
        assert!(packed.unwrap().success());
    }
    let folder = tempfile::tempdir().unwrap();
    let unpacked = Command::new("tar").arg("xf").arg(FIXTURE).arg("-C").arg(folder.path()).status().unwrap();
    assert!(unpacked.success());
    let repository = Repository::open(&folder.path().join("repository"), KEY).unwrap().unwrap();
    let (base, _) = base_for(&repository.snapshots().unwrap(), None).unwrap();
    let reader = Arc::new(repository.reader(&base.name).unwrap());
    let contents = reader.contents().unwrap();
    assert_eq!(contents.format, 2);
    let place = folder.path().join("objects");
    restore_store(&reader, contents.objects.as_ref().unwrap(), &place).await.unwrap();
    let store = Store::open(&place).unwrap();
    let all = heads(&store, BUCKET);
    assert_eq!(all.len(), 3);
    for head in all {
        let mut content = String::new();
        let read = store.get(BUCKET, &head.key).unwrap().content.read_all().unwrap();
        Cursor::new(read).read_to_string(&mut content).unwrap();
        assert_eq!(content, head.key);
        assert_eq!(head.metadata.user["sku"], head.key.len().to_string());
        assert_eq!(head.metadata.content_type.as_deref(), Some("image/jpeg"));
    }
}
