//! How often visitors may ask: who is counted with whom, and what becomes of who asks too often.
//!
//! ```text
//!   route ─► class (rules) ─► whose bucket (identity) ─► in memory (table) ─► full? refused, and nobody else is asked
//!                                                              └─► shared with other edges? asked there (shared), 5 ms at most
//!                                                                      └─► away: what is in memory decides; half for auth and payment
//!   answer ─► `Roadbed-Login: failed ACCOUNT` ─► failures (login)
//! ```
//!
//! **Invariant:** no request waits longer than 5 ms for a verdict, whatever Redis does, and no number of visitors takes more memory.

pub mod access;
pub mod fields;
pub mod gcra;
pub mod identity;
pub mod login;
pub mod passage;
pub mod rules;
pub mod shared;
pub mod table;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::HeaderMap;
use reconcile::rate_limits::LimitedBy;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use access::StoreHealth;
use gcra::{Quota, Verdict};
use identity::Identity;
use rules::Class;
use shared::{Answer, Bucket, Shared, Unanswered};
use table::Table;

/// Buckets of clients that an edge remembers, per class; of networks, accounts and what is strict a quarter.
const CLIENTS: usize = 1 << 16;
/// Requests of strangers whose buckets of one class are put into Redis at a time: some 8 MiB of what sessions and carts are kept in.
const SHARED_BUCKETS: u64 = 25_000;
/// Zero is "full for ever" in a table: time begins later.
const BEGINNING: u64 = 1 << 40;

/// All buckets of one edge. They outlive route tables, and are found by the name of their class.
#[derive(Debug)]
pub struct Limiter {
    began: Instant,
    states: ArcSwap<HashMap<String, Arc<State>>>,
    making: Mutex<()>,
    pub shared: Shared,
    fallen_back: AtomicU64,
}

/// Buckets of one class.
#[derive(Debug)]
struct State {
    main: Table,
    ceiling: Table,
    /// What an edge alone would let through: kept all the time, decides while Redis is away.
    strict: Table,
    failures: Table,
    accounts: Table,
    /// One bucket each for requests and for failures: those that are not in Redis yet.
    room: [Mutex<u64>; 2],
}

/// Which of a class's buckets refuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rule {
    /// That of the class's key.
    Own,
    /// That of all of a network, or of all that one client says to be.
    Ceiling,
    /// Logins that failed, for one account from one client.
    Failures,
}

impl Rule {
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Ceiling => "ceiling",
            Self::Failures => "failures",
        }
    }
}

/// Who decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judge {
    /// This edge, as it should.
    Alone,
    /// All edges together.
    Together,
    /// This edge, because Redis was away.
    FellBack,
}

/// What is decided of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    pub verdict: Verdict,
    pub rule: Rule,
    pub judge: Judge,
}

/// One bucket of a request.
struct Asked {
    identity: Identity,
    quota: Quota,
    rule: Rule,
    cost: u64,
}

impl Limiter {
    /// `budget` is what a request waits for Redis at most.
    pub fn new(began: Instant, budget: Duration) -> Self {
        Self {
            began,
            states: ArcSwap::default(),
            making: Mutex::default(),
            shared: Shared::new(budget),
            fallen_back: AtomicU64::new(0),
        }
    }

    pub fn health(&self) -> StoreHealth {
        StoreHealth {
            fingerprint: self.shared.access().map(|access| access.fingerprint()),
            is_used: self.shared.is_connected(),
            fallen_back: self.fallen_back.load(Ordering::Relaxed),
        }
    }

    /// As [`Self::health`], after a question to Redis: what is said is so now, and not as of the last request.
    pub async fn look(&self) -> StoreHealth {
        self.shared.look().await;
        self.health()
    }

    /// Decides of a request, and counts it.
    pub async fn judge(&self, class: &Class, client: IpAddr, headers: &HeaderMap, now: Instant) -> Decision {
        let own = |identity| Asked { identity, quota: class.quota, rule: Rule::Own, cost: 1 };
        let ceiling = |identity| Asked { identity, quota: class.ceiling, rule: Rule::Ceiling, cost: 1 };
        let of_client = Identity::client(client);
        let credential = match &class.by {
            LimitedBy::Client | LimitedBy::Route => None,
            LimitedBy::Account { cookie } => Identity::session(headers, cookie),
            LimitedBy::ApiKey => Identity::api_key(headers),
        };
        let asked = match (&class.by, credential) {
            (LimitedBy::Route, _) => (own(Identity::Everybody), None),
            // Whoever makes up cookies is one client all the same.
            (_, Some(credential)) => (own(credential), Some(ceiling(of_client))),
            (_, None) => (own(of_client), Identity::network(client).map(ceiling)),
        };
        self.decide(class, &asked, now).await
    }

    async fn decide(&self, class: &Class, (first, second): &(Asked, Option<Asked>), now: Instant) -> Decision {
        let state = self.state(&class.name);
        let micros = self.micros(now);
        let told = state.table(first.rule).take(&first.identity, first.quota, micros, first.cost);
        let local = match (told.verdict, second) {
            (Verdict::Allowed { .. }, Some(second)) => {
                let told = state.table(second.rule).take(&second.identity, second.quota, micros, second.cost);
                matches!(told.verdict, Verdict::Denied { .. }).then_some((told.verdict, second.rule))
            }
            _ => None,
        };
        let (verdict, rule) = local.unwrap_or((told.verdict, first.rule));
        let decided = |verdict, rule, judge| Decision { verdict, rule, judge };
        // What this edge has seen alone is less than what all have.
        if !class.shared || !verdict.is_allowed() {
            return decided(verdict, rule, Judge::Alone);
        }
        let strict = class.strict.then(|| {
            let half = first.quota.half();
            state.strict.take(&(first.rule as u8, first.identity), half, micros, first.cost).verdict
        });
        if told.was_known || state.has_room(first, micros) {
            let buckets = |key: &[u8]| {
                let bucket = |asked: &Asked| Bucket {
                    name: format!("{}:{}", class.name, asked.identity.sealed(key, &class.name)),
                    quota: asked.quota,
                    cost: asked.cost,
                };
                std::iter::once(first).chain(second).map(bucket).collect()
            };
            let answer = self.shared.take(buckets).await;
            if let Ok(Answer { verdict, of }) = answer {
                let rule = if of == 0 { first.rule } else { Rule::Ceiling };
                return decided(verdict, rule, Judge::Together);
            }
            // It counts what came late all the same, and what this edge knows is all but the last moment of it.
            if answer == Err(Unanswered::Late) {
                self.fallen_back.fetch_add(1, Ordering::Relaxed);
                return decided(verdict, rule, Judge::FellBack);
            }
        }
        self.fallen_back.fetch_add(1, Ordering::Relaxed);
        decided(strict.unwrap_or(verdict), rule, Judge::FellBack)
    }

    fn micros(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.began).as_micros();
        BEGINNING + u64::try_from(since).unwrap_or(u64::MAX >> 1)
    }

    fn state(&self, class: &str) -> Arc<State> {
        if let Some(state) = self.states.load().get(class) {
            return Arc::clone(state);
        }
        let _one_at_a_time = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let mut states = HashMap::clone(&self.states.load());
        let state = states.entry(class.to_owned()).or_insert_with(|| Arc::new(State::new()));
        let state = Arc::clone(state);
        self.states.store(Arc::new(states));
        state
    }
}

impl State {
    fn new() -> Self {
        let few = || Table::new(CLIENTS / 4);
        Self {
            main: Table::new(CLIENTS),
            ceiling: few(),
            strict: few(),
            failures: few(),
            accounts: few(),
            room: Default::default(),
        }
    }

    fn table(&self, rule: Rule) -> &Table {
        match rule {
            Rule::Own => &self.main,
            Rule::Ceiling => &self.ceiling,
            Rule::Failures => &self.failures,
        }
    }

    /// Whether one more bucket may be put into Redis. They go by themselves after their window; whoever has a thousand networks
    /// must not fill the memory that sessions are in.
    fn has_room(&self, asked: &Asked, now: u64) -> bool {
        let quota = Quota { emission: (asked.quota.window() / SHARED_BUCKETS).max(1), burst: SHARED_BUCKETS };
        let [of_requests, of_failures] = &self.room;
        let room = if asked.rule == Rule::Failures { of_failures } else { of_requests };
        let mut room = room.lock().unwrap_or_else(PoisonError::into_inner);
        let (verdict, next) = quota.judge(*room, now, 1);
        *room = next;
        verdict.is_allowed()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use host::clock::{Clock, SystemClock};
    use reconcile::rate_limits::{LimitedClass, Rate, RateLimits};

    use super::rules::Rules;
    use super::*;

    fn rules(count: u64, burst: u64) -> Rules {
        let class = LimitedClass {
            name: "default".to_owned(),
            rate: Rate { count, period_ms: 3_600_000, burst },
            by: LimitedBy::Client,
            shadow: false,
            shared: false,
            strict: false,
            failures: None,
            routes: Vec::new(),
        };
        Rules::of(Some(&RateLimits { classes: vec![class], exempt: Vec::new() }))
    }

    fn address(network: u64, site: u64, host: u64) -> IpAddr {
        let bits = 0x2001_0db8_u128 << 96 | u128::from(network) << 80 | u128::from(site) << 64 | u128::from(host);
        Ipv6Addr::from_bits(bits).into()
    }

    #[tokio::test]
    async fn whoever_has_a_network_of_addresses_is_one_client_and_whoever_has_many_is_sixteen() {
        let (limiter, rules, headers) =
            (Limiter::new(SystemClock.instant(), Duration::from_millis(5)), rules(1, 3), HeaderMap::new());
        let now = SystemClock.instant();
        let let_in = async |addresses: &mut dyn Iterator<Item = IpAddr>| {
            let mut let_in = 0;
            for address in addresses {
                let decision = limiter.judge(&rules.classes[0], address, &headers, now).await;
                let_in += u32::from(decision.verdict.is_allowed());
            }
            let_in
        };
        assert_eq!(let_in(&mut (0..1000).map(|host| address(1, 1, host << 20))).await, 3, "one /64");
        assert_eq!(
            let_in(&mut (0..1000).map(|site| address(1, 100 + site, 1))).await,
            45,
            "one /48, of which three came"
        );
        assert_eq!(let_in(&mut (0..3).map(|_| address(2, 1, 1))).await, 3, "another /48");
    }

    #[tokio::test]
    async fn a_million_clients_take_no_more_memory_and_free_nobody() {
        let (limiter, rules, headers) =
            (Limiter::new(SystemClock.instant(), Duration::from_millis(5)), rules(100, 10), HeaderMap::new());
        let now = SystemClock.instant();
        let class = &rules.classes[0];
        let guilty = address(0xffff, 1, 1);
        for _ in 0..11 {
            limiter.judge(class, guilty, &headers, now).await;
        }
        let state = limiter.state("default");
        let bytes = || [&state.main, &state.ceiling, &state.strict, &state.failures, &state.accounts].map(Table::bytes);
        let before: usize = bytes().into_iter().sum();
        for at in 0..1_000_000_u64 {
            limiter.judge(class, address(at >> 16, at & 0xffff, at), &headers, now).await;
        }
        assert_eq!(bytes().into_iter().sum::<usize>(), before);
        assert!(before < 3 << 20, "{before} bytes for a class");
        assert!(!limiter.judge(class, guilty, &headers, now).await.verdict.is_allowed());
        let later = now + Duration::from_secs(2 * 3600);
        assert!(limiter.judge(class, guilty, &headers, later).await.verdict.is_allowed());
    }
}
