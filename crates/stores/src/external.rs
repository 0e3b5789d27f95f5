//! Data services that somebody else runs, such as a provider: where they are, and by what they are recognised.
//!
//! ```text
//!   secret store   mongodb/external, redis/external, redis-cache/external   an address with an administrator's login
//!   manifest       `ca`                                                     certificates; without it, of public authorities
//! ```
//!
//! **Invariant:** an address is never shown: it holds a password. What is said of a server is its host and port.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use host::files;
use manifest::environment::Class;
use reconcile::Fault;
use rustls::ClientConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use secrets::{Secret, SecretName};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::{Ground, tls};

/// A handshake with the other side of the world takes a second.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(5);

/// Where systems keep the certificates of public authorities, for programs that take a file.
const PUBLIC_AUTHORITIES: [&str; 3] =
    ["/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem"];

/// Under which name an external service's address lies in the secret store. `service` is `mongodb`, `redis` or `redis-cache`.
pub fn address_secret(service: &str) -> SecretName {
    SecretName::new(format!("{service}/external"))
}

/// How sensitive an address is: whoever has it is administrator there.
pub const ADDRESS_CLASS: Class = Class::Secret;

/// A service that somebody else runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct External {
    /// Certificates, in PEM, by which it is recognised; `None`: those of public authorities.
    pub ca: Option<PathBuf>,
    pub dialect: Dialect,
}

/// How users come to be at a server that somebody else runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// By commands, as at servers of ours.
    #[default]
    Plain,
    /// By commands of Upstash's own.
    Upstash,
    /// By Atlas's API and no command; all of them are in the database `admin`.
    Atlas,
}

impl External {
    /// `project` is the folder of the manifest.
    pub fn new(settings: &manifest::External, project: &Path) -> Self {
        let dialect = match settings.provider {
            None => Dialect::Plain,
            Some(manifest::Provider::Upstash(_)) => Dialect::Upstash,
            Some(manifest::Provider::Atlas(_)) => Dialect::Atlas,
        };
        Self { ca: settings.ca.as_ref().map(|path| project.join(path)), dialect }
    }

    /// The certificates of its own, in PEM, where it has some.
    pub(crate) fn authorities(&self) -> Result<Option<String>, Fault> {
        let Some(path) = &self.ca else { return Ok(None) };
        let cannot = || Fault::new(format!("cannot use {}, by which a data service is recognised", path.display()));
        let text = files::read_string(path).map_err(|fault| {
            cannot().cause(fault.source.to_string()).hint("mend `ca` of the service in roadbed.toml")
        })?;
        match CertificateDer::pem_slice_iter(text.as_bytes()).next() {
            Some(Ok(_)) => Ok(Some(text)),
            _ => Err(cannot()
                .cause("there is no certificate in it")
                .hint("it must be PEM: -----BEGIN CERTIFICATE-----, as the provider offers it for download")),
        }
    }

    /// What apps are told to trust, in PEM.
    ///
    /// # Errors
    /// Where the file that the manifest names cannot be used, or this machine has no public authorities.
    pub fn trusted(&self) -> Result<String, Fault> {
        if let Some(own) = self.authorities()? {
            return Ok(own);
        }
        let found = PUBLIC_AUTHORITIES.iter().find_map(|path| files::read_string(Path::new(path)).ok());
        found.ok_or_else(|| {
            Fault::new("this machine has no certificates of public authorities")
                .cause(format!("looked for {}", PUBLIC_AUTHORITIES.join(", ")))
                .hint("install ca-certificates, or set `ca` of the service in roadbed.toml")
        })
    }

    /// By whom a server is believed in a handshake of ours.
    pub(crate) fn tls(&self, ground: &Ground) -> Result<Arc<ClientConfig>, Fault> {
        let roots = match self.authorities()? {
            Some(pem) => tls::authorities(&pem),
            None => webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(),
        };
        Ok(Arc::new(tls::believing(roots, ground.clock.clone())))
    }
}

/// Where somebody without a login knocks, to see whether a service lives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// `HOST:PORT`, of several servers of one service.
    pub servers: Vec<String>,
    /// A name at which the name service has the servers.
    pub srv: Option<String>,
    pub is_encrypted: bool,
    /// By what it is recognised; `None`: by public authorities.
    pub ca: Option<PathBuf>,
}

/// The address of an external service, as somebody set it.
pub(crate) fn address(ground: &Ground, service: &str) -> Result<Secret, Fault> {
    let name = address_secret(service);
    if let Some(found) = ground.secret(&name)? {
        return Ok(found.secret);
    }
    let scheme = if service == "mongodb" { "mongodb+srv" } else { "rediss" };
    Err(Fault::new(format!("where {service} is has not been said"))
        .cause(format!("its driver is external, and the secret store has no {name}"))
        .hint(format!("`{}` reads it from stdin: {scheme}://ADMINISTRATOR:PASSWORD@HOST", set(ground, service))))
}

/// The command that sets an address.
pub(crate) fn set(ground: &Ground, service: &str) -> String {
    let environment = ground.name.split_once(' ').map_or("", |(_, environment)| environment);
    format!("roadbed secrets set --env {environment} {}", address_secret(service))
}

/// Whether this is the machine itself, to which nobody listens on the way.
pub(crate) fn is_loopback(host: &str) -> bool {
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// What is met at a server's door, before anything is said.
#[derive(Debug)]
pub(crate) enum Met {
    Believed,
    /// Why nobody is there.
    Nobody(String),
    /// Somebody who does not speak TLS.
    Plain,
    /// Why the certificate is none that we believe.
    NotBelieved(String),
}

/// Shakes hands.
pub(crate) async fn knock(host: &str, port: u16, tls: Arc<ClientConfig>) -> Met {
    let stream = match timeout(TIMEOUT, TcpStream::connect((host, port))).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return Met::Nobody(error.to_string()),
        Err(_) => return Met::Nobody(format!("no answer within {} s", TIMEOUT.as_secs())),
    };
    let Ok(name) = ServerName::try_from(host.to_owned()) else {
        return Met::NotBelieved(format!("{host} is no name that a certificate can have"));
    };
    match timeout(TIMEOUT, TlsConnector::from(tls).connect(name, stream)).await {
        Ok(Ok(_)) => Met::Believed,
        Ok(Err(error)) => {
            let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            match cause {
                Some(rustls::Error::InvalidCertificate(_)) => Met::NotBelieved(error.to_string()),
                _ => Met::Plain,
            }
        }
        Err(_) => Met::Plain,
    }
}

/// Why a server could not be used, by what is met at its door; `None` if there it is as it should be.
pub(crate) fn at_the_door(met: &Met, service: &str, at: &str, ground: &Ground) -> Option<Fault> {
    match met {
        Met::Believed => None,
        Met::Nobody(why) => Some(
            Fault::new(format!("cannot reach {service} at {at}"))
                .cause(why.clone())
                .hint(format!(
                    "see that it runs and that its provider lets this machine in; `{}` gives another address",
                    set(ground, service)
                ))
                .retry_safe(),
        ),
        Met::Plain => Some(
            Fault::new(format!("{service} at {at} offers no TLS"))
                .cause("it does not answer a handshake, and nothing is said in the clear over a network")
                .hint("switch TLS on at the provider, or give the port where it is"),
        ),
        Met::NotBelieved(why) => Some(
            Fault::new(format!("{service} at {at} shows a certificate that is not believed"))
                .cause(why.clone())
                .hint(format!(
                    "where the provider has an authority of its own, give its certificate: `ca` in [services.{}] of roadbed.toml",
                    service.trim_end_matches("-cache")
                )),
        ),
    }
}
