use super::*;

const RULES: Rules = Rules {
    restart: RestartPolicy {
        first_delay: Duration::from_millis(100),
        max_delay: Duration::from_secs(5),
        stable_after: Duration::from_secs(10),
        crash_loop_after: 8,
        once: false,
    },
    stop: StopPolicy { grace: Duration::from_secs(3) },
    means: Means::Known,
};
const ADOPTED: Rules = Rules { means: Means::Unknown, ..RULES };
const NOW: Moment = Duration::from_secs(100);

fn life(phase: Phase) -> Life {
    Life { phase, deaths: 2, restarts: 7 }
}

fn running() -> Phase {
    Phase::Running { since: NOW }
}

fn stopping(then: Then) -> Phase {
    Phase::Stopping { kill_at: Some(NOW + RULES.stop.grace), then }
}

/// One row: in which phase what happens, which phase follows, what is done, how many deaths count.
fn check(rules: &Rules, phase: Phase, event: Event, expect: Phase, actions: &[Action], deaths: u32) {
    let (after, done) = next(life(phase), rules, event, NOW);
    assert_eq!((after.phase, done.as_slice(), after.deaths), (expect, actions, deaths), "{phase:?} + {event:?}");
}

#[test]
fn requests_in_every_phase() {
    use Action::{Forget, Refuse, Start, Terminate};
    use Phase::{Absent, Held, Lost};
    let backoff = Phase::Backoff { until: NOW };
    let same = Event::Ensure(Revision::Same);
    let other = Event::Ensure(Revision::Other);

    check(&RULES, Absent, same, Absent, &[Start], 2);
    check(&RULES, running(), same, running(), &[], 2);
    check(&RULES, backoff, same, Absent, &[Start], 2);
    check(&RULES, Held, same, Held, &[], 2);
    check(&RULES, Lost, same, Absent, &[Start], 2);

    check(&RULES, running(), other, stopping(Then::Start), &[Terminate], 0);
    check(&RULES, backoff, other, Absent, &[Start], 0);
    check(&RULES, Held, other, Held, &[], 2);
    check(&RULES, Lost, other, Absent, &[Start], 0);

    check(&RULES, running(), Event::Restart, stopping(Then::Start), &[Terminate], 0);
    check(&RULES, backoff, Event::Restart, Absent, &[Start], 0);
    check(&RULES, Held, Event::Restart, Absent, &[Start], 0);
    check(&ADOPTED, running(), Event::Restart, running(), &[Refuse], 2);
    check(&ADOPTED, Lost, Event::Restart, Lost, &[Refuse], 0);

    check(&RULES, running(), Event::Hold, stopping(Then::Hold), &[Terminate], 2);
    check(&RULES, backoff, Event::Hold, Held, &[], 2);
    check(&RULES, Held, Event::Hold, Held, &[], 2);
    check(&ADOPTED, running(), Event::Hold, running(), &[Refuse], 2);

    check(&RULES, Held, Event::Resume, Absent, &[Start], 0);
    check(&RULES, backoff, Event::Resume, Absent, &[Start], 0);
    check(&RULES, running(), Event::Resume, running(), &[], 0);
    check(&ADOPTED, Held, Event::Resume, Lost, &[Refuse], 0);

    check(&RULES, running(), Event::Remove, stopping(Then::Forget), &[Terminate], 2);
    check(&RULES, backoff, Event::Remove, Absent, &[Forget], 2);
    check(&RULES, Held, Event::Remove, Absent, &[Forget], 2);
    check(&RULES, Lost, Event::Remove, Absent, &[Forget], 2);
    check(&ADOPTED, running(), Event::Remove, stopping(Then::Forget), &[Terminate], 2);
}

#[test]
fn what_has_an_end_is_not_started_again_by_itself() {
    let once = Rules { restart: RestartPolicy { once: true, ..RULES.restart }, ..RULES };
    check(&once, running(), Event::Died, Phase::Held, &[], 3);
    check(&once, Phase::Absent, Event::NotBegun, Phase::Held, &[], 3);
    check(&once, Phase::Held, Event::Ensure(Revision::Same), Phase::Held, &[], 2);
    check(&Rules { means: Means::Unknown, ..once }, running(), Event::Died, Phase::Held, &[], 3);
}

#[test]
fn a_stop_ends_in_what_was_asked_for() {
    check(&RULES, stopping(Then::Start), Event::Died, Phase::Absent, &[Action::Start], 2);
    check(&RULES, stopping(Then::Hold), Event::Died, Phase::Held, &[], 2);
    check(&RULES, stopping(Then::Forget), Event::Died, Phase::Absent, &[Action::Forget], 2);
}

#[test]
fn who_does_not_go_in_time_is_killed_once() {
    let at_deadline = Phase::Stopping { kill_at: Some(NOW), then: Then::Hold };
    let killed = Phase::Stopping { kill_at: None, then: Then::Hold };
    check(&RULES, at_deadline, Event::Due, killed, &[Action::Kill], 2);
    check(&RULES, killed, Event::Due, killed, &[], 2);
    check(&RULES, stopping(Then::Hold), Event::Due, stopping(Then::Hold), &[], 2);
    assert_eq!(life(killed).due(), None);
}

#[test]
fn killing_now_overrides_grace_and_what_was_to_follow() {
    let killed = Phase::Stopping { kill_at: None, then: Then::Forget };
    check(&RULES, running(), Event::KillNow, killed, &[Action::Kill], 2);
    check(&RULES, stopping(Then::Start), Event::KillNow, killed, &[Action::Kill], 2);
    check(&RULES, Phase::Held, Event::KillNow, Phase::Absent, &[Action::Forget], 2);
}

#[test]
fn deaths_in_a_row_wait_twice_as_long_each_up_to_the_cap() {
    let mut life = Life::NEW;
    let mut now = NOW;
    let mut waits = Vec::new();
    for _ in 0..9 {
        (life, _) = next(life, &RULES, Event::Began, now);
        (life, _) = next(life, &RULES, Event::Died, now);
        let due = life.due().unwrap();
        waits.push((due - now).as_millis());
        assert_eq!(next(life, &RULES, Event::Due, due - Duration::from_millis(1)), (life, vec![]), "not too early");
        now = due;
        let (after, actions) = next(life, &RULES, Event::Due, now);
        assert_eq!(actions, [Action::Start]);
        life = after;
    }
    assert_eq!(waits, [100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]);
    assert_eq!(life.restarts, 9);
}

#[test]
fn a_crash_loop_is_shown_and_goes_on_at_the_cap() {
    let rules = Rules { restart: RestartPolicy { crash_loop_after: 3, ..RULES.restart }, ..RULES };
    let state_after = |deaths| {
        let (after, _) = next(Life { deaths, ..life(running()) }, &rules, Event::Died, NOW);
        (after.state(&rules.restart).unwrap(), after.due().unwrap() - NOW)
    };
    assert_eq!(state_after(1), (UnitState::Backoff, Duration::from_millis(200)));
    assert_eq!(state_after(2), (UnitState::CrashLoop, rules.restart.max_delay));
    assert_eq!(state_after(u32::MAX), (UnitState::CrashLoop, rules.restart.max_delay));
}

#[test]
fn after_a_stable_time_the_next_death_counts_as_the_first() {
    let deaths_after = |alive: Duration| {
        let (after, _) = next(life(Phase::Running { since: NOW - alive }), &RULES, Event::Died, NOW);
        (after.deaths, after.due().unwrap() - NOW)
    };
    assert_eq!(deaths_after(Duration::from_secs(10)), (1, Duration::from_millis(100)));
    assert_eq!(deaths_after(Duration::from_millis(9_999)), (3, Duration::from_millis(400)));
}

#[test]
fn a_start_that_fails_is_tried_again_like_a_death() {
    let until = NOW + Duration::from_millis(400);
    check(&RULES, Phase::Absent, Event::NotBegun, Phase::Backoff { until }, &[], 3);
}

#[test]
fn an_adopted_unit_whose_means_are_unknown_is_lost_when_it_dies() {
    check(&ADOPTED, running(), Event::Died, Phase::Lost, &[], 3);
    assert_eq!(life(Phase::Lost).due(), None);
}

#[test]
fn every_phase_takes_every_event() {
    let phases = [
        Phase::Absent,
        running(),
        Phase::Backoff { until: NOW },
        stopping(Then::Start),
        stopping(Then::Forget),
        Phase::Held,
        Phase::Lost,
    ];
    let events = [
        Event::Ensure(Revision::Same),
        Event::Ensure(Revision::Other),
        Event::Restart,
        Event::Hold,
        Event::Resume,
        Event::Remove,
        Event::KillNow,
        Event::Died,
        Event::Due,
    ];
    for phase in phases {
        for event in events {
            for rules in [RULES, ADOPTED] {
                let (after, actions) = next(life(phase), &rules, event, NOW);
                assert!(actions.len() <= 1, "one thing at a time: {phase:?} + {event:?}");
                let starts = actions.contains(&Action::Start);
                let had_process = matches!(phase, Phase::Running { .. } | Phase::Stopping { .. });
                let has_process = had_process && event != Event::Died;
                assert!(!(starts && has_process), "two processes: {phase:?} + {event:?}");
                assert!(!(starts && rules.means == Means::Unknown), "started by guess: {phase:?} + {event:?}");
                let passes = after.phase == Phase::Absent && phase != Phase::Absent;
                assert!(!passes || starts || actions == [Action::Forget], "fell silent: {phase:?} + {event:?}");
            }
        }
    }
}
