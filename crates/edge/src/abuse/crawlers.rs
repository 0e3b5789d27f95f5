//! Search engines: believed once the name service confirms them both ways, and never before. Nobody waits for that: a visitor who
//! names himself after one is a usual visitor until it is known.
//!
//! ```text
//!   User-Agent: …Googlebot… from A ─► names of A ─► one of googlebot.com ─► its addresses ─► A among them: verified, for a day
//! ```

use std::collections::HashMap;
use std::future::Future;
use std::net::IpAddr;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::proto::rr::RData;
use host::clock::Clock;
use http::HeaderValue;
use tokio::sync::mpsc;
use tokio::time::timeout;

/// Addresses that are remembered, some 80 bytes each. Once it is full, what is over goes, and what is not known yet is not asked.
const MOST: usize = 4096;
/// Questions that wait.
const WAITING: usize = 256;
/// Names of one address that are looked at.
const NAMES: usize = 8;
const VERIFIED: Duration = Duration::from_secs(24 * 60 * 60);
const FAKE: Duration = Duration::from_secs(60 * 60);
/// Where the name service did not answer.
const UNANSWERED: Duration = Duration::from_secs(5 * 60);
/// An answer of the name service.
const PATIENCE: Duration = Duration::from_secs(5);

/// A search engine's crawler, by its place in the list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Crawler(usize);

struct Known {
    name: &'static str,
    domains: Vec<&'static str>,
}

static KNOWN: LazyLock<Vec<Known>> = LazyLock::new(|| {
    let lines = include_str!("crawlers.txt").lines().map(str::trim);
    let lines = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some(Known { name: words.next()?, domains: words.collect() })
        })
        .collect()
});

/// After whom somebody names himself.
pub fn claimed(agent: &HeaderValue) -> Option<Crawler> {
    let agent = agent.as_bytes();
    let has = |name: &str| agent.windows(name.len()).any(|part| part.eq_ignore_ascii_case(name.as_bytes()));
    KNOWN.iter().position(|known| has(known.name)).map(Crawler)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Identity {
    Verified,
    /// The name service says that it is somebody else.
    Fake,
    /// Nobody has answered yet, or could.
    Unknown,
}

/// Who was asked about, and what came of it.
#[derive(Debug)]
pub struct Crawlers {
    seen: Mutex<HashMap<(IpAddr, Crawler), (Identity, Instant)>>,
    asking: mpsc::Sender<(IpAddr, Crawler)>,
    asked: tokio::sync::Mutex<mpsc::Receiver<(IpAddr, Crawler)>>,
}

impl Default for Crawlers {
    fn default() -> Self {
        let (asking, asked) = mpsc::channel(WAITING);
        Self { seen: Mutex::default(), asking, asked: tokio::sync::Mutex::new(asked) }
    }
}

/// Why nobody knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unanswered;

/// Who is asked for names and addresses. What does not exist is an empty list.
pub trait NameService {
    fn names_of(&self, address: IpAddr) -> impl Future<Output = Result<Vec<String>, Unanswered>> + Send;
    fn addresses_of(&self, name: &str) -> impl Future<Output = Result<Vec<IpAddr>, Unanswered>> + Send;
}

impl Crawlers {
    /// What is known, without waiting. What is not known is asked for in the background.
    pub fn look(&self, client: IpAddr, crawler: Crawler, now: Instant) -> Identity {
        let key = (client.to_canonical(), crawler);
        let mut seen = self.seen();
        if let Some((identity, until)) = seen.get(&key)
            && now < *until
        {
            return *identity;
        }
        if seen.len() >= MOST {
            seen.retain(|_, (_, until)| now < *until);
        }
        if seen.len() < MOST && self.asking.try_send(key).is_ok() {
            // Until there is an answer nobody asks again.
            seen.insert(key, (Identity::Unknown, now + UNANSWERED));
        }
        Identity::Unknown
    }

    /// Asks, one after the other, until it is dropped.
    pub async fn tend(&self, names: &impl NameService, clock: &dyn Clock) {
        let mut asked = self.asked.lock().await;
        while let Some((client, crawler)) = asked.recv().await {
            let found = timeout(PATIENCE * 2, verify(names, client, crawler)).await.unwrap_or(Err(Unanswered));
            let (identity, holds) = match found {
                Ok(true) => (Identity::Verified, VERIFIED),
                Ok(false) => (Identity::Fake, FAKE),
                Err(Unanswered) => (Identity::Unknown, UNANSWERED),
            };
            tracing::debug!(%client, crawler = KNOWN[crawler.0].name, ?identity, "a crawler was looked up");
            self.seen().insert((client, crawler), (identity, clock.instant() + holds));
        }
    }

    fn seen(&self) -> MutexGuard<'_, HashMap<(IpAddr, Crawler), (Identity, Instant)>> {
        // What is in it is whole at any time.
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever owns an address may give it any name; that the name has the address only the owner of the name can say.
async fn verify(names: &impl NameService, client: IpAddr, crawler: Crawler) -> Result<bool, Unanswered> {
    let found = names.names_of(client).await?;
    for name in found.iter().take(NAMES).filter(|name| is_below(name, &KNOWN[crawler.0].domains)) {
        if names.addresses_of(name).await?.iter().any(|address| address.to_canonical() == client.to_canonical()) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_below(name: &str, domains: &[&str]) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    domains.iter().any(|domain| name.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.') && rest.len() > 1))
}

/// The name service of this machine.
pub struct Resolver(TokioResolver);

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Resolver")
    }
}

impl Resolver {
    /// `None` where this machine has none: then nobody is verified.
    pub fn of_this_machine() -> Option<Self> {
        let builder =
            TokioResolver::builder_tokio().inspect_err(|error| tracing::warn!(%error, "no name service")).ok()?;
        builder.build().inspect_err(|error| tracing::warn!(%error, "no name service")).ok().map(Self)
    }
}

impl NameService for Resolver {
    async fn names_of(&self, address: IpAddr) -> Result<Vec<String>, Unanswered> {
        match timeout(PATIENCE, self.0.reverse_lookup(address)).await {
            Ok(Ok(found)) => Ok(found
                .answers()
                .iter()
                .filter_map(|record| match &record.data {
                    RData::PTR(name) => Some(name.to_string()),
                    _ => None,
                })
                .collect()),
            Ok(Err(error)) if error.is_no_records_found() || error.is_nx_domain() => Ok(Vec::new()),
            _ => Err(Unanswered),
        }
    }

    async fn addresses_of(&self, name: &str) -> Result<Vec<IpAddr>, Unanswered> {
        // The dot at the end: nothing is to be tried that this machine would put behind it.
        match timeout(PATIENCE, self.0.lookup_ip(format!("{}.", name.trim_end_matches('.')))).await {
            Ok(Ok(found)) => Ok(found.iter().collect()),
            Ok(Err(error)) if error.is_no_records_found() || error.is_nx_domain() => Ok(Vec::new()),
            _ => Err(Unanswered),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use host::clock::SystemClock;

    use super::*;

    /// 192.0.2.1 is Google's, 192.0.2.2 says so, 192.0.2.3 is nobody's, and about 192.0.2.4 nobody answers.
    #[derive(Default)]
    struct Names(AtomicUsize);

    impl NameService for Arc<Names> {
        async fn names_of(&self, address: IpAddr) -> Result<Vec<String>, Unanswered> {
            self.0.fetch_add(1, Ordering::Relaxed);
            match address.to_string().as_str() {
                "192.0.2.1" => Ok(vec!["x.example.".into(), "crawl-1.Googlebot.com.".into()]),
                "192.0.2.2" => Ok(vec!["crawl-1.googlebot.com.".into(), "evilgooglebot.com.".into()]),
                "192.0.2.3" => Ok(Vec::new()),
                _ => Err(Unanswered),
            }
        }

        async fn addresses_of(&self, name: &str) -> Result<Vec<IpAddr>, Unanswered> {
            assert!(is_below(name, &["googlebot.com"]), "{name}: nobody asks for other names");
            Ok(vec!["192.0.2.1".parse().unwrap()])
        }
    }

    fn agent(text: &'static str) -> Option<Crawler> {
        claimed(&HeaderValue::from_static(text))
    }

    #[tokio::test]
    async fn a_crawler_is_one_when_its_name_has_its_address() {
        let google = agent("Mozilla/5.0 (compatible; GoogleBot/2.1; +http://www.google.com/bot.html)").unwrap();
        assert_eq!(agent("Mozilla/5.0 (X11; Linux x86_64)"), None);
        let (crawlers, names) = (Arc::new(Crawlers::default()), Arc::new(Names::default()));
        let look = |last: u8| crawlers.look([192, 0, 2, last].into(), google, SystemClock.instant());
        for last in 1..=4 {
            assert_eq!(look(last), Identity::Unknown, "nobody waits");
            assert_eq!(look(last), Identity::Unknown);
        }
        let (tended, asked) = (crawlers.clone(), names.clone());
        let tending = tokio::spawn(async move { tended.tend(&asked, &SystemClock).await });
        for _ in 0..500 {
            if names.0.load(Ordering::Relaxed) == 4 && look(1) == Identity::Verified {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!([1, 2, 3, 4].map(look), [Identity::Verified, Identity::Fake, Identity::Fake, Identity::Unknown]);
        assert_eq!(names.0.load(Ordering::Relaxed), 4, "each was asked about once");
        tending.abort();
    }

    #[test]
    fn whoever_invents_addresses_fills_no_memory() {
        let crawlers = Crawlers::default();
        let (google, now) = (agent("googlebot").unwrap(), SystemClock.instant());
        for address in 0..100_000_u32 {
            crawlers.look(std::net::Ipv4Addr::from(address).into(), google, now);
        }
        assert!(crawlers.seen().len() <= MOST);
    }

    #[test]
    fn a_name_is_of_a_domain_at_a_dot() {
        assert!(is_below("a.googlebot.com.", &["googlebot.com"]));
        for name in ["googlebot.com", "evilgooglebot.com", ".googlebot.com", "googlebot.com.evil.example"] {
            assert!(!is_below(name, &["googlebot.com"]), "{name}");
        }
        assert!(KNOWN.iter().all(|known| !known.domains.is_empty() && known.name.len() > 4));
    }
}
