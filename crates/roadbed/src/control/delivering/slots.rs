//! How slots change when a deployment enters a state. Decided from what is taken; written together with the state.

use delivery::book::SlotChange;
use delivery::{Deployment, Place, Role, Slot, State};
use host::clock::Moment;
use reconcile::Fault;

use crate::control::Control;
use crate::wanted::{self, Apps};

/// What entering a state changes.
#[derive(Debug, Default)]
pub(super) struct Turn {
    pub(super) place: Option<Place>,
    pub(super) changes: Vec<SlotChange>,
}

pub(super) fn turn(
    control: &Control,
    deployment: &Deployment,
    to: State,
    taken: &[Slot],
    now: &Moment,
) -> Result<Turn, Fault> {
    // What was built in the project serves until something is deployed, without a line in the book.
    let is_project_live = || {
        let want = wanted::read(&control.root)?;
        Ok::<_, Fault>(want.is_some_and(|want| want.apps == Apps::FromProject))
    };
    let mut taken = taken.to_vec();
    if !taken.iter().any(|slot| slot.role == Role::Live) && is_project_live()? {
        taken.retain(|slot| slot.place != Place::Project);
        taken.push(slot(Place::Project, None, Role::Live));
    }
    Ok(decided(deployment, to, &taken, now))
}

fn slot(place: Place, release: Option<delivery::ReleaseId>, role: Role) -> Slot {
    Slot { place, release, role, until: None, since: None }
}

/// Pure.
fn decided(deployment: &Deployment, to: State, taken: &[Slot], now: &Moment) -> Turn {
    let live = taken.iter().find(|slot| slot.role == Role::Live);
    let own = deployment.place.and_then(|place| taken.iter().find(|slot| slot.place == place));
    let other = |role| taken.iter().find(move |slot| slot.role == role && Some(slot.place) != deployment.place);
    let put = |slot: &Slot, role| SlotChange::Put(Slot { role, until: None, since: None, ..slot.clone() });
    let mut turn = Turn { place: deployment.place, changes: Vec::new() };
    match to {
        State::Starting => {
            let place = live.map_or(Place::Blue, |live| live.place.other());
            turn.place = Some(place);
            turn.changes.push(SlotChange::Put(slot(place, Some(deployment.release), Role::Candidate)));
        }
        State::Switching => {
            let of_release = |slot: &&Slot| slot.release == Some(deployment.release) && slot.role != Role::Live;
            if let Some(next) = own.or_else(|| taken.iter().find(of_release)) {
                // First the one that goes: at no time are two of them live.
                turn.changes.extend(live.map(|live| put(live, Role::Warm)));
                turn.changes.push(put(next, Role::Live));
                turn.place = Some(next.place);
            }
        }
        State::Live => {
            let until = Some(now.wall.after(deployment.policy.keep_warm));
            let warm = |slot: &Slot| Slot { until, since: Some(now.clone()), ..slot.clone() };
            turn.changes.extend(other(Role::Warm).map(|slot| SlotChange::Put(warm(slot))));
        }
        State::Aborting => turn.changes.extend(own.map(|own| put(own, Role::Leaving))),
        State::Reverting => {
            turn.changes.extend(own.map(|own| put(own, Role::Leaving)));
            turn.changes.extend(other(Role::Warm).map(|before| put(before, Role::Live)));
        }
        State::Aborted | State::Cancelled | State::RolledBack => {
            let own = own.filter(|own| own.role == Role::Leaving);
            turn.changes.extend(own.map(|own| SlotChange::Remove(own.place)));
        }
        _ => {}
    }
    turn
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use delivery::{DeploymentId, Kind, Policy, ReleaseId};
    use host::clock::Timestamp;

    use super::*;

    fn deployment(release: i64, place: Option<Place>) -> Deployment {
        Deployment {
            id: DeploymentId(1),
            kind: Kind::Deploy,
            release: ReleaseId(release),
            previous: None,
            place,
            state: State::Preparing,
            since: Timestamp::from_unix_millis(0),
            deadline: None,
            entered: None,
            asked_at: Timestamp::from_unix_millis(0),
            asked_by: "ann".into(),
            cancelled_by: None,
            fault: None,
            policy: Policy::default(),
            approvals: Vec::new(),
            digest: "d".into(),
        }
    }

    fn moment(up_minutes: u32, wall_ms: i64) -> Moment {
        Moment::new(Timestamp::from_unix_millis(wall_ms), "b", Duration::from_secs(60) * up_minutes)
    }

    /// The slots after a turn.
    fn after_turn(taken: &[Slot], deployment: &mut Deployment, to: State) -> Vec<Slot> {
        let turn = decided(deployment, to, taken, &moment(0, 1_000));
        deployment.place = turn.place.or(deployment.place);
        let mut slots = taken.to_vec();
        for change in turn.changes {
            match change {
                SlotChange::Put(put) => {
                    slots.retain(|slot| slot.place != put.place);
                    slots.push(put);
                    let live = slots.iter().filter(|slot| slot.role == Role::Live).count();
                    assert!(live <= 1, "two are live on the way to {to}");
                }
                SlotChange::Remove(place) => slots.retain(|slot| slot.place != place),
            }
        }
        slots.sort_by_key(|slot| slot.place);
        slots
    }

    fn roles(slots: &[Slot]) -> Vec<(Place, Option<i64>, Role)> {
        slots.iter().map(|slot| (slot.place, slot.release.map(|id| id.0), slot.role)).collect()
    }

    #[test]
    fn a_release_goes_beside_the_live_one_then_in_its_place_and_back_again() {
        let live = vec![slot(Place::Blue, Some(ReleaseId(1)), Role::Live)];
        let mut second = deployment(2, None);
        let started = after_turn(&live, &mut second, State::Starting);
        assert_eq!(roles(&started), [(Place::Blue, Some(1), Role::Live), (Place::Green, Some(2), Role::Candidate)]);
        let switched = after_turn(&started, &mut second, State::Switching);
        assert_eq!(roles(&switched), [(Place::Blue, Some(1), Role::Warm), (Place::Green, Some(2), Role::Live)]);
        let reverted = after_turn(&switched, &mut second.clone(), State::Reverting);
        assert_eq!(roles(&reverted), [(Place::Blue, Some(1), Role::Live), (Place::Green, Some(2), Role::Leaving)]);
        let gone = after_turn(&reverted, &mut second.clone(), State::RolledBack);
        assert_eq!(roles(&gone), [(Place::Blue, Some(1), Role::Live)]);

        let done = after_turn(&switched, &mut second, State::Live);
        let warm = done.iter().find(|slot| slot.role == Role::Warm).unwrap();
        assert_eq!(warm.until, Some(Timestamp::from_unix_millis(1_000 + 15 * 60 * 1000)));
        for wall_ms in [0, 1_000, 99_000_000] {
            assert!(!warm.is_over(&moment(14, wall_ms)), "a clock that is set shortens nothing: {wall_ms}");
            assert!(warm.is_over(&moment(15, wall_ms)), "and makes nothing longer: {wall_ms}");
        }
        // A rollback to what is warm needs no other slot.
        let mut back = deployment(1, None);
        let flipped = after_turn(&done, &mut back, State::Switching);
        assert_eq!(roles(&flipped), [(Place::Blue, Some(1), Role::Live), (Place::Green, Some(2), Role::Warm)]);
    }

    #[test]
    fn the_first_release_takes_over_from_the_project_and_leaves_it_when_it_fails() {
        let project = vec![slot(Place::Project, None, Role::Live)];
        let mut first = deployment(1, None);
        let started = after_turn(&project, &mut first, State::Starting);
        let aborting = after_turn(&started, &mut first.clone(), State::Aborting);
        assert_eq!(roles(&aborting), [(Place::Project, None, Role::Live), (Place::Blue, Some(1), Role::Leaving)]);
        assert_eq!(roles(&after_turn(&aborting, &mut first.clone(), State::Aborted)), roles(&project));
        let switched = after_turn(&started, &mut first, State::Switching);
        assert_eq!(roles(&switched), [(Place::Project, None, Role::Warm), (Place::Blue, Some(1), Role::Live)]);
        let reverted = after_turn(&switched, &mut first, State::Reverting);
        assert_eq!(roles(&reverted), [(Place::Project, None, Role::Live), (Place::Blue, Some(1), Role::Leaving)]);
    }

    #[test]
    fn a_deployment_that_never_had_a_slot_leaves_all_as_they_are() {
        let slots =
            [slot(Place::Blue, Some(ReleaseId(1)), Role::Warm), slot(Place::Green, Some(ReleaseId(2)), Role::Live)];
        for to in [State::Preparing, State::AwaitingApproval, State::Aborting, State::Aborted, State::Cancelled] {
            assert_eq!(roles(&after_turn(&slots, &mut deployment(3, None), to)), roles(&slots), "{to}");
        }
    }
}
