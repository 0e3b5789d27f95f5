//! A route table made ready to serve: looked up by host, credentials read, certificate loaded, pools at hand.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use host::files::FileFault;
use http::{HeaderMap, HeaderName, HeaderValue, Method};
use reconcile::ports::{self, RouteTable, SiteAccess};
use response_cache::Cache;
use rustls::sign::CertifiedKey;

use crate::access::{Access, Protected, password};
use crate::balance::Pool;
use crate::connection::Door;
use crate::files::{Folder, freshness};
use crate::proxies::Proxies;
use crate::rate_limit::rules::{Matcher, Rules};
use crate::refusal::Refusal;
use crate::tls::clients::Authorities;
use crate::tls::shown::Shown;
use crate::upstream::Instance;

/// Where verifiers look for keys: the name that providers of OpenID Connect made usual.
const KEY_SET: &str = "/.well-known/jwks.json";

/// A report is taken at once or not at all.
const REPORTED_WITHIN: Duration = Duration::from_secs(10);

/// What the edge serves now.
#[derive(Debug)]
pub enum Serving {
    /// Nothing was published yet.
    Nothing,
    /// There were routes, and none of their copies can be trusted. Not the same as nothing: somebody has to know. So that
    /// visitors can be told, the certificate still is served.
    Damaged(Shown),
    Snapshot(Box<Snapshot>),
}

impl Serving {
    pub fn snapshot(&self) -> Result<&Snapshot, Refusal> {
        match self {
            Self::Nothing => Err(Refusal::NothingPublished),
            Self::Damaged(_) => Err(Refusal::RoutesDamaged),
            Self::Snapshot(snapshot) => Ok(snapshot),
        }
    }

    /// What the routes say that browsers are told about HTTPS.
    pub fn hsts(&self) -> Option<ports::Hsts> {
        self.snapshot().ok().and_then(|snapshot| snapshot.table.hsts)
    }

    /// Who is believed about who a visitor is. Nobody, as long as no routes say so.
    pub fn proxies(&self) -> Option<&Proxies> {
        self.snapshot().ok().map(|snapshot| &snapshot.proxies)
    }

    /// Whether any site asks visitors for a certificate.
    pub fn asks_for_clients(&self) -> bool {
        matches!(self, Self::Snapshot(snapshot) if snapshot.asks_for_clients)
    }

    /// Whom a host believes about visitors; `None` where it does not ask.
    pub fn client_authorities(&self, door: &Door, host: &str) -> Option<&Authorities> {
        let Self::Snapshot(snapshot) = self else { return None };
        let hosts = if *door == Door::Candidate { &snapshot.candidate } else { &snapshot.hosts };
        match hosts.get(&host.to_ascii_lowercase())? {
            Host::Site(site) => site.clients.as_ref(),
            // It leads elsewhere, which tells nobody anything.
            Host::Alias { .. } => None,
        }
    }

    /// What browsers are told about HTTPS at this host: nothing at somebody else's, where a promise would outlast our stay.
    pub fn promise(&self, host: &str) -> Promise {
        match self.snapshot() {
            Ok(snapshot) if snapshot.is_of_others(host) => Promise::Theirs,
            _ => Promise::Ours(self.hsts()),
        }
    }

    /// Whether certificates are ordered for hosts that are in no table.
    pub fn orders_on_demand(&self) -> bool {
        matches!(self, Self::Snapshot(snapshot) if snapshot.on_demand.is_some())
    }

    /// Whether a host is one of the table's, or has a certificate of its own.
    pub fn names(&self, host: &str) -> bool {
        let Self::Snapshot(snapshot) = self else { return false };
        snapshot.is_ours(&host.to_ascii_lowercase()) || snapshot.is_of_others(host)
    }

    /// The certificate for a host that is ours.
    pub fn certificate(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        match self {
            Self::Nothing => None,
            Self::Damaged(shown) => shown.of(host),
            Self::Snapshot(snapshot) => {
                snapshot.certificates.of(host).filter(|_| snapshot.is_ours(host) || snapshot.is_of_others(host))
            }
        }
    }
}

/// What browsers are told about HTTPS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Promise {
    /// `None`: what is usual.
    Ours(Option<ports::Hsts>),
    /// Only the app speaks for this host.
    Theirs,
}

/// One generation of the routes.
#[derive(Debug)]
pub struct Snapshot {
    pub generation: u64,
    pub table: RouteTable,
    pub proxies: Proxies,
    pub hosts: HashMap<String, Host>,
    /// Sites by the name of the socket that apps reach them through.
    pub internal: HashMap<String, Arc<Site>>,
    /// As `hosts`, of a release that visitors do not get yet.
    pub candidate: HashMap<String, Host>,
    /// Who takes what pages report.
    telemetry: Option<Pool>,
    pub certificates: Shown,
    /// How often visitors may ask.
    pub rules: Rules,
    /// What is concluded about visitors; `None`: nothing.
    pub abuse: Option<crate::abuse::rules::Rules>,
    asks_for_clients: bool,
    /// Who gets visitors of hosts that are in no table.
    on_demand: Option<Arc<Site>>,
}

#[derive(Debug)]
pub enum Host {
    Site(Arc<Site>),
    Alias { canonical: String },
}

impl Host {
    fn site(&self) -> Option<&Arc<Site>> {
        match self {
            Self::Site(site) => Some(site),
            Self::Alias { .. } => None,
        }
    }
}

#[derive(Debug)]
pub struct Site {
    pub app: String,
    pub canonical: String,
    pub target: Target,
    pub access: Access,
    /// Which class of limits a request is of.
    pub limited: Matcher,
    /// Whoever comes by TLS shows a certificate that one of these signed.
    pub clients: Option<Authorities>,
    config: Option<Bytes>,
    /// With the seconds for which it may be kept.
    key_set: Option<(Bytes, u64)>,
    /// What answers say that they are of.
    pub release: Option<HeaderValue>,
    /// Files of earlier releases, by the beginning of their paths.
    kept: Vec<(String, Folder)>,
    /// Said in every answer in which the app does not say something else.
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Answers of the app that are kept for others.
    pub cache: Option<Arc<Cache>>,
}

#[derive(Debug)]
pub enum Target {
    Instances(Pool),
    Files(Folder),
    /// Control itself.
    Console,
}

/// Why a route table is not served.
#[derive(Debug, thiserror::Error)]
pub enum Rejected {
    #[error("control {asked} wants to change the routes, and control {known} has taken over")]
    Fenced { asked: u64, known: u64 },
    #[error("cannot route {host:?} to {app:?}: {other:?} already claims it")]
    HostTaken { host: String, app: String, other: String },
    #[error("cannot route to {app:?}: it has neither a host nor an internal socket")]
    Unreachable { app: String },
    #[error("cannot route the socket {socket:?} to {app:?}: {other:?} already has it")]
    SocketTaken { socket: String, app: String, other: String },
    #[error("cannot serve {host:?} over HTTPS: the certificate does not name it")]
    NoCertificate { host: String },
    #[error("cannot serve files for {app:?}: {} is not an absolute path", folder.display())]
    RelativeFolder { app: String, folder: PathBuf },
    #[error("cannot protect {app:?}")]
    Credentials {
        app: String,
        #[source]
        source: FileFault,
    },
    #[error("cannot protect {app:?}")]
    NotCredentials {
        app: String,
        #[source]
        source: password::NotCredentials,
    },
    #[error("cannot answer for {app:?} with the header {name:?}: it is none")]
    NoHeader { app: String, name: String },
    #[error("cannot believe the proxies in {network:?}: that is no network")]
    NoNetwork { network: String },
    #[error("cannot tell whom {app:?} believes about its visitors: {why}")]
    Clients { app: String, why: String },
    #[error("cannot encode the public settings of {app:?}")]
    Config {
        app: String,
        #[source]
        source: serde_json::Error,
    },
}

impl Snapshot {
    /// Builds the whole next world beside the one that serves. Instances that stay keep their connections.
    pub fn build(
        table: RouteTable,
        generation: u64,
        certificates: Shown,
        before: Option<&Self>,
        now: Instant,
    ) -> Result<Self, Rejected> {
        let mut internal: HashMap<String, Arc<Site>> = HashMap::new();
        let rules = Rules::of(table.rate_limits.as_ref());
        let abuse = table.abuse.as_ref().map(crate::abuse::rules::Rules::of);
        let hosts = build_sites(&table.sites, &mut internal, &rules, before, now)?;
        let candidate = build_sites(&table.candidate, &mut internal, &rules, before, now)?;
        let proxies = believed(&table.proxies)?;
        let on_demand = match &table.on_demand {
            None => None,
            Some(wanted) => {
                let mut sites = hosts.values().filter_map(Host::site);
                let site = sites.find(|site| site.app == wanted.app).map(Arc::clone);
                // While nothing of it is released there is nobody to whom they would come.
                site.filter(|_| table.certificates == ports::Certificates::Issued)
            }
        };
        let asks_for_clients = table.sites.iter().chain(&table.candidate).any(|site| site.client_authorities.is_some());
        let telemetry = table.telemetry.as_ref().map(|upstream| {
            let kept = before.and_then(|before| before.telemetry.as_ref()?.instance(&upstream.instance, upstream.port));
            let new =
                || Arc::new(Instance::new(upstream.instance.clone(), upstream.port, ports::Protocol::default(), now));
            Pool::new(vec![kept.unwrap_or_else(new)], REPORTED_WITHIN, REPORTED_WITHIN)
        });
        Ok(Self {
            generation,
            table,
            proxies,
            hosts,
            internal,
            candidate,
            telemetry,
            certificates,
            rules,
            abuse,
            asks_for_clients,
            on_demand,
        })
    }

    /// Who answers at a host that is in no table, where it has a certificate of its own.
    pub fn site_of_others(&self, host: &str) -> Option<&Arc<Site>> {
        self.on_demand.as_ref().filter(|_| self.is_of_others(host))
    }

    fn is_of_others(&self, host: &str) -> bool {
        self.on_demand.is_some() && !self.is_ours(&host.to_ascii_lowercase()) && self.certificates.has_own(host)
    }

    /// Who takes what a page reports at this path of any public host.
    pub fn telemetry_for(&self, path: &str) -> Option<&Pool> {
        self.telemetry.as_ref().filter(|_| path.starts_with(ports::TELEMETRY_PATH) || path == ports::STATUS_PATH)
    }

    /// The caches of all apps that have one.
    pub fn caches(&self) -> impl Iterator<Item = (&str, &Arc<Cache>)> {
        let sites = self.hosts.values().filter_map(Host::site);
        sites.filter_map(|site| site.cache.as_ref().map(|cache| (site.app.as_str(), cache)))
    }

    /// Whether visitors or those who look at a candidate may ask for a host.
    fn is_ours(&self, host: &str) -> bool {
        self.hosts.contains_key(host) || self.candidate.contains_key(host)
    }

    fn sites_with_hosts(&self) -> impl Iterator<Item = &Arc<Site>> {
        self.hosts.values().chain(self.candidate.values()).filter_map(Host::site)
    }

    /// Every pool once.
    pub fn pools(&self) -> impl Iterator<Item = &Pool> {
        let of_sockets = self.internal.values().filter(|site| site.canonical.is_empty());
        let of_sites = self.sites_with_hosts().chain(of_sockets).filter_map(|site| match &site.target {
            Target::Instances(pool) => Some(pool),
            Target::Files(_) | Target::Console => None,
        });
        of_sites.chain(&self.telemetry)
    }

    fn instance(&self, app: &str, upstream: &ports::Upstream) -> Option<Arc<Instance>> {
        let all = self.sites_with_hosts().chain(self.internal.values());
        all.filter(|site| site.app == app).find_map(|site| match &site.target {
            Target::Instances(pool) => pool.instance(&upstream.instance, upstream.port),
            Target::Files(_) | Target::Console => None,
        })
    }
}

fn believed(wanted: &ports::Proxies) -> Result<Proxies, Rejected> {
    let network = |network: &String| network.parse().map_err(|_| Rejected::NoNetwork { network: network.clone() });
    let networks = wanted.networks.iter().map(network).collect::<Result<_, _>>()?;
    Ok(Proxies { networks, announce: wanted.announce })
}

/// Makes sites, found by their hosts; those with a socket are put among the internal ones too.
fn build_sites(
    sites: &[ports::Site],
    internal: &mut HashMap<String, Arc<Site>>,
    rules: &Rules,
    before: Option<&Snapshot>,
    now: Instant,
) -> Result<HashMap<String, Host>, Rejected> {
    let mut hosts = HashMap::new();
    for wanted in sites {
        if wanted.hosts.is_empty() && wanted.internal_socket.is_none() {
            return Err(Rejected::Unreachable { app: wanted.app.clone() });
        }
        let site = Arc::new(Site::build(wanted, rules, before, now)?);
        for (position, host) in wanted.hosts.iter().enumerate() {
            let entry = match position {
                0 => Host::Site(Arc::clone(&site)),
                _ => Host::Alias { canonical: site.canonical.clone() },
            };
            if hosts.insert(host.to_ascii_lowercase(), entry).is_some() {
                let has_host =
                    |site: &&ports::Site| site.hosts.iter().any(|claimed| claimed.eq_ignore_ascii_case(host));
                let other = sites.iter().find(has_host).map_or_else(String::new, |site| site.app.clone());
                return Err(Rejected::HostTaken { host: host.clone(), app: wanted.app.clone(), other });
            }
        }
        if let Some(socket) = &wanted.internal_socket
            && let Some(other) = internal.insert(socket.clone(), site)
        {
            let (socket, app) = (socket.clone(), wanted.app.clone());
            return Err(Rejected::SocketTaken { socket, app, other: other.app.clone() });
        }
    }
    Ok(hosts)
}

impl Site {
    fn build(wanted: &ports::Site, rules: &Rules, before: Option<&Snapshot>, now: Instant) -> Result<Self, Rejected> {
        let app = &wanted.app;
        let target = match &wanted.target {
            ports::Target::Instances { upstreams, first_byte_ms, idle_ms, longest_body, protocol, wake_ms } => {
                let instance = |upstream: &ports::Upstream| {
                    before
                        .and_then(|before| before.instance(app, upstream))
                        .filter(|known| known.protocol() == *protocol)
                        .unwrap_or_else(|| {
                            Arc::new(Instance::new(upstream.instance.clone(), upstream.port, *protocol, now))
                        })
                };
                let pool = Pool::new(
                    upstreams.iter().map(instance).collect(),
                    Duration::from_millis(*first_byte_ms),
                    Duration::from_millis(*idle_ms),
                );
                Target::Instances(
                    pool.with_bodies_up_to(*longest_body).that_may_sleep(wake_ms.map(Duration::from_millis)),
                )
            }
            ports::Target::Console => Target::Console,
            ports::Target::Files { folder, spa_fallback } => {
                if !folder.is_absolute() {
                    return Err(Rejected::RelativeFolder { app: app.clone(), folder: folder.clone() });
                }
                Target::Files(Folder::new(folder.clone(), spa_fallback.clone()))
            }
        };
        let access = match &wanted.access {
            SiteAccess::Public => Access::Public,
            SiteAccess::Protected { credentials_file, sign_in } => {
                let text = host::files::read_string(credentials_file)
                    .map_err(|source| Rejected::Credentials { app: app.clone(), source })?;
                let credentials = password::parse(credentials_file, &text)
                    .map_err(|source| Rejected::NotCredentials { app: app.clone(), source })?;
                Access::Protected(Protected { credentials, sign_in: sign_in.clone() })
            }
        };
        let authorities = wanted.client_authorities.as_deref().map(Authorities::read).transpose();
        let clients = authorities.map_err(|why| Rejected::Clients { app: app.clone(), why })?;
        let config = match &wanted.config {
            None => None,
            Some(settings) => {
                let text =
                    serde_json::to_vec(settings).map_err(|source| Rejected::Config { app: app.clone(), source })?;
                Some(Bytes::from(text))
            }
        };
        let key_set = wanted.key_set.as_ref().map(|set| (Bytes::from(set.document.clone()), set.max_age_s));
        let canonical = wanted.hosts.first().map(|host| host.to_ascii_lowercase()).unwrap_or_default();
        let kept =
            wanted.kept.iter().map(|kept| (kept.prefix.clone(), Folder::new(kept.folder.clone(), None))).collect();
        let header = |(name, value): (&String, &String)| match (name.parse(), value.parse()) {
            (Ok(name), Ok(value)) => Ok((name, value)),
            _ => Err(Rejected::NoHeader { app: app.clone(), name: name.clone() }),
        };
        let headers = wanted.headers.iter().map(header).collect::<Result<_, _>>()?;
        // A name that is no header value is not told; it is ours, and always is one.
        let release = wanted.release.as_ref().and_then(|release| HeaderValue::from_str(release).ok());
        let limited = rules.matcher(app);
        // What was kept before is still right: each answer is of its release.
        let cache = wanted.cache.map(|rules| {
            let rules = response_cache::Rules { bytes: rules.bytes, largest: rules.largest };
            let known = before.and_then(|before| before.caches().find(|(of, _)| *of == app.as_str()));
            let known = known.filter(|(_, cache)| cache.rules() == rules);
            known.map_or_else(|| Arc::new(Cache::new(rules)), |(_, cache)| Arc::clone(cache))
        });
        Ok(Self {
            app: app.clone(),
            canonical,
            target,
            access,
            limited,
            clients,
            config,
            key_set,
            release,
            kept,
            headers,
            cache,
        })
    }

    /// Says what the manifest has every answer say, where the app itself says nothing about it.
    pub fn add_headers(&self, answer: &mut HeaderMap) {
        for (name, value) in &self.headers {
            if !answer.contains_key(name) {
                answer.insert(name, value.clone());
            }
        }
    }

    /// The keys that the app signs with, and for how many seconds they may be kept, if they are what is asked for.
    pub fn key_set_for(&self, method: &Method, path: &str) -> Option<&(Bytes, u64)> {
        self.key_set.as_ref().filter(|_| path == KEY_SET && matches!(*method, Method::GET | Method::HEAD))
    }

    /// Where a file of an earlier release may lie, with its path there: a page that was loaded before a switch goes on by its own
    /// scripts, also when the release that serves now has none of that name.
    pub fn kept_for<'a>(&'a self, method: &Method, path: &'a str) -> impl Iterator<Item = (&'a Folder, &'a str)> {
        // Of names without a digest the release that serves has the right one.
        let name = path.rsplit('/').next().unwrap_or(path);
        let is_asked = matches!(*method, Method::GET | Method::HEAD) && freshness::has_digest(name);
        let kept = self.kept.iter().filter(move |(prefix, _)| is_asked && path.starts_with(prefix.as_str()));
        // The slash at the end of the prefix begins the path within the folder.
        kept.map(move |(prefix, folder)| (folder, &path[prefix.len() - 1..]))
    }

    /// The public settings, if they are what is asked for.
    pub fn config_for(&self, method: &Method, path: &str) -> Option<&Bytes> {
        self.config.as_ref().filter(|_| path == "/config.json" && matches!(*method, Method::GET | Method::HEAD))
    }
}
