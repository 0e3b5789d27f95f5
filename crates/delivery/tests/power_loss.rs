//! The power goes: of what was not yet synced any part may be on the disk, and any part not.
//!
//! Each change of the book is one append to a file beside it, synced before it counts as done. So a loss is a cut somewhere in what
//! was appended last, with nothing, zeros or rubbish behind it; or, while the file beside it is taken in, a page that is half old.

#![allow(
    clippy::disallowed_methods,
    clippy::unwrap_used,
    reason = "the test is the disk, and does what a disk without power does"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use delivery::book::{Request, SlotChange, Step};
use delivery::instances::Instances;
use delivery::release::{Contents, Origin};
use delivery::{Book, Kind, Place, Policy, Role, Slot, State};
use host::clock::{Clock, SystemClock};
use host::database::Presence;

const PAGE: usize = 4096;

/// Before each page in the file beside the book.
const FRAME_HEAD: usize = 24;

fn open(folder: &Path, presence: Presence) -> Book {
    Book::open(&folder.join("delivery.db"), presence, Arc::new(SystemClock)).unwrap()
}

/// All that a book says.
fn told(book: &Book) -> String {
    let deployments = book.deployments(99).unwrap();
    let happened: Vec<_> = deployments.iter().map(|deployment| book.happened(deployment.id, 0).unwrap()).collect();
    let (releases, slots) = (book.releases(99).unwrap(), book.slots().unwrap());
    format!("{deployments:#?}{happened:#?}{releases:#?}{slots:#?}{:#?}", book.instances().unwrap())
}

/// What the disk has: the book, and what was appended beside it.
struct Disk {
    book: Vec<u8>,
    beside: Vec<u8>,
}

fn beside(folder: &Path) -> PathBuf {
    folder.join("delivery.db-wal")
}

impl Disk {
    fn of(folder: &Path) -> Self {
        Self { book: fs::read(folder.join("delivery.db")).unwrap(), beside: fs::read(beside(folder)).unwrap() }
    }

    /// What a book says that is opened on this.
    fn told(&self) -> String {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("delivery.db"), &self.book).unwrap();
        fs::write(beside(folder.path()), &self.beside).unwrap();
        told(&open(folder.path(), Presence::MustExist))
    }
}

/// A deployment from beginning to end. `done` is called after each change.
fn deploy(book: &Book, mut done: impl FnMut()) {
    let contents = Contents {
        artifacts: Vec::new(),
        manifest: "a manifest ".repeat(600),
        manifest_digest: "00".repeat(32),
        settings: [].into(),
        origin: Origin::default(),
        author: "ann".into(),
    };
    let release = book.keep(&contents).unwrap();
    done();
    let request =
        Request { kind: Kind::Deploy, release, by: "ann".into(), policy: Policy::default(), digest: "d".into() };
    let id = book.ask(&request).unwrap().id;
    done();
    let slot =
        |role| SlotChange::Put(Slot { place: Place::Blue, release: Some(release), role, until: None, since: None });
    let course = [
        (State::Queued, State::Preparing, vec![]),
        (State::Preparing, State::Starting, vec![slot(Role::Candidate)]),
        (State::Starting, State::Smoking, vec![]),
        (State::Smoking, State::Switching, vec![slot(Role::Live)]),
        (State::Switching, State::Live, vec![]),
    ];
    for (from, to, slots) in course {
        book.note(id, &format!("on the way to {to}")).unwrap();
        done();
        let at = SystemClock.moment();
        let lasts = Some(Duration::from_secs(9));
        book.step(&Step { id, from, to, at, lasts, place: Some(Place::Blue), fault: None, slots }).unwrap();
        done();
    }
    book.set_instances("api", Instances::new(3, SystemClock.now())).unwrap();
    done();
}

#[test]
fn whatever_was_not_synced_is_lost_whole_and_nothing_that_was() {
    let folder = tempfile::tempdir().unwrap();
    let book = open(folder.path(), Presence::MayBeNew);
    // After each change: how much is synced, and what the book says.
    let size = || fs::read(beside(folder.path())).unwrap().len();
    let mut acknowledged = vec![(size(), told(&book))];
    deploy(&book, || acknowledged.push((size(), told(&book))));
    assert!(acknowledged.len() > 12 && acknowledged.is_sorted_by_key(|(synced, _)| *synced));

    let disk = Disk::of(folder.path());
    let frame = FRAME_HEAD + PAGE;
    let first = acknowledged[0].0;
    // Around each frame's beginning, in its head, and somewhere in its page.
    let cuts = (first..disk.beside.len()).step_by(frame);
    let cuts = cuts.flat_map(|at| [at, at + 8, at + 1777]);
    let mut seen = 0;
    for cut in cuts.chain([disk.beside.len()]) {
        let expected = acknowledged.iter().rfind(|(synced, _)| *synced <= cut).unwrap();
        let kept = disk.beside[..cut].to_vec();
        let lost = disk.beside.len() - cut;
        let zeros = [kept.clone(), vec![0; lost]].concat();
        let rubbish = [kept.clone(), disk.beside[cut..].iter().map(|byte| byte ^ 0x5a).collect()].concat();
        for beside in [kept, zeros, rubbish] {
            let told = Disk { book: disk.book.clone(), beside }.told();
            assert_eq!(told, expected.1, "cut at {cut} of {}", disk.beside.len());
            seen += 1;
        }
    }
    assert!(seen > 150, "{seen}");
}

#[test]
fn a_book_that_was_being_taken_in_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let book = open(folder.path(), Presence::MayBeNew);
    deploy(&book, || {});
    let (before, expected) = (Disk::of(folder.path()), told(&book));
    // The last to close it takes in what lies beside it.
    drop(book);
    assert!(!beside(folder.path()).exists());
    let after = fs::read(folder.path().join("delivery.db")).unwrap();
    assert_ne!(before.book, after);
    let mut old = before.book.clone();
    old.resize(after.len(), 0);
    for pages in 0..=after.len() / PAGE {
        for torn in [0, 512] {
            let new = (pages * PAGE + torn).min(after.len());
            let book = [&after[..new], &old[new..]].concat();
            assert_eq!(Disk { book, beside: before.beside.clone() }.told(), expected, "{new} bytes of it are new");
        }
    }
}
