//! Hosts that are in no table: whoever asks for one first waits while control finds out whether it is permitted, and orders a
//! certificate.
//!
//! ```text
//!   hello for a strange name ─► refused lately? ─► asked about already? wait with the others
//!                                                    └► is there room, and did they not ask too often? ─► control, once ─► wait for it
//! ```
//!
//! Names cost a stranger nothing, so they must cost us nothing: what is remembered is bounded, what is asked is limited by client, by
//! registered domain and altogether, and where a limit is reached the answer is no. Certificates that are there are served meanwhile as
//! always. What is permitted is control's to find out; here nothing is ever ordered.

use std::collections::HashMap;
use std::hash::Hash;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use crate::asking;
use crate::edge::Edge;
use crate::rate_limit::gcra::Quota;

/// Where control takes the question.
pub const WISH: &str = "/certificates/wish";

/// A host that somebody asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    pub host: String,
}

/// What control says of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Granted {
    /// A certificate is there, or is being ordered.
    Coming,
    /// It is permitted, and there is none soon: an order failed, or there are too many.
    Later,
    Refused,
    /// Who permits did not answer.
    Unanswered,
}

/// What a visitor is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// There is a certificate.
    Served,
    /// This host is not served here.
    Unknown,
    /// Not now.
    NotYet,
}

impl Outcome {
    /// The record that ends the handshake; `None` where it goes on.
    pub fn alert(self) -> Option<[u8; 7]> {
        // A fatal alert (RFC 8446, section 6), in the clear because there are no keys yet.
        let alert = |description: u8| Some([21, 3, 3, 0, 2, 2, description]);
        match self {
            Self::Served => None,
            // unrecognized_name (RFC 6066, section 3).
            Self::Unknown => alert(112),
            // internal_error: the name is right.
            Self::NotYet => alert(80),
        }
    }
}

/// Names that are asked about at the same time.
const UNDER_WAY: usize = 64;
/// Visitors that wait for them.
const WAITING: usize = 512;
/// Names that are remembered as refused, clients and domains that are counted: some 100 bytes each.
const REMEMBERED: usize = 4096;
/// For how long a name that was refused is not asked about again.
const REFUSED_FOR: Duration = Duration::from_secs(60);
/// And where nobody could tell.
const UNANSWERED_FOR: Duration = Duration::from_secs(5);
/// Control asks the app, which has three seconds, and takes its time under load.
const CONTROL_PATIENCE: Duration = Duration::from_secs(8);
/// An order takes some seconds. Browsers wait about as long for a handshake.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks whether the certificate is there.
const LOOK: Duration = Duration::from_millis(50);

/// Names that nobody knows, in all and of one client and domain. A new domain of a seller is asked for once, so this is far more than
/// is needed, and few enough that the app which is asked does not notice.
const IN_ALL: (u64, Duration, u64) = (10, Duration::from_secs(1), 50);
const OF_CLIENT: (u64, Duration, u64) = (10, Duration::from_secs(60), 20);
const OF_DOMAIN: (u64, Duration, u64) = (5, Duration::from_secs(60), 10);

/// What is known about strange names.
#[derive(Debug)]
pub struct OnDemand {
    begin: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    under_way: HashMap<String, watch::Receiver<Option<Outcome>>>,
    waiting: usize,
    /// Until when, in microseconds.
    refused: HashMap<String, (Outcome, u64)>,
    in_all: u64,
    by_client: Buckets<IpAddr>,
    by_domain: Buckets<String>,
}

/// A visitor that waits, also if its connection ends meanwhile.
struct Waiting<'a>(&'a OnDemand);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.state().waiting -= 1;
    }
}

/// What to do about a visitor.
enum Turn {
    Answer(Outcome),
    /// Somebody asks already.
    Wait(watch::Receiver<Option<Outcome>>),
    Ask(watch::Sender<Option<Outcome>>, watch::Receiver<Option<Outcome>>),
}

impl OnDemand {
    pub fn new(begin: Instant) -> Self {
        let state = State {
            under_way: HashMap::new(),
            waiting: 0,
            refused: HashMap::new(),
            in_all: 0,
            by_client: Buckets::new(OF_CLIENT),
            by_domain: Buckets::new(OF_DOMAIN),
        };
        Self { begin, state: Mutex::new(state) }
    }

    /// Waits until a host is served, or it is known that it is not.
    pub async fn find_out(edge: &Arc<Edge>, host: &str, client: IpAddr) -> Outcome {
        let host = host.to_ascii_lowercase();
        if !may_have_a_certificate(&host) {
            return Outcome::Unknown;
        }
        let mut told = match edge.on_demand.turn(&host, client, edge.clock.instant()) {
            Turn::Answer(outcome) => return outcome,
            Turn::Wait(told) => told,
            Turn::Ask(tell, told) => {
                // In a task of its own: whoever asked first may leave, and the others still wait for it.
                let edge = Arc::clone(edge);
                tokio::spawn(async move {
                    let (outcome, remembered) = ask(&edge, &host).await;
                    edge.on_demand.answered(&host, outcome, remembered, edge.clock.instant());
                    let _ = tell.send(Some(outcome));
                });
                told
            }
        };
        let _waiting = Waiting(&edge.on_demand);
        let outcome = timeout(PATIENCE + CONTROL_PATIENCE, told.wait_for(Option::is_some)).await;
        outcome.ok().and_then(|told| *told.ok()?).unwrap_or(Outcome::NotYet)
    }

    fn turn(&self, host: &str, client: IpAddr, now: Instant) -> Turn {
        let now = self.micros(now);
        let mut state = self.state();
        if let Some((outcome, until)) = state.refused.get(host)
            && now < *until
        {
            return Turn::Answer(*outcome);
        }
        if state.waiting >= WAITING {
            return Turn::Answer(Outcome::NotYet);
        }
        if let Some(told) = state.under_way.get(host).cloned() {
            state.waiting += 1;
            return Turn::Wait(told);
        }
        if state.under_way.len() >= UNDER_WAY {
            return Turn::Answer(Outcome::NotYet);
        }
        if state.refused.len() >= REMEMBERED {
            state.refused.retain(|_, (_, until)| now < *until);
        }
        // The narrow ones first: who is stopped by them takes nothing from the others.
        if state.refused.len() >= REMEMBERED
            || !state.by_client.take(network(client), now)
            || !state.by_domain.take(registered_domain(host).to_owned(), now)
        {
            return Turn::Answer(Outcome::NotYet);
        }
        let (verdict, in_all) = quota(IN_ALL).judge(state.in_all, now, 1);
        state.in_all = in_all;
        if !verdict.is_allowed() {
            return Turn::Answer(Outcome::NotYet);
        }
        let (tell, told) = watch::channel(None);
        state.under_way.insert(host.to_owned(), told.clone());
        state.waiting += 1;
        Turn::Ask(tell, told)
    }

    fn answered(&self, host: &str, outcome: Outcome, remembered: Duration, now: Instant) {
        let until = self.micros(now).saturating_add(micros(remembered));
        let mut state = self.state();
        state.under_way.remove(host);
        if outcome != Outcome::Served {
            state.refused.insert(host.to_owned(), (outcome, until));
        }
    }

    fn micros(&self, now: Instant) -> u64 {
        micros(now.saturating_duration_since(self.begin))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks control, and waits for the certificate if one is to come. Also says for how long it need not be asked again.
async fn ask(edge: &Edge, host: &str) -> (Outcome, Duration) {
    let is_there = || edge.serving.load().certificate(host).is_some();
    let wish = Wish { host: host.to_owned() };
    let asked = timeout(CONTROL_PATIENCE, asking::control::<Granted>(&edge.control, WISH, &wish)).await;
    match asked {
        Ok(Ok(Granted::Coming)) => {}
        Ok(Ok(Granted::Later)) => return (Outcome::NotYet, REFUSED_FOR),
        Ok(Ok(Granted::Refused)) => return (Outcome::Unknown, REFUSED_FOR),
        Ok(Ok(Granted::Unanswered)) | Err(_) => return (Outcome::NotYet, UNANSWERED_FOR),
        Ok(Err(error)) => {
            tracing::warn!(%error, "a host is not served: control does not say whether it is permitted");
            return (Outcome::NotYet, UNANSWERED_FOR);
        }
    }
    let comes = async {
        while !is_there() {
            sleep(LOOK).await;
        }
    };
    match timeout(PATIENCE, comes).await {
        Ok(()) => (Outcome::Served, Duration::ZERO),
        // The order goes on, and the next visitor may wait for its end.
        Err(_) => (Outcome::NotYet, UNANSWERED_FOR),
    }
}

/// What a public authority signs for, by its form: several labels of letters, digits and hyphens, and no address.
fn may_have_a_certificate(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let Some((_, last)) = host.rsplit_once('.') else { return false };
    host.len() <= 253 && host.split('.').all(is_label) && last.bytes().any(|byte| byte.is_ascii_alphabetic())
}

/// What somebody registered, by the list of public suffixes that this program was built with: what public authorities count by.
pub fn registered_domain(host: &str) -> &str {
    psl::domain_str(host).unwrap_or(host)
}

/// Whoever has one address of version 6 has a network of them.
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address => address,
    }
}

fn quota((count, period, burst): (u64, Duration, u64)) -> Quota {
    Quota::new(count, period, burst)
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Buckets by key, in bounded memory: when there are too many, those that are full are forgotten, and nobody new is let through
/// while none is.
#[derive(Debug)]
struct Buckets<K> {
    quota: Quota,
    full_at: HashMap<K, u64>,
}

impl<K: Hash + Eq> Buckets<K> {
    fn new(limit: (u64, Duration, u64)) -> Self {
        Self { quota: quota(limit), full_at: HashMap::new() }
    }

    fn take(&mut self, key: K, now: u64) -> bool {
        if self.full_at.len() >= REMEMBERED && !self.full_at.contains_key(&key) {
            self.full_at.retain(|_, full_at| *full_at > now);
            if self.full_at.len() >= REMEMBERED {
                return false;
            }
        }
        let full_at = self.full_at.entry(key).or_insert(now);
        let (verdict, next) = self.quota.judge(*full_at, now, 1);
        *full_at = next;
        verdict.is_allowed()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use host::clock::{Clock, SystemClock};

    use super::*;

    #[test]
    fn a_flood_of_names_is_few_questions_and_bounded_memory() {
        let begin = SystemClock.instant();
        let names = OnDemand::new(begin);
        let mut asked = 0;
        // A minute long a thousand names a second, each of another domain, from ever other clients.
        for number in 0..60_000_u32 {
            let now = begin + Duration::from_millis(u64::from(number));
            let client = Ipv4Addr::from_bits(number / 7 * 256).into();
            let host = format!("{number:x}.a{number:x}.example");
            if let Turn::Ask(..) = names.turn(&host, client, now) {
                asked += 1;
                names.answered(&host, Outcome::Unknown, REFUSED_FOR, now);
                names.state().waiting -= 1;
            }
        }
        assert!(asked <= 50 + 600, "{asked} questions");
        let state = names.state();
        let sizes = [state.refused.len(), state.by_client.full_at.len(), state.by_domain.full_at.len()];
        assert!(sizes.iter().all(|size| *size <= REMEMBERED), "{sizes:?}");
        assert_eq!((state.under_way.len(), state.waiting), (0, 0));
    }

    #[test]
    fn one_client_and_one_domain_do_not_take_the_questions_of_all() {
        let begin = SystemClock.instant();
        let names = OnDemand::new(begin);
        let ask = |host: &str, client: [u8; 4]| match names.turn(host, client.into(), begin) {
            Turn::Ask(..) => {
                names.answered(host, Outcome::Unknown, REFUSED_FOR, begin);
                names.state().waiting -= 1;
                true
            }
            _ => false,
        };
        let of_domain = (0..50).filter(|nth| ask(&format!("x{nth}.seller.example"), [10, 0, *nth, 1])).count();
        assert_eq!(of_domain, 10);
        let of_client = (0..50).filter(|nth| ask(&format!("www.y{nth}.example"), [10, 9, 9, 9])).count();
        assert_eq!(of_client, 20);
        assert!(ask("www.new.example", [10, 9, 9, 8]));
    }

    #[test]
    fn whoever_comes_second_waits_with_the_first_and_a_refusal_is_remembered() {
        let begin = SystemClock.instant();
        let names = OnDemand::new(begin);
        let turn = |at: Duration| names.turn("www.seller.example", [10, 0, 0, 1].into(), begin + at);
        assert!(matches!(turn(Duration::ZERO), Turn::Ask(..)));
        assert!(matches!(turn(Duration::ZERO), Turn::Wait(_)));
        names.answered("www.seller.example", Outcome::Unknown, REFUSED_FOR, begin);
        assert!(matches!(turn(Duration::from_secs(59)), Turn::Answer(Outcome::Unknown)));
        assert!(matches!(turn(Duration::from_secs(60)), Turn::Ask(..)));
    }

    #[test]
    fn only_names_of_several_labels_are_asked_about() {
        for good in ["seller.example", "www.seller.co.uk", "xn--bcher-kva.example", "1.de"] {
            assert!(may_have_a_certificate(good), "{good}");
        }
        let long = format!("{}.example", "a".repeat(64));
        for bad in
            ["localhost", "", ".", "a..b", "10.0.0.1", "-a.example", "a_b.example", "*.example", "a/../b.c", &long]
        {
            assert!(!may_have_a_certificate(bad), "{bad}");
        }
        for (host, domain) in [
            ("www.seller.example", "seller.example"),
            ("seller.example", "seller.example"),
            ("a.b.seller.co.uk", "seller.co.uk"),
            ("shop.seller.de", "seller.de"),
            ("shop.seller.kawasaki.jp", "shop.seller.kawasaki.jp"),
            ("a.b.seller.kobe.jp", "b.seller.kobe.jp"),
            ("a.city.kobe.jp", "city.kobe.jp"),
            ("pages.seller.github.io", "seller.github.io"),
            ("localhost", "localhost"),
        ] {
            assert_eq!(registered_domain(host), domain);
        }
    }
}
