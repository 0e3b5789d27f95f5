//! Requests to a provider's API: one origin, what opens it in a header, limits kept to.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use reconcile::Fault;
use secrets::Secret;
use serde_json::Value;
use ureq::Agent;
use ureq::http::{Method, Request};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig};
use url::Url;

use crate::said::{self, Outcome};

/// No answer that is asked for here is longer than a few hundred kibibytes.
const LONGEST: u64 = 8 << 20;

/// How often a request is sent, at most.
const ATTEMPTS: u32 = 5;

/// Whoever must wait longer is told when to come back.
const MOST_PATIENCE: Duration = Duration::from_secs(120);

/// In a path a name is one part.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Waits. Tests have no time, and only note that they would.
pub type Pause = Arc<dyn Fn(Duration) + Send + Sync>;

/// How a provider is reached.
#[derive(Clone)]
pub struct Way {
    /// `https://api.upstash.com/v2`.
    pub api: String,
    /// Certificates to believe, as PEM.
    pub authorities: Vec<u8>,
    /// For one answer.
    pub deadline: Duration,
    pub pause: Pause,
}

impl Way {
    /// The usual one: half a minute for an answer, and waiting that is waiting.
    pub fn new(api: String, authorities: Vec<u8>) -> Self {
        Self { api, authorities, deadline: Duration::from_secs(30), pause: Arc::new(std::thread::sleep) }
    }
}

impl fmt::Debug for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Way").field("api", &self.api).finish_non_exhaustive()
    }
}

/// One request.
pub(crate) struct Order<'o> {
    pub(crate) method: Method,
    pub(crate) path: &'o str,
    /// The value of `Authorization`.
    pub(crate) authorization: &'o Secret,
    /// What is sent and expected, where it is not plain JSON: `application/vnd.atlas.2023-01-01+json`.
    pub(crate) media: &'o str,
    /// Of what is sent, where that is another one: `application/x-www-form-urlencoded`.
    pub(crate) sent_as: Option<&'o str>,
    pub(crate) body: Option<Vec<u8>>,
    /// What must be in no fault, even if the provider repeats it.
    pub(crate) hidden: Vec<&'o Secret>,
}

/// What became of a request that was heard.
#[derive(Debug)]
pub(crate) enum Reply {
    Done(Value),
    /// 404.
    Nothing,
    /// 409: it is there already, or another change is under way.
    Conflict(Fault),
    /// 401: what opened it is over.
    Locked(Fault),
}

impl Reply {
    /// What is there, or nothing.
    pub(crate) fn found(self) -> Result<Option<Value>, Fault> {
        match self {
            Self::Done(value) => Ok(Some(value)),
            Self::Nothing => Ok(None),
            Self::Conflict(fault) | Self::Locked(fault) => Err(fault),
        }
    }
}

/// A name as one part of a path.
pub(crate) fn part(name: &str) -> String {
    utf8_percent_encode(name, PART).to_string()
}

/// A provider that is asked and told.
pub(crate) struct Exchange {
    agent: Agent,
    api: String,
    /// `Upstash`, `Atlas`.
    pub(crate) provider: &'static str,
    pub(crate) pause: Pause,
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("api", &self.api).finish_non_exhaustive()
    }
}

impl Exchange {
    pub(crate) fn new(provider: &'static str, way: &Way) -> Result<Self, Fault> {
        let cannot = |why: String| {
            Fault::new(format!("cannot ask {provider}")).cause(why).hint("write https://HOST as `api` in roadbed.toml")
        };
        let api = Url::parse(&way.api).map_err(|error| cannot(format!("{:?} is no address: {error}", way.api)))?;
        let is_here = matches!(api.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        if api.scheme() != "https" && !(api.scheme() == "http" && is_here) {
            return Err(cannot(format!("{} would send what opens the account in the open", way.api)));
        }
        let authorities: Vec<Certificate<'static>> = ureq::tls::parse_pem(&way.authorities)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        let tls = TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .root_certs(RootCerts::Specific(Arc::new(authorities)))
            .build();
        let config = Agent::config_builder()
            .timeout_global(Some(way.deadline))
            // What opens the account would go where the answer says.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent(concat!("roadbed/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls);
        Ok(Self {
            agent: config.build().into(),
            api: way.api.trim_end_matches('/').to_owned(),
            provider,
            pause: way.pause.clone(),
        })
    }

    /// Sends a request until it is heard, within bounds.
    pub(crate) fn send(&self, order: &Order<'_>) -> Result<Reply, Fault> {
        // A second POST could order a second one; whoever sent it looks what became of it.
        let is_repeatable = order.method != Method::POST;
        let mut waited = Duration::ZERO;
        let mut attempt = 1;
        loop {
            let (again, fault) = match self.once(order) {
                Outcome::Said(reply) => return Ok(reply),
                Outcome::Refused(fault) => return Err(fault),
                // Not done, for sure.
                Outcome::Limited { again, fault } => (again, fault),
                Outcome::Broken(fault) if is_repeatable => (Duration::from_secs(1 << (attempt - 1)), fault),
                Outcome::Broken(fault) => return Err(fault),
            };
            waited += again;
            if attempt >= ATTEMPTS || waited > MOST_PATIENCE {
                return Err(fault);
            }
            attempt += 1;
            (self.pause)(again);
        }
    }

    fn once(&self, order: &Order<'_>) -> Outcome {
        let request = Request::builder()
            .method(order.method.clone())
            .uri(format!("{}{}", self.api, order.path))
            .header("accept", order.media)
            .header("authorization", order.authorization.expose());
        let request = match order.body {
            Some(_) => request.header("content-type", order.sent_as.unwrap_or(order.media)),
            None => request,
        };
        let cannot = |error: &dyn std::fmt::Display| {
            Fault::new(format!("cannot ask {} for {}", self.provider, order.path)).cause(error.to_string())
        };
        let request = match request.body(order.body.clone().unwrap_or_default()) {
            Ok(request) => request,
            // The error would quote the header.
            Err(_) => {
                return Outcome::Refused(
                    cannot(&"what opens the account cannot stand in a header").hint("set it again, in one line"),
                );
            }
        };
        let unreachable = |error: &ureq::Error| {
            let hint = "see whether this machine reaches it, then run this again";
            Outcome::Broken(cannot(error).hint(hint).retry_safe())
        };
        let mut response = match self.agent.run(request) {
            Ok(response) => response,
            Err(error) => return unreachable(&error),
        };
        let text = match response.body_mut().with_config().limit(LONGEST).read_to_vec() {
            Ok(text) => text,
            Err(error) => return unreachable(&error),
        };
        said::outcome(self.provider, order, response.status(), response.headers(), &text)
    }
}
