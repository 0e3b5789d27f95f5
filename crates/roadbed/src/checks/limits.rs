//! T12: who asks too often is told so, and nobody else notices; accounts and money are guarded more closely than the rest.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use edge::client::EdgeClient;
use gate::check::CheckFuture;
use gate::{Check, CheckCx, Claim, Findings, Impact};
use manifest::environment::{Runs, Serves};
use manifest::{Environment, RateLimit, RateLimitKey, RateLimitMode};
use reconcile::ports::Routes;
use reconcile::rate_limits::{LimitedClass, RateLimits};
use tokio::time::{Instant, sleep};

use super::Visitor;
use super::visitor::{Answer, Kept};

/// A visitor is gone after this long.
const PATIENCE: Duration = Duration::from_secs(10);

/// More requests than this are no check any more but an attack: of a class with a larger burst only the numbers are looked at.
const MOST: u64 = 600;

/// A machine that cannot ask faster than visitors may, in this time, proves nothing.
const LONGEST: Duration = Duration::from_secs(15);

/// Within this the edge is with Redis again.
const PAUSE: Duration = Duration::from_millis(500);

/// An edge that has just been started is told within a second where limits are counted.
const TOLD: Duration = Duration::from_secs(5);

pub(crate) const BURSTS: Claim = Claim {
    task: "T12",
    id: "bursts-are-throttled",
    claim: "Who asks more often than the manifest lets him gets 429 and is told when to come again; another client is served meanwhile",
    hint: "`roadbed up` publishes [rate_limits] of roadbed.toml; the access log says which class and rule decided",
    impact: Impact::Observes,
};

pub(crate) const STRICTER: Claim = Claim {
    task: "T12",
    id: "accounts-and-money-are-guarded-more",
    claim: "The edge serves the limits of the manifest, logins and payments have less than the rest, and all edges count them together",
    hint: "`roadbed up` publishes [rate_limits]; `roadbed logs edge` says why limits are not counted in Redis",
    impact: Impact::Observes,
};

/// Asks too often, from addresses of this machine that nobody else has: no visitor's bucket is touched.
#[derive(Debug)]
pub struct BurstsAreThrottled {
    pub environment: Arc<Environment>,
    pub visitor: Visitor,
}

impl Check for BurstsAreThrottled {
    fn claim(&self) -> &Claim {
        &BURSTS
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(async {
            let mut findings = Findings::default();
            for limit in &self.environment.rate_limits {
                let mut tried = self.tried(limit).await;
                // On a machine that is busy Redis may be late for a moment, and then an edge lets through less.
                for _ in 0..2 {
                    if tried.is_err() {
                        sleep(PAUSE).await;
                        tried = self.tried(limit).await;
                    }
                }
                match tried {
                    Ok(sentence) => findings.good(sentence),
                    Err(Missed::Broken(sentence)) => findings.bad(sentence),
                    Err(Missed::TooSlow(sentence)) => findings.unproven(sentence),
                }
            }
            findings.outcome()
        })
    }
}

/// Why a limit was not seen to hold.
#[derive(Debug)]
enum Missed {
    Broken(String),
    /// Nobody asked faster than visitors may, so nothing was tried.
    TooSlow(String),
}

impl BurstsAreThrottled {
    async fn tried(&self, limit: &RateLimit) -> Result<String, Missed> {
        let (class, rate, burst) = (limit.class, limit.rate, limit.burst);
        if limit.mode == RateLimitMode::Shadow {
            return Ok(format!("{class} only looks on: the access log says whom it would refuse"));
        }
        // All visitors' would be spent with it.
        if limit.key == RateLimitKey::Route {
            return Ok(format!(
                "{class} is one bucket for everybody, {rate} and {burst} at once: not tried, so that nobody is refused"
            ));
        }
        if burst > MOST {
            return Ok(format!("{class}: {rate}, {burst} at once; that many are not sent"));
        }
        let Some((host, method, path)) = self.place(limit) else {
            return Ok(format!("{class} has no app to ask here"));
        };
        let sentence = |why: String| format!("{class}: {method} https://{host}{path}: {why}");
        let told = |why: String| Missed::Broken(sentence(why));
        let (canary, other) = canaries().map_err(&told)?;
        let mut connection = self.visitor.keep(host, canary, PATIENCE).await.map_err(&told)?;
        let began = Instant::now();
        let mut let_in = 0;
        let refused = loop {
            let answer =
                ask_anyhow(&self.visitor, &mut connection, (host, canary), (method, &path)).await.map_err(&told)?;
            if answer.status == 429 {
                break answer;
            }
            let_in += 1;
            // What comes back while we ask is let in too.
            let came_back = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_mul(rate.count)
                / u64::try_from(rate.period.as_millis()).unwrap_or(u64::MAX);
            if let_in > burst + came_back + 1 {
                return Err(told(format!("{let_in} requests at once were let in, where {burst} are declared")));
            }
            if began.elapsed() >= LONGEST {
                let seconds = LONGEST.as_secs();
                return Err(Missed::TooSlow(sentence(format!(
                    "{let_in} requests in {seconds} s are no more than may be: this machine is too busy to ask more often"
                ))));
            }
        };
        if let_in < burst {
            return Err(told(format!("refused after {let_in} requests, where {burst} at once are declared")));
        }
        judge(limit, &refused).map_err(&told)?;
        let mut stranger = self.visitor.keep(host, other, PATIENCE).await.map_err(&told)?;
        let served = stranger.ask(method, &path, PATIENCE).await.map_err(&told)?;
        if served.status == 429 {
            return Err(told("another client was refused too".to_owned()));
        }
        let retry = refused.headers.get("retry-after").map_or("?", String::as_str);
        Ok(format!(
            "{class}: {let_in} requests at once were let in, the next got 429, Retry-After {retry}; another client was served"
        ))
    }

    /// Something that nothing comes of, and that is of this class.
    fn place(&self, limit: &RateLimit) -> Option<(&str, &'static str, String)> {
        const NOTHING: &str = "roadbed-check";
        let host = |app: &str| {
            let app = self.environment.apps.iter().find(|known| known.name.as_str() == app)?;
            app.hosts.first().map(String::as_str)
        };
        let Some(route) = limit.routes.first() else {
            // An app that is in no class of its own, and of these one for which an answer is little work.
            let is_classed = |app: &&manifest::environment::App| {
                let mut routes = self.environment.rate_limits.iter().flat_map(|limit| &limit.routes);
                routes.any(|route| route.app == app.name && route.path == "/*")
            };
            let apps = self.environment.apps.iter().filter(|app| !is_classed(app));
            let app = apps.min_by_key(|app| match (&app.runs, app.serves) {
                (Runs::Static { .. }, _) => 0,
                (_, Serves::Data) => 1,
                (_, Serves::Pages | Serves::Other) => 2,
            })?;
            return Some((app.hosts.first()?, "GET", format!("/{NOTHING}")));
        };
        let methods = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
        let method =
            methods.into_iter().find(|method| route.methods.is_empty() || route.methods.iter().any(|m| m == method));
        Some((host(route.app.as_str())?, method?, route.path.replace('*', NOTHING)))
    }
}

/// Apps may close a connection after an answer: then another is opened, from the same address.
async fn ask_anyhow(
    visitor: &Visitor,
    connection: &mut Kept,
    (host, from): (&str, Ipv4Addr),
    (method, path): (&str, &str),
) -> Result<Answer, String> {
    if let Ok(answer) = connection.ask(method, path, PATIENCE).await {
        return Ok(answer);
    }
    *connection = visitor.keep(host, from, PATIENCE).await?;
    connection.ask(method, path, PATIENCE).await
}

/// Whether the answer says what it must.
fn judge(limit: &RateLimit, answer: &Answer) -> Result<(), String> {
    let header = |name: &str| answer.headers.get(name).cloned().unwrap_or_default();
    let class = limit.class;
    let seconds: u64 = header("retry-after").parse().map_err(|_| "429 does not say when to come again".to_owned())?;
    let window =
        (u128::from(limit.burst) * limit.rate.period.as_micros() / u128::from(limit.rate.count)).div_ceil(1_000_000);
    for (name, wanted) in [
        ("content-type", "application/problem+json".to_owned()),
        ("ratelimit", format!("\"{class}\";r=0;t={seconds}")),
        ("ratelimit-policy", format!("\"{class}\";q={};w={window}", limit.burst)),
    ] {
        let told = header(name);
        // A period that is no multiple of the rate is rounded in the second that is told.
        if told != wanted
            && !(name == "ratelimit-policy" && told.starts_with(&format!("\"{class}\";q={};", limit.burst)))
        {
            return Err(format!("429 says {name}: {told} and not {wanted}"));
        }
    }
    Ok(())
}

/// Two addresses of this machine that no visitor comes from, others at each run.
fn canaries() -> Result<(Ipv4Addr, Ipv4Addr), String> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(|error| error.to_string())?;
    let [a, b, c, d] = bytes;
    Ok((Ipv4Addr::new(127, 64 + a % 64, b, 1 + c % 250), Ipv4Addr::new(127, 128 + a % 64, b, 1 + d % 250)))
}

/// Compares what the edge serves with what the manifest says.
#[derive(Debug)]
pub struct AccountsAndMoneyAreGuardedMore {
    pub environment: Arc<Environment>,
    pub edge: EdgeClient,
    /// As it is to be served.
    pub wanted: Option<RateLimits>,
}

impl Check for AccountsAndMoneyAreGuardedMore {
    fn claim(&self) -> &Claim {
        &STRICTER
    }

    fn run<'a>(&'a self, _: &'a CheckCx) -> CheckFuture<'a> {
        Box::pin(async {
            let mut findings = Findings::default();
            match self.edge.current().await {
                Err(fault) => findings.bad(format!("the edge does not say what it serves: {fault}")),
                Ok(table) => {
                    let served =
                        table.and_then(|table| table.rate_limits).map(|limits| limits.classes).unwrap_or_default();
                    self.compare(&served, &mut findings);
                    stricter(&served, &mut findings);
                }
            }
            if self.environment.redis.as_ref().is_some_and(|redis| redis.counts_limits) {
                match self.counts_together().await {
                    true => findings.good("edges count together, in Redis"),
                    false => findings.bad("this edge counts alone: it does not get at Redis"),
                }
            }
            findings.outcome()
        })
    }
}

impl AccountsAndMoneyAreGuardedMore {
    fn compare(&self, served: &[LimitedClass], findings: &mut Findings) {
        for wanted in self.wanted.iter().flat_map(|wanted| &wanted.classes) {
            match served.iter().find(|class| class.name == wanted.name) {
                Some(class) if class == wanted => findings.good(format!("{} is served as declared", wanted.name)),
                Some(_) => findings.bad(format!("{} is not served as declared", wanted.name)),
                None => findings.bad(format!("the edge knows no limit of {}", wanted.name)),
            }
        }
    }

    async fn counts_together(&self) -> bool {
        let began = Instant::now();
        while !self.edge.limits_store().await.is_ok_and(|store| store.is_used) {
            if began.elapsed() >= TOLD {
                return false;
            }
            sleep(Duration::from_millis(100)).await;
        }
        true
    }
}

/// In the long run and at once.
fn stricter(served: &[LimitedClass], findings: &mut Findings) {
    let Some(default) = served.iter().find(|class| class.name == "default") else { return };
    for class in served.iter().filter(|class| class.strict) {
        let (own, rest) = (class.rate, default.rate);
        let is_slower =
            u128::from(own.count) * u128::from(rest.period_ms) < u128::from(rest.count) * u128::from(own.period_ms);
        if is_slower && own.burst < rest.burst {
            findings.good(format!("{} has {} at once, default {}", class.name, own.burst, rest.burst));
        } else {
            findings.bad(format!("{} lets through no less than default: {} at once", class.name, own.burst));
        }
    }
}
