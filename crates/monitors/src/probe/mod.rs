//! One look at something.

pub(crate) mod http;
mod names;
mod stores;
pub(crate) mod tls;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use host::clock::Clock;
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::settings::{Monitor, Probe, Trusted};
use crate::standing::Seen;

/// What kept a look from seeing something good.
#[derive(Debug)]
pub(crate) enum Miss {
    /// It is not as it should be.
    Bad(String),
    /// We could not look.
    Unknown(String),
}

impl From<Miss> for Seen {
    fn from(miss: Miss) -> Self {
        match miss {
            Miss::Bad(why) => Self::Bad { why },
            Miss::Unknown(why) => Self::Unknown { why },
        }
    }
}

/// Errors that say something of this machine and nothing of whoever is looked at.
const OURS: [i32; 6] = [
    rustix_errno::EMFILE,
    rustix_errno::ENFILE,
    rustix_errno::ENOBUFS,
    rustix_errno::ENOMEM,
    rustix_errno::EADDRNOTAVAIL,
    rustix_errno::ENETUNREACH,
];

/// Numbers of Linux's errors, which have no [`io::ErrorKind`] that would tell them apart.
mod rustix_errno {
    pub(super) const ENOMEM: i32 = 12;
    pub(super) const ENFILE: i32 = 23;
    pub(super) const EMFILE: i32 = 24;
    pub(super) const EADDRNOTAVAIL: i32 = 99;
    pub(super) const ENETUNREACH: i32 = 101;
    pub(super) const ENOBUFS: i32 = 105;
}

impl Miss {
    fn of(what: &str, error: &io::Error) -> Self {
        let why = format!("{what}: {error}");
        match error.raw_os_error() {
            Some(number) if OURS.contains(&number) => Self::Unknown(why),
            _ => Self::Bad(why),
        }
    }
}

/// Looks once. Heartbeats are not looked at: they come by themselves.
pub(crate) async fn look(monitor: &Monitor, trusted: &Trusted, clock: &dyn Clock) -> Seen {
    let limit = Duration::from_millis(monitor.timeout_ms);
    let began = clock.instant();
    let looked = async {
        match &monitor.probe {
            Probe::Http { url, via, status, contains, within_ms } => {
                let answer = http::get(url, *via, trusted).await?;
                let ms = elapsed(clock, began);
                http::judge(&answer, status, contains.as_deref(), *within_ms, ms)?;
                return Ok(Seen::Good { ms, release: answer.release });
            }
            Probe::Tcp { address } => drop(connect_to(address).await?),
            Probe::Tls { host, via, port, days } => {
                tls::look((host, *port), *via, *days, trusted, clock.now()).await?;
            }
            Probe::Dns { host } => names::look(host).await?,
            Probe::MongoDb { address, authorities } => stores::mongodb(*address, authorities).await?,
            Probe::Redis { address, authorities } => stores::redis(*address, authorities).await?,
            Probe::Elsewhere { service, servers, srv, tls, authorities } => {
                let named = match srv {
                    Some(name) => names::servers(name).await?,
                    None => Vec::new(),
                };
                let all: Vec<&str> = servers.iter().chain(&named).map(String::as_str).collect();
                stores::one_of(*service, &all, *tls, authorities.as_deref()).await?;
            }
            Probe::Heartbeat { .. } => return Err(Miss::Unknown("nobody looks at a heartbeat".to_owned())),
        }
        Ok(Seen::Good { ms: elapsed(clock, began), release: None })
    };
    match timeout(limit, looked).await {
        Ok(Ok(seen)) => seen,
        Ok(Err(miss)) => miss.into(),
        Err(_) => Seen::Bad { why: format!("no answer within {} ms", limit.as_millis()) },
    }
}

fn elapsed(clock: &dyn Clock, began: std::time::Instant) -> u64 {
    u64::try_from(clock.instant().saturating_duration_since(began).as_millis()).unwrap_or(u64::MAX)
}

pub(crate) async fn connect(address: SocketAddr) -> Result<TcpStream, Miss> {
    TcpStream::connect(address).await.map_err(|error| Miss::of(&format!("cannot connect to {address}"), &error))
}

/// `HOST:PORT`.
pub(crate) async fn connect_to(address: &str) -> Result<TcpStream, Miss> {
    TcpStream::connect(address).await.map_err(|error| Miss::of(&format!("cannot connect to {address}"), &error))
}
