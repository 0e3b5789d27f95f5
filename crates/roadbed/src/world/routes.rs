//! The route table that an environment wants.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use delivery::{Place, Release, Role};
use engine::site;
use host::files;
use manifest::Environment;
use manifest::environment::{Access, Runs};
use manifest::{RateLimitKey, RateLimitMode};
use reconcile::abuse::{Abuse, Challenge, Scanners};
use reconcile::ports::{
    CacheRules, Hsts, Kept, OnDemand, Protocol, Proxies, RouteTable, Site, SiteAccess, Target, Upstream,
};
use reconcile::rate_limits::{LimitedBy, LimitedClass, LimitedRoute, Rate, RateLimits};
use reconcile::{Fault, Root};

use super::access::CONSOLE;
use super::addresses::{Addresses, internal_socket};
use super::asleep::WAKE;
use super::facts::LocalFacts;
use super::fleet::{Fleet, Origin, site_of_release};
use super::identity::client_authorities;
use super::security_headers;
use super::telemetry;
use super::{EDGE_IDLE, Running};

/// What route tables are made of.
pub(super) struct Ground {
    pub(super) root: Root,
    pub(super) project: PathBuf,
    pub(super) environment: Arc<Environment>,
    pub(super) addresses: Addresses,
    pub(super) facts: BTreeMap<Place, Arc<LocalFacts>>,
    /// The newest first.
    pub(super) releases: Vec<Release>,
}

/// Puts together what the edge must serve, as builds and slots stand now. Visitors reach what is live, by its hosts; the apps of
/// every fleet reach each other.
pub(super) fn table(ground: &Ground, fleets: &[Fleet]) -> Result<RouteTable, Fault> {
    let Ground { environment, addresses, .. } = ground;
    let mut sites = Vec::new();
    let mut candidate = Vec::new();
    for fleet in fleets {
        let of_fleet = fleet.running.iter().map(|one| site(ground, fleet, one)).collect::<Result<Vec<_>, Fault>>()?;
        match fleet.role {
            Role::Live => sites.extend(of_fleet),
            Role::Candidate => candidate.extend(of_fleet),
            // Nobody comes in any more; what it has under way may still call its own.
            Role::Warm | Role::Leaving => {
                let called = of_fleet.into_iter().filter(|site| site.internal_socket.is_some());
                sites.extend(called.map(|site| Site { hosts: Vec::new(), ..site }));
            }
        }
    }
    sites.push(telemetry::site(addresses.telemetry));
    if let (Some(media), Some(ports)) = (&environment.media, addresses.media) {
        sites.push(super::objects::site(media, ports.objects));
        sites.push(super::media::site(media, ports.delivery));
    }
    sites.extend(environment.console.as_ref().map(|console| console_of(ground, console)));
    Ok(RouteTable {
        environment: environment.reference().to_string(),
        https_port: addresses.https,
        certificates: addresses.certificates,
        on_demand: environment.tls.on_demand.as_ref().map(|rule| OnDemand { app: rule.app.to_string() }),
        hsts: environment.tls.hsts.map(hsts),
        proxies: Proxies {
            networks: environment.network.proxies.iter().map(ToString::to_string).collect(),
            announce: environment.network.proxy_protocol,
        },
        rate_limits: rate_limits(environment, fleets),
        // For the pages of a candidate, too, of which there may be some while the public reaches nothing.
        telemetry: Some(telemetry::upstream(addresses.telemetry)),
        abuse: environment.abuse.as_ref().map(abuse),
        sites,
        candidate,
    })
}

/// Control's own pages, for who signed in.
fn console_of(ground: &Ground, console: &manifest::Console) -> Site {
    Site {
        app: CONSOLE.to_owned(),
        hosts: vec![console.host.clone()],
        target: Target::Console,
        access: SiteAccess::Protected {
            credentials_file: credentials_file(&ground.root, CONSOLE),
            sign_in: ground.environment.sign_in.as_ref().map(manifest::SignIn::called),
        },
        client_authorities: None,
        cache: None,
        config: None,
        key_set: None,
        internal_socket: None,
        release: None,
        kept: Vec::new(),
        headers: BTreeMap::new(),
    }
}

fn hsts(wanted: manifest::Hsts) -> Hsts {
    Hsts { max_age_s: wanted.max_age.as_secs(), subdomains: wanted.subdomains, preload: wanted.preload }
}

/// Nothing, where the manifest limits nothing. By the paths of health others look whether an app lives: those are not counted.
pub(super) fn rate_limits(environment: &Environment, fleets: &[Fleet]) -> Option<RateLimits> {
    if environment.rate_limits.is_empty() {
        return None;
    }
    let counts_together = environment.redis.as_ref().is_some_and(|redis| redis.counts_limits);
    let classes = environment.rate_limits.iter().map(|limit| limited_class(limit, counts_together)).collect();
    let mut exempt = Vec::new();
    for one in fleets.iter().flat_map(|fleet| &fleet.running) {
        let Some(server) = one.server() else { continue };
        for path in [server.health, server.ready] {
            let route = LimitedRoute { app: one.app.name.to_string(), methods: vec!["GET".to_owned()], path };
            if !exempt.contains(&route) {
                exempt.push(route);
            }
        }
    }
    Some(RateLimits { classes, exempt })
}

fn abuse(wanted: &manifest::Abuse) -> Abuse {
    let millis = |time: std::time::Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let scanners = wanted.scanners.as_ref().map(|scanners| Scanners {
        after: scanners.after,
        keep_out_ms: millis(scanners.keep_out),
        honeypot: scanners.honeypot.clone(),
        except: scanners.except.clone(),
    });
    let challenge = |challenge: &manifest::Challenge| Challenge {
        app: challenge.app.to_string(),
        path: challenge.path.clone(),
        bits: challenge.bits,
    };
    Abuse {
        enforce: wanted.mode == RateLimitMode::Enforce,
        scanners,
        crawlers: wanted.crawlers,
        crawler_rate: wanted.crawler_rate.map(|(rate, burst)| Rate {
            count: rate.count,
            period_ms: millis(rate.period),
            burst,
        }),
        fingerprints: wanted.fingerprints,
        challenges: wanted.challenges.iter().map(challenge).collect(),
    }
}

fn limited_class(limit: &manifest::RateLimit, counts_together: bool) -> LimitedClass {
    let rate = |rate: manifest::Rate, burst| Rate {
        count: rate.count,
        period_ms: u64::try_from(rate.period.as_millis()).unwrap_or(u64::MAX),
        burst,
    };
    let route = |route: &manifest::LimitedRoute| LimitedRoute {
        app: route.app.to_string(),
        methods: route.methods.clone(),
        path: route.path.clone(),
    };
    LimitedClass {
        name: limit.class.to_owned(),
        rate: rate(limit.rate, limit.burst),
        by: match (limit.key, &limit.cookie) {
            (RateLimitKey::Account, Some(cookie)) => LimitedBy::Account { cookie: cookie.clone() },
            (RateLimitKey::Client | RateLimitKey::Account, _) => LimitedBy::Client,
            (RateLimitKey::ApiKey, _) => LimitedBy::ApiKey,
            (RateLimitKey::Route, _) => LimitedBy::Route,
        },
        shadow: limit.mode == RateLimitMode::Shadow,
        shared: limit.shared && counts_together,
        strict: limit.is_strict(),
        failures: limit.failures.map(|(of, burst)| rate(of, burst)),
        routes: limit.routes.iter().map(route).collect(),
    }
}

fn site(ground: &Ground, fleet: &Fleet, one: &Running) -> Result<Site, Fault> {
    let Ground { root, addresses, .. } = ground;
    let app = &one.app;
    let facts = ground.facts.get(&fleet.place).expect("there are facts of every fleet");
    Ok(Site {
        app: app.name.to_string(),
        hosts: app.hosts.clone(),
        target: target(ground, fleet, one)?,
        access: match app.access {
            Access::Public => SiteAccess::Public,
            Access::Protected => SiteAccess::Protected {
                credentials_file: credentials_file(root, app.name.as_str()),
                sign_in: ground.environment.sign_in.as_ref().map(manifest::SignIn::called),
            },
        },
        client_authorities: client_authorities(root, &ground.project, app)?,
        // What is built in place is of no release: what was kept could not be told from what another build says.
        cache: app
            .cache
            .filter(|_| matches!(one.origin, Origin::Release { .. }))
            .map(|cache| CacheRules { bytes: cache.memory, largest: cache.largest }),
        config: match app.runs {
            Runs::Static { .. } => Some(config(&ground.project, &fleet.environment, one, facts)?),
            Runs::Server(_) => None,
        },
        key_set: facts.key_set(&app.name)?,
        internal_socket: addresses.internal(fleet.place, &app.name).map(|_| internal_socket(fleet.place, &app.name)),
        release: match &one.origin {
            Origin::Release { name, .. } => Some(name.clone()),
            Origin::Project => None,
        },
        kept: kept(ground, fleet, one),
        headers: security_headers::of(app, &fleet.environment),
    })
}

/// What earlier releases have that pages still open may ask for; as far as it is still unpacked.
fn kept(ground: &Ground, fleet: &Fleet, one: &Running) -> Vec<Kept> {
    let (Some(hashed), Origin::Release { digest: own, .. }) = (&one.app.hashed, &one.origin) else { return Vec::new() };
    if fleet.role != Role::Live {
        return Vec::new();
    }
    let app = &one.app;
    let mut digests: Vec<&str> = Vec::new();
    for release in &ground.releases {
        let digest = release.contents.artifact(app.name.as_str()).map(|artifact| artifact.digest.as_str());
        digests.extend(digest.filter(|digest| *digest != own.as_str() && !digests.contains(digest)));
    }
    let folder = |digest: &str| match app.runs {
        Runs::Static { .. } => ground.root.builds().join(app.name.as_str()).join(digest).join(&hashed.folder),
        Runs::Server(_) => {
            ground.root.releases().join(digest).join(&app.path).join(&app.build.output).join(&hashed.folder)
        }
    };
    let folders = digests.into_iter().map(folder).filter(|folder| files::is_dir(folder));
    folders.map(|folder| Kept { prefix: hashed.prefix.clone(), folder }).collect()
}

/// Where the digests of an app's credentials lie.
pub(super) fn credentials_file(root: &Root, app: &str) -> std::path::PathBuf {
    root.routes().join(format!("credentials-{app}"))
}

fn target(ground: &Ground, fleet: &Fleet, one: &Running) -> Result<Target, Fault> {
    let app = &one.app;
    if let (Runs::Static { spa_fallback }, None) = (&app.runs, &one.dev) {
        let folder = match &one.origin {
            Origin::Project => site::folder(&ground.project, &ground.root, app)?,
            Origin::Release { digest, folder, .. } => Some(site_of_release(&ground.root, app, digest, folder).target),
        };
        let folder = folder.ok_or_else(|| Fault::new(format!("cannot route to {}: it is not built", app.name)))?;
        return Ok(Target::Files { folder, spa_fallback: spa_fallback.clone() });
    }
    let first_byte = one.server().map_or(EDGE_IDLE, |server| server.request_deadline);
    let ports = ground.addresses.instances(fleet.place, &app.name).iter().enumerate();
    let routed = fleet.routed.get(&app.name).copied().unwrap_or(usize::MAX);
    let upstreams = ports
        .take(routed)
        .map(|(index, port)| Upstream { instance: fleet.name().instance(&app.name, index), port: *port })
        .collect();
    let millis = |duration: std::time::Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    Ok(Target::Instances {
        upstreams,
        first_byte_ms: millis(first_byte),
        idle_ms: millis(EDGE_IDLE),
        longest_body: Some(app.longest_body),
        protocol: match (app.protocol, &one.dev) {
            (manifest::environment::Protocol::H2c, None) => Protocol::H2c,
            // Development servers are made for browsers, which speak HTTP/1 without TLS.
            (manifest::environment::Protocol::H2c, Some(_)) | (manifest::environment::Protocol::Http1, _) => {
                Protocol::Http1
            }
        },
        wake_ms: ground.environment.sleeps().then(|| millis(WAKE)),
    })
}

/// What a static app reads at run time.
fn config(
    project: &Path,
    environment: &Environment,
    one: &Running,
    facts: &LocalFacts,
) -> Result<std::collections::BTreeMap<String, String>, Fault> {
    let mut config = engine::variables::public_config(environment, &one.app.name, facts)?;
    let release = match (&one.origin, &one.dev) {
        (Origin::Release { name, .. }, _) => name.clone(),
        (Origin::Project, Some(_)) => "dev".to_owned(),
        (Origin::Project, None) => {
            let built_from = engine::build::built_from(project, &one.app)?.unwrap_or_default();
            built_from.get(..12).unwrap_or(&built_from).to_owned()
        }
    };
    config.insert("ROADBED_ENVIRONMENT".into(), environment.name.to_string());
    config.insert("ROADBED_RELEASE".into(), release);
    Ok(config)
}
