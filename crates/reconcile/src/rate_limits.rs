//! How often visitors may ask, as the route table carries it: public numbers, no secrets.

use serde::{Deserialize, Serialize};

/// Limits by class of requests. What no class has a route for is of the class `default`, if there is one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimits {
    pub classes: Vec<LimitedClass>,
    /// Never limited: by these paths others look whether an app lives.
    #[serde(default)]
    pub exempt: Vec<LimitedRoute>,
}

/// So many requests in a time, and so many at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rate {
    pub count: u64,
    pub period_ms: u64,
    pub burst: u64,
}

/// Requests that are limited in one way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitedClass {
    pub name: String,
    pub rate: Rate,
    pub by: LimitedBy,
    /// Counts and tells, and refuses nothing.
    #[serde(default)]
    pub shadow: bool,
    /// Counted together with other edges, in Redis.
    #[serde(default)]
    pub shared: bool,
    /// While that cannot be asked, an edge lets through half.
    #[serde(default)]
    pub strict: bool,
    /// Logins that fail, for one account from one client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<Rate>,
    /// Empty: what no other class has.
    pub routes: Vec<LimitedRoute>,
}

/// Whose requests are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum LimitedBy {
    /// Those of an IPv4 address, or of 64 bits of an IPv6 address.
    Client,
    /// Those with one session cookie; without it those of a client.
    Account { cookie: String },
    /// Those with one key or token; without it those of a client.
    ApiKey,
    /// Everybody's.
    Route,
}

/// Requests by their app, method and path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LimitedRoute {
    pub app: String,
    /// Empty: any.
    pub methods: Vec<String>,
    /// `*` stands for a segment, and at the end for all that is below.
    pub path: String,
}

/// By which an app says how a login ended, for whom: `failed ada%40shop.example` or `passed ada%40shop.example`. It reaches no
/// visitor.
pub const LOGIN_HEADER: &str = "roadbed-login";
