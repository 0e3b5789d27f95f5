//! How often somebody may be refused before they are no longer listened to.
//!
//! By GCRA: one moment per source says all. Whoever shows a token that holds is never held up by those who do not, be it from the
//! same address: nobody guesses 256 bits, so this is against noise, and noise must lock nobody out.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use host::clock::Timestamp;

/// One refusal is forgotten after this.
const EACH: Duration = Duration::from_secs(6);

/// So many may come at once.
const BURST: u32 = 20;

/// More sources than this share one allowance: a list that grows with what strangers send is a fault of its own.
const MOST_SOURCES: usize = 4096;

/// Who is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Source {
    /// An address; of IPv6 the first half, since the other is its owner's to choose.
    Address(IpAddr),
    /// A token that was made here and may not do what it asks for.
    Token(i64),
    Everybody,
}

impl Source {
    pub(super) fn of(address: IpAddr) -> Self {
        let address = address.to_canonical();
        Self::Address(match address {
            IpAddr::V4(_) => address,
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::from([a, b, c, d, 0, 0, 0, 0])
            }
        })
    }
}

/// Refusals of late.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    /// When each would have been forgotten, had they come one by one.
    forgotten: BTreeMap<Source, Timestamp>,
}

/// What comes of one more refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Told,
    /// It was one too many; again after so long.
    TooMany {
        again: Duration,
    },
}

impl Throttle {
    /// Counts a refusal.
    pub(super) fn refused(&mut self, source: Source, now: Timestamp) -> Verdict {
        self.forgotten.retain(|_, until| *until > now && until.since(now) <= EACH * BURST);
        let is_known = self.forgotten.contains_key(&source);
        let source = if is_known || self.forgotten.len() < MOST_SOURCES { source } else { Source::Everybody };
        let from = self.forgotten.get(&source).copied().unwrap_or(now).max(now);
        let until = later(from, EACH);
        if until.since(now) > EACH * BURST {
            return Verdict::TooMany { again: until.since(now) - EACH * BURST };
        }
        self.forgotten.insert(source, until);
        Verdict::Told
    }
}

fn later(time: Timestamp, by: Duration) -> Timestamp {
    Timestamp::from_unix_millis(time.unix_millis().saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix_millis(1_800_000_000_000 + seconds * 1000)
    }

    fn source(text: &str) -> Source {
        Source::of(text.parse().unwrap())
    }

    #[test]
    fn twenty_at_once_and_then_one_each_six_seconds() {
        let mut throttle = Throttle::default();
        let one = source("203.0.113.7");
        for _ in 0..BURST {
            assert_eq!(throttle.refused(one, at(0)), Verdict::Told);
        }
        assert_eq!(throttle.refused(one, at(0)), Verdict::TooMany { again: EACH });
        assert_eq!(throttle.refused(source("203.0.113.8"), at(0)), Verdict::Told, "others are not held up");
        assert_eq!(throttle.refused(one, at(6)), Verdict::Told);
        assert_eq!(throttle.refused(one, at(6)), Verdict::TooMany { again: EACH });
        assert_eq!(throttle.refused(one, at(-3600)), Verdict::Told, "a clock that was set back holds nobody up");
    }

    #[test]
    fn a_network_of_addresses_is_one_and_what_is_kept_does_not_grow() {
        assert_eq!(source("2001:db8:0:1::7"), source("2001:db8:0:1:ffff::1"));
        assert_ne!(source("2001:db8:0:1::7"), source("2001:db8:0:2::7"));
        assert_eq!(source("::ffff:203.0.113.7"), source("203.0.113.7"));
        let mut throttle = Throttle::default();
        for number in 0..u32::try_from(MOST_SOURCES).unwrap() + 100 {
            throttle.refused(Source::of(IpAddr::from(number.to_be_bytes())), at(0));
        }
        assert!(throttle.forgotten.len() <= MOST_SOURCES + 1);
    }
}
