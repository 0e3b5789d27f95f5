//! Talking to our own mongod: short timeouts, one connection, no surprises.

use std::fmt;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::files::{self, FileFault};
use mongodb::Client;
use mongodb::bson::{Document, doc};
use mongodb::error::ErrorKind;
use mongodb::options::{AuthMechanism, ClientOptions, Credential, ServerAddress};
use secrets::Secret;

/// On loopback a server that does not answer in this time is stuck.
const TIMEOUT: Duration = Duration::from_secs(3);

const TOO_LATE: &str = "the server did not answer in time";

/// Where a mongod listens.
#[derive(Debug)]
pub(crate) enum Address {
    Port(u16),
    /// A socket file, reached through its open folder: its own path may be longer than a socket address can hold.
    Socket {
        folder: std::fs::File,
        name: String,
    },
}

impl Address {
    pub(crate) fn socket(path: &Path) -> Result<Self, FileFault> {
        let folder = files::open(path.parent().unwrap_or(path))?;
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self::Socket { folder, name })
    }

    fn server(&self) -> ServerAddress {
        match self {
            Self::Port(port) => ServerAddress::Tcp { host: Ipv4Addr::LOCALHOST.to_string(), port: Some(*port) },
            Self::Socket { folder, name } => {
                ServerAddress::Unix { path: PathBuf::from(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd())) }
            }
        }
    }
}

/// Who we are to the server.
#[derive(Clone, Copy, Debug)]
pub enum Identity<'a> {
    Stranger,
    User { name: &'a str, database: &'a str, password: &'a Secret },
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
    let credential = match who {
        Identity::Stranger => None,
        Identity::User { name, database, password } => Some(
            Credential::builder()
                .username(name.to_owned())
                .source(database.to_owned())
                .password(password.expose().to_owned())
                .mechanism(AuthMechanism::ScramSha256)
                .build(),
        ),
    };
    let options = ClientOptions::builder()
        .hosts(vec![address.server()])
        .app_name("roadbed".to_owned())
        .direct_connection(true)
        .credential(credential)
        .connect_timeout(TIMEOUT)
        .server_selection_timeout(TIMEOUT)
        .max_pool_size(2)
        .retry_reads(false)
        .retry_writes(false)
        .build();
    Ok(Client::with_options(options)?)
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
