//! Buckets in memory: as many as there are places, whoever comes.
//!
//! A key has eight places where it may lie, chosen by a hash that is keyed with random numbers of this process. Where all are taken by
//! buckets that are not full, the fullest of them makes room, and who comes takes over what that one owed ("space saving", Metwally
//! 2005). So nobody gets rid of his own debt by bringing others: the emptiest bucket goes last, and who was put out comes back with no
//! less than the least of his neighbours. Under a flood of addresses the eight are one bucket of eight times the rate.

use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, PoisonError};

use super::gcra::{Quota, Verdict};

/// Places of a key.
const WAYS: usize = 8;

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// Hash of the key; 0: nobody's.
    tag: u64,
    full_at: u64,
}

/// Buckets of one quota.
#[derive(Debug)]
pub struct Table {
    sets: Box<[Mutex<[Place; WAYS]>]>,
    hasher: RandomState,
}

/// What a table says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    pub verdict: Verdict,
    /// Whether the bucket was not full before: somebody was here lately.
    pub was_known: bool,
}

impl Table {
    /// Room for so many, rounded up to a power of two.
    pub fn new(buckets: usize) -> Self {
        let sets = (buckets / WAYS).next_power_of_two();
        Self { sets: (0..sets).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }

    pub fn take(&self, key: &impl Hash, quota: Quota, now: u64, cost: u64) -> Told {
        let hash = self.hasher.hash_one(key);
        let tag = hash.max(1);
        // The low bits choose the set; all of them tell who it is.
        let at = usize::try_from(hash & (self.sets.len() as u64 - 1)).unwrap_or_default();
        let mut places = self.sets[at].lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(place) = places.iter_mut().find(|place| place.tag == tag) {
            let was_known = place.full_at > now;
            let (verdict, full_at) = quota.judge(place.full_at, now, cost);
            place.full_at = full_at;
            return Told { verdict, was_known };
        }
        // A bucket that is full again is worth no place.
        let place = places.iter_mut().min_by_key(|place| place.full_at).expect("there are eight");
        let (verdict, full_at) = quota.judge(place.full_at, now, cost);
        // Who only asks takes nobody's place.
        if cost > 0 && verdict.is_allowed() {
            *place = Place { tag, full_at };
        }
        Told { verdict, was_known: false }
    }

    /// What it takes of memory, whoever comes.
    pub fn bytes(&self) -> usize {
        self.sets.len() * size_of::<Mutex<[Place; WAYS]>>()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn is_allowed(told: Told) -> bool {
        told.verdict.is_allowed()
    }

    #[test]
    fn keys_have_buckets_of_their_own() {
        let (table, quota) = (Table::new(1024), Quota::new(2, Duration::from_mins(1), 2));
        assert!(is_allowed(table.take(&1, quota, 1, 1)) && is_allowed(table.take(&1, quota, 1, 1)));
        assert!(!is_allowed(table.take(&1, quota, 1, 1)));
        assert!(is_allowed(table.take(&2, quota, 1, 1)));
        assert!(is_allowed(table.take(&1, quota, 30_000_001, 1)), "one came back");
    }

    #[test]
    fn a_million_strangers_cost_no_memory_and_wash_nobody_clean() {
        let (table, quota) = (Table::new(1 << 16), Quota::new(10, Duration::from_mins(1), 10));
        let before = table.bytes();
        assert!(before < 2 << 20, "{before} bytes");
        for _ in 0..10 {
            assert!(is_allowed(table.take(&u64::MAX, quota, 1, 1)));
        }
        let refused = (0..1_000_000_u64).filter(|key| !is_allowed(table.take(key, quota, 1, 1))).count();
        assert!(!is_allowed(table.take(&u64::MAX, quota, 1, 1)), "who was at his end is there still");
        // 65,536 buckets of ten let as many through as they hold.
        assert!((300_000..500_000).contains(&refused), "{refused}");
        assert_eq!(table.bytes(), before);
    }
}
