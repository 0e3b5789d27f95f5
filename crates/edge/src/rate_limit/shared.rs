//! Buckets that all edges of an environment have together, in Redis: one script, its own time, and five milliseconds for it.
//!
//! ```text
//!   request ── take ──► connection ──► answer within 5 ms ──► verdict
//!                          │ none, too late, no script
//!                          └──────────► Unanswered: the caller decides by what it knows itself
//!   tend (in the background) ──► connect, load the script, try it ──► connection
//! ```
//!
//! No request ever waits for a connection, and none tries whether Redis is back: that is the background's. What answers too late
//! three times in a row is let go of, so that a server that takes connections and says nothing costs three requests their 5 ms.

use std::io;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, RedisConnectionInfo, RedisError};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use super::access::StoreAccess;
use super::gcra::{Quota, Verdict};
use crate::tls;

const SCRIPT: &str = include_str!("take.lua");

/// So many in a row are a server that is away, and not a hiccup.
const HICCUPS: u32 = 3;
/// A connection, and a first answer: no visitor waits for it.
const CONNECT: Duration = Duration::from_secs(2);
/// Between two looks at whether a connection that nobody uses still lives.
const LOOK: Duration = Duration::from_secs(1);
/// Between two tries, doubled up to the longest.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// One bucket that is asked for.
#[derive(Clone, Debug)]
pub struct Bucket {
    pub name: String,
    pub quota: Quota,
    pub cost: u64,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// It was late, this once.
    Late,
    /// It is not there.
    Away,
}

/// What several buckets say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Of the first one that refuses, else of the first.
    pub verdict: Verdict,
    /// Which one.
    pub of: usize,
}

/// The way there.
#[derive(Debug)]
pub struct Shared {
    /// What a request waits for at most.
    budget: Duration,
    access: ArcSwapOption<StoreAccess>,
    connected: ArcSwapOption<Connected>,
    late: AtomicU32,
    /// Told when there is another way, or this one is lost.
    changed: Notify,
    trouble: Mutex<Option<String>>,
}

#[derive(Debug)]
struct Connected {
    connection: MultiplexedConnection,
    script: String,
    prefix: String,
    naming_key: [u8; 32],
}

impl Shared {
    pub fn new(budget: Duration) -> Self {
        Self {
            budget,
            access: ArcSwapOption::empty(),
            connected: ArcSwapOption::empty(),
            late: AtomicU32::new(0),
            changed: Notify::new(),
            trouble: Mutex::default(),
        }
    }

    pub fn use_access(&self, access: StoreAccess) {
        self.access.store(Some(Arc::new(access)));
        self.connected.store(None);
        self.changed.notify_one();
    }

    pub fn access(&self) -> Option<Arc<StoreAccess>> {
        self.access.load_full()
    }

    pub fn is_connected(&self) -> bool {
        self.connected.load().is_some()
    }

    /// Takes from all buckets or from none. `name` makes their names with the environment's key.
    pub async fn take(&self, buckets: impl FnOnce(&[u8]) -> Vec<Bucket>) -> Result<Answer, Unanswered> {
        let Some(connected) = self.connected.load_full() else { return Err(Unanswered::Away) };
        let buckets = buckets(&connected.naming_key);
        match timeout(self.budget, connected.ask(&buckets)).await {
            Ok(Ok(answer)) => {
                self.late.store(0, Ordering::Relaxed);
                return Ok(answer);
            }
            Ok(Err(error)) => {
                tracing::warn!(%error, "limits are not counted in Redis");
                self.let_go(&connected);
            }
            Err(_) => {
                if self.late.fetch_add(1, Ordering::Relaxed) + 1 < HICCUPS {
                    return Err(Unanswered::Late);
                }
                tracing::warn!("Redis answers too late; limits are counted here");
                self.let_go(&connected);
            }
        }
        Err(Unanswered::Away)
    }

    fn let_go(&self, lost: &Arc<Connected>) {
        self.late.store(0, Ordering::Relaxed);
        let before = self.connected.compare_and_swap(lost, None);
        if before.as_ref().is_some_and(|before| Arc::ptr_eq(before, lost)) {
            self.changed.notify_one();
        }
    }

    /// Sees to the connection until the task is aborted.
    pub async fn tend(&self) {
        let mut pause = FIRST_PAUSE;
        loop {
            let access = self.access.load_full();
            match access {
                Some(access) if !self.is_connected() => match connect(&access).await {
                    // Told another way meanwhile: that one counts.
                    Ok(_) if !self.is_still(&access) => continue,
                    Ok(connected) => {
                        tracing::info!(port = connected.1, "limits are counted in Redis");
                        self.connected.store(Some(Arc::new(connected.0)));
                        pause = FIRST_PAUSE;
                        self.note(None);
                    }
                    Err(error) => {
                        self.note(Some(error.to_string()));
                        let _ = timeout(pause, self.changed.notified()).await;
                        pause = LONGEST_PAUSE.min(pause * 2);
                        continue;
                    }
                },
                _ => {}
            }
            if timeout(LOOK, self.changed.notified()).await.is_err() {
                self.look().await;
            }
            // One that was let go of is not asked again at once.
            if !self.is_connected() && self.access.load().is_some() {
                sleep(FIRST_PAUSE).await;
            }
        }
    }

    /// Whether it still answers, so that no visitor is the first to find out.
    pub async fn look(&self) {
        let Some(connected) = self.connected.load_full() else { return };
        if !matches!(timeout(CONNECT, connected.ask(&[probe()])).await, Ok(Ok(_))) {
            self.let_go(&connected);
        }
    }

    fn is_still(&self, access: &Arc<StoreAccess>) -> bool {
        self.access.load().as_ref().is_some_and(|now| Arc::ptr_eq(now, access))
    }

    /// Says each new trouble once.
    fn note(&self, trouble: Option<String>) {
        let mut known = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = trouble.as_ref().filter(|_| *known != trouble) {
            tracing::warn!(why, "cannot count limits in Redis");
        }
        *known = trouble;
    }
}

impl Connected {
    async fn ask(&self, buckets: &[Bucket]) -> Result<Answer, RedisError> {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.script).arg(buckets.len());
        for bucket in buckets {
            command.arg(format!("{}{}", self.prefix, bucket.name));
        }
        for bucket in buckets {
            command.arg(bucket.quota.emission).arg(bucket.quota.burst).arg(bucket.cost);
        }
        let mut connection = self.connection.clone();
        let said: Vec<u64> = command.query_async(&mut connection).await?;
        match said[..] {
            [1, debt, ..] => Ok(Answer { verdict: Verdict::Allowed { debt }, of: 0 }),
            // Counted from 1 there.
            [0, at, wait] => Ok(Answer {
                verdict: Verdict::Denied { wait },
                of: usize::try_from(at).unwrap_or_default().saturating_sub(1),
            }),
            _ => Err(io::Error::from(io::ErrorKind::InvalidData).into()),
        }
    }
}

/// The first that takes the script and what it writes: a replica does not.
async fn connect(access: &StoreAccess) -> Result<(Connected, u16), RedisError> {
    let mut last = RedisError::from(io::Error::from(io::ErrorKind::NotFound));
    for port in &access.ports {
        match timeout(CONNECT, connect_to(access, *port)).await {
            Ok(Ok(connected)) => return Ok((connected, *port)),
            Ok(Err(error)) => last = error,
            Err(_) => last = io::Error::from(io::ErrorKind::TimedOut).into(),
        }
    }
    Err(last)
}

async fn connect_to(access: &StoreAccess, port: u16) -> Result<Connected, RedisError> {
    let login = RedisConnectionInfo::default()
        .set_skip_set_lib_name()
        .set_username(&access.user)
        .set_password(access.password.as_str());
    // Requests have a budget of their own, which is shorter.
    let config = AsyncConnectionConfig::new().set_response_timeout(Some(CONNECT));
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    stream.set_nodelay(true)?;
    // The driver ends with the last handle of the connection.
    let mut connection = if access.authorities.is_empty() {
        let (connection, driver) = MultiplexedConnection::new_with_config(&login, stream, config).await?;
        tokio::spawn(driver);
        connection
    } else {
        let name = ServerName::from(std::net::IpAddr::from(Ipv4Addr::LOCALHOST));
        let stream = TlsConnector::from(client(&access.authorities)).connect(name, stream).await?;
        let (connection, driver) = MultiplexedConnection::new_with_config(&login, stream, config).await?;
        tokio::spawn(driver);
        connection
    };
    let script: String = redis::cmd("SCRIPT").arg("LOAD").arg(SCRIPT).query_async(&mut connection).await?;
    let connected = Connected { connection, script, prefix: access.prefix.clone(), naming_key: access.naming_key() };
    connected.ask(&[probe()]).await?;
    Ok(connected)
}

/// Writes, since a replica only refuses that.
fn probe() -> Bucket {
    Bucket { name: "probe".to_owned(), quota: Quota { emission: 1000, burst: 1_000_000 }, cost: 1 }
}

fn client(authorities: &str) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(CertificateDer::pem_slice_iter(authorities.as_bytes()).flatten());
    let config = ClientConfig::builder_with_provider(tls::provider())
        .with_safe_default_protocol_versions()
        .expect("the provider has suites for both versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}
