//! What of an environment is watched, and who is told: worked out of the manifest for telemetry.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;

use host::files;
use manifest::environment::{Access, App, Runs};
use manifest::monitoring::{self as declared, ChannelType, Watched};
use manifest::{Environment, OwnerName};
use monitors::{
    Channel, ChannelKind, Mail, MailSecurity, Monitor, MonitorSettings, Objective, Probe, Quiet, Runbook, Service,
    Trusted,
};
use reconcile::Fault;
use reconcile::ports::Certificates;
use secrets::{SecretName, Store};
use sha2::{Digest, Sha256};
use stores::external::Place;
use stores::mongo::Provider;
use stores::mongo::members::unit_of;
use stores::redis::Purpose;

use super::addresses::https_url;
use super::facts::store_fault;
use super::media::MEDIA;
use super::resources::Parts;

/// Whoever lets a visitor wait longer serves nobody. Never more than a third of the interval, so that what hangs is known within two:
/// one until it is looked at, a look, the pause before the next, and that one.
const LONGEST_LOOK_MS: u64 = 4_000;

/// The monitor behind which all apps stand.
pub(crate) const EDGE: &str = "edge";

/// What a paragraph of a runbook may have in an alert, in letters: what a telephone shows.
const LONGEST_PARAGRAPH: usize = 1_000;

/// The name of an app's own monitor.
pub(crate) fn of_app(app: &str) -> String {
    format!("app/{app}")
}

/// All that telemetry is told.
pub(super) fn settings(parts: &Parts) -> Result<MonitorSettings, Fault> {
    let environment = parts.environment.as_ref();
    let edge = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), parts.addresses.https);
    let mut monitors = Vec::new();
    // A look would wake what sleeps, or keep it awake.
    if environment.monitoring.enabled && !environment.sleeps() {
        monitors.extend(by_itself(parts, edge));
    }
    for monitor in &environment.monitoring.monitors {
        monitors.push(named(parts, monitor, edge)?);
    }
    let objective = |app: &App| {
        let monitor = of_app(app.name.as_str());
        let is_watched = monitors.iter().any(|known| known.name == monitor);
        Some(Objective {
            app: app.name.to_string(),
            target: app.availability.filter(|_| is_watched)?,
            monitor,
            owner: app.owner.to_string(),
            contact: contact(environment, &app.owner),
        })
    };
    Ok(MonitorSettings {
        product: environment.product.to_string(),
        trusted: trusted(parts),
        objectives: environment.apps.iter().filter_map(objective).collect(),
        channels: environment.monitoring.channels.iter().map(|channel| told(channel, &parts.project)).collect(),
        status_page: environment.monitoring.status_page,
        contacts: environment.contacts.iter().map(|(name, contact)| (name.to_string(), contact.clone())).collect(),
        monitors,
    })
}

/// As visitors do it, and our own authority where a host has its certificate until one is issued for it.
fn trusted(parts: &Parts) -> Trusted {
    let own = parts.ground.root.ca_certificate();
    if parts.addresses.certificates == Certificates::Local {
        return Trusted { files: vec![own], public: false };
    }
    let named = parts.environment.tls.authorities.iter();
    let named: Vec<_> = named.filter_map(|authority| Some(parts.project.join(authority.roots.as_ref()?))).collect();
    let public = named.len() < parts.environment.tls.authorities.len() || named.is_empty();
    Trusted { files: named.into_iter().chain([own]).collect(), public }
}

fn contact(environment: &Environment, owner: &OwnerName) -> String {
    let known = environment.contacts.iter().find(|(name, _)| name == owner);
    known.map(|(_, contact)| contact.clone()).unwrap_or_default()
}

/// What is watched without being named.
fn by_itself(parts: &Parts, edge: SocketAddr) -> Vec<Monitor> {
    let environment = parts.environment.as_ref();
    let every_ms = millis(environment.monitoring.every);
    // Whoever answers for most of it answers for what is everybody's.
    let owner = environment.apps.first().map(|app| app.owner.clone());
    let platform = environment.contacts.iter().find(|(name, _)| name.as_str() == "platform");
    let Some(owner) = platform.map(|(name, _)| name.clone()).or(owner) else { return Vec::new() };
    let of_all = |name: &str, probe: Probe, parent: Option<&str>| Monitor {
        name: name.to_owned(),
        public: None,
        probe,
        every_ms,
        timeout_ms: (every_ms / 3).clamp(1, LONGEST_LOOK_MS),
        failures: 2,
        successes: 2,
        parent: parent.map(str::to_owned),
        app: None,
        owner: owner.to_string(),
        contact: contact(environment, &owner),
        runbook: None,
    };
    let mut all = vec![of_all(EDGE, Probe::Tcp { address: edge.to_string() }, None)];
    for app in &environment.apps {
        let Some(host) = app.hosts.first() else { continue };
        let name = of_app(app.name.as_str());
        all.push(Monitor {
            public: Some(app.name.to_string()),
            probe: page(app, host, edge),
            parent: Some(EDGE.to_owned()),
            app: Some(app.name.to_string()),
            owner: app.owner.to_string(),
            contact: contact(environment, &app.owner),
            runbook: app.runbook.as_ref().map(|link| runbook(&parts.project, link)),
            ..of_all(&name, Probe::Dns { host: String::new() }, None)
        });
        let certificate = Probe::Tls { host: host.clone(), via: Some(edge), port: edge.port(), days: None };
        all.push(of_all(&format!("certificate/{}", app.name), certificate, Some(EDGE)));
        // In a rehearsal no name leads here, and none of this machine's own names is asked for anywhere.
        if parts.addresses.certificates == Certificates::Issued && !host.ends_with("localhost") {
            all.push(of_all(&format!("name/{}", app.name), Probe::Dns { host: host.clone() }, None));
        }
    }
    let conf = parts.ground.root.conf();
    let loopback = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    let authorities = |unit: &str| conf.join(unit).join("ca.pem");
    if let Some(members) = parts.addresses.mongodb.as_ref().and_then(|provider| provider.members()) {
        for (number, port) in (1..).zip(members.ports()) {
            let unit = unit_of(number);
            let probe = Probe::MongoDb { address: loopback(*port), authorities: authorities(&unit) };
            all.push(of_all(&unit, probe, None));
        }
    }
    for (settings, port) in &parts.addresses.redis {
        if settings.purpose != Purpose::Sentinel {
            let unit = settings.unit();
            let probe = Probe::Redis { address: loopback(*port), authorities: authorities(&unit) };
            all.push(of_all(&unit, probe, None));
        }
    }
    for (unit, probe) in elsewhere(parts) {
        all.push(of_all(&unit, probe, None));
    }
    if let Some(ports) = &parts.addresses.media {
        for (unit, port) in [(stores::objects::UNIT, ports.objects), (MEDIA, ports.delivery)] {
            let url = format!("http://127.0.0.1:{port}{}", ::media::HEALTH);
            let status = vec![(200, 200)];
            all.push(of_all(unit, Probe::Http { url, via: None, status, contains: None, within_ms: None }, None));
        }
    }
    all
}

/// Data services that somebody else runs. Where one is has not been said, or not well: who uses it says so.
fn elsewhere(parts: &Parts) -> Vec<(String, Probe)> {
    let probe = |service, place: Place| Probe::Elsewhere {
        service,
        servers: place.servers,
        srv: place.srv,
        tls: place.is_encrypted,
        authorities: place.ca,
    };
    let ground = parts.ground.of_stores(&parts.environment, &parts.secrets);
    let mongodb = parts.addresses.mongodb.iter().filter_map(|provider| match provider {
        Provider::Ours(_) => None,
        Provider::External(external) => stores::mongo::external::place(external, &ground).ok(),
    });
    let redis = parts.addresses.external_redis.iter().filter_map(|(settings, external)| {
        let place = stores::redis::external::place(settings, external, &ground).ok()?;
        Some((settings.unit(), probe(Service::Redis, place)))
    });
    mongodb.map(|place| (unit_of(1), probe(Service::MongoDb, place))).chain(redis).collect()
}

/// The page by which an app is judged: the first that is looked at after a deployment, as far as that needs no browser.
fn page(app: &App, host: &str, edge: SocketAddr) -> Probe {
    let smoke = app.smoke.first();
    let usual = match &app.runs {
        Runs::Server(server) => server.health.as_str(),
        Runs::Static { .. } => "/",
    };
    let path = smoke.map_or(usual, |page| page.path.as_str());
    // Who is not let in sees that it is guarded, and no more.
    let is_guarded = app.access == Access::Protected || app.client_ca.is_some();
    let status = match smoke {
        _ if is_guarded => vec![(200, 399), (401, 401), (403, 403)],
        Some(page) => vec![(page.status, page.status)],
        None => vec![(200, 399)],
    };
    Probe::Http {
        url: format!("{}{path}", https_url(host, edge.port())),
        via: Some(edge),
        status,
        contains: smoke.and_then(|page| page.contains.clone()).filter(|_| !is_guarded),
        within_ms: None,
    }
}

fn named(parts: &Parts, monitor: &declared::Monitor, edge: SocketAddr) -> Result<Monitor, Fault> {
    let environment = parts.environment.as_ref();
    let app = monitor.app.as_ref().and_then(|name| environment.app(name));
    let status: Vec<(u16, u16)> = monitor.status.iter().map(|status| (*status, *status)).collect();
    let status = if status.is_empty() { vec![(200, 399)] } else { status };
    let probe = match &monitor.what {
        Watched::Http(place) => {
            let host = app.and_then(|app| app.hosts.first()).filter(|_| place.starts_with('/'));
            Probe::Http {
                url: host.map_or_else(|| place.clone(), |host| format!("{}{place}", https_url(host, edge.port()))),
                via: host.is_some().then_some(edge),
                status,
                contains: monitor.contains.clone(),
                within_ms: monitor.within.map(millis),
            }
        }
        Watched::Tcp(address) => Probe::Tcp { address: address.clone() },
        Watched::Tls { host, port } => Probe::Tls { host: host.clone(), via: None, port: *port, days: monitor.days },
        Watched::Dns(host) => Probe::Dns { host: host.clone() },
        Watched::Heartbeat(within) => {
            let token = heartbeat(&parts.secrets, monitor.name.as_str())?;
            let digest = Sha256::digest(token.expose()).iter().map(|byte| format!("{byte:02x}")).collect();
            Probe::Heartbeat { within_ms: millis(*within), digest }
        }
    };
    let every_ms = millis(monitor.every);
    Ok(Monitor {
        name: monitor.name.to_string(),
        public: monitor.public.clone(),
        probe,
        every_ms,
        timeout_ms: (every_ms / 3).clamp(1, LONGEST_LOOK_MS),
        failures: monitor.failures,
        successes: monitor.successes,
        parent: app
            .filter(|_| environment.monitoring.enabled && !environment.sleeps())
            .map(|app| of_app(app.name.as_str())),
        app: monitor.app.as_ref().map(ToString::to_string),
        owner: monitor.owner.to_string(),
        contact: contact(environment, &monitor.owner),
        runbook: monitor.runbook.as_ref().map(|link| runbook(&parts.project, link)),
    })
}

/// What makes the address of a heartbeat one that nobody guesses.
pub(crate) fn heartbeat_secret(monitor: &str) -> SecretName {
    SecretName::new(format!("heartbeats/{monitor}"))
}

fn heartbeat(store: &Store, monitor: &str) -> Result<secrets::Secret, Fault> {
    let name = heartbeat_secret(monitor);
    if let Some(found) = store.get(&name).map_err(|fault| store_fault(&fault))? {
        return Ok(found.secret);
    }
    let fresh =
        secrets::generate::credential().map_err(|fault| Fault::because(format!("cannot make {name}"), &fault))?;
    let kept = store.get_or_keep(&name, manifest::environment::Class::Secret, &fresh);
    kept.map(|kept| kept.secret).map_err(|fault| store_fault(&fault))
}

fn told(channel: &declared::Channel, project: &Path) -> Channel {
    let kind = match channel.kind {
        ChannelType::Webhook => ChannelKind::Webhook { url: channel.url.clone() },
        ChannelType::Slack => ChannelKind::Slack,
        ChannelType::Smtp => ChannelKind::Mail(Mail {
            server: channel.server.clone(),
            port: channel.port,
            security: match channel.security {
                declared::MailSecurity::Tls => MailSecurity::Tls,
                declared::MailSecurity::StartTls => MailSecurity::StartTls,
                declared::MailSecurity::None => MailSecurity::None,
            },
            user: channel.user.clone(),
            from: channel.from.clone(),
            to: channel.to.clone(),
            authorities: channel.authorities.as_ref().map(|file| project.join(file)),
        }),
        ChannelType::Exec => ChannelKind::Exec { command: channel.command.clone(), folder: project.to_owned() },
    };
    Channel {
        name: channel.name.to_string(),
        kind,
        owners: channel.owners.iter().map(ToString::to_string).collect(),
        after_ms: millis(channel.after),
        quiet: channel.quiet.map(|quiet| Quiet { from: quiet.from, to: quiet.to }),
    }
}

fn millis(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// The first paragraph below the heading that the link names, or of the file. One that is not there costs the paragraph.
fn runbook(project: &Path, link: &str) -> Runbook {
    let (file, heading) = link.split_once('#').unwrap_or((link, ""));
    let text = files::read_string(&project.join(file)).unwrap_or_default();
    Runbook { link: link.to_owned(), text: paragraph(&text, heading) }
}

fn paragraph(text: &str, heading: &str) -> String {
    let anchor = |line: &str| {
        let line = line.trim_start_matches('#').trim().to_lowercase();
        let kept = line.chars().filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'));
        kept.map(|letter| if letter == ' ' { '-' } else { letter }).collect::<String>()
    };
    let mut lines = text.lines();
    if !heading.is_empty() && !lines.by_ref().any(|line| line.starts_with('#') && anchor(line) == heading) {
        return String::new();
    }
    let body = lines.skip_while(|line| line.trim().is_empty() || (heading.is_empty() && line.starts_with('#')));
    let kept: Vec<&str> = body.take_while(|line| !line.trim().is_empty()).collect();
    kept.join("\n").chars().take(LONGEST_PARAGRAPH).collect()
}

#[cfg(test)]
mod tests {
    use super::paragraph;

    #[test]
    fn a_heading_finds_its_paragraph() {
        let text = "# Runbook\n\nRead it.\n\n## The API is down\n\nLook at\n`roadbed status`.\n\nThen rest.\n";
        assert_eq!(paragraph(text, ""), "Read it.");
        assert_eq!(paragraph(text, "the-api-is-down"), "Look at\n`roadbed status`.");
        assert_eq!(paragraph(text, "no-such"), "");
    }
}
