//! What apps reported is in backups, and comes back to the byte.

use std::fs;
use std::process::Command;
use std::sync::Arc;

use backup::{
    Drill, DrillRecord, Engines, FileSource, Reader, Repository, Sources, TelemetrySources, base_for, put_telemetry,
    rehearse, take,
};
use host::clock::{Clock, SystemClock};
use tempfile::TempDir;

use crate::stand::{KEY, noise};

/// What Roadbed saved when its backups were of format 4. Written once, with `WRITE_FIXTURE=1`, and restored for ever.
const FIXTURE: &str = "tests/fixtures/format-4.tar";

struct Shelf {
    folder: TempDir,
    repository: Repository,
}

impl Shelf {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let repository = Repository::open_or_create(&folder.path().join("repository"), KEY).unwrap();
        Self { folder, repository }
    }

    fn sources(&self) -> Sources {
        let large = self.folder.path().join("large");
        fs::write(&large, noise(4, 60_000)).unwrap();
        let files = vec![
            FileSource::of_bytes("minutes.json", b"{}".to_vec()),
            FileSource::of_file("errors/errors.db", fs::File::open(&large).unwrap()).unwrap(),
            FileSource::of_bytes("logs/2026-11-26.zst", noise(5, 700)),
        ];
        let left_out = vec!["telemetry/logs/2026-11-27.db: it is damaged".to_owned()];
        Sources {
            product: "urbancart".into(),
            environment: "stand".into(),
            telemetry: Some(TelemetrySources { files, left_out }),
            ..Sources::default()
        }
    }

    fn newest(&self) -> (Arc<Reader>, backup::Contents) {
        let (base, _) = base_for(&self.repository.snapshots().unwrap(), None).unwrap();
        let reader = Arc::new(self.repository.reader(&base.name).unwrap());
        let contents = reader.contents().unwrap();
        (reader, contents)
    }

    async fn rehearsed(&self) -> DrillRecord {
        let (folder, engines) = (self.folder.path().join("scratch"), Engines { mongod: None, redis: None });
        let covered = backup::ClusterTime::default();
        let drill = Drill { repository: &self.repository, engines: &engines, folder: &folder, covered, probes: &[] };
        rehearse(drill, &SystemClock).await
    }

    /// Puts all of it back, and compares.
    fn comes_back(&self) {
        let (reader, contents) = self.newest();
        assert_eq!((contents.format, contents.left_out().len()), (4, 1));
        let back = self.folder.path().join("back");
        put_telemetry(&reader, &contents.telemetry.unwrap(), &back).unwrap();
        assert_eq!(fs::read(back.join("errors/errors.db")).unwrap(), noise(4, 60_000));
        assert_eq!(fs::read(back.join("logs/2026-11-26.zst")).unwrap(), noise(5, 700));
        assert_eq!(fs::read(back.join("minutes.json")).unwrap(), b"{}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_apps_reported_comes_back_to_the_byte_and_a_damaged_file_of_it_is_found() {
    let shelf = Shelf::new();
    take(&shelf.repository, shelf.sources(), SystemClock.now()).await.unwrap();
    shelf.comes_back();
    let record = shelf.rehearsed().await;
    assert!(record.good.contains(&"3 files of telemetry are as they were saved".to_owned()), "{record:?}");
    assert_eq!(record.bad, Vec::<String>::new());

    let folders = fs::read_dir(shelf.folder.path().join("repository/data")).unwrap().flatten();
    let packs = folders.flat_map(|folder| fs::read_dir(folder.path()).unwrap().flatten());
    let largest = packs.map(|file| (file.metadata().unwrap().len(), file.path())).max().unwrap().1;
    let mut bytes = fs::read(&largest).unwrap();
    bytes[1000] ^= 1;
    fs::write(&largest, bytes).unwrap();
    let record = shelf.rehearsed().await;
    assert!(record.bad.iter().any(|line| line.contains("telemetry/errors/errors.db")), "{record:?}");
    assert_eq!(shelf.repository.verify(None).unwrap().readable, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_that_leads_elsewhere_is_not_followed() {
    let shelf = Shelf::new();
    let files = vec![FileSource::of_bytes("a/b.json", b"{}".to_vec())];
    let telemetry = Some(TelemetrySources { files, left_out: Vec::new() });
    take(&shelf.repository, Sources { telemetry, ..shelf.sources() }, SystemClock.now()).await.unwrap();
    let (reader, contents) = shelf.newest();
    let mut of = contents.telemetry.unwrap();
    for path in ["../b.json", "/tmp/b.json", ""] {
        of.files[0].path = path.into();
        let fault = put_telemetry(&reader, &of, &shelf.folder.path().join("back")).unwrap_err();
        assert!(fault.causes[0].contains("leads elsewhere"), "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_saved_in_format_4_is_restored_for_ever() {
    if std::env::var_os("WRITE_FIXTURE").is_some() {
        let shelf = Shelf::new();
        take(&shelf.repository, shelf.sources(), SystemClock.now()).await.unwrap();
        let mut packed = Command::new("tar");
        packed.args(["--exclude=roadbed.lock", "-cf", FIXTURE, "-C"]).arg(shelf.folder.path()).arg("repository");
        assert!(packed.status().unwrap().success());
    }
    let folder = tempfile::tempdir().unwrap();
    let unpacked = Command::new("tar").arg("xf").arg(FIXTURE).arg("-C").arg(folder.path()).status().unwrap();
    assert!(unpacked.success());
    let repository = Repository::open(&folder.path().join("repository"), KEY).unwrap().unwrap();
    let shelf = Shelf { folder, repository };
    shelf.comes_back();
    assert_eq!(shelf.rehearsed().await.bad, Vec::<String>::new());
}
