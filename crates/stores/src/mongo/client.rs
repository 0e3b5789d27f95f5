//! Talking to our own mongod: short timeouts, one connection, no surprises.

use std::fmt;
use std::net::Ipv4Addr;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Duration;

use certificates::Leaf;
use host::clock::Timestamp;
use host::sealed_file;
use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::error::ErrorKind;
use mongodb::options::{AuthMechanism, ClientOptions, Credential, ServerAddress, Tls, TlsOptions};
use reconcile::Fault;
use secrets::Secret;
use zeroize::Zeroizing;

use super::certificate::is_fresh;
use super::external::Elsewhere;
use crate::Ground;

/// On loopback a server that does not answer in this time is stuck.
const TIMEOUT: Duration = Duration::from_secs(3);

const TOO_LATE: &str = "the server did not answer in time";

/// Where a mongod listens.
#[derive(Debug)]
pub(crate) enum Address {
    /// Ours, on loopback. There it speaks TLS, and nothing else.
    Port { port: u16, trust: Trust },
    /// Wherever its address says, at somebody else's.
    Elsewhere(Box<Elsewhere>),
}

impl Address {
    /// What is common to all clients of it, whoever they are.
    fn options(&self) -> ClientOptions {
        let server = match self {
            Self::Elsewhere(elsewhere) => return elsewhere.options.clone(),
            Self::Port { port, .. } => ServerAddress::Tcp { host: Ipv4Addr::LOCALHOST.to_string(), port: Some(*port) },
        };
        ClientOptions::builder()
            .hosts(vec![server])
            .app_name("roadbed".to_owned())
            .direct_connection(true)
            .connect_timeout(TIMEOUT)
            .server_selection_timeout(TIMEOUT)
            .max_pool_size(2)
            .retry_reads(false)
            .retry_writes(false)
            .build()
    }
}

/// By what a server is recognised.
#[derive(Clone, Debug)]
pub(crate) enum Trust {
    /// By a certificate of one of these authorities, in PEM.
    Authorities(String),
    /// By a certificate of a public authority, as the driver knows them.
    PublicAuthorities,
    /// By nothing: for who only tries what opens.
    Anybody,
}

impl Trust {
    /// By what servers of this environment are recognised. Before there is an authority it recognises nobody.
    pub(crate) fn of(ground: &Ground) -> Result<Self, Fault> {
        Ok(Self::Authorities(ground.trusted()?.unwrap_or_default()))
    }
}

/// Who we are to the server.
#[derive(Clone, Copy, Debug)]
pub enum Identity<'a> {
    Stranger,
    User {
        name: &'a str,
        database: &'a str,
        password: &'a Secret,
    },
    /// Whoever the certificate names.
    Bearer(&'a Leaf),
    /// Whoever the address names, where it is somebody else's server: our administrator there.
    OfAddress,
}

/// The driver's error, boxed: it is large, and most calls succeed.
#[derive(Debug)]
pub struct MongoFault(Box<mongodb::error::Error>);

impl fmt::Display for MongoFault {
    /// The sentence without the wire's bytes, which the driver would print too.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.kind.as_ref() {
            ErrorKind::Command(command) => write!(f, "{} ({})", command.message, command.code_name),
            ErrorKind::Authentication { message, .. } | ErrorKind::ServerSelection { message, .. } => {
                f.write_str(message)
            }
            ErrorKind::Custom(_) => f.write_str(TOO_LATE),
            kind => kind.fmt(f),
        }
    }
}

impl std::error::Error for MongoFault {}

impl From<mongodb::error::Error> for MongoFault {
    fn from(error: mongodb::error::Error) -> Self {
        Self(Box::new(error))
    }
}

impl MongoFault {
    /// The server's own code, where it answered.
    pub(crate) fn code(&self) -> Option<i32> {
        match self.0.kind.as_ref() {
            ErrorKind::Command(command) => Some(command.code),
            _ => None,
        }
    }

    /// The server answered that this password is not that user's.
    pub(crate) fn is_wrong_password(&self) -> bool {
        matches!(self.0.kind.as_ref(), ErrorKind::Authentication { .. })
            || self.code() == Some(code::AUTHENTICATION_FAILED)
    }
}

/// Codes of the server that we act on.
pub(crate) mod code {
    pub(crate) const UNAUTHORIZED: i32 = 13;
    pub(crate) const AUTHENTICATION_FAILED: i32 = 18;
    pub(crate) const ALREADY_INITIALIZED: i32 = 23;
    pub(crate) const USER_NOT_FOUND: i32 = 11;
    pub(crate) const ROLE_NOT_FOUND: i32 = 31;
    pub(crate) const NOT_PRIMARY_OR_SECONDARY: i32 = 13436;
    pub(crate) const NOT_YET_INITIALIZED: i32 = 94;
    pub(crate) const NOT_PRIMARY_NO_SECONDARY_OK: i32 = 13435;
    pub(crate) const NOT_WRITABLE_PRIMARY: i32 = 10107;
    pub(crate) const PRIMARY_STEPPED_DOWN: i32 = 189;
    pub(crate) const INTERRUPTED_BY_CHANGE_OF_STATE: i32 = 11602;
    pub(crate) const CONFIGURATION_IN_PROGRESS: i32 = 109;
    /// Somebody else's change came first.
    pub(crate) const NEWER_CONFIGURATION: i32 = 103;
    pub(crate) const CONFIGURATION_NOT_COMMITTED: i32 = 308;
    pub(crate) const USER_EXISTS: i32 = 51003;
    pub(crate) const ROLE_EXISTS: i32 = 51002;
    pub(crate) const INDEX_NOT_FOUND: i32 = 27;
    pub(crate) const NAMESPACE_EXISTS: i32 = 48;
    pub(crate) const DUPLICATE_KEY: i32 = 11000;
}

/// Whether the server understood and said no: the right answer to a stranger.
pub(crate) fn is_refusal(fault: &MongoFault) -> bool {
    fault.is_wrong_password() || fault.code() == Some(code::UNAUTHORIZED)
}

/// A client of one server. Connects when it is first used.
pub(crate) fn connect(address: &Address, who: Identity<'_>) -> Result<Client, MongoFault> {
    let mut options = address.options();
    let of_address = options.credential.take();
    options.credential = match who {
        Identity::Stranger => None,
        Identity::OfAddress => of_address,
        Identity::User { name, database, password } => Some(
            Credential::builder()
                .username(name.to_owned())
                .source(database.to_owned())
                .password(password.expose().to_owned())
                .mechanism(AuthMechanism::ScramSha256)
                .build(),
        ),
        Identity::Bearer(_) => Some(Credential::builder().mechanism(AuthMechanism::MongoDbX509).build()),
    };
    let bearer = if let Identity::Bearer(leaf) = who { Some(leaf) } else { None };
    let files = |trust| TlsFiles::new(trust, bearer).map_err(mongodb::error::Error::from);
    let files = match address {
        Address::Port { trust, .. } => Some(files(trust)?),
        Address::Elsewhere(elsewhere) => elsewhere.trust.as_ref().map(files).transpose()?,
    };
    options.tls = files.as_ref().map(TlsFiles::options);
    // The driver reads the files here, once.
    Ok(Client::with_options(options)?)
}

/// Certificates and our key as the driver wants them, which takes paths: files in memory, gone when it has read them.
struct TlsFiles {
    is_anybody_believed: bool,
    authorities: Option<OwnedFd>,
    bearer: Option<OwnedFd>,
}

impl TlsFiles {
    fn new(trust: &Trust, bearer: Option<&Leaf>) -> std::io::Result<Self> {
        let authorities = match trust {
            Trust::Authorities(pem) => Some(sealed_file::sealed_file(pem.as_bytes())?),
            Trust::PublicAuthorities | Trust::Anybody => None,
        };
        let bearer = bearer.map(|leaf| {
            let text = Zeroizing::new(format!("{}{}", leaf.chain_pem, *leaf.key_pem));
            sealed_file::sealed_file(text.as_bytes())
        });
        let is_anybody_believed = matches!(trust, Trust::Anybody);
        Ok(Self { is_anybody_believed, authorities, bearer: bearer.transpose()? })
    }

    fn options(&self) -> Tls {
        let path = |file: &OwnedFd| PathBuf::from(sealed_file::path_of(file.as_raw_fd()));
        let mut options = TlsOptions::default();
        options.allow_invalid_certificates = Some(self.is_anybody_believed);
        options.ca_file_path = self.authorities.as_ref().map(path);
        options.cert_key_file_path = self.bearer.as_ref().map(path);
        Tls::Enabled(options)
    }
}

/// A client of one port that is used again: a login costs a handshake and a signature.
#[derive(Debug, Default)]
pub(crate) struct KeptClient(Mutex<Option<Kept>>);

#[derive(Debug)]
struct Kept {
    port: u16,
    since: Timestamp,
    client: Client,
}

impl KeptClient {
    /// Logs in by `log_in` at first, when it is another port than the last time, such as of another primary, and when the
    /// certificate of the last time is old.
    pub(crate) fn get<E>(
        &self,
        port: u16,
        now: Timestamp,
        log_in: impl FnOnce() -> Result<Client, E>,
    ) -> Result<Client, E> {
        if let Some(kept) = self.kept(port, now) {
            return Ok(kept);
        }
        let client = log_in()?;
        self.keep(port, now, &client);
        Ok(client)
    }

    /// The client of the last time, if it still serves.
    pub(crate) fn kept(&self, port: u16, now: Timestamp) -> Option<Client> {
        let kept = self.0.lock().expect("nobody panics while holding it");
        let kept = kept.as_ref().filter(|kept| kept.port == port && is_fresh(kept.since, now))?;
        Some(kept.client.clone())
    }

    pub(crate) fn keep(&self, port: u16, now: Timestamp, client: &Client) {
        let mut kept = self.0.lock().expect("nobody panics while holding it");
        *kept = Some(Kept { port, since: now, client: client.clone() });
    }

    pub(crate) fn forget(&self) {
        *self.0.lock().expect("nobody panics while holding it") = None;
    }
}

/// Runs a command, within a deadline: the driver's own do not cover a server that stops in the middle of an answer.
pub(crate) async fn command(client: &Client, database: &str, command: Document) -> Result<Document, MongoFault> {
    command_within(TIMEOUT * 3, client, database, command).await
}

/// As [`command`], for what takes its time.
pub(crate) async fn command_within(
    deadline: Duration,
    client: &Client,
    database: &str,
    command: Document,
) -> Result<Document, MongoFault> {
    let database = client.database(database);
    match tokio::time::timeout(deadline, database.run_command(command)).await {
        Ok(answer) => Ok(answer?),
        Err(_) => Err(mongodb::error::Error::custom(TOO_LATE).into()),
    }
}

/// `hello`: what a server says of itself to anybody.
pub(crate) async fn hello(client: &Client) -> Result<Document, MongoFault> {
    command(client, "admin", doc! { "hello": 1 }).await
}
