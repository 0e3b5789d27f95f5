//! What follows on what. Pure: no clock, no file, no process.

use std::time::Duration;

use crate::deployment::{Kind, State};
use crate::policy::Policy;

/// How the work of a state ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// It could not be done, or not in time.
    Failed,
    /// Somebody called it off. Only where [`State::can_be_cancelled`].
    CalledOff,
}

/// What of a deployment decides about its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Course {
    pub kind: Kind,
    pub needs_approval: bool,
    /// Its release stands ready already, in a slot that was kept warm.
    pub is_warm: bool,
}

/// What comes after `state`, once its work ended so. `None`: nothing, it is over.
pub fn next(state: State, outcome: Outcome, course: Course) -> Option<State> {
    use Outcome::{CalledOff, Done, Failed};
    Some(match (state, outcome) {
        (State::Queued, Done) => State::Preparing,
        (State::Queued, CalledOff) => State::Cancelled,
        (State::Queued, Failed) => State::Aborted,
        (State::Preparing, Done) if course.needs_approval => State::AwaitingApproval,
        // What stands ready was started and looked at when it went live.
        (State::Preparing | State::AwaitingApproval, Done) if course.is_warm => State::Switching,
        (State::Preparing | State::AwaitingApproval, Done) => State::Starting,
        (State::Starting, Done) => State::Smoking,
        (State::Smoking, Done) => State::Switching,
        (State::Preparing | State::AwaitingApproval | State::Starting | State::Smoking, Failed | CalledOff) => {
            State::Aborting
        }
        (State::Switching, Done) => State::Verifying,
        // Where visitors were brought back and that is no better, going forth again would be a circle.
        (State::Switching | State::Verifying, Failed | CalledOff) if course.kind == Kind::Rollback => State::Frozen,
        (State::Switching | State::Verifying, Failed | CalledOff) => State::Reverting,
        (State::Verifying, Done) => State::Draining,
        // It serves; what of the old one does not end in time is cut off.
        (State::Draining, _) => State::Live,
        (State::Aborting, Done) => State::Aborted,
        (State::Reverting, Done) => State::RolledBack,
        (State::Aborting | State::Reverting, Failed | CalledOff) => State::Frozen,
        (
            State::Live | State::Aborted | State::RolledBack | State::Frozen | State::Cancelled | State::Superseded,
            _,
        ) => return None,
    })
}

/// The states that it goes through where everything is done, from the first to the last.
pub fn states(course: Course) -> Vec<State> {
    std::iter::successors(Some(State::Queued), |state| next(*state, Outcome::Done, course)).collect()
}

/// How long the work of a state may take, beside what the apps' own deadlines allow (`start`: of all instances together).
pub fn deadline(state: State, policy: &Policy, start: Duration) -> Option<Duration> {
    Some(match state {
        State::Preparing => Duration::from_secs(15 * 60),
        State::AwaitingApproval => policy.approval_lasts,
        State::Starting => start + Duration::from_secs(60),
        State::Smoking => Duration::from_secs(3 * 60),
        State::Switching => Duration::from_secs(30),
        State::Verifying => policy.verify + Duration::from_secs(60),
        State::Draining => policy.drain + Duration::from_secs(10),
        State::Aborting | State::Reverting => Duration::from_secs(2 * 60),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whether visitors reach what is being deployed.
    fn is_public(state: State) -> bool {
        matches!(state, State::Switching | State::Verifying | State::Draining | State::Live)
    }

    fn course() -> impl Strategy<Value = Course> {
        (any::<bool>(), any::<bool>(), any::<bool>()).prop_map(|(rollback, needs_approval, is_warm)| Course {
            kind: if rollback { Kind::Rollback } else { Kind::Deploy },
            needs_approval,
            is_warm: is_warm && rollback,
        })
    }

    fn outcome() -> impl Strategy<Value = Outcome> {
        prop_oneof![4 => Just(Outcome::Done), 1 => Just(Outcome::Failed), 1 => Just(Outcome::CalledOff)]
    }

    proptest! {
        #[test]
        fn whatever_happens_it_ends_and_no_state_comes_twice(
            course in course(),
            outcomes in prop::collection::vec(outcome(), 16),
        ) {
            let mut state = State::Queued;
            let mut seen = vec![state];
            for outcome in outcomes {
                // Who may not call off is not heard.
                let outcome = match outcome {
                    Outcome::CalledOff if !state.can_be_cancelled() => Outcome::Done,
                    outcome => outcome,
                };
                let Some(after) = next(state, outcome, course) else { break };
                prop_assert!(!seen.contains(&after), "{state} twice in {seen:?}");
                seen.push(after);
                if is_public(state) && !is_public(after) {
                    prop_assert!(matches!(after, State::Reverting | State::Frozen), "visitors lost: {seen:?}");
                }
                if after == State::Switching && !course.is_warm {
                    prop_assert!(seen.contains(&State::Starting) && seen.contains(&State::Smoking), "{seen:?}");
                }
                if after == State::Switching && course.needs_approval {
                    prop_assert!(seen.contains(&State::AwaitingApproval), "{seen:?}");
                }
                state = after;
            }
            prop_assert!(state.is_over(), "{seen:?}");
        }
    }

    #[test]
    fn a_rollback_that_is_no_better_goes_in_no_circle() {
        let course = Course { kind: Kind::Rollback, needs_approval: false, is_warm: true };
        assert_eq!(next(State::Verifying, Outcome::Failed, course), Some(State::Frozen));
        let course = Course { kind: Kind::Deploy, ..course };
        assert_eq!(next(State::Verifying, Outcome::Failed, course), Some(State::Reverting));
    }

    #[test]
    fn the_states_of_a_course_are_those_that_it_goes_through_when_nothing_fails() {
        let warm = Course { kind: Kind::Rollback, needs_approval: false, is_warm: true };
        use State::{AwaitingApproval, Draining, Live, Preparing, Queued, Smoking, Starting, Switching, Verifying};
        assert_eq!(states(warm), [Queued, Preparing, Switching, Verifying, Draining, Live]);
        let new = Course { kind: Kind::Deploy, needs_approval: true, is_warm: false };
        let all = [Queued, Preparing, AwaitingApproval, Starting, Smoking, Switching, Verifying, Draining, Live];
        assert_eq!(states(new), all);
    }

    #[test]
    fn every_state_that_is_not_over_but_waiting_in_line_has_a_deadline() {
        for state in State::ALL.iter().filter(|state| !state.is_over() && **state != State::Queued) {
            assert!(deadline(*state, &Policy::default(), Duration::ZERO).is_some(), "{state}");
        }
    }

    #[test]
    fn states_read_back_as_they_are_written() {
        for state in State::ALL {
            assert_eq!(state.as_str().parse(), Ok(*state));
            assert_eq!(serde_json::to_value(state).unwrap(), state.as_str());
        }
    }
}
