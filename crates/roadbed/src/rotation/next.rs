//! The next step of a rotation. Pure: nothing is asked here, and nothing done.

use std::time::Duration;

use host::clock::Timestamp;
use manifest::{Rotation, RotationKind};

/// What there is of one value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// A version is pending.
    pub pending: bool,
    /// When the current version took the place of the one before, if that is still let in.
    pub previous: Option<Timestamp>,
    pub settled: Settled,
    /// Who holds a version that the next step takes away: units, and commands that were lent it.
    pub holders: Vec<String>,
}

/// Whether the world is as these very versions want it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Settled {
    /// Nobody has looked since they changed.
    Unknown,
    /// Something is not, or somebody still holds what was before: these.
    No(Vec<String>),
    /// For so long, by a clock that nobody sets.
    For(Duration),
}

/// Whether a new value is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    Yes,
    /// What was begun is to be ended.
    No,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// Nothing: one version is let in, and everybody has it.
    Rest,
    /// Make the next value and keep it.
    Stage,
    /// Make the world as the versions want it.
    Converge,
    /// Verifiers may still have a key set without the pending key.
    Wait(Duration),
    /// Hand the pending version out from now on.
    Promote,
    /// Take the previous version away.
    Retire,
    /// The previous version holds until then.
    WaitUntil(Timestamp),
    /// Not before these are as they should be.
    Held(Vec<String>),
}

/// How far the clocks of verifiers may be apart from ours, and a key set be on its way.
pub const SKEW: Duration = Duration::from_secs(5);

pub fn next(rotation: &Rotation, seen: &Seen, asked: Asked, now: Timestamp) -> Move {
    let settled_for = match &seen.settled {
        Settled::Unknown if !seen.pending && seen.previous.is_none() && asked == Asked::Yes => return Move::Stage,
        Settled::Unknown => return Move::Converge,
        Settled::No(who) => return Move::Held(who.clone()),
        Settled::For(time) => *time,
    };
    match (seen.pending, seen.previous) {
        // Promoting would take the one before the current away, or have servers show what these do not know.
        (true, _) if !seen.holders.is_empty() => Move::Held(seen.holders.clone()),
        (true, _) => match awaited(rotation).checked_sub(settled_for) {
            Some(rest) if !rest.is_zero() => Move::Wait(rest),
            _ => Move::Promote,
        },
        (false, Some(since)) => {
            // A clock that was set back makes this wait longer, never shorter.
            let until = later(since, rotation.overlap);
            match seen.holders.is_empty() {
                _ if now < until => Move::WaitUntil(until),
                true => Move::Retire,
                false => Move::Held(seen.holders.clone()),
            }
        }
        (false, None) if asked == Asked::Yes => Move::Stage,
        (false, None) => Move::Rest,
    }
}

/// How long a pending version must have been public before it may be used.
fn awaited(rotation: &Rotation) -> Duration {
    match rotation.kind {
        RotationKind::Jwks => rotation.max_age + SKEW,
        _ => Duration::ZERO,
    }
}

/// `time` after `moment`.
pub fn later(moment: Timestamp, time: Duration) -> Timestamp {
    let millis = i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    Timestamp::from_unix_millis(moment.unix_millis().saturating_add(millis))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn rotation(kind: RotationKind) -> Rotation {
        let max_age = Duration::from_secs(60);
        Rotation { kind, every: HOUR * 24, overlap: HOUR, max_age, create: None, revoke: None }
    }

    fn at(hours: i64) -> Timestamp {
        Timestamp::from_unix_millis(hours * 3_600_000)
    }

    fn settled(pending: bool, previous: Option<Timestamp>) -> Seen {
        Seen { pending, previous, settled: Settled::For(Duration::ZERO), holders: Vec::new() }
    }

    #[test]
    fn one_value_that_everybody_has_is_at_rest_until_another_is_wanted() {
        let keyring = rotation(RotationKind::Keyring);
        assert_eq!(next(&keyring, &settled(false, None), Asked::No, at(0)), Move::Rest);
        assert_eq!(next(&keyring, &settled(false, None), Asked::Yes, at(0)), Move::Stage);
    }

    #[test]
    fn no_step_is_taken_before_the_world_is_as_the_versions_want_it() {
        let ab = rotation(RotationKind::MongoAb);
        for seen in [settled(true, None), settled(false, Some(at(0))), settled(true, Some(at(0)))] {
            let unknown = Seen { settled: Settled::Unknown, ..seen.clone() };
            assert_eq!(next(&ab, &unknown, Asked::Yes, at(99)), Move::Converge);
            let held = Seen { settled: Settled::No(vec!["api-1".to_owned()]), ..seen };
            assert_eq!(next(&ab, &held, Asked::Yes, at(99)), Move::Held(vec!["api-1".to_owned()]));
        }
    }

    #[test]
    fn a_key_signs_only_when_no_verifier_can_be_without_it() {
        let jwks = rotation(RotationKind::Jwks);
        let seen = |seconds| Seen { settled: Settled::For(Duration::from_secs(seconds)), ..settled(true, None) };
        assert_eq!(next(&jwks, &seen(0), Asked::No, at(0)), Move::Wait(Duration::from_secs(65)));
        assert_eq!(next(&jwks, &seen(64), Asked::No, at(0)), Move::Wait(Duration::from_secs(1)));
        assert_eq!(next(&jwks, &seen(65), Asked::No, at(0)), Move::Promote);
        assert_eq!(next(&rotation(RotationKind::RedisDual), &seen(0), Asked::No, at(0)), Move::Promote);
    }

    #[test]
    fn the_old_value_holds_for_the_overlap_and_longer_if_the_clock_is_set_back() {
        let keyring = rotation(RotationKind::Keyring);
        let seen = settled(false, Some(at(10)));
        assert_eq!(next(&keyring, &seen, Asked::No, at(10)), Move::WaitUntil(at(11)));
        assert_eq!(next(&keyring, &seen, Asked::No, at(2)), Move::WaitUntil(at(11)));
        assert_eq!(next(&keyring, &seen, Asked::No, at(11)), Move::Retire);
    }

    #[test]
    fn what_somebody_holds_is_not_taken_away() {
        let holders = vec!["a command of anna".to_owned()];
        for kind in [RotationKind::Keyring, RotationKind::Jwks, RotationKind::MongoAb, RotationKind::ProviderDual] {
            let held = |pending| Seen { holders: holders.clone(), ..settled(pending, Some(at(10))) };
            let step = |pending, now| next(&rotation(kind), &held(pending), Asked::No, now);
            assert_eq!(step(false, at(10)), Move::WaitUntil(at(11)), "{kind}: the overlap is not over anyway");
            assert_eq!(step(false, at(999)), Move::Held(holders.clone()), "{kind}");
            // With a third version, promoting would retire the one that is held.
            assert_eq!(step(true, at(999)), Move::Held(holders.clone()), "{kind}");
        }
    }

    #[test]
    fn a_second_value_is_never_made_while_the_first_one_before_is_let_in() {
        let keyring = rotation(RotationKind::Keyring);
        for (pending, previous) in [(true, None), (false, Some(at(0))), (true, Some(at(0)))] {
            for time in [Settled::Unknown, Settled::No(Vec::new()), Settled::For(Duration::ZERO)] {
                let seen = Seen { pending, previous, settled: time, holders: Vec::new() };
                assert_ne!(next(&keyring, &seen, Asked::Yes, at(0)), Move::Stage, "{seen:?}");
            }
        }
    }
}
