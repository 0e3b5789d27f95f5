//! The ports of one environment: those that visitors see, and those on loopback behind them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use delivery::Place;
use host::socket::listen;
use manifest::environment::{App, Runs};
use manifest::{AppName, Environment, Issuer, environment};
use reconcile::ports::{CANDIDATE_SOCKET, Certificates, UnitStatus};
use reconcile::{Fault, Root};
use stores::External;
use stores::mongo::members::unit_of;
use stores::mongo::{Members, Provider};
use stores::redis::{Purpose, Settings};

use super::fleet::Fleet;
use super::media::MEDIA;
use super::ports::PortBook;
use super::rest::REST;
use super::serving::{EDGE, PublicSocket};
use super::telemetry::{TELEMETRY, TELEMETRY_SOCKET};
use super::{Ports, Urls, project};
use crate::wanted::{self, PublicPorts, Wanted};

/// Names of the keeper's public sockets.
const HTTPS: &str = "https";
const HTTP: &str = "http";

/// On loopback.
#[derive(Clone, Copy, Debug)]
pub(super) struct MediaPorts {
    pub(super) objects: u16,
    pub(super) delivery: u16,
}

/// All ports of one environment.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    pub(super) https: u16,
    pub(super) http: u16,
    /// Where visitors come in: loopback for `.localhost` and for a rehearsal, every interface otherwise.
    public: IpAddr,
    /// Whose certificates are shown there: in a rehearsal no authority gets through to this machine.
    pub(super) certificates: Certificates,
    /// Where a release is looked at that visitors do not get yet; in environments that releases are deployed to.
    pub(super) candidate: Option<u16>,
    /// Where telemetry listens, and where apps reach it.
    pub(super) telemetry: u16,
    pub(super) telemetry_internal: u16,
    internal: BTreeMap<(Place, AppName), u16>,
    instances: BTreeMap<(Place, AppName), Vec<u16>>,
    /// Whose MongoDB it is, and where.
    pub(super) mongodb: Option<Provider>,
    /// Every Redis of ours with its port.
    pub(super) redis: Vec<(Settings, u16)>,
    /// Where Redis speaks Upstash's REST.
    pub(super) rest: Option<u16>,
    /// Where object storage speaks S3, and where pictures in it are made for visitors.
    pub(super) media: Option<MediaPorts>,
    /// Those that somebody else runs.
    pub(super) external_redis: Vec<(Settings, External)>,
    /// What a person should know of ports that had to change.
    pub(super) moved: Vec<String>,
}

impl Addresses {
    /// Chooses what is not remembered yet.
    pub(super) fn choose(
        root: &Root,
        environment: &Environment,
        want: &Wanted,
        (fleets, is_delivered): (&[Fleet], bool),
        units: &[UnitStatus],
        ports: Ports,
    ) -> Result<Self, Fault> {
        let mut book = PortBook::open(root)?;
        let stays = ports == Ports::Stay;
        let is_alive = |name: &str| stays || units.iter().any(|unit| unit.name == name && unit.pid.is_some());
        // The keeper holds the sockets from the edge's first start on, whether the edge lives or not.
        let is_listening = stays || units.iter().any(|unit| unit.name == EDGE);
        let public = public_address(environment, want);
        let doors = [Door::https(environment, want), Door::http(environment, want)];
        let asked_for: Vec<(&Door, u16)> = doors.iter().filter_map(|door| Some((door, door.asked?))).collect();
        for (door, port) in &asked_for {
            if !(is_listening && book.remembered(door.entry) == Some(*port)) {
                refuse_if_taken(door, SocketAddr::new(public, *port))?;
            }
        }
        // Only now: what is refused must change nothing.
        for (door, port) in asked_for {
            book.remember(door.entry, port)?;
        }
        let [https, http] = doors;
        let https = book.port(https.entry, is_listening || https.asked.is_some())?;
        let http = book.port(http.entry, is_listening || http.asked.is_some())?;
        let mut internal = BTreeMap::new();
        let mut instances = BTreeMap::new();
        let telemetry = book.port(TELEMETRY, is_alive(TELEMETRY))?;
        let telemetry_internal = book.port(TELEMETRY_SOCKET, is_listening)?;
        let candidate = is_delivered.then(|| book.port(CANDIDATE_SOCKET, is_listening)).transpose()?;
        for (place, app) in with_sockets(environment, fleets, is_delivered) {
            let port = book.port(&internal_socket(place, &app), is_listening)?;
            internal.insert((place, app), port);
        }
        for fleet in fleets {
            for one in &fleet.running {
                let Some(server) = one.server() else { continue };
                let ports = (0..server.replicas as usize)
                    .map(|index| {
                        let name = fleet.name().instance(&one.app.name, index);
                        book.port(&name, is_alive(&name))
                    })
                    .collect::<Result<Vec<_>, _>>()?;
                instances.insert((fleet.place, one.app.name.clone()), ports);
            }
        }
        let mut store = |name: &str| book.port(name, is_alive(name));
        let mongodb = environment.mongodb.as_ref().map(|settings| match &settings.external {
            Some(external) => Ok(Provider::External(External::new(external, project(&want.manifest)))),
            None => {
                let ports = (1..=settings.members).map(|number| store(&unit_of(number)));
                ports.collect::<Result<Vec<u16>, _>>().map(Provider::from)
            }
        });
        let mongodb = mongodb.transpose()?;
        let has_rest = environment.redis.as_ref().is_some_and(|redis| redis.rest);
        let rest = has_rest.then(|| store(REST)).transpose()?;
        let of_media = environment
            .media
            .as_ref()
            .map(|_| Ok::<_, Fault>(MediaPorts { objects: store(stores::objects::UNIT)?, delivery: store(MEDIA)? }));
        let media = of_media.transpose()?;
        let mut with_port = |settings: Settings| {
            let port = store(&settings.unit())?;
            Ok::<_, Fault>((settings, port))
        };
        let all =
            environment.redis.iter().flat_map(|redis| Settings::all(redis).into_iter().map(move |one| (redis, one)));
        let (mut redis, mut external_redis) = (Vec::new(), Vec::new());
        for (declared, settings) in all {
            match external_of(declared, settings.purpose) {
                Some(external) => external_redis.push((settings, External::new(external, project(&want.manifest)))),
                None => redis.push(with_port(settings)?),
            }
        }
        let moved = book.moved().iter().map(ToString::to_string).collect();
        let certificates = certificates_of(environment, want);
        Ok(Self {
            https,
            http,
            public,
            certificates,
            candidate,
            telemetry,
            telemetry_internal,
            internal,
            instances,
            mongodb,
            redis,
            rest,
            media,
            external_redis,
            moved,
        })
    }

    /// Where apps of a place call another one of theirs.
    pub(super) fn internal(&self, place: Place, app: &AppName) -> Option<&u16> {
        self.internal.get(&(place, app.clone()))
    }

    /// The ports of an app's instances in a place, in order.
    pub(super) fn instances(&self, place: Place, app: &AppName) -> &[u16] {
        self.instances.get(&(place, app.clone())).map_or(&[], Vec::as_slice)
    }

    /// Data services that somebody else runs.
    pub(super) fn externals(&self) -> impl Iterator<Item = &External> {
        let of_mongodb = self.mongodb.iter().filter_map(|provider| match provider {
            Provider::Ours(_) => None,
            Provider::External(external) => Some(external),
        });
        of_mongodb.chain(self.external_redis.iter().map(|(_, external)| external))
    }

    /// Our own servers of MongoDB.
    pub(super) fn members(&self) -> Option<&Members> {
        self.mongodb.as_ref()?.members()
    }

    /// The port of the Redis that serves this purpose: where there are several, of the first.
    pub(super) fn redis(&self, purpose: Purpose) -> Option<u16> {
        self.redis_of(purpose).next()
    }

    /// The port of the Redis that the sentinels made primary last, where there are sentinels.
    pub(super) fn primary(&self, root: &Root) -> Result<Option<u16>, Fault> {
        let primary = stores::redis::primary(root)?;
        Ok(primary.filter(|primary| self.redis_of(Purpose::Durable).any(|port| port == *primary)))
    }

    /// The Redis of somebody else that serves this purpose.
    pub(super) fn redis_elsewhere(&self, purpose: Purpose) -> Option<&Settings> {
        self.external_redis.iter().map(|(settings, _)| settings).find(|settings| settings.purpose == purpose)
    }

    /// The ports of all that serve this purpose.
    pub(super) fn redis_of(&self, purpose: Purpose) -> impl Iterator<Item = u16> {
        self.redis.iter().filter(move |(settings, _)| settings.purpose == purpose).map(|(_, port)| *port)
    }

    /// Every socket that the keeper must hold for the edge.
    pub(super) fn sockets(&self) -> Vec<PublicSocket> {
        let public = [(HTTPS, self.https), (HTTP, self.http)]
            .map(|(name, port)| PublicSocket { name: name.to_owned(), address: SocketAddr::new(self.public, port) });
        let internal = self.internal.iter().map(|((place, app), port)| PublicSocket {
            name: internal_socket(*place, app),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, *port)),
        });
        let candidate = self.candidate.map(|port| PublicSocket {
            name: CANDIDATE_SOCKET.to_owned(),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, port)),
        });
        let telemetry = PublicSocket {
            name: TELEMETRY_SOCKET.to_owned(),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, self.telemetry_internal)),
        };
        public.into_iter().chain(candidate).chain([telemetry]).chain(internal).collect()
    }
}

/// Whether somebody else runs the Redis of this purpose.
pub(super) fn external_of(redis: &environment::Redis, purpose: Purpose) -> Option<&manifest::External> {
    match purpose {
        Purpose::Durable | Purpose::Sentinel => redis.external.as_ref(),
        Purpose::Cache => redis.external_cache.as_ref(),
    }
}

/// The keeper's socket by which other apps of its place call this one.
pub(super) fn internal_socket(place: Place, app: &AppName) -> String {
    match place.tag() {
        None => format!("{app}-internal"),
        Some(tag) => format!("{app}-{tag}-internal"),
    }
}

/// Which apps are called by others, and in which places. The edge gets its sockets at its start: where releases are deployed it
/// has those of both slots from the beginning, and no deployment starts it anew.
fn with_sockets(environment: &Environment, fleets: &[Fleet], is_delivered: bool) -> BTreeSet<(Place, AppName)> {
    let is_called = |app: &App| matches!(&app.runs, Runs::Server(server) if server.internal);
    let running = fleets.iter().filter(|fleet| fleet.place != Place::Trial).flat_map(|fleet| {
        let called = fleet.running.iter().filter(|one| one.server().is_some_and(|server| server.internal));
        called.map(|one| (fleet.place, one.app.name.clone()))
    });
    let slots: &[Place] = if is_delivered { &[Place::Blue, Place::Green] } else { &[] };
    let called: Vec<&AppName> = environment.apps.iter().filter(|app| is_called(app)).map(|app| &app.name).collect();
    let beforehand = slots.iter().flat_map(|place| called.iter().map(|app| (*place, (*app).clone())));
    running.chain(beforehand).collect()
}

/// One public socket: what it is called, which port it must have, and where a free one is remembered.
#[derive(Debug)]
struct Door {
    name: &'static str,
    asked: Option<u16>,
    declared: Option<u16>,
    /// A rehearsal remembers ports of its own: it must not take those of the manifest because they happen to be free.
    entry: &'static str,
}

impl Door {
    fn https(environment: &Environment, want: &Wanted) -> Self {
        Self::new(HTTPS, "https-rehearsal", want.https_port, environment.ports.https, want.ports)
    }

    fn http(environment: &Environment, want: &Wanted) -> Self {
        Self::new(HTTP, "http-rehearsal", want.http_port, environment.ports.http, want.ports)
    }

    fn new(
        name: &'static str,
        rehearsal: &'static str,
        by_number: Option<u16>,
        declared: Option<u16>,
        ports: PublicPorts,
    ) -> Self {
        match ports {
            PublicPorts::AsDeclared => Self { name, asked: by_number.or(declared), declared, entry: name },
            PublicPorts::Free => Self { name, asked: by_number, declared, entry: rehearsal },
        }
    }
}

/// The public address of each app, as remembered; empty before the first `up`.
pub fn urls(root: &Root, environment: &Environment, want: &Wanted) -> Result<Urls, Fault> {
    let https = Door::https(environment, want);
    let remembered = || PortBook::open(root).map(|book| book.remembered(https.entry));
    let Some(port) = https.asked.map_or_else(remembered, |port| Ok(Some(port)))? else {
        return Ok(Urls::new());
    };
    Ok(environment
        .apps
        .iter()
        .filter_map(|app| Some((app.name.to_string(), https_url(app.hosts.first()?, port))))
        .collect())
}

/// The public address of the console, where there is one.
pub fn console_url(root: &Root, environment: &Environment, want: &Wanted) -> Result<Option<String>, Fault> {
    let https = Door::https(environment, want);
    let remembered = || PortBook::open(root).map(|book| book.remembered(https.entry));
    let port = https.asked.map_or_else(remembered, |port| Ok(Some(port)))?;
    Ok(port.zip(environment.console.as_ref()).map(|(port, console)| https_url(&console.host, port)))
}

/// The ports of an environment that is up: those of its units and of its edge, by name.
pub fn ports_in_use(root: &Root, want: &Wanted, units: &[UnitStatus]) -> Result<BTreeMap<String, u16>, Fault> {
    let environment = wanted::resolve(want)?;
    let doors = [Door::https(&environment, want).entry, Door::http(&environment, want).entry];
    let sockets = |app: &App| Place::ALL.map(|place| internal_socket(place, &app.name));
    let internal: Vec<String> = environment.apps.iter().flat_map(sockets).collect();
    let is_edge_up = units.iter().any(|unit| unit.name == EDGE);
    let is_used = |name: &str| {
        let is_socket = doors.contains(&name)
            || [CANDIDATE_SOCKET, TELEMETRY_SOCKET].contains(&name)
            || internal.iter().any(|socket| socket == name);
        units.iter().any(|unit| unit.name == name && unit.pid.is_some()) || (is_socket && is_edge_up)
    };
    let book = PortBook::open(root)?;
    Ok(book.all().iter().filter(|(name, _)| is_used(name)).map(|(name, port)| (name.clone(), *port)).collect())
}

/// `https://HOST`, with the port unless it is the usual one.
pub(super) fn https_url(host: &str, port: u16) -> String {
    match port {
        443 => format!("https://{host}"),
        port => format!("https://{host}:{port}"),
    }
}

/// Whose certificates visitors are shown.
pub fn certificates_of(environment: &Environment, want: &Wanted) -> Certificates {
    match (environment.tls.issuer, want.ports) {
        (Issuer::Acme, PublicPorts::AsDeclared) => Certificates::Issued,
        (Issuer::Acme, PublicPorts::Free) | (Issuer::Local, _) => Certificates::Local,
    }
}

fn public_address(environment: &Environment, want: &Wanted) -> IpAddr {
    // A rehearsal is for who sits here, whatever address the real host has.
    let is_rehearsal = want.ports == PublicPorts::Free;
    if let Some(bind) = environment.network.bind.filter(|_| !is_rehearsal) {
        return bind;
    }
    let is_local = is_rehearsal || environment.domain == "localhost" || environment.domain.ends_with(".localhost");
    IpAddr::V4(if is_local { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED })
}

fn refuse_if_taken(door: &Door, address: SocketAddr) -> Result<(), Fault> {
    let (name, port) = (door.name, address.port());
    listen(address).map(drop).map_err(|error| {
        let choose = match door.declared == door.asked {
            // Somebody wrote it into the manifest, and hardly for this machine.
            true => format!("choose another with --{name}-port, or rehearse on this machine with --free-ports"),
            false => format!("choose another with --{name}-port"),
        };
        let fault = Fault::because(format!("cannot listen on {address} for {name}"), &error);
        match error.kind() {
            std::io::ErrorKind::PermissionDenied => fault.hint(format!("ports below 1024 need a privilege; {choose}")),
            _ => fault.hint(format!("see who has it with `ss -ltnp 'sport = :{port}'`, or {choose}")),
        }
    })
}
