//! The way to the daemon: its socket, the version of its API, and patience while it starts again.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bollard::errors::Error;
use bollard::{API_DEFAULT_VERSION, BollardRequest, Docker};
use http::header::HOST;
use http::{HeaderValue, Uri};
use hyper::Response;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

use crate::fault::RuntimeFault;

/// How long the daemon may think before it begins to answer: loading an image is the longest.
const ANSWER_LIMIT: u64 = 180;

/// Before it is asked again.
const PAUSE: Duration = Duration::from_millis(100);

/// How often a fault of its own (5xx) is asked about again: one that is ending says so to requests under way.
const OWN_FAULTS: u32 = 3;

#[derive(Clone, Debug)]
pub(super) struct Daemon {
    socket: PathBuf,
    patience: Duration,
    /// With the version that was negotiated; none after a fault on the way, since another daemon may listen there by now.
    client: Arc<Mutex<Option<Docker>>>,
}

/// What the daemon answered instead of doing it.
#[derive(Debug, thiserror::Error)]
#[error("{message} ({status})")]
pub(super) struct Refusal {
    pub(super) status: u16,
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn fault(self, what: impl Into<String>) -> RuntimeFault {
        RuntimeFault::Refused { what: what.into(), source: Box::new(self) }
    }
}

impl Daemon {
    pub(super) fn new(socket: PathBuf, patience: Duration) -> Self {
        Self { socket, patience, client: Arc::default() }
    }

    pub(super) async fn client(&self) -> Result<Docker, Error> {
        let mut client = self.client.lock().await;
        if let Some(client) = &*client {
            return Ok(client.clone());
        }
        let socket = self.socket.clone();
        let transport = move |request: BollardRequest| send(socket.clone(), request);
        // What is called is the socket; a name must be there for HTTP's sake.
        let fresh =
            Docker::connect_with_custom_transport(transport, Some("http://docker"), ANSWER_LIMIT, API_DEFAULT_VERSION)?;
        let fresh = fresh.negotiate_version().await?;
        *client = Some(fresh.clone());
        Ok(fresh)
    }

    pub(super) async fn forget(&self) {
        *self.client.lock().await = None;
    }

    /// Makes a call that may be made twice, until it is answered. The inner error is the daemon's own word.
    pub(super) async fn again<T, F>(&self, call: impl Fn(Docker) -> F) -> Result<Result<T, Refusal>, RuntimeFault>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let deadline = Instant::now() + self.patience;
        let mut own_faults = 0;
        loop {
            match self.once(&call).await {
                Ok(Err(refusal)) if refusal.status >= 500 && own_faults < OWN_FAULTS => own_faults += 1,
                Ok(answer) => return Ok(answer),
                Err(error) if Instant::now() >= deadline => return Err(self.unreachable(error)),
                Err(_) => {}
            }
            sleep(PAUSE).await;
        }
    }

    /// Makes a call once. The outer error is that nobody knows whether it was done.
    pub(super) async fn once<T, F>(&self, call: impl Fn(Docker) -> F) -> Result<Result<T, Refusal>, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let answer = match self.client().await {
            Ok(client) => call(client).await,
            Err(error) => Err(error),
        };
        match answer {
            Ok(done) => Ok(Ok(done)),
            Err(Error::DockerResponseServerError { status_code, message }) => {
                // 400 may be that the daemon was replaced by one that does not speak this version.
                if status_code == 400 {
                    self.forget().await;
                }
                Ok(Err(Refusal { status: status_code, message }))
            }
            Err(error) => {
                self.forget().await;
                Err(error)
            }
        }
    }

    pub(super) fn unreachable(&self, error: Error) -> RuntimeFault {
        RuntimeFault::Unreachable { socket: self.socket.clone(), patience: self.patience, source: Box::new(error) }
    }

    pub(super) fn patience(&self) -> Duration {
        self.patience
    }
}

/// One connection per request: a pool would hand out those of a daemon that is gone.
async fn send(socket: PathBuf, mut request: BollardRequest) -> Result<Response<Incoming>, Error> {
    // As a server is asked, and not a proxy: a path, with the name apart.
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    *request.uri_mut() = Uri::try_from(path)?;
    request.headers_mut().insert(HOST, HeaderValue::from_static("docker"));
    let connection = UnixStream::connect(&socket).await?;
    let (mut sender, driver) = http1::handshake(TokioIo::new(connection)).await?;
    // Ends with the connection, which ends when whoever asked drops the answer.
    tokio::spawn(driver.with_upgrades());
    Ok(sender.send_request(request).await?)
}
