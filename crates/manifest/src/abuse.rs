//! Visitors who are up to no good, and what is done about them.

use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::id::AppName;
use crate::rate_limit::{Burst, Rate, RateLimitMode};
use crate::record::record;
use crate::scalars::{Count, UrlPath, integer};
use crate::shape::{Definitions, Reader, Shape, Value};
use crate::source::At;

record! {
    /// What the edge concludes by itself about visitors. What an operator blocks (`roadbed edge block`) counts without it.
    pub(crate) struct AbuseTable {
        /// Begin with `shadow`: the access log says what would have been refused.
        mode: RateLimitMode = "shadow",
        /// Whether clients are noticed that ask for what only scanners ask for, such as `/.env`.
        scanners: At<bool> = true,
        /// So many such requests within ten minutes, and a client is kept out for a while.
        after: Count = 5,
        /// For how long.
        keep_out: Duration = "1h",
        /// A path that no page links and `robots.txt` forbids: who asks for it, and is no crawler that was verified, counts as a scanner.
        honeypot: Option<At<UrlPath>>,
        /// Paths that scanners ask for and that this product really has.
        except: Vec<At<UrlPath>> = [],
        /// Whether crawlers that name themselves after a search engine are verified by the name service, in the background.
        crawlers: bool = true,
        /// How often one that was verified may ask, in place of what other visitors may.
        crawler_rate: Option<At<Rate>>,
        /// So many at once.
        crawler_burst: Option<At<Burst>>,
        /// Whether the access log has a fingerprint of each request's headers. It refuses nobody.
        fingerprints: bool = false,
        /// Pages for which a browser has to do some work first. Not for programs: data, webhooks, payments and health are refused here.
        challenges: Vec<ChallengeTable> = [],
    }
}

record! {
    /// Pages of an app that take a proof of work; who has no scripts waits instead.
    pub(crate) struct ChallengeTable {
        /// The app.
        app: At<AppName>,
        /// Its path. `*` stands for one part between slashes, and at the end for all that is below.
        path: At<UrlPath>,
        /// How hard, in bits: each doubles the work. 16 are 65,000 digests on average, about a second in a browser on a small machine.
        difficulty: Difficulty = 16,
    }
}

/// Bits of a proof of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Difficulty(pub(crate) u32);

impl Shape for Difficulty {
    const WANTS: &'static str = "a whole number from 8 to 22";
    fn decode(value: &Value<'_>, reader: &mut Reader) -> Self {
        integer(value, 8..=22).map(Self).unwrap_or_else(|| {
            reader.wrong(value, Self::WANTS).hint("write the number without quotes; 16 takes a browser about a second");
            Self::stand_in()
        })
    }
    fn stand_in() -> Self {
        Self(16)
    }
    fn schema(_: &mut Definitions) -> Json {
        json!({ "type": "integer", "minimum": 8, "maximum": 22 })
    }
}

/// What the edge concludes by itself, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Abuse {
    pub mode: RateLimitMode,
    pub scanners: Option<Scanners>,
    pub crawlers: bool,
    /// So many, and so many at once.
    pub crawler_rate: Option<(Rate, u64)>,
    pub fingerprints: bool,
    pub challenges: Vec<Challenge>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scanners {
    pub after: u32,
    pub keep_out: Duration,
    pub honeypot: Option<String>,
    pub except: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    pub app: AppName,
    pub path: String,
    pub bits: u32,
}

impl AbuseTable {
    pub(crate) fn resolve(&self) -> Abuse {
        let scanners = Scanners {
            after: self.after.0,
            keep_out: self.keep_out,
            honeypot: self.honeypot.as_ref().map(|path| path.0.clone()),
            except: self.except.iter().map(|path| path.0.clone()).collect(),
        };
        let challenge = |challenge: &ChallengeTable| Challenge {
            app: challenge.app.value.clone(),
            path: challenge.path.0.clone(),
            bits: challenge.difficulty.0,
        };
        Abuse {
            mode: self.mode,
            scanners: self.scanners.value.then_some(scanners),
            crawlers: self.crawlers,
            crawler_rate: self.crawler_rate.as_ref().map(|rate| {
                let burst = self.crawler_burst.as_ref().map_or(rate.value.count, |burst| burst.value.0);
                (rate.value, burst)
            }),
            fingerprints: self.fingerprints,
            challenges: self.challenges.iter().map(challenge).collect(),
        }
    }
}
