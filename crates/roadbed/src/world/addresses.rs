//! The ports of one environment: those that visitors see, and those on loopback behind them.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use engine::instance::Instances;
use host::socket::listen;
use manifest::{AppName, Environment};
use reconcile::ports::UnitStatus;
use reconcile::{Fault, Root};

use super::ports::PortBook;
use super::serving::{EDGE, PublicSocket};
use super::{Ports, Running, Urls};
use crate::wanted::Wanted;

/// Names of the keeper's public sockets.
const HTTPS: &str = "https";
const HTTP: &str = "http";

/// All ports of one environment.
#[derive(Clone, Debug)]
pub(super) struct Addresses {
    pub(super) https: u16,
    pub(super) http: u16,
    /// Where visitors come in: loopback for `.localhost`, every interface otherwise.
    public: IpAddr,
    pub(super) internal: BTreeMap<AppName, u16>,
    pub(super) instances: BTreeMap<AppName, Vec<u16>>,
    pub(super) mongodb: Option<u16>,
    pub(super) redis: Option<u16>,
    /// What a person should know of ports that had to change.
    pub(super) moved: Vec<String>,
}

impl Addresses {
    /// Chooses what is not remembered yet.
    pub(super) fn choose(
        root: &Root,
        environment: &Environment,
        want: &Wanted,
        running: &[Running],
        units: &[UnitStatus],
        ports: Ports,
    ) -> Result<Self, Fault> {
        let mut book = PortBook::open(root)?;
        let stays = ports == Ports::Stay;
        let is_alive = |name: &str| stays || units.iter().any(|unit| unit.name == name && unit.pid.is_some());
        // The keeper holds the sockets from the edge's first start on, whether the edge lives or not.
        let is_listening = stays || units.iter().any(|unit| unit.name == EDGE);
        let public = public_address(environment);
        let asked =
            [(HTTPS, want.https_port.or(environment.ports.https)), (HTTP, want.http_port.or(environment.ports.http))];
        let asked_for: Vec<(&str, u16)> = asked.iter().filter_map(|(name, port)| Some((*name, (*port)?))).collect();
        for (name, port) in &asked_for {
            if !(is_listening && book.remembered(name) == Some(*port)) {
                refuse_if_taken(name, SocketAddr::new(public, *port))?;
            }
        }
        // Only now: what is refused must change nothing.
        for (name, port) in asked_for {
            book.remember(name, port)?;
        }
        let https = book.port(HTTPS, is_listening || asked[0].1.is_some())?;
        let http = book.port(HTTP, is_listening || asked[1].1.is_some())?;
        let mut internal = BTreeMap::new();
        let mut instances = BTreeMap::new();
        for one in running {
            let Some(server) = one.server() else { continue };
            if server.internal {
                internal.insert(one.app.name.clone(), book.port(&internal_socket(&one.app.name), is_listening)?);
            }
            let ports = (0..server.replicas as usize)
                .map(|index| {
                    let name = Instances::instance_name(&one.app, index);
                    book.port(&name, is_alive(&name))
                })
                .collect::<Result<Vec<_>, _>>()?;
            instances.insert(one.app.name.clone(), ports);
        }
        let mut store = |wanted: bool, name: &str| wanted.then(|| book.port(name, is_alive(name))).transpose();
        let mongodb = store(environment.mongodb.is_some(), stores::mongo::UNIT)?;
        let redis = store(environment.redis.is_some(), stores::redis::UNIT)?;
        let moved = book.moved().iter().map(ToString::to_string).collect();
        Ok(Self { https, http, public, internal, instances, mongodb, redis, moved })
    }

    /// Every socket that the keeper must hold for the edge.
    pub(super) fn sockets(&self) -> Vec<PublicSocket> {
        let public = [(HTTPS, self.https), (HTTP, self.http)]
            .map(|(name, port)| PublicSocket { name: name.to_owned(), address: SocketAddr::new(self.public, port) });
        let internal = self.internal.iter().map(|(app, port)| PublicSocket {
            name: internal_socket(app),
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, *port)),
        });
        public.into_iter().chain(internal).collect()
    }
}

/// The keeper's socket by which other apps call this one.
pub(super) fn internal_socket(app: &AppName) -> String {
    format!("{app}-internal")
}

/// The public address of each app, as remembered; empty before the first `up`.
pub fn urls(root: &Root, environment: &Environment, want: &Wanted) -> Result<Urls, Fault> {
    let asked = want.https_port.or(environment.ports.https);
    let Some(port) =
        asked.map_or_else(|| PortBook::open(root).map(|book| book.remembered(HTTPS)), |port| Ok(Some(port)))?
    else {
        return Ok(Urls::new());
    };
    Ok(environment
        .apps
        .iter()
        .filter_map(|app| Some((app.name.to_string(), https_url(app.hosts.first()?, port))))
        .collect())
}

/// `https://HOST`, with the port unless it is the usual one.
pub(super) fn https_url(host: &str, port: u16) -> String {
    match port {
        443 => format!("https://{host}"),
        port => format!("https://{host}:{port}"),
    }
}

fn public_address(environment: &Environment) -> IpAddr {
    if let Some(bind) = environment.network.bind {
        return bind;
    }
    let is_local = environment.domain == "localhost" || environment.domain.ends_with(".localhost");
    IpAddr::V4(if is_local { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED })
}

fn refuse_if_taken(name: &str, address: SocketAddr) -> Result<(), Fault> {
    listen(address).map(drop).map_err(|error| {
        Fault::because(format!("cannot listen on {address} for {name}"), &error).hint(format!(
            "see who has it with `ss -ltnp 'sport = :{}'`, or choose another with --{name}-port",
            address.port()
        ))
    })
}
