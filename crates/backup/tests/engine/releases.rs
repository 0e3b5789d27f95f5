//! Releases in backups: saved as they lie on the shelf, read back to the byte, and what is left out or changes meanwhile is named.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use backup::{
    ClusterTime, Contents, Drill, DrillRecord, Engines, FileSource, OfRelease, Reader, ReleaseSources, Repository,
    Sources, base_for, put_of_release, read_of_release, rehearse, take,
};
use host::clock::{Clock, SystemClock};

use crate::stand::{KEY, noise};

struct Shelf {
    folder: tempfile::TempDir,
    repository: Repository,
}

fn digest_of(number: u64) -> String {
    format!("{number:064x}")
}

impl Shelf {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::open_or_create(&folder.path().join("repository"), KEY).unwrap();
        Self { folder, repository }
    }

    fn archive(&self, number: u64) -> PathBuf {
        self.folder.path().join(format!("{}.tar.zst", digest_of(number)))
    }

    /// Releases by their numbers, the last one live.
    fn sources(&self, numbers: &[u64], lacking: &[&str]) -> Sources {
        let mut files = Vec::new();
        for number in numbers {
            let (digest, path) = (digest_of(*number), self.archive(*number));
            if !path.exists() {
                fs::write(&path, noise(*number, 3_000_000)).unwrap();
            }
            files.push(FileSource::of_file(&format!("{digest}.tar.zst"), fs::File::open(path).unwrap()).unwrap());
            files.push(FileSource::of_bytes(&format!("{digest}.json"), format!("record of {number}").into_bytes()));
        }
        let release = |number: &u64| OfRelease {
            name: format!("r{number}"),
            is_live: Some(number) == numbers.last(),
            artifacts: BTreeMap::from([("api".to_owned(), digest_of(*number))]),
            lacking: lacking.iter().map(|why| (*why).to_owned()).collect(),
        };
        Sources {
            product: "urbancart".into(),
            environment: "stand".into(),
            releases: Some(ReleaseSources { releases: numbers.iter().map(release).collect(), files }),
            files: vec![("state/delivery.db".into(), b"the book".to_vec())],
            ..Sources::default()
        }
    }

    fn newest(&self) -> (Arc<Reader>, Contents) {
        let (base, _) = base_for(&self.repository.snapshots().unwrap(), None).unwrap();
        let reader = Arc::new(self.repository.reader(&base.name).unwrap());
        let contents = reader.contents().unwrap();
        (reader, contents)
    }

    async fn rehearsed(&self) -> DrillRecord {
        let (engines, folder) = (Engines::default(), self.folder.path().join("scratch"));
        let (repository, covered) = (&self.repository, ClusterTime::default());
        rehearse(Drill { repository, engines: &engines, folder: &folder, covered, probes: &[] }, &SystemClock).await
    }

    fn size(&self) -> u64 {
        fn below(folder: &Path) -> u64 {
            let all = fs::read_dir(folder).unwrap().flatten();
            all.map(|entry| if entry.path().is_dir() { below(&entry.path()) } else { entry.metadata().unwrap().len() })
                .sum()
        }
        below(&self.folder.path().join("repository"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn releases_come_back_to_the_byte_and_an_unchanged_second_backup_moves_next_to_nothing() {
    let shelf = Shelf::new();
    take(&shelf.repository, shelf.sources(&[1, 2], &[]), SystemClock.now()).await.unwrap();
    let size = shelf.size();
    let taken = take(&shelf.repository, shelf.sources(&[1, 2], &[]), SystemClock.now()).await.unwrap();
    let grown = shelf.size() - size;
    assert!(grown * 100 <= size, "{grown} bytes more after {size}");
    let (reader, contents) = shelf.newest();
    assert_eq!((contents.format, contents.files[0].path.as_str()), (3, "state/delivery.db"));
    let of = contents.releases.unwrap();
    assert_eq!(
        of.releases.iter().map(|one| (one.name.as_str(), one.is_live)).collect::<Vec<_>>(),
        [("r1", false), ("r2", true)]
    );
    assert_eq!(of.files.len(), 4);
    let place = |name: &str| shelf.folder.path().join("back").join(name);
    fs::create_dir(shelf.folder.path().join("back")).unwrap();
    for file in &of.files {
        if file.path.ends_with(".json") {
            assert!(read_of_release(&reader, file).unwrap().starts_with(b"record of "));
        } else {
            put_of_release(&reader, file, &place(&file.path)).unwrap();
            assert_eq!(fs::read(place(&file.path)).unwrap(), fs::read(shelf.folder.path().join(&file.path)).unwrap());
            let again = put_of_release(&reader, file, &place(&file.path)).unwrap_err();
            assert!(again.message.contains(&file.path), "{again:?}");
        }
    }
    let restored = Command::new("restic")
        .args(["--no-cache", "restore", &taken.snapshot.id, "--repo"])
        .arg(shelf.folder.path().join("repository"))
        .arg("--target")
        .arg(place("restic"))
        .env("RESTIC_PASSWORD", KEY)
        .output()
        .unwrap();
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    let by_restic = fs::read(place("restic/releases").join(shelf.archive(1).file_name().unwrap())).unwrap();
    assert_eq!(by_restic, fs::read(shelf.archive(1)).unwrap());
    let record = shelf.rehearsed().await;
    assert_eq!(record.bad, Vec::<String>::new());
    assert!(record.good.iter().any(|line| line.starts_with("2 releases can be run")), "{:?}", record.good);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_out_fails_a_rehearsal_when_it_is_live_and_what_changes_meanwhile_leaves_no_snapshot() {
    let shelf = Shelf::new();
    let taken = take(&shelf.repository, shelf.sources(&[1, 2], &["it is not here"]), SystemClock.now()).await.unwrap();
    assert_eq!(taken.contents.releases.unwrap().left_out(), ["r1: it is not here", "r2: it is not here"]);
    assert_eq!(shelf.rehearsed().await.bad, ["r2 cannot be run: it is not here"]);

    // Shorter, or others, in the same file, after it was looked at.
    for (seed, length) in [(3, 1_000_000), (4, 3_000_000)] {
        let sources = shelf.sources(&[3], &[]);
        fs::write(shelf.archive(3), noise(seed + 10, length)).unwrap();
        let before = shelf.repository.snapshots().unwrap();
        let fault = take(&shelf.repository, sources, SystemClock.now()).await.unwrap_err();
        assert!(fault.message.contains(&digest_of(3)), "{fault:?}");
        assert_eq!(shelf.repository.snapshots().unwrap(), before);
        fs::remove_file(shelf.archive(3)).unwrap();
    }

    // A byte of a pack that has an archive.
    take(&shelf.repository, shelf.sources(&[1, 2], &[]), SystemClock.now()).await.unwrap();
    assert_eq!(shelf.rehearsed().await.bad, Vec::<String>::new());
    let packs = fs::read_dir(shelf.folder.path().join("repository/data")).unwrap().flatten();
    let packs = packs.flat_map(|folder| fs::read_dir(folder.path()).unwrap().flatten());
    let largest = packs.map(|pack| (pack.metadata().unwrap().len(), pack.path())).max().unwrap().1;
    let mut bytes = fs::read(&largest).unwrap();
    bytes[1000] ^= 1;
    fs::write(&largest, bytes).unwrap();
    let record = shelf.rehearsed().await;
    assert!(record.bad.iter().any(|line| line.contains("releases/")), "{record:?}");
    assert_eq!(shelf.repository.verify(None).unwrap().readable, Vec::<String>::new());
}

/// What Roadbed saved when its backups were of format 3. Written once, with `WRITE_FIXTURE=1`, and restored for ever.
const FIXTURE: &str = "tests/fixtures/format-3.tar";

#[tokio::test(flavor = "multi_thread")]
async fn what_was_saved_in_format_3_is_restored_for_ever() {
    if std::env::var_os("WRITE_FIXTURE").is_some() {
        let shelf = Shelf::new();
        for number in [1, 2] {
            fs::write(shelf.archive(number), noise(number, 5000)).unwrap();
        }
        take(&shelf.repository, shelf.sources(&[1, 2], &[]), SystemClock.now()).await.unwrap();
        let mut packed = Command::new("tar");
        packed.args(["--exclude=roadbed.lock", "-cf", FIXTURE, "-C"]).arg(shelf.folder.path()).arg("repository");
        assert!(packed.status().unwrap().success());
    }
    let folder = tempfile::tempdir().unwrap();
    let unpacked = Command::new("tar").arg("xf").arg(FIXTURE).arg("-C").arg(folder.path()).status().unwrap();
    assert!(unpacked.success());
    let repository = Repository::open(&folder.path().join("repository"), KEY).unwrap().unwrap();
    let shelf = Shelf { folder, repository };
    let (reader, contents) = shelf.newest();
    assert_eq!(contents.format, 3);
    let of = contents.releases.unwrap();
    assert_eq!(of.releases[1].artifacts["api"], digest_of(2));
    let archive = of.files.iter().find(|file| file.path == format!("{}.tar.zst", digest_of(2))).unwrap();
    let place = shelf.folder.path().join("back");
    put_of_release(&reader, archive, &place).unwrap();
    assert_eq!(fs::read(&place).unwrap(), noise(2, 5000));
    assert_eq!(shelf.rehearsed().await.bad, Vec::<String>::new());
}
