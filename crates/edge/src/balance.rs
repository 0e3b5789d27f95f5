//! Which instance of an app gets the next request: the one with the least under way, and in turn among equals.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use reconcile::ports::Protocol;

use crate::repeats::Repeats;
use crate::upstream::Instance;

/// The instances of one app.
#[derive(Debug)]
pub struct Pool {
    instances: Vec<Arc<Instance>>,
    turn: AtomicUsize,
    pub repeats: Repeats,
    /// Longest time to the first byte of an answer.
    pub first_byte: Duration,
    /// Longest idle time of a kept connection; shorter than the app keeps its end open.
    pub idle: Duration,
    /// How long a request waits for instances that are asleep; `None`: they never are.
    pub wake: Option<Duration>,
    /// Longest body of a request; `None`: any.
    pub longest_body: Option<u64>,
}

impl Pool {
    pub fn new(instances: Vec<Arc<Instance>>, first_byte: Duration, idle: Duration) -> Self {
        Self {
            instances,
            turn: AtomicUsize::new(0),
            repeats: Repeats::default(),
            first_byte,
            idle,
            wake: None,
            longest_body: None,
        }
    }

    pub fn with_bodies_up_to(self, longest_body: Option<u64>) -> Self {
        Self { longest_body, ..self }
    }

    pub fn that_may_sleep(self, wake: Option<Duration>) -> Self {
        Self { wake, ..self }
    }

    /// None if the app has no instances, or all of them rest. While all others are avoided, none is: an instance that refused a
    /// connection a moment ago may accept the next.
    pub fn pick(&self, now: Instant) -> Option<&Arc<Instance>> {
        let start = self.turn.fetch_add(1, Ordering::Relaxed);
        let in_turn = || {
            let all = (0..self.instances.len()).map(|step| start.wrapping_add(step) % self.instances.len());
            all.map(|at| &self.instances[at]).filter(|instance| !instance.rests(now))
        };
        let candidates = in_turn().filter(|instance| !instance.is_avoided(now));
        candidates.min_by_key(|instance| instance.load()).or_else(|| in_turn().next())
    }

    pub fn all(&self) -> &[Arc<Instance>] {
        &self.instances
    }

    pub fn is_empty(&self) -> bool {
        self.instances.is_empty()
    }

    pub fn named<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Arc<Instance>> {
        self.instances.iter().filter(move |instance| instance.name == name)
    }

    /// Whether another instance than `refusing` may be tried at once.
    pub fn has_other(&self, refusing: &Instance, now: Instant) -> bool {
        let is_other = |other: &Arc<Instance>| !std::ptr::eq(other.as_ref(), refusing);
        self.instances.iter().any(|other| is_other(other) && !other.is_avoided(now) && !other.rests(now))
    }

    pub fn instance(&self, name: &str, port: u16) -> Option<Arc<Instance>> {
        self.instances.iter().find(|instance| instance.name == name && instance.port == port).map(Arc::clone)
    }

    /// What its instances speak.
    pub fn protocol(&self) -> Protocol {
        self.instances.first().map(|instance| instance.protocol()).unwrap_or_default()
    }

    /// Closes connections that were idle for too long.
    pub fn sweep(&self, now: Instant) {
        for instance in &self.instances {
            instance.sweep(now, self.idle);
        }
    }
}

#[cfg(test)]
mod tests {
    use host::clock::{Clock, SystemClock};
    use http::StatusCode;

    use super::*;

    fn pool(n_instances: u16, now: Instant) -> Pool {
        let instance = |at: u16| Arc::new(Instance::new(format!("api-{at}"), 4000 + at, Protocol::Http1, now));
        Pool::new((1..=n_instances).map(instance).collect(), Duration::from_secs(1), Duration::from_secs(1))
    }

    #[test]
    fn equals_take_turns_and_the_busy_one_waits() {
        let now = SystemClock.instant();
        let pool = pool(3, now);
        let turns: Vec<_> = (0..6).map(|_| pool.pick(now).unwrap().name.clone()).collect();
        assert_eq!(turns, ["api-1", "api-2", "api-3", "api-1", "api-2", "api-3"]);

        let busy = pool.instance("api-1", 4001).unwrap();
        let _flight = busy.begin();
        assert!((0..6).all(|_| pool.pick(now).unwrap().name != "api-1"));
    }

    #[test]
    fn a_refusing_instance_is_avoided_for_a_moment_unless_all_refuse() {
        let now = SystemClock.instant();
        let pool = pool(2, now);
        let (one, two) = (pool.instance("api-1", 4001).unwrap(), pool.instance("api-2", 4002).unwrap());
        one.avoid_until(now + Duration::from_secs(1));
        assert!((0..4).all(|_| pool.pick(now).unwrap().name == "api-2"));
        assert!(pool.has_other(&one, now) && !pool.has_other(&two, now));
        two.avoid_until(now + Duration::from_secs(1));
        assert!(pool.pick(now).is_some());
        let later = now + Duration::from_secs(2);
        assert!((0..4).any(|_| pool.pick(later).unwrap().name == "api-1"));
    }

    #[test]
    fn an_instance_that_fails_again_and_again_is_avoided_longer_each_time() {
        let now = SystemClock.instant();
        let pool = pool(2, now);
        let one = pool.instance("api-1", 4001).unwrap();
        let second = Duration::from_secs(1);
        let answer =
            |status: Option<u16>| one.judge(status.map(|code| StatusCode::from_u16(code).unwrap()), now, second);
        // An error of its own is the answer to somebody's request; so is a no now and then.
        [500, 500, 500, 404, 503, 503, 200, 503, 503].into_iter().for_each(|status| answer(Some(status)));
        assert!(!one.is_avoided(now));
        answer(None);
        assert!(one.is_avoided(now) && !one.is_avoided(now + second));
        assert!((0..4).all(|_| pool.pick(now).unwrap().name == "api-2"));
        answer(Some(503));
        assert!(one.is_avoided(now + second) && !one.is_avoided(now + second * 2));
        (0..1000).for_each(|_| answer(None));
        assert!(!one.is_avoided(now + second * 30), "it is tried again some time");
        answer(Some(200));
        answer(None);
        assert!(!one.is_avoided(now + second * 30), "who answers again is as good as any");
    }

    #[test]
    fn an_instance_that_rests_gets_nothing_until_it_wakes_or_its_rest_is_over() {
        let now = SystemClock.instant();
        let pool = pool(2, now);
        let (one, two) = (pool.instance("api-1", 4001).unwrap(), pool.instance("api-2", 4002).unwrap());
        one.rest_until(now + Duration::from_secs(5));
        two.avoid_until(now + Duration::from_secs(5));
        assert!((0..4).all(|_| pool.pick(now).unwrap().name == "api-2"), "rather one that refused than one that rests");
        two.rest_until(now + Duration::from_secs(5));
        assert!(pool.pick(now).is_none() && !pool.has_other(&one, now));
        one.wake();
        assert_eq!(pool.pick(now).unwrap().name, "api-1");
        let later = now + Duration::from_secs(6);
        assert!((0..4).any(|_| pool.pick(later).unwrap().name == "api-2"));
    }

    #[test]
    fn an_app_without_instances_is_no_panic() {
        let now = SystemClock.instant();
        assert!(pool(0, now).pick(now).is_none());
    }
}
