//! The power goes while somebody backs up, frees or restores: what was acknowledged is on the disk.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use backup::{Repository, base_for, restore_store, take};
use host::clock::{Clock, SystemClock};
use objects::store::Put;
use objects::{Bucket, Store};
use testkit::power::{Disk, Worker, any_moment, work};

use crate::faults::{is_whole, sources};
use crate::stand::{KEY, noise};

const BUCKET: &str = "shop-media";
const FROM: &str = "ROADBED_TEST_FROM";

/// Backs up, thins out and frees until the power goes. No test of its own.
#[test]
fn writer() {
    let Some((place, mut say)) = work() else { return };
    let repository = Repository::open_or_create(&place.join("repository"), KEY).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let first = u32::try_from(SystemClock.now().unix_millis() % 100_000).unwrap();
    for number in first.. {
        let taken = runtime.block_on(take(&repository, sources(number), SystemClock.now())).unwrap();
        say(format!("has {}", taken.snapshot.name));
        let all: Vec<String> = repository.snapshots().unwrap().into_iter().map(|snapshot| snapshot.name).collect();
        let ended = &all[..all.len().saturating_sub(2)];
        ended.iter().for_each(|name| say(format!("ends {name}")));
        repository.forget(ended).unwrap();
        repository.prune().unwrap();
    }
}

#[test]
fn a_repository_without_power_has_each_backup_that_it_said_it_had_and_goes_on() {
    let disk = Disk::new(256);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    for round in 0..5 {
        let mut worker = Worker::begin("power_loss::writer", &disk, &[]);
        // Three times: from then on it frees, too. Then at any moment.
        worker.wait_for(4);
        std::thread::sleep(any_moment(700));
        let (said, found) = worker.cut(&disk);
        let names = |word: &str| -> BTreeSet<String> {
            said.iter().filter_map(|line| line.strip_prefix(word)).map(str::to_owned).collect()
        };
        let place = found.place().join("repository");
        let repository = Repository::open(&place, KEY).unwrap().expect("the repository is there");
        let all = repository.snapshots().unwrap();
        // One that is said to be whole is, acknowledged or not.
        all.iter().for_each(|snapshot| is_whole(&repository, snapshot));
        let there: BTreeSet<String> = all.into_iter().map(|snapshot| snapshot.name).collect();
        let kept: BTreeSet<String> = names("has ").difference(&names("ends ")).cloned().collect();
        assert!(!kept.is_empty() && kept.is_subset(&there), "round {round}: {there:?} of {kept:?}; {said:#?}");
        assert_eq!(repository.verify(None).unwrap().damage, Vec::<String>::new(), "round {round}");

        let next = runtime.block_on(take(&repository, sources(1), SystemClock.now())).unwrap().snapshot;
        repository.prune().unwrap();
        is_whole(&repository, &next);
        let checked = Command::new("restic")
            .args(["--no-cache", "check", "--read-data", "--repo"])
            .arg(&place)
            .env("RESTIC_PASSWORD", KEY)
            .output()
            .unwrap();
        assert!(checked.status.success(), "round {round}: {}", String::from_utf8_lossy(&checked.stderr));
    }
}

fn content_of(number: u64) -> Vec<u8> {
    noise(number, usize::try_from(number % 13).unwrap() * 9_000 + 1)
}

fn read(store: &Store, key: &str) -> Vec<u8> {
    store.get(BUCKET, key).unwrap().content.read_all().unwrap()
}

/// Puts objects until the power goes. No test of its own.
#[test]
fn putter() {
    let Some((place, mut say)) = work() else { return };
    let store = Store::open(&place.join("objects")).unwrap();
    store.settle(&[Bucket::private(BUCKET)]).unwrap();
    for number in 0.. {
        store.put(BUCKET, &number.to_string(), Cursor::new(content_of(number)), Put::default()).unwrap();
        say(number.to_string());
    }
}

#[test]
fn object_storage_without_power_has_each_object_that_it_said_it_had() {
    for _ in 0..4 {
        let disk = Disk::new(256);
        let mut worker = Worker::begin("power_loss::putter", &disk, &[]);
        worker.wait_for(3);
        std::thread::sleep(any_moment(300));
        let (said, found) = worker.cut(&disk);
        let store = Store::open(&found.place().join("objects")).unwrap();
        for key in &said {
            assert!(read(&store, key) == content_of(key.parse().unwrap()), "{key} of {}", said.len());
        }
        store.settle(&[Bucket::private(BUCKET)]).unwrap();
        store.put(BUCKET, "next", Cursor::new(b"next".to_vec()), Put::default()).unwrap();
        assert_eq!(read(&store, "next"), b"next");
    }
}

/// Restores object storage, and goes on to do nothing. No test of its own.
#[test]
fn restorer() {
    let Some((place, mut say)) = work() else { return };
    let repository = Repository::open(&PathBuf::from(std::env::var_os(FROM).unwrap()), KEY).unwrap().unwrap();
    let (base, _) = base_for(&repository.snapshots().unwrap(), None).unwrap();
    let reader = Arc::new(repository.reader(&base.name).unwrap());
    let of = reader.contents().unwrap().objects.unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(restore_store(&reader, &of, &place.join("objects"))).unwrap();
    say("restored".to_owned());
    loop {
        std::thread::park();
    }
}

#[test]
fn what_was_restored_is_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(Store::open(&folder.path().join("objects")).unwrap());
    store.settle(&[Bucket::private(BUCKET)]).unwrap();
    for number in 0..40 {
        store.put(BUCKET, &number.to_string(), Cursor::new(content_of(number)), Put::default()).unwrap();
    }
    let from = folder.path().join("repository");
    let repository = Repository::open_or_create(&from, KEY).unwrap();
    let saved = backup::Sources { objects: Some(store), ..sources(1) };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(take(&repository, saved, SystemClock.now())).unwrap();

    let disk = Disk::new(256);
    let mut worker = Worker::begin("power_loss::restorer", &disk, &[(FROM, Path::new(&from))]);
    worker.wait_for(1);
    let (_, found) = worker.cut(&disk);
    let store = Store::open(&found.place().join("objects")).unwrap();
    for number in 0..40 {
        assert!(read(&store, &number.to_string()) == content_of(number), "{number}");
    }
}
