//! What breaks off, comes twice or finds no room.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use backup::{Repository, Snapshot, take};
use host::clock::{Clock, SystemClock};

use crate::stand::KEY;

const PLACE: &str = "ROADBED_TEST_REPOSITORY";

/// Some of it is the same each time and some is not, so that pruning has something to pack anew.
pub(crate) fn sources(number: u32) -> backup::Sources {
    let bytes = |seed: u32, words: u32| -> Vec<u8> {
        (0..words).flat_map(|n| (n ^ seed).wrapping_mul(2_654_435_761).rotate_left(seed % 31).to_le_bytes()).collect()
    };
    backup::Sources {
        product: "urbancart".into(),
        environment: "stand".into(),
        files: vec![
            ("always.bin".into(), bytes(7, 200_000)),
            ("number".into(), number.to_string().into_bytes()),
            ("other.bin".into(), bytes(number.wrapping_add(11), 200_000)),
        ],
        ..backup::Sources::default()
    }
}

/// Reads all of a snapshot.
pub(crate) fn is_whole(repository: &Repository, snapshot: &Snapshot) {
    let reader = repository.reader(&snapshot.name).unwrap();
    for file in reader.contents().unwrap().files {
        let content = reader.read(&format!("files/{}", file.path)).unwrap();
        assert_eq!(content.len() as u64, file.bytes, "{} of {}", file.path, snapshot.name);
    }
}

/// Backs up, thins out and frees until somebody kills it. No test of its own.
#[test]
fn writer() {
    let Some(place) = std::env::var_os(PLACE).map(PathBuf::from) else { return };
    let repository = Repository::open(&place, KEY).unwrap().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    std::fs::write(place.with_extension("begun"), "").unwrap();
    let first = u32::try_from(SystemClock.now().unix_millis() % 100_000).unwrap();
    for number in first.. {
        runtime.block_on(take(&repository, sources(number), SystemClock.now())).unwrap();
        let all: Vec<String> = repository.snapshots().unwrap().into_iter().map(|snapshot| snapshot.name).collect();
        repository.forget(&all[..all.len().saturating_sub(2)]).unwrap();
        repository.prune().unwrap();
    }
}

#[test]
fn killed_in_the_middle_of_a_backup_or_of_freeing_it_goes_on_and_has_all_that_it_said_it_had() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("repository");
    let repository = Repository::open_or_create(&place, KEY).unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let first = runtime.block_on(take(&repository, sources(0), SystemClock.now())).unwrap().snapshot;
    let first = repository.hold(&first.name, true).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let (mut rounds, mut seed) = (0_u32, SystemClock.now().unix_millis().unsigned_abs());
    while rounds < 3 || (rounds < 15 && Instant::now() < deadline) {
        let begun = place.with_extension("begun");
        let _ = std::fs::remove_file(&begun);
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "faults::writer"])
            .env(PLACE, &place)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let patience = Instant::now() + Duration::from_secs(60);
        while !begun.exists() {
            assert!(child.try_wait().unwrap().is_none() && Instant::now() < patience, "the writer did not begin");
            std::thread::sleep(Duration::from_millis(5));
        }
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_millis((seed >> 33) % 1500));
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself, after {rounds} rounds");
        child.kill().unwrap();
        child.wait().unwrap();
        let all = repository.snapshots().unwrap();
        assert!(all.iter().any(|snapshot| snapshot.name == first.name), "what is held stays: {all:?}");
        all.iter().for_each(|snapshot| is_whole(&repository, snapshot));
        rounds += 1;
    }
    assert_eq!(repository.verify(None).unwrap().damage, Vec::<String>::new(), "after {rounds} rounds");
    let last = runtime.block_on(take(&repository, sources(1), SystemClock.now())).unwrap().snapshot;
    repository.prune().unwrap();
    is_whole(&repository, &last);
    let checked = Command::new("restic")
        .args(["--no-cache", "check", "--read-data", "--repo"])
        .arg(&place)
        .env("RESTIC_PASSWORD", KEY)
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn two_that_write_at_once_without_a_lock_take_nothing_from_each_other() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().join("repository");
    let one = Repository::open_or_create(&place, KEY).unwrap();
    let two = Repository::open(&place, KEY).unwrap().unwrap();
    let now = SystemClock.now();
    let (first, second) =
        tokio::join!(take(&one, sources(1), now), take(&two, sources(2), now.after(Duration::from_millis(1))));
    for taken in [first.unwrap(), second.unwrap()] {
        is_whole(&one, &taken.snapshot);
    }
    let freeing = tokio::task::spawn_blocking(move || two.prune());
    let third = take(&one, sources(3), SystemClock.now()).await.unwrap();
    freeing.await.unwrap().unwrap();
    assert_eq!(one.snapshots().unwrap().len(), 3);
    is_whole(&one, &third.snapshot);
    assert_eq!(one.verify(None).unwrap().damage, Vec::<String>::new());
}

/// A file system of a few mebibytes.
pub(crate) struct Small(pub(crate) tempfile::TempDir);

impl Small {
    /// `None` where we may not mount: only root does.
    pub(crate) fn new(mebibytes: u32) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let size = format!("size={mebibytes}m");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(folder.path()).output();
        mounted.is_ok_and(|output| output.status.success()).then_some(Self(folder))
    }

    /// Makes room, or takes it.
    pub(crate) fn resize(&self, mebibytes: u32) {
        let size = format!("remount,size={mebibytes}m");
        assert!(Command::new("mount").args(["-o", &size]).arg(self.0.path()).status().unwrap().success());
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_said_leaves_no_snapshot_and_harms_none() {
    let Some(small) = Small::new(3) else {
        // Only root mounts.
        return;
    };
    let place = small.0.path().join("repository");
    let repository = Repository::open_or_create(&place, KEY).unwrap();
    let first = take(&repository, sources(1), SystemClock.now()).await.unwrap().snapshot;
    let mut large = sources(2);
    let mut state = 1_u64;
    let noise = (0..4_000_000_u32).map(|_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u8::try_from(state >> 56).unwrap()
    });
    large.files.push(("zz.bin".into(), noise.collect()));
    let fault = take(&repository, large, SystemClock.now()).await.unwrap_err();
    assert!(format!("{fault:?}").contains("No space left"), "{fault:?}");
    let left: Vec<String> = repository.snapshots().unwrap().into_iter().map(|snapshot| snapshot.name).collect();
    assert_eq!(left, std::slice::from_ref(&first.name));
    is_whole(&repository, &first);
    assert_eq!(repository.verify(None).unwrap().damage, Vec::<String>::new());
}
