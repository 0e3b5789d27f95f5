//! How often visitors may ask.

use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::id::{AppName, EnvName};
use crate::record::{choice, record};
use crate::scalars::{UrlPath, integer};
use crate::shape::{self, Definitions, Reader, Shape, Value, text_shape};
use crate::source::At;
use crate::tables::Document;

record! {
    /// How often visitors may ask, by classes of requests. A class that is not named is not limited.
    pub(crate) struct RateLimitsTable {
        /// What no other class has a route for.
        default: Option<At<RateLimitTable>>,
        /// Logins, and what else tells strangers from customers.
        auth: Option<At<RateLimitTable>>,
        /// What moves money.
        payment: Option<At<RateLimitTable>>,
        /// What changes the shop itself.
        admin: Option<At<RateLimitTable>>,
        /// What other systems call, such as a payment provider.
        webhook: Option<At<RateLimitTable>>,
    }
}

record! {
    /// How often requests of one class may come.
    pub(crate) struct RateLimitTable {
        /// So many in a time, such as `10/m`.
        rate: At<Rate>,
        /// So many at once.
        burst: At<Burst>,
        /// Whose requests are counted together.
        key: At<RateLimitKey> = "client",
        /// Only with `key = "account"`: the cookie of a session.
        cookie: Option<At<CookieName>>,
        /// Which requests are of this class. Not for `default`, which has all others.
        routes: Vec<RateLimitRoute> = [],
        /// What becomes of who asks too often.
        mode: RateLimitMode = "enforce",
        /// Whether all edges count together, in Redis. Default: for `auth`, `payment` and `admin`, where there is a Redis of
        /// Roadbed's own.
        shared: Option<At<bool>>,
        /// Logins that may fail for one account from one client, where the app says so (`Roadbed-Login`). Only for `auth`.
        failures: Option<At<FailuresTable>>,
    }
}

record! {
    /// Requests of one app.
    pub(crate) struct RateLimitRoute {
        /// The app.
        app: At<AppName>,
        /// Which methods. Default: any.
        methods: Vec<At<Method>> = [],
        /// Its path. `*` stands for one part between slashes, and at the end for all that is below.
        path: At<UrlPath>,
    }
}

record! {
    /// Logins that may fail.
    pub(crate) struct FailuresTable {
        /// So many in a time.
        rate: At<Rate>,
        /// So many in a row.
        burst: At<Burst>,
    }
}

record! {
    /// What is different in an environment.
    pub(crate) struct RateLimitsOverride {
        /// What no other class has a route for.
        default: Option<At<RateLimitOverride>>,
        /// Logins, and what else tells strangers from customers.
        auth: Option<At<RateLimitOverride>>,
        /// What moves money.
        payment: Option<At<RateLimitOverride>>,
        /// What changes the shop itself.
        admin: Option<At<RateLimitOverride>>,
        /// What other systems call.
        webhook: Option<At<RateLimitOverride>>,
    }
}

record! {
    /// What is different for one class in an environment.
    pub(crate) struct RateLimitOverride {
        /// So many in a time.
        rate: Option<At<Rate>>,
        /// So many at once.
        burst: Option<At<Burst>>,
        /// What becomes of who asks too often.
        mode: Option<RateLimitMode>,
    }
}

choice! {
    /// Whose requests are counted together.
    pub enum RateLimitKey {
        /// Those of one IPv4 address, or of the first 64 bits of an IPv6 address; all of one /48 may sixteen times as much.
        Client = "client",
        /// Those with one session cookie; of one client eight times as much at most. Without the cookie as `client`.
        Account = "account",
        /// Those with one `X-Api-Key` or `Authorization`; of one client eight times as much at most. Without it as `client`.
        ApiKey = "api-key",
        /// Everybody's: what is behind it takes no more.
        Route = "route",
    }
}

choice! {
    /// What becomes of who asks too often.
    pub enum RateLimitMode {
        /// An answer with status 429, that says when to come again.
        Enforce = "enforce",
        /// Nothing: the access log says who would have been refused.
        Shadow = "shadow",
    }
}

/// `10/m`
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    pub count: u64,
    pub period: Duration,
}

impl Rate {
    /// In a day.
    fn daily(self) -> u64 {
        self.count * 86_400 / self.period.as_secs().max(1)
    }
}

impl std::fmt::Display for Rate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let unit = UNITS.iter().find(|(_, seconds)| *seconds == self.period.as_secs()).map_or("s", |(unit, _)| unit);
        write!(f, "{}/{unit}", self.count)
    }
}

const UNITS: [(&str, u64); 4] = [("s", 1), ("m", 60), ("h", 3600), ("d", 86_400)];

impl shape::Text for Rate {
    const WANTS: &'static str = "a rate such as \"10/m\"";
    const PATTERN: Option<&'static str> = Some("^[1-9][0-9]*/(s|m|h|d)$");
    const EXAMPLES: &'static [&'static str] = &["50/s", "10/m", "20/h"];

    fn read(text: &str) -> Result<Self, Option<String>> {
        let hint = || Some("write a whole number, a slash and s, m, h or d: \"50/s\", \"10/m\"".to_owned());
        let (count, unit) = text.split_once('/').ok_or_else(hint)?;
        let (_, seconds) = UNITS.iter().find(|(known, _)| *known == unit).ok_or_else(hint)?;
        match count.parse() {
            Ok(count @ 1..=1_000_000) if !count_is_odd(text) => {
                Ok(Self { count, period: Duration::from_secs(*seconds) })
            }
            Ok(_) => Err(Some("it must be from 1 to 1000000".to_owned())),
            Err(_) => Err(hint()),
        }
    }

    fn stand_in() -> Self {
        Self { count: 1, period: Duration::from_secs(1) }
    }
}
text_shape!(Rate);

/// `+5` and `05` are numbers to Rust and none to the schema.
fn count_is_odd(text: &str) -> bool {
    text.starts_with(['+', '0'])
}

/// How many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Burst(pub(crate) u64);

impl Shape for Burst {
    const WANTS: &'static str = "a whole number from 1 to 1000000";
    fn decode(value: &Value<'_>, reader: &mut Reader) -> Self {
        integer(value, 1..=1_000_000).map(|burst| Self(burst.into())).unwrap_or_else(|| {
            reader.wrong(value, Self::WANTS).hint("write the number without quotes");
            Self::stand_in()
        })
    }
    fn stand_in() -> Self {
        Self(1)
    }
    fn schema(_: &mut Definitions) -> Json {
        json!({ "type": "integer", "minimum": 1, "maximum": 1_000_000 })
    }
}

/// A method of HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Method(pub(crate) String);

impl shape::Text for Method {
    const WANTS: &'static str = "a method of HTTP such as \"POST\"";
    const PATTERN: Option<&'static str> = Some("^(GET|POST|PUT|PATCH|DELETE|OPTIONS)$");
    const EXAMPLES: &'static [&'static str] = &["GET", "POST"];
    fn read(text: &str) -> Result<Self, Option<String>> {
        match text {
            "GET" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS" => Ok(Self(text.to_owned())),
            _ => Err(Some("the methods are GET (HEAD is meant too), POST, PUT, PATCH, DELETE and OPTIONS".to_owned())),
        }
    }
    fn stand_in() -> Self {
        Self("GET".to_owned())
    }
}
text_shape!(Method);

/// The name of a cookie (RFC 6265).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CookieName(pub(crate) String);

impl shape::Text for CookieName {
    const WANTS: &'static str = "the name of a cookie";
    const PATTERN: Option<&'static str> = Some("^[A-Za-z0-9_.-]+$");
    const EXAMPLES: &'static [&'static str] = &["session"];
    fn read(text: &str) -> Result<Self, Option<String>> {
        let is_one = !text.is_empty()
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-'));
        if is_one { Ok(Self(text.to_owned())) } else { Err(Some("letters, digits, '_', '.' and '-'".to_owned())) }
    }
    fn stand_in() -> Self {
        Self("unreadable".to_owned())
    }
}
text_shape!(CookieName);

/// How often requests of one class may come to an environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// `default`, `auth`, `payment`, `admin` or `webhook`.
    pub class: &'static str,
    pub rate: Rate,
    pub burst: u64,
    pub key: RateLimitKey,
    pub cookie: Option<String>,
    pub mode: RateLimitMode,
    /// Whether it is to be counted together, where there is a place for that.
    pub shared: bool,
    /// So many, and so many in a row.
    pub failures: Option<(Rate, u64)>,
    /// Empty for `default`.
    pub routes: Vec<LimitedRoute>,
}

impl RateLimit {
    /// Whether it goes on with half where others cannot be asked: these guard accounts and money.
    pub fn is_strict(&self) -> bool {
        matches!(self.class, "auth" | "payment")
    }
}

/// Requests of one app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitedRoute {
    pub app: AppName,
    /// Empty: any.
    pub methods: Vec<String>,
    pub path: String,
}

impl RateLimitsTable {
    pub(crate) fn classes(&self) -> impl Iterator<Item = (&'static str, &At<RateLimitTable>)> {
        let all = [
            ("default", &self.default),
            ("auth", &self.auth),
            ("payment", &self.payment),
            ("admin", &self.admin),
            ("webhook", &self.webhook),
        ];
        all.into_iter().filter_map(|(class, table)| Some((class, table.as_ref()?)))
    }
}

impl RateLimitsOverride {
    pub(crate) fn of(&self, class: &str) -> Option<&At<RateLimitOverride>> {
        match class {
            "default" => self.default.as_ref(),
            "auth" => self.auth.as_ref(),
            "payment" => self.payment.as_ref(),
            "admin" => self.admin.as_ref(),
            _ => self.webhook.as_ref(),
        }
    }
}

impl Document {
    /// Whether any class is counted by all edges together.
    pub(crate) fn counts_in_redis(&self) -> bool {
        self.rate_limits.classes().any(|(class, table)| table.is_shared(class))
    }

    /// How often visitors of an environment may ask.
    pub(crate) fn rate_limits_in(&self, environment: &EnvName) -> Vec<RateLimit> {
        let changed = self.environments.get(environment).map(|environment| &environment.rate_limits);
        let classes = self.rate_limits.classes();
        classes.map(|(class, table)| table.resolve(class, changed.and_then(|changed| changed.of(class)))).collect()
    }
}

impl RateLimitTable {
    fn is_shared(&self, class: &str) -> bool {
        self.shared.as_ref().map_or(matches!(class, "auth" | "payment" | "admin"), |shared| shared.value)
    }

    fn resolve(&self, class: &'static str, changed: Option<&At<RateLimitOverride>>) -> RateLimit {
        let route = |route: &RateLimitRoute| LimitedRoute {
            app: route.app.value.clone(),
            methods: route.methods.iter().map(|method| method.0.clone()).collect(),
            path: route.path.0.clone(),
        };
        let rate = changed.and_then(|changed| changed.rate.as_ref()).unwrap_or(&self.rate).value;
        let burst = changed.and_then(|changed| changed.burst.as_ref()).unwrap_or(&self.burst).value.0;
        RateLimit {
            class,
            rate,
            burst,
            key: self.key.value,
            cookie: self.cookie.as_ref().map(|cookie| cookie.0.clone()),
            mode: changed.and_then(|changed| changed.mode).unwrap_or(self.mode),
            shared: self.is_shared(class),
            failures: self.failures.as_ref().map(|failures| (failures.rate.value, failures.burst.value.0)),
            routes: self.routes.iter().map(route).collect(),
        }
    }
}

impl RateLimit {
    /// Whether it lets through less than another, in the long run and at once.
    pub fn is_stricter_than(&self, other: &Self) -> bool {
        self.rate.daily() < other.rate.daily() && self.burst < other.burst
    }
}
