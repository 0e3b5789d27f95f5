//! Releases come back on another machine: artifacts onto its shelf, and a book of deployments that is true there.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use backup::{OfFile, OfReleases, Reader, put_of_release, read_of_release};
use delivery::{Book, ReleaseId};
use engine::artifact::shelf::{Record, Shelf};
use engine::artifact::{Digest, archive};
use host::clock::Clock;
use host::database::Presence;
use host::files::FileFault;
use reconcile::Fault;
use serde::{Deserialize, Serialize};

/// What came back of releases.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleasesBack {
    /// What visitors reach again; absent where nothing was deployed, or it cannot be run.
    #[serde(default)]
    pub live: Option<String>,
    /// What visitors reached, and cannot be run: it was left out of the backup.
    #[serde(default)]
    pub lost: Option<String>,
    /// How many can be run here, with the live one.
    pub whole: usize,
    /// What is not here, each in one line.
    #[serde(default)]
    pub lacking: Vec<String>,
    /// Deployments that were under way, and how each ended.
    #[serde(default)]
    pub ended: Vec<(String, String)>,
}

/// Puts artifacts on the shelf, and settles the book at `book`, which is nobody's yet. Killed in between it is begun anew and comes to
/// the same.
///
/// # Errors
/// Where something of the backup is damaged, or shelf or book cannot be written.
pub(super) async fn bring_back(
    reader: &Arc<Reader>,
    of: &OfReleases,
    shelf: &Shelf,
    book: PathBuf,
    clock: &Arc<dyn Clock>,
) -> Result<ReleasesBack, Fault> {
    let (reader, of, shelf, clock) = (reader.clone(), of.clone(), shelf.clone(), clock.clone());
    let working = tokio::task::spawn_blocking(move || {
        put_on_shelf(&reader, &of, &shelf)?;
        let whole = whole(&of, &shelf)?;
        let cannot = |fault: &(dyn std::error::Error + 'static)| {
            Fault::because("cannot use the book of deployments of the backup", fault)
                .hint("an older backup may be whole: name a time before with --at")
        };
        let book = Book::open(&book, Presence::MustExist, clock).map_err(|fault| cannot(&fault))?;
        let settled = book.settle_after_loss(|id| whole.contains(&id)).map_err(|fault| cannot(&fault))?;
        let named = |id: Option<ReleaseId>| id.map(|id| id.to_string());
        Ok(ReleasesBack {
            live: named(settled.live),
            lost: named(settled.lost),
            whole: whole.len(),
            lacking: of.left_out(),
            ended: settled.ended.iter().map(|(id, state)| (id.to_string(), state.to_string())).collect(),
        })
    });
    working.await.unwrap_or_else(|error| Err(Fault::because("cannot bring releases back", &error)))
}

fn put_on_shelf(reader: &Reader, of: &OfReleases, shelf: &Shelf) -> Result<(), Fault> {
    let cannot = |fault: &FileFault| {
        Fault::because("cannot put artifacts on the shelf", fault)
            .hint("see whether the disk is full and the folder is yours")
    };
    let by_name: BTreeMap<&str, &OfFile> = of.files.iter().map(|file| (file.path.as_str(), file)).collect();
    for file in &of.files {
        let Some(digest) = file.path.strip_suffix(".tar.zst").and_then(|digest| digest.parse::<Digest>().ok()) else {
            continue;
        };
        let beside = |end: &str| by_name.get(format!("{digest}.{end}").as_str()).copied();
        let damaged = |why: String| {
            Fault::new(format!("cannot use the artifact {} of the backup", digest.short()))
                .cause(why)
                .hint("an older backup may be whole: name a time before with --at")
        };
        let absent = |what: &str| damaged(format!("the backup has not {what}"));
        let record = beside("json").ok_or_else(|| absent("what is known of it"))?;
        let record: Record = serde_json::from_slice(&read_of_release(reader, record)?)
            .map_err(|error| damaged(format!("what is known of it cannot be read: {error}")))?;
        if record.digest != digest {
            return Err(damaged("what is known of it is of another one".to_owned()));
        }
        let signed = beside("intoto.jsonl").ok_or_else(|| absent("who signed it"))?;
        let signed = read_of_release(reader, signed)?;
        let bill = beside("cdx.json").map(|bill| read_of_release(reader, bill)).transpose()?;
        let is_here = shelf.get(&digest).map_err(|fault| cannot(&fault))?.is_some()
            && archive::hold(&shelf.archive(&digest), &digest).is_ok();
        if !is_here {
            let fresh = shelf.arriving(&digest).map_err(|fault| cannot(&fault))?;
            put_of_release(reader, file, &fresh)?;
            shelf.receive(&record.app, &record.inputs, &digest, &fresh).map_err(|fault| damaged(fault.to_string()))?;
        }
        shelf.complete(&record, bill.as_deref(), &signed).map_err(|fault| cannot(&fault))?;
    }
    Ok(())
}

/// Releases whose artifacts are all on the shelf. One that was left out of the backup may be here all the same.
fn whole(of: &OfReleases, shelf: &Shelf) -> Result<Vec<ReleaseId>, Fault> {
    let mut whole = Vec::new();
    for release in &of.releases {
        let Ok(id) = release.name.parse::<ReleaseId>() else { continue };
        let mut is_whole = true;
        for digest in release.artifacts.values() {
            let on_shelf = digest.parse::<Digest>().ok().map(|digest| shelf.get(&digest)).transpose();
            let on_shelf = on_shelf.map_err(|fault| Fault::because("cannot look at the shelf of artifacts", &fault))?;
            is_whole &= on_shelf.flatten().is_some();
        }
        if is_whole {
            whole.push(id);
        }
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use backup::{FileSource, OfRelease, ReleaseSources, Repository, Sources, base_for, take};
    use delivery::book::{Request, SlotChange, Step};
    use delivery::release::{Contents, Origin};
    use delivery::{Artifact, Kind, Place, Policy, Role, Slot, State};
    use engine::artifact::attestation::Attestor;
    use engine::artifact::content::{Content, Item, ItemKind};
    use host::clock::SystemClock;
    use host::files::{self, Access};

    use super::*;

    fn clock() -> Arc<dyn Clock> {
        Arc::new(SystemClock)
    }

    /// A shelf with one artifact, that somebody signed.
    fn shelf_with(folder: &std::path::Path, text: &str) -> (Shelf, Record, Attestor) {
        let source = folder.join("project/app.js");
        files::create_dir(source.parent().unwrap(), Access::Everyone).unwrap();
        files::write(&source, text.as_bytes(), Access::Everyone).unwrap();
        let shelf = Shelf::new(folder.join("shelf"));
        let items = vec![Item { name: "app.js".into(), kind: ItemKind::File { source, executable: false } }];
        let record = shelf.put("api", "inputs", &Content { items, packages: Vec::new() }).unwrap();
        let attestor = Attestor::new(secrets::jwk::generate().unwrap(), Default::default()).unwrap();
        shelf.attest(&record, &attestor).unwrap();
        (shelf, record, attestor)
    }

    /// A book in which a release of that artifact is live.
    fn book_with(path: &std::path::Path, record: &Record) -> ReleaseId {
        let book = Book::open(path, Presence::MayBeNew, clock()).unwrap();
        let contents = Contents {
            artifacts: vec![Artifact { app: "api".into(), digest: record.digest.to_string(), bytes: record.bytes }],
            manifest: String::new(),
            manifest_digest: String::new(),
            settings: [].into(),
            origin: Origin::default(),
            author: "ann".into(),
        };
        let release = book.keep(&contents).unwrap();
        let policy = Policy::default();
        let asked = Request { kind: Kind::Deploy, release, by: "ann".into(), policy, digest: String::new() };
        let id = book.ask(&asked).unwrap().id;
        let slot = Slot { place: Place::Blue, release: Some(release), role: Role::Live, until: None, since: None };
        let (from, to, at) = (State::Queued, State::Live, SystemClock.moment());
        let slots = vec![SlotChange::Put(slot)];
        book.step(&Step { id, from, to, at, lasts: None, place: Some(Place::Blue), fault: None, slots }).unwrap();
        release
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_release_comes_back_with_its_artifact_and_one_that_was_left_out_is_said() {
        let folder = tempfile::tempdir().unwrap();
        let (there, record, attestor) = shelf_with(folder.path(), "serve()");
        let repository = Repository::open_or_create(&folder.path().join("repository"), "key").unwrap();
        let of_release = |lacking: Vec<String>| OfRelease {
            name: "r1".into(),
            is_live: true,
            artifacts: [("api".to_owned(), record.digest.to_string())].into(),
            lacking,
        };
        let digest = &record.digest;
        let small =
            |end: &str, path: PathBuf| FileSource::of_bytes(&format!("{digest}.{end}"), files::read(&path).unwrap());
        let archive = files::open(&there.archive(digest)).unwrap();
        let all = vec![
            FileSource::of_file(&format!("{digest}.tar.zst"), archive).unwrap(),
            small("intoto.jsonl", there.attestation(digest)),
            small("cdx.json", there.bill(digest)),
            FileSource::of_bytes(&format!("{digest}.json"), serde_json::to_vec(&record).unwrap()),
        ];
        let here = Shelf::new(folder.path().join("here"));
        for (lacking, files) in [(vec!["it was not there".to_owned()], Vec::new()), (Vec::new(), all)] {
            let releases = Some(ReleaseSources { releases: vec![of_release(lacking.clone())], files });
            let sources = Sources { product: "p".into(), environment: "e".into(), releases, ..Sources::default() };
            take(&repository, sources, SystemClock.now()).await.unwrap();
            let (base, _) = base_for(&repository.snapshots().unwrap(), None).unwrap();
            let reader = Arc::new(repository.reader(&base.name).unwrap());
            let of = reader.contents().unwrap().releases.unwrap();
            let book = folder.path().join(format!("{}.db", lacking.len()));
            assert_eq!(book_with(&book, &record), ReleaseId(1));
            let back = bring_back(&reader, &of, &here, book.clone(), &clock()).await.unwrap();
            // Again, as after a crash: the same, but for what had ended by then.
            assert_eq!(bring_back(&reader, &of, &here, book.clone(), &clock()).await.unwrap().whole, back.whole);
            if lacking.is_empty() {
                assert_eq!((back.live.as_deref(), back.whole, back.lacking.len()), (Some("r1"), 1, 0), "{back:?}");
                let out = folder.path().join("out");
                here.take(digest, &[attestor.public().clone()], &out).unwrap();
                assert_eq!(files::read_string(&out.join("app.js")).unwrap(), "serve()");
                assert_eq!(files::read(&here.bill(digest)).unwrap(), files::read(&there.bill(digest)).unwrap());
            } else {
                assert_eq!((back.live, back.lost.as_deref(), back.whole), (None, Some("r1"), 0));
                assert_eq!(back.lacking, ["r1: it was not there"]);
                let book = Book::open(&book, Presence::MustExist, clock()).unwrap();
                assert_eq!(book.slots().unwrap(), []);
                assert_eq!(book.releases(9).unwrap().len(), 1, "its history stays");
            }
        }
    }
}
