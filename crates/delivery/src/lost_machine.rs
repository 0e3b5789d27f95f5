//! A book whose machine is gone: it says that things run, stand ready and are under way, and none of them is there.
//!
//! What was decided then stays: which release visitors reach, what happened, what one can go back to. What was under way has ended, the
//! way that it would have ended if nobody could go on with it: visitors have whom they were sure of.

use reconcile::Fault;
use rusqlite::params;

use crate::book::{Book, BookFault, all, note, put, read_slots, write};
use crate::deployment::{Deployment, DeploymentId, Kind, State};
use crate::release::ReleaseId;
use crate::slot::{Role, Slot};

const LOST: &str = "the machine was lost while it was under way";

/// What a book says once it is true again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settled {
    /// What visitors are to reach; `None` where nothing was deployed, or it cannot be run.
    pub live: Option<ReleaseId>,
    /// What they reached, and cannot be run again.
    pub lost: Option<ReleaseId>,
    /// Deployments that were under way, and how each ended.
    pub ended: Vec<(DeploymentId, State)>,
}

/// How a deployment ends with which nobody goes on. Pure.
fn end_of(deployment: &Deployment) -> State {
    match deployment.state {
        // Visitors were brought back to a release that had served well: there is no better one.
        State::Switching | State::Verifying if deployment.kind == Kind::Rollback => State::Live,
        State::Draining => State::Live,
        State::Switching | State::Verifying | State::Reverting => State::RolledBack,
        _ => State::Aborted,
    }
}

/// The slots after all of that: one, or none. Pure.
fn slot_after(slots: &[Slot], open: &[Deployment]) -> Option<Slot> {
    let is_taken_back = |slot: &&Slot| {
        let mut back = open.iter().filter(|deployment| end_of(deployment) == State::RolledBack);
        back.any(|deployment| deployment.place == Some(slot.place))
    };
    let taken_back = slots.iter().find(is_taken_back);
    let live = slots.iter().find(|slot| slot.role == Role::Live && Some(*slot) != taken_back);
    let before = || slots.iter().find(|slot| slot.role == Role::Warm && Some(*slot) != taken_back);
    let live = live.or_else(|| taken_back.and_then(|_| before()))?;
    Some(Slot { role: Role::Live, until: None, since: None, ..live.clone() })
}

impl Book {
    /// Makes a book true that was restored where nothing of its machine is. `can_run` says whether a release can be run here. Done
    /// again it changes nothing.
    ///
    /// # Errors
    /// Where the book cannot be read or written; then it is as it was.
    pub fn settle_after_loss(&self, can_run: impl Fn(ReleaseId) -> bool) -> Result<Settled, BookFault> {
        let now = self.now();
        self.change(|transaction| {
            let open: Vec<Deployment> =
                all(transaction, "ORDER BY id")?.into_iter().filter(|deployment| !deployment.state.is_over()).collect();
            let kept = slot_after(&read_slots(transaction)?, &open);
            let mut settled = Settled::default();
            for mut deployment in open {
                let to = end_of(&deployment);
                deployment.state = to;
                deployment.since = now;
                deployment.deadline = None;
                deployment.entered = None;
                if to == State::Live {
                    transaction.execute("UPDATE release SET stable = 1 WHERE id = ?1", [deployment.release.0])?;
                } else {
                    deployment.fault.get_or_insert_with(|| Fault::new(LOST));
                }
                write(transaction, &deployment)?;
                note(transaction, deployment.id, now, to, LOST)?;
                settled.ended.push((deployment.id, to));
            }
            transaction.execute("DELETE FROM slot", params![])?;
            let release = kept.as_ref().and_then(|slot| slot.release);
            match (kept, release) {
                (Some(_), Some(release)) if !can_run(release) => settled.lost = Some(release),
                (Some(slot), _) => {
                    put(transaction, &slot)?;
                    settled.live = release;
                }
                (None, _) => {}
            }
            Ok(settled)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use host::clock::{Clock, SystemClock};
    use host::database::Presence;

    use super::*;
    use crate::book::{Request, SlotChange, Step};
    use crate::policy::Policy;
    use crate::release::{Contents, Origin};
    use crate::slot::Place;

    struct Desk {
        folder: tempfile::TempDir,
        book: Book,
    }

    fn slot(place: Place, release: Option<ReleaseId>, role: Role) -> Slot {
        Slot { place, release, role, until: None, since: None }
    }

    impl Desk {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("delivery.db");
            let book = Book::open(&path, Presence::MayBeNew, Arc::new(SystemClock)).unwrap();
            Self { folder, book }
        }

        /// Asks for a deployment of a release of its own, and takes it through these states.
        fn at(&self, kind: Kind, states: &[State], place: Place, slots: Vec<Slot>) -> (DeploymentId, ReleaseId) {
            let contents = Contents {
                artifacts: Vec::new(),
                manifest: String::new(),
                manifest_digest: String::new(),
                settings: [].into(),
                origin: Origin::default(),
                author: "ann".into(),
            };
            let release = self.book.keep(&contents).unwrap();
            let policy = Policy::default();
            let asked = Request { kind, release, by: "ann".into(), policy, digest: String::new() };
            let id = self.book.ask(&asked).unwrap().id;
            let mut from = State::Queued;
            for to in states {
                let lasts = Some(Duration::from_secs(9));
                let changes = if Some(to) == states.last() { slots.clone() } else { Vec::new() };
                // The slot of what is deployed now has its release.
                let changes = changes.into_iter().map(|slot| {
                    let release = if slot.place == place { Some(release) } else { slot.release };
                    SlotChange::Put(Slot { release, ..slot })
                });
                let at = SystemClock.moment();
                let step =
                    Step { id, from, to: *to, at, lasts, place: Some(place), fault: None, slots: changes.collect() };
                self.book.step(&step).unwrap();
                from = *to;
            }
            (id, release)
        }

        fn served(&self) -> ReleaseId {
            let states = [State::Preparing, State::Starting, State::Live];
            self.at(Kind::Deploy, &states, Place::Blue, vec![slot(Place::Blue, None, Role::Live)]).1
        }

        fn slots(&self) -> Vec<(Place, Option<ReleaseId>, Role)> {
            self.book.slots().unwrap().into_iter().map(|slot| (slot.place, slot.release, slot.role)).collect()
        }
    }

    #[test]
    fn what_was_live_stays_so_and_what_stood_ready_or_waited_is_over() {
        let desk = Desk::new();
        let first = desk.served();
        let warm = vec![slot(Place::Blue, Some(first), Role::Warm), slot(Place::Green, None, Role::Live)];
        let (_, second) = desk.at(Kind::Deploy, &[State::Preparing, State::Live], Place::Green, warm);
        let (waits, _) = desk.at(Kind::Deploy, &[State::Preparing, State::AwaitingApproval], Place::Blue, Vec::new());
        let settled = desk.book.settle_after_loss(|_| true).unwrap();
        assert_eq!(settled, Settled { live: Some(second), lost: None, ended: vec![(waits, State::Aborted)] });
        assert_eq!(desk.slots(), [(Place::Green, Some(second), Role::Live)]);
        let fault = desk.book.deployment(waits).unwrap().fault.unwrap();
        assert_eq!(fault.message, LOST);
        assert_eq!(desk.book.current().unwrap(), None);
        assert!(desk.book.release(first).unwrap().stable, "one can go back to it");
        assert_eq!(desk.book.settle_after_loss(|_| true).unwrap().ended, [], "a second time changes nothing");
        assert_eq!(desk.slots(), [(Place::Green, Some(second), Role::Live)]);
        drop(desk.folder);
    }

    #[test]
    fn one_that_visitors_reached_and_nobody_was_sure_of_is_taken_back_and_one_that_was_watched_stays() {
        let switched = |desk: &Desk, kind, states: &[State]| {
            let first = desk.served();
            let slots = vec![slot(Place::Blue, Some(first), Role::Warm), slot(Place::Green, None, Role::Live)];
            let (id, second) = desk.at(kind, states, Place::Green, slots);
            (first, second, id)
        };
        let desk = Desk::new();
        let (first, _, id) = switched(&desk, Kind::Deploy, &[State::Preparing, State::Switching, State::Verifying]);
        let settled = desk.book.settle_after_loss(|_| true).unwrap();
        assert_eq!((settled.live, settled.ended), (Some(first), vec![(id, State::RolledBack)]));
        assert_eq!(desk.slots(), [(Place::Blue, Some(first), Role::Live)]);

        let desk = Desk::new();
        let (_, second, id) = switched(&desk, Kind::Deploy, &[State::Preparing, State::Verifying, State::Draining]);
        let settled = desk.book.settle_after_loss(|_| true).unwrap();
        assert_eq!((settled.live, settled.ended), (Some(second), vec![(id, State::Live)]));
        assert!(desk.book.release(second).unwrap().stable);

        let desk = Desk::new();
        let (_, second, _) = switched(&desk, Kind::Rollback, &[State::Preparing, State::Switching]);
        assert_eq!(desk.book.settle_after_loss(|_| true).unwrap().live, Some(second), "nobody goes forth again");
    }

    #[test]
    fn before_visitors_saw_it_the_release_before_stays_and_what_cannot_be_run_is_said() {
        let desk = Desk::new();
        let first = desk.served();
        let starting = vec![slot(Place::Green, None, Role::Candidate)];
        let (id, _) = desk.at(Kind::Deploy, &[State::Preparing, State::Starting], Place::Green, starting);
        let settled = desk.book.settle_after_loss(|_| true).unwrap();
        assert_eq!((settled.live, settled.ended), (Some(first), vec![(id, State::Aborted)]));
        assert_eq!(desk.slots(), [(Place::Blue, Some(first), Role::Live)]);
        let settled = desk.book.settle_after_loss(|release| release != first).unwrap();
        assert_eq!((settled.live, settled.lost), (None, Some(first)));
        assert_eq!(desk.slots(), []);
        assert_eq!(Desk::new().book.settle_after_loss(|_| false).unwrap(), Settled::default());
    }
}
