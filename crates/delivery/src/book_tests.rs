use host::clock::SystemClock;

use super::*;
use crate::release::{Artifact, Origin};

struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn book(&self) -> Book {
        Book::open(&self.folder.path().join("delivery.db"), Presence::MayBeNew, Arc::new(SystemClock)).unwrap()
    }
}

fn contents(author: &str) -> Contents {
    Contents {
        artifacts: vec![Artifact { app: "api".into(), digest: "ab".repeat(32), bytes: 7 }],
        manifest: "[product]".into(),
        manifest_digest: "00".repeat(32),
        settings: [].into(),
        origin: Origin::default(),
        author: author.into(),
    }
}

fn request(book: &Book, approvals: u32) -> Request {
    let release = book.keep(&contents("ann")).unwrap();
    let policy = Policy { approvals, ..Policy::default() };
    Request { kind: Kind::Deploy, release, by: "ann".into(), policy, digest: format!("{release}") }
}

fn step(id: DeploymentId, from: State, to: State) -> Step<'static> {
    Step { id, from, to, at: SystemClock.moment(), lasts: None, place: None, fault: None, slots: Vec::new() }
}

fn slot(place: Place, release: ReleaseId, role: Role) -> Slot {
    Slot { place, release: Some(release), role, until: None, since: None }
}

#[test]
fn what_was_written_is_there_after_a_crash_and_the_one_before_writes_no_more() {
    let desk = Desk::new();
    let before = desk.book();
    let deployment = before.ask(&request(&before, 0)).unwrap();
    before.step(&step(deployment.id, State::Queued, State::Preparing)).unwrap();

    let after = desk.book();
    assert!(after.epoch() > before.epoch());
    assert_eq!(after.current().unwrap().unwrap().state, State::Preparing);
    let late = before.step(&step(deployment.id, State::Preparing, State::Starting));
    assert!(matches!(late, Err(BookFault::Fenced)), "{late:?}");
    assert!(matches!(before.give_up(Place::Blue), Err(BookFault::Fenced)));
    assert_eq!(after.current().unwrap().unwrap().state, State::Preparing);
}

#[test]
fn a_step_from_where_it_no_longer_is_changes_nothing() {
    let desk = Desk::new();
    let book = desk.book();
    let deployment = book.ask(&request(&book, 0)).unwrap();
    let mut stale = step(deployment.id, State::Preparing, State::Starting);
    stale.slots = vec![SlotChange::Put(slot(Place::Blue, deployment.release, Role::Candidate))];
    assert!(matches!(book.step(&stale), Err(BookFault::Moved { found: State::Queued, .. })));
    assert_eq!(book.slots().unwrap(), []);
}

#[test]
fn one_slot_is_live_and_two_are_refused_whole() {
    let desk = Desk::new();
    let book = desk.book();
    let first = book.ask(&request(&book, 0)).unwrap();
    let mut go = step(first.id, State::Queued, State::Preparing);
    go.slots = vec![SlotChange::Put(slot(Place::Blue, first.release, Role::Live))];
    book.step(&go).unwrap();
    let mut second = step(first.id, State::Preparing, State::Starting);
    second.slots = vec![SlotChange::Put(slot(Place::Green, first.release, Role::Live))];
    assert!(book.step(&second).is_err());
    assert_eq!(book.deployment(first.id).unwrap().state, State::Preparing);
    // In one step with the other's leaving it is fine.
    second.slots.insert(0, SlotChange::Put(slot(Place::Blue, first.release, Role::Warm)));
    book.step(&second).unwrap();
    book.give_up(Place::Green).unwrap();
    assert_eq!(book.slots().unwrap().len(), 2, "what is live is not given up");
}

#[test]
fn who_waits_in_line_is_superseded_and_who_is_under_way_is_not() {
    let desk = Desk::new();
    let book = desk.book();
    let under_way = book.ask(&request(&book, 0)).unwrap();
    book.step(&step(under_way.id, State::Queued, State::Preparing)).unwrap();
    let waiting = book.ask(&request(&book, 0)).unwrap();
    let newest = book.ask(&request(&book, 0)).unwrap();
    let state = |id| book.deployment(id).unwrap().state;
    assert_eq!(
        (state(under_way.id), state(waiting.id), state(newest.id)),
        (State::Preparing, State::Superseded, State::Queued)
    );
    assert_eq!(book.current().unwrap().unwrap().id, under_way.id);
    book.step(&step(under_way.id, State::Preparing, State::Aborting)).unwrap();
    book.step(&step(under_way.id, State::Aborting, State::Aborted)).unwrap();
    assert_eq!(book.current().unwrap().unwrap().id, newest.id);
}

#[test]
fn approvals_are_of_others_and_only_while_they_are_asked_for() {
    let desk = Desk::new();
    let book = desk.book();
    let deployment = book.ask(&request(&book, 1)).unwrap();
    let word = |by: &str| Approval { by: by.into(), digest: deployment.digest.clone() };
    assert!(matches!(book.approve(deployment.id, &word("bob")), Err(BookFault::NotAsked { .. })));
    book.step(&step(deployment.id, State::Queued, State::Preparing)).unwrap();
    book.step(&step(deployment.id, State::Preparing, State::AwaitingApproval)).unwrap();
    assert!(matches!(book.approve(deployment.id, &word("ann")), Err(BookFault::Approval(_))));
    let approved = book.approve(deployment.id, &word("bob")).unwrap();
    assert!(approved.policy.is_approved(&approved.digest, &approved.approvals));
    let lines: Vec<String> = book.happened(deployment.id, 0).unwrap().into_iter().map(|line| line.what).collect();
    assert!(lines.contains(&"approved by bob".to_owned()), "{lines:?}");
}

#[test]
fn what_visitors_see_is_not_called_off() {
    let desk = Desk::new();
    let book = desk.book();
    let deployment = book.ask(&request(&book, 0)).unwrap();
    assert_eq!(book.cancel(deployment.id, "bob").unwrap().cancelled_by.as_deref(), Some("bob"));
    let other = book.ask(&request(&book, 0)).unwrap();
    for (from, to) in [
        (State::Queued, State::Preparing),
        (State::Preparing, State::Starting),
        (State::Starting, State::Smoking),
        (State::Smoking, State::Switching),
    ] {
        book.step(&step(other.id, from, to)).unwrap();
    }
    assert!(matches!(book.cancel(other.id, "bob"), Err(BookFault::TooLate { state: State::Switching, .. })));
}

#[test]
fn a_release_never_changes_and_is_stable_once_it_went_live() {
    let desk = Desk::new();
    let book = desk.book();
    let deployment = book.ask(&request(&book, 0)).unwrap();
    assert!(!book.release(deployment.release).unwrap().stable);
    let changed = book.connection().execute("UPDATE release SET contents = '{}'", []);
    assert!(changed.unwrap_err().to_string().contains("a release never changes"));
    book.step(&step(deployment.id, State::Queued, State::Live)).unwrap();
    assert!(book.release(deployment.release).unwrap().stable);
    assert!(matches!(book.release(ReleaseId(99)), Err(BookFault::NoRelease(_))));
}

#[test]
fn what_is_acknowledged_was_synced() {
    let (desk, setting) = (Desk::new(), |book: &Book, name: &str| {
        book.connection().pragma_query_value(None, name, |row| row.get::<_, rusqlite::types::Value>(0)).unwrap()
    });
    let book = desk.book();
    // What `tests/power_loss.rs` says of cuts holds for this way of writing, and for none that syncs less.
    assert_eq!(setting(&book, "journal_mode"), "wal".to_owned().into());
    assert_eq!(setting(&book, "synchronous"), 2.into());
}
