//! Which keys are used, and when the issuer is asked anew. Pure: the moment is given.

use std::sync::Arc;
use std::time::Duration;

use host::clock::Timestamp;

use crate::keys::Keys;

/// Keys are asked for again after this, so that one that was withdrawn is not believed for long.
pub(crate) const FRESH: Duration = Duration::from_secs(10 * 60);

/// Where the issuer cannot be asked, keys are believed for this long and no longer.
pub(crate) const STALE: Duration = Duration::from_secs(24 * 60 * 60);

/// Between two questions: whoever invents names of keys makes us ask no oftener.
pub(crate) const PAUSE: Duration = Duration::from_secs(60);

/// After a question in vain: an issuer that is back is noticed sooner.
pub(crate) const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(10);

/// Keys of one issuer, as they were last had.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    had: Option<(Arc<Keys>, Timestamp)>,
    asked: Option<(Timestamp, Asked)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asked {
    Answered,
    InVain,
}

/// What to do for a token that is signed by a certain key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Use(Arc<Keys>),
    Ask,
    /// The issuer has no such key, as far as is known.
    Unknown,
    /// There are none, and nobody is asked now.
    None,
}

impl Cache {
    pub(crate) fn next(&self, kid: &str, now: Timestamp) -> Next {
        let fresh = self.had.as_ref().filter(|(_, at)| is_within(*at, FRESH, now)).map(|(keys, _)| keys);
        match fresh {
            Some(keys) if keys.has(kid) => Next::Use(keys.clone()),
            _ if self.may_ask(now) => Next::Ask,
            _ => self.last_resort(kid, now),
        }
    }

    /// Where nobody can be asked.
    pub(crate) fn last_resort(&self, kid: &str, now: Timestamp) -> Next {
        match self.had.as_ref().filter(|(_, at)| is_within(*at, STALE, now)).map(|(keys, _)| keys) {
            Some(keys) if keys.has(kid) => Next::Use(keys.clone()),
            Some(_) => Next::Unknown,
            None => Next::None,
        }
    }

    fn may_ask(&self, now: Timestamp) -> bool {
        match self.asked {
            None => true,
            Some((at, Asked::Answered)) => !is_within(at, PAUSE, now),
            Some((at, Asked::InVain)) => !is_within(at, PAUSE_AFTER_FAILURE, now),
        }
    }

    /// Before the question: one that nobody waits for any more counts too.
    pub(crate) fn asking(&mut self, now: Timestamp) {
        self.asked = Some((now, Asked::InVain));
    }

    pub(crate) fn answered(&mut self, keys: Keys, now: Timestamp) {
        self.had = Some((Arc::new(keys), now));
        self.asked = Some((now, Asked::Answered));
    }
}

/// A moment that is to come is no time to go by: the clock was set back.
fn is_within(at: Timestamp, span: Duration, now: Timestamp) -> bool {
    at <= now && now.since(at) < span
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_unix_millis(1_800_000_000_000 + i64::try_from(seconds * 1000).unwrap())
    }

    fn keys(kid: &str) -> Keys {
        let set = format!(r#"{{"keys":[{{"kty":"OKP","crv":"Ed25519","kid":"{kid}","x":"AQAB"}}]}}"#);
        Keys::read(set.as_bytes()).unwrap()
    }

    #[test]
    fn keys_are_kept_asked_for_again_and_believed_for_a_day_at_most() {
        let mut cache = Cache::default();
        assert_eq!(cache.next("a", at(0)), Next::Ask);
        cache.asking(at(0));
        assert_eq!(cache.next("a", at(1)), Next::None, "it was asked in vain a moment ago");
        assert_eq!(cache.next("a", at(PAUSE_AFTER_FAILURE.as_secs())), Next::Ask);
        cache.answered(keys("a"), at(10));
        let kept = Next::Use(Arc::new(keys("a")));
        assert_eq!(cache.next("a", at(10 + FRESH.as_secs() - 1)), kept);
        assert_eq!(cache.next("a", at(10 + FRESH.as_secs())), Next::Ask);
        cache.asking(at(700));
        assert_eq!(cache.next("a", at(701)), kept, "the issuer is away");
        assert_eq!(cache.last_resort("a", at(10 + STALE.as_secs() - 1)), kept);
        assert_eq!(cache.last_resort("a", at(10 + STALE.as_secs())), Next::None);
    }

    #[test]
    fn names_that_somebody_invents_make_nobody_ask_oftener() {
        let mut cache = Cache::default();
        cache.answered(keys("a"), at(0));
        let asked = (0..600).filter(|second| {
            let next = cache.next("invented", at(*second));
            if next == Next::Ask {
                cache.answered(keys("a"), at(*second));
            } else {
                assert_eq!(next, Next::Unknown);
            }
            next == Next::Ask
        });
        assert_eq!(asked.count(), 9);
    }

    #[test]
    fn after_a_clock_was_set_back_the_issuer_is_asked() {
        let mut cache = Cache::default();
        cache.answered(keys("a"), at(100_000));
        assert_eq!(cache.next("a", at(0)), Next::Ask);
        assert_eq!(cache.last_resort("a", at(0)), Next::None);
    }
}
