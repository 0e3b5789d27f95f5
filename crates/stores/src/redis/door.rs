//! The way in to a Redis: TLS first, with the authorities that are believed there.
//!
//! The driver would take its cryptography from the process, where another driver has put a second kind: so the handshake is ours,
//! with a provider by name, and the driver gets a connection that is safe already.

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use host::clock::Clock;
use reconcile::Fault;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo};
use rustls::ClientConfig;
use rustls_pki_types::{CertificateDer, ServerName};
use secrets::Secret;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::client::RedisFault;
use super::external::Address;
use crate::Ground;
use crate::external::{self, External};
use crate::tls::{self, Witness};

/// On loopback a server that does not answer in this time is stuck.
const TIMEOUT: Duration = Duration::from_secs(3);

/// Who we are to the server.
#[derive(Clone, Copy, Debug)]
pub enum Identity<'a> {
    Stranger,
    User { name: &'a str, password: &'a Secret },
}

/// A port, mostly of this machine, and whom we believe to be behind it.
#[derive(Clone, Debug)]
pub struct Door {
    host: String,
    port: u16,
    /// `None`: in the clear, to somebody else's server on this machine.
    tls: Option<Arc<ClientConfig>>,
    patience: Duration,
}

/// What a server showed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Nobody is there, or whoever is does not speak TLS.
    Nothing,
    /// A certificate of none of the authorities, or one whose time is over.
    NotBelieved,
    Certificate(CertificateDer<'static>),
}

impl Door {
    /// A door of this environment.
    ///
    /// # Errors
    /// Where the secret store cannot be read.
    pub fn of(ground: &Ground, port: u16) -> Result<Self, Fault> {
        // Before there is an authority nobody is believed.
        Ok(Self::trusting(&ground.trusted()?.unwrap_or_default(), ground.clock.clone(), port))
    }

    /// A door where these authorities, in PEM, are believed.
    pub fn trusting(authorities: &str, clock: Arc<dyn Clock>, port: u16) -> Self {
        Self::here(port, tls::believing(tls::authorities(authorities), clock))
    }

    fn here(port: u16, tls: ClientConfig) -> Self {
        Self { host: Ipv4Addr::LOCALHOST.to_string(), port, tls: Some(Arc::new(tls)), patience: TIMEOUT }
    }

    /// The door of somebody else's server.
    pub(crate) fn elsewhere(address: &Address, external: &External, ground: &Ground) -> Result<Self, Fault> {
        let tls = if address.is_encrypted { Some(external.tls(ground)?) } else { None };
        Ok(Self { host: address.host.clone(), port: address.port, tls, patience: external::TIMEOUT })
    }

    /// A door behind which anybody may be: for who comes as an intruder.
    pub(crate) fn whoever_it_is(port: u16) -> Self {
        Self::here(port, tls::witnessed(Witness::careless()).with_no_client_auth())
    }

    /// Logs in.
    ///
    /// # Errors
    /// What the server or the way to it says. It never holds the password.
    pub async fn enter(&self, who: Identity<'_>) -> Result<MultiplexedConnection, RedisFault> {
        // CLIENT SETINFO is a question too many for a server of version 7.0.
        let mut login = RedisConnectionInfo::default().set_skip_set_lib_name();
        if let Identity::User { name, password } = who {
            login = login.set_username(name).set_password(password.expose());
        }
        let config = AsyncConnectionConfig::new().set_response_timeout(Some(self.patience));
        // The driver ends with the last handle of the connection.
        let entering = async {
            match &self.tls {
                Some(tls) => {
                    let stream = self.shake_hands(tls).await?;
                    let (connection, driver) = MultiplexedConnection::new_with_config(&login, stream, config).await?;
                    tokio::spawn(driver);
                    Ok(connection)
                }
                None => {
                    let stream = self.connect().await?;
                    let (connection, driver) = MultiplexedConnection::new_with_config(&login, stream, config).await?;
                    tokio::spawn(driver);
                    Ok(connection)
                }
            }
        };
        timeout(self.patience, entering).await.map_err(|_| stuck())?
    }

    /// Looks at the server's certificate, and says nothing.
    pub(crate) async fn shown(&self) -> Shown {
        let Some(tls) = &self.tls else { return Shown::Nothing };
        let Ok(shaken) = timeout(self.patience, self.shake_hands(tls)).await else { return Shown::Nothing };
        match shaken {
            Ok(stream) => {
                let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first());
                shown.map_or(Shown::Nothing, |first| Shown::Certificate(first.clone().into_owned()))
            }
            Err(error) if is_not_believed(&error) => Shown::NotBelieved,
            Err(_) => Shown::Nothing,
        }
    }

    /// What Redis says to who does not encrypt; nothing, where it closes the door.
    pub(crate) async fn in_the_clear(&self) -> io::Result<Option<String>> {
        let ask = async {
            let mut stream = self.connect().await?;
            stream.write_all(b"PING\r\n").await?;
            let mut answer = [0; 64];
            let length = stream.read(&mut answer).await?;
            Ok::<_, io::Error>(answer[..length].to_vec())
        };
        match timeout(self.patience, ask).await.map_err(|_| stuck())? {
            // What begins otherwise is TLS's own way to say no.
            Ok(answer) if answer.starts_with(b"+") || answer.starts_with(b"-") => {
                Ok(Some(String::from_utf8_lossy(&answer).trim().to_owned()))
            }
            Ok(_) => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        // Questions are small and wait for their answers.
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    async fn shake_hands(&self, tls: &Arc<ClientConfig>) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(self.host.clone()).map_err(io::Error::other)?;
        TlsConnector::from(tls.clone()).connect(name, self.connect().await?).await
    }
}

/// Whether a handshake failed for what the server showed.
pub(crate) fn is_not_believed(error: &io::Error) -> bool {
    let cause = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    matches!(cause, Some(rustls::Error::InvalidCertificate(_)))
}

fn stuck() -> io::Error {
    io::Error::from(io::ErrorKind::TimedOut)
}
