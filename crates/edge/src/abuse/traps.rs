//! Clients that asked for what only scanners ask for, counted, and kept out for a while once there were enough.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::rate_limit::identity::Identity;

/// Hits are counted together that are no further apart.
const WINDOW: Duration = Duration::from_secs(10 * 60);
/// Clients that are remembered, some 100 bytes each. Those that were seen longest ago give way, those that are kept out last.
const MOST: usize = 4096;

/// Clients by their addresses; of IPv6, the first 64 bits.
#[derive(Debug, Default)]
pub struct Traps {
    clients: Mutex<HashMap<Identity, Trapped>>,
    /// How many may be kept out: while it is none, no request takes the lock.
    kept_out: AtomicUsize,
}

#[derive(Clone, Copy, Debug)]
struct Trapped {
    hits: u32,
    since: Instant,
    last: Instant,
    out_until: Option<Instant>,
}

impl Traps {
    pub fn is_kept_out(&self, client: IpAddr, now: Instant) -> bool {
        if self.kept_out.load(Ordering::Relaxed) == 0 {
            return false;
        }
        let mut clients = self.clients();
        let identity = Identity::client(client);
        match clients.get(&identity).map(|trapped| trapped.out_until) {
            Some(Some(until)) if now < until => true,
            Some(Some(_)) => {
                clients.remove(&identity);
                self.kept_out.fetch_sub(1, Ordering::Relaxed);
                false
            }
            _ => false,
        }
    }

    /// Counts one; whether it was one too many.
    pub fn hit(&self, client: IpAddr, now: Instant, after: u32, keep_out: Duration) -> bool {
        let mut clients = self.clients();
        let identity = Identity::client(client);
        if !clients.contains_key(&identity) && clients.len() >= MOST {
            self.make_room(&mut clients);
        }
        let trapped = clients.entry(identity).or_insert(Trapped { hits: 0, since: now, last: now, out_until: None });
        if now.saturating_duration_since(trapped.since) > WINDOW {
            (trapped.hits, trapped.since) = (0, now);
        }
        trapped.hits += 1;
        trapped.last = now;
        let is_last = trapped.hits >= after;
        if is_last && trapped.out_until.is_none() {
            trapped.out_until = Some(now + keep_out);
            self.kept_out.fetch_add(1, Ordering::Relaxed);
        }
        is_last
    }

    /// A quarter goes at once, so that a client that brings strangers costs little for each.
    fn make_room(&self, clients: &mut HashMap<Identity, Trapped>) {
        let mut ages: Vec<_> =
            clients.iter().map(|(identity, trapped)| (trapped.out_until.is_some(), trapped.last, *identity)).collect();
        ages.select_nth_unstable_by_key(MOST / 4, |(is_out, last, _)| (*is_out, *last));
        for (is_out, _, identity) in ages.into_iter().take(MOST / 4) {
            clients.remove(&identity);
            if is_out {
                self.kept_out.fetch_sub(1, Ordering::Relaxed);
            }
        }
    }

    fn clients(&self) -> MutexGuard<'_, HashMap<Identity, Trapped>> {
        // What is in it is whole at any time.
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use host::clock::{Clock, SystemClock};

    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn enough_hits_in_the_window_keep_out_for_a_while() {
        let (traps, start) = (Traps::default(), SystemClock.instant());
        let client: IpAddr = "203.0.113.7".parse().unwrap();
        assert!(!traps.hit(client, start, 3, HOUR) && !traps.hit(client, start, 3, HOUR));
        assert!(!traps.is_kept_out(client, start));
        // The third comes when the others are forgotten.
        let later = start + WINDOW + Duration::from_secs(1);
        assert!(!traps.hit(client, later, 3, HOUR) && !traps.hit(client, later, 3, HOUR));
        assert!(traps.hit(client, later, 3, HOUR));
        assert!(traps.is_kept_out(client, later) && !traps.is_kept_out("203.0.113.8".parse().unwrap(), later));
        assert!(!traps.is_kept_out(client, later + HOUR), "its time is over");
        assert!(!traps.hit(client, later + HOUR, 3, HOUR), "and it begins anew");
    }

    #[test]
    fn a_hundred_thousand_strangers_take_no_more_memory_and_free_nobody() {
        let (traps, now) = (Traps::default(), SystemClock.instant());
        let guilty: IpAddr = "203.0.113.7".parse().unwrap();
        assert!(traps.hit(guilty, now, 1, HOUR));
        for stranger in 0..100_000_u32 {
            traps.hit(std::net::Ipv4Addr::from(stranger).into(), now + Duration::from_millis(stranger.into()), 9, HOUR);
        }
        assert!(traps.clients().len() <= MOST);
        assert!(traps.is_kept_out(guilty, now + Duration::from_secs(200)));
        assert_eq!(traps.kept_out.load(Ordering::Relaxed), 1);
    }
}
