//! How something stands, by what was seen of it. Pure: no clock, no disk.

use serde::{Deserialize, Serialize};

/// What a look saw.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seen {
    Good {
        ms: u64,
        /// That answered, where it says so.
        release: Option<String>,
    },
    Bad {
        why: String,
    },
    /// We could not look: nothing follows from it.
    Unknown {
        why: String,
    },
}

/// What it is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    /// It was not seen to work yet.
    New,
    Up,
    Down,
}

/// How many looks that agree it takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    pub failures: u32,
    pub successes: u32,
    /// Changes are remembered for so long, in milliseconds.
    pub flapping_ms: i64,
}

/// More changes than these within the time that [`Rules`] say, and it flaps: three outages.
const FLAPS: usize = 5;

/// How something stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    pub health: Health,
    /// Since when, in milliseconds since 1970: from the first of the looks that agreed.
    pub since: i64,
    /// Looks in a row that say otherwise.
    pub streak: u32,
    pub streak_since: i64,
    /// When it was last found out.
    pub looked: Option<i64>,
    /// What kept us from looking the last time.
    pub unknown: Option<String>,
    /// What was wrong when it was last bad.
    pub why: Option<String>,
    pub ms: Option<u64>,
    pub release: Option<String>,
    /// When it came and went.
    pub changes: Vec<i64>,
}

impl Standing {
    /// Of something that was just put on the list.
    pub fn new(now: i64) -> Self {
        Self {
            health: Health::New,
            since: now,
            streak: 0,
            streak_since: now,
            looked: None,
            unknown: None,
            why: None,
            ms: None,
            release: None,
            changes: Vec::new(),
        }
    }

    /// After one more look.
    #[must_use]
    pub fn after(mut self, seen: &Seen, rules: Rules, now: i64) -> Self {
        self.changes.retain(|at| now - at <= rules.flapping_ms);
        match seen {
            Seen::Unknown { why } => self.unknown = Some(why.clone()),
            Seen::Good { ms, release } => {
                self.looked(now);
                self.ms = Some(*ms);
                if release.is_some() {
                    self.release.clone_from(release);
                }
                match self.health {
                    Health::Up => self.streak = 0,
                    // Nobody has to be convinced of what was never otherwise.
                    Health::New => self.becomes(Health::Up, now),
                    Health::Down => {
                        self.counts(now);
                        if self.streak >= rules.successes {
                            let since = self.streak_since;
                            self.becomes(Health::Up, since);
                            self.changes.push(now);
                        }
                    }
                }
            }
            Seen::Bad { why } => {
                self.looked(now);
                self.why = Some(why.clone());
                match self.health {
                    Health::Down => self.streak = 0,
                    Health::Up | Health::New => {
                        self.counts(now);
                        if self.streak >= rules.failures {
                            let since = self.streak_since;
                            if self.health == Health::Up {
                                self.changes.push(now);
                            }
                            self.becomes(Health::Down, since);
                        }
                    }
                }
            }
        }
        self
    }

    /// Whether it comes and goes, so that each single change says little.
    pub fn is_flapping(&self) -> bool {
        self.changes.len() >= FLAPS
    }

    /// Whether the last look says otherwise than what it is taken for: it is looked at again sooner.
    pub fn is_in_doubt(&self) -> bool {
        self.streak > 0
    }

    /// Whether it may be down: nobody is told what depends on it until that is clear.
    pub fn may_be_down(&self) -> bool {
        self.health == Health::Down || (self.streak > 0 && self.health != Health::Down)
    }

    fn looked(&mut self, now: i64) {
        self.looked = Some(now);
        self.unknown = None;
    }

    fn counts(&mut self, now: i64) {
        if self.streak == 0 {
            self.streak_since = now;
        }
        self.streak += 1;
    }

    fn becomes(&mut self, health: Health, since: i64) {
        self.health = health;
        self.since = since;
        self.streak = 0;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RULES: Rules = Rules { failures: 2, successes: 2, flapping_ms: 100 };

    fn good() -> Seen {
        Seen::Good { ms: 3, release: None }
    }

    fn bad() -> Seen {
        Seen::Bad { why: "refused".into() }
    }

    fn unknown() -> Seen {
        Seen::Unknown { why: "too many open files".into() }
    }

    fn seen(looks: &[Seen]) -> Standing {
        let mut standing = Standing::new(0);
        for (now, look) in (1..).zip(looks) {
            standing = standing.after(look, RULES, now);
        }
        standing
    }

    #[test]
    fn one_bad_look_is_no_outage_and_two_are_one_since_the_first() {
        assert_eq!(seen(&[good(), bad()]).health, Health::Up);
        let down = seen(&[good(), bad(), bad(), bad()]);
        assert_eq!((down.health, down.since), (Health::Down, 2));
    }

    #[test]
    fn a_good_look_between_bad_ones_begins_the_count_anew() {
        assert_eq!(seen(&[good(), bad(), good(), bad()]).health, Health::Up);
    }

    #[test]
    fn it_is_up_again_after_as_many_good_looks_as_it_takes() {
        assert_eq!(seen(&[good(), bad(), bad(), good()]).health, Health::Down);
        let up = seen(&[good(), bad(), bad(), good(), good()]);
        assert_eq!((up.health, up.since), (Health::Up, 4));
    }

    #[test]
    fn what_never_worked_is_down_too() {
        assert_eq!(seen(&[bad(), bad()]).health, Health::Down);
    }

    #[test]
    fn coming_and_going_is_flapping_until_it_has_stayed_for_a_while() {
        let round = [good(), good(), bad(), bad()];
        let flapping = seen(&round.iter().cycle().take(13).cloned().collect::<Vec<_>>());
        assert!(flapping.is_flapping(), "{flapping:?}");
        let later = flapping.after(&good(), RULES, 500);
        assert!(!later.is_flapping(), "{later:?}");
    }

    proptest! {
        #[test]
        fn what_we_cannot_find_out_changes_nothing(looks in prop::collection::vec(0..3u8, 0..40)) {
            let looks: Vec<Seen> = looks.iter().map(|look| match look { 0 => good(), 1 => bad(), _ => unknown() }).collect();
            let known: Vec<Seen> = looks.iter().filter(|look| **look != unknown()).cloned().collect();
            prop_assert_eq!(seen(&looks).health, seen(&known).health);
        }

        #[test]
        fn without_two_bad_looks_in_a_row_nothing_is_down(looks in prop::collection::vec(prop::bool::ANY, 0..40)) {
            let all: Vec<Seen> = looks.iter().map(|is_good| if *is_good { good() } else { bad() }).collect();
            let two = looks.windows(2).any(|pair| !pair[0] && !pair[1]);
            if !two {
                prop_assert_ne!(seen(&all).health, Health::Down);
            }
        }
    }
}
