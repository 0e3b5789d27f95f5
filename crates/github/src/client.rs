//! Requests to GitHub's REST API: one origin, a token in a header, limits kept to.

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

use crate::answer::{self, Answer, Outcome};

/// The version that what is sent was written for.
const VERSION: &str = "2022-11-28";

/// As many to a page as there can be.
const PER_PAGE: usize = 100;

/// Ten thousand of anything is not what this program looks at.
const MOST_PAGES: usize = 100;

/// No answer that is asked for here is longer than a few hundred kibibytes.
const LONGEST: u64 = 8 << 20;

/// How often a request is sent, at most.
const ATTEMPTS: u32 = 4;

/// Whoever must wait longer is told when to come back.
const MOST_PATIENCE: Duration = Duration::from_secs(90);

/// In a path a name is one part.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// How GitHub is reached.
#[derive(Clone, Debug)]
pub struct Way {
    /// `https://api.github.com`, or a server of one's own.
    pub api: String,
    /// Certificates to believe, as PEM.
    pub authorities: Vec<u8>,
    /// For one answer.
    pub deadline: Duration,
}

/// A repository that is asked and told.
pub struct Client<'c> {
    agent: Agent,
    api: Url,
    token: &'c Secret,
    /// Waits, or only notes that it would: tests have no time.
    pause: &'c dyn Fn(Duration),
    /// `/repos/OWNER/NAME`.
    repository: String,
    owner: String,
}

impl std::fmt::Debug for Client<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("api", &self.api.as_str())
            .field("repository", &self.repository)
            .finish_non_exhaustive()
    }
}

/// A name as one part of a path.
pub(crate) fn part(name: &str) -> String {
    utf8_percent_encode(name, PART).to_string()
}

impl<'c> Client<'c> {
    /// `repository` is `owner/name`.
    pub fn new(way: &Way, repository: &str, token: &'c Secret, pause: &'c dyn Fn(Duration)) -> Result<Self, Fault> {
        let cannot = |why: String| Fault::new("cannot ask GitHub").cause(why);
        let api = Url::parse(&way.api)
            .map_err(|error| cannot(format!("{:?} is no address: {error}", way.api)).hint("write https://HOST"))?;
        let is_here = matches!(api.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"));
        if api.scheme() != "https" && !(api.scheme() == "http" && is_here) {
            return Err(cannot(format!("{} would send the token in the open", way.api)).hint("write https://HOST"));
        }
        let Some((owner, name)) = repository.split_once('/') else {
            return Err(cannot(format!("{repository:?} names no repository")).hint("write owner/name"));
        };
        if token.expose().is_empty() || !token.expose().bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(cannot("what was given is no token".to_owned()).hint("set GITHUB_TOKEN, or use --token-stdin"));
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
            // The token would go where the answer says.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent(concat!("roadbed/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls);
        let repository = format!("/repos/{}/{}", part(owner), part(name));
        Ok(Self { agent: config.build().into(), api, token, pause, repository, owner: owner.to_owned() })
    }

    /// Below the repository's own path.
    pub(crate) fn path(&self, rest: &str) -> String {
        format!("{}{rest}", self.repository)
    }

    pub(crate) fn owner(&self) -> &str {
        &self.owner
    }

    /// What is at a path; `None` if nothing is.
    pub(crate) fn get(&self, path: &str) -> Result<Option<Value>, Fault> {
        Ok(self.ask(Method::GET, path, None)?.map(|answer| answer.body))
    }

    /// All items of a list, page by page. `key` names the list in a page that is a table.
    pub(crate) fn list(&self, path: &str, key: Option<&str>) -> Result<Vec<Value>, Fault> {
        let mut all = Vec::new();
        for page in 1..=MOST_PAGES {
            let mark = if path.contains('?') { '&' } else { '?' };
            let place = format!("{path}{mark}per_page={PER_PAGE}&page={page}");
            let Some(answer) = self.ask(Method::GET, &place, None)? else { return Ok(all) };
            let found = match key {
                Some(key) => answer.body.get(key).cloned(),
                None => Some(answer.body),
            };
            let Some(Value::Array(items)) = found else {
                return Err(Fault::new(format!("cannot understand what GitHub says of {path}"))
                    .cause("it is no list")
                    .hint("see whether the address of the API is right"));
            };
            all.extend(items);
            if !answer.has_more {
                return Ok(all);
            }
        }
        Err(Fault::new(format!("cannot read {path}: it has more than {MOST_PAGES} pages")).hint("tidy it up"))
    }

    /// Changes something.
    pub(crate) fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<(), Fault> {
        let place = path.to_owned();
        match self.ask(method, path, body)? {
            Some(_) => Ok(()),
            None => Err(Fault::new(format!("GitHub has nothing at {place}"))
                .cause("it went meanwhile, or the token may not change it")
                .hint("the token needs `administration`, `environments`, `variables` and `secrets` (write), and `actions` (read)")),
        }
    }

    fn ask(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Option<Answer>, Fault> {
        // A second POST could make a second one; everything else can be said twice.
        let is_repeatable = method != Method::POST;
        let mut waited = Duration::ZERO;
        let mut attempt = 1;
        loop {
            let (again, fault) = match self.once(&method, path, body) {
                Outcome::Answered(answer) => return Ok(Some(answer)),
                Outcome::Nothing => return Ok(None),
                Outcome::Refused(fault) => return Err(fault),
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

    fn once(&self, method: &Method, path: &str, body: Option<&Value>) -> Outcome {
        let place = format!("{}{path}", self.api.as_str().trim_end_matches('/'));
        let request = Request::builder()
            .method(method.clone())
            .uri(place)
            .header("accept", "application/vnd.github+json")
            .header("x-github-api-version", VERSION)
            .header("authorization", format!("Bearer {}", self.token.expose()));
        let text = body.map(Value::to_string).unwrap_or_default();
        let request = if body.is_some() { request.header("content-type", "application/json") } else { request };
        let request = match request.body(text) {
            Ok(request) => request,
            Err(error) => return Outcome::Refused(Fault::because(format!("cannot ask GitHub for {path}"), &error)),
        };
        let unreachable = |error: &ureq::Error| {
            Outcome::Broken(
                Fault::because(format!("cannot ask GitHub for {path}"), error)
                    .hint("see whether this machine reaches it, then run this again"),
            )
        };
        let mut response = match self.agent.run(request) {
            Ok(response) => response,
            Err(error) => return unreachable(&error),
        };
        let text = match response.body_mut().with_config().limit(LONGEST).read_to_vec() {
            Ok(text) => text,
            Err(error) => return unreachable(&error),
        };
        answer::outcome(method, path, response.status(), response.headers(), &text)
    }
}
