//! Talking to the keeper of a root.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use host::files;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use reconcile::fault::Retry;
use reconcile::ports::{Confined, Ensured, Limits, PortFuture, Sockets, UnitSpec, UnitStatus, Units};
use reconcile::{Fault, Root};
use secrets::Secret;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;
use tokio::time::Instant;

use super::fence::EPOCH_HEADER;
use super::redaction::Unspeakable;
use super::wire::{Become, EnsureAnswer, Health, Listening, Manner, Shutdown, Together};
use super::{down_marker, log};
use crate::own::Program;

/// A keeper that was killed is back within this: its reviver starts it at once, and it waits 2 s at most for the edge.
const PATIENCE: Duration = Duration::from_secs(5);

/// Between two attempts to connect while a keeper is being revived.
const PAUSE: Duration = Duration::from_millis(20);

/// A client of the keeper of one root; connects anew for every request.
#[derive(Clone, Debug)]
pub struct KeeperClient {
    root: Root,
    epoch: Option<u64>,
}

impl KeeperClient {
    pub fn new(root: Root) -> Self {
        Self { root, epoch: None }
    }

    /// As the control of this epoch: refused once another has taken over.
    #[must_use]
    pub fn of_epoch(self, epoch: u64) -> Self {
        Self { epoch: Some(epoch), ..self }
    }

    /// What the keeper says of itself. Does not wait for one that is being revived.
    pub async fn health(&self) -> Result<Health, Fault> {
        let stream = self.connect().map_err(|error| self.away(&error))?;
        self.exchange(stream, Method::GET, "/health", &()).await
    }

    /// Which program the keeper runs.
    pub async fn program(&self) -> Result<Program, Fault> {
        self.request(Method::GET, "/program", &()).await
    }

    /// Has the keeper leave a copy of the program that it runs in [`crate::programs::of_the_keeper`].
    pub async fn copy_program(&self) -> Result<(), Fault> {
        self.request(Method::POST, "/program/copy", &()).await
    }

    /// Has the keeper become one of another program. Returns when it is about to.
    pub async fn become_another(&self, program: &Path) -> Result<(), Fault> {
        self.request(Method::POST, "/become", &Become { program: program.to_owned() }).await
    }

    /// What keeps each running unit to its own business, looked at now.
    pub async fn confined(&self) -> Result<BTreeMap<String, Confined>, Fault> {
        self.request(Method::GET, "/confinement", &()).await
    }

    /// From here on these are taken out of what units write, each shown by its name.
    pub async fn look_for(&self, secrets: &[(String, Secret)]) -> Result<(), Fault> {
        let secrets: Vec<Unspeakable> = secrets.iter().map(|(name, secret)| Unspeakable::new(name, secret)).collect();
        self.request(Method::PUT, "/secrets", &secrets).await
    }

    /// What all units together may use, as the keeper was told and as the kernel tells it.
    pub async fn together(&self) -> Result<Together, Fault> {
        self.request(Method::GET, "/together", &()).await
    }

    /// Sets what all units together may use.
    pub async fn cap(&self, limits: &Limits) -> Result<(), Fault> {
        self.request(Method::PUT, "/together", limits).await
    }

    /// Stops every unit in order, and the keeper. Returns when the keeper is gone.
    pub async fn shutdown(&self) -> Result<(), Fault> {
        self.stop(Manner::Gracefully).await
    }

    /// Kills every unit at once, and stops the keeper.
    pub async fn kill(&self) -> Result<(), Fault> {
        self.stop(Manner::Now).await
    }

    async fn stop(&self, manner: Manner) -> Result<(), Fault> {
        let health: Health = self.request(Method::GET, "/health", &()).await?;
        let keeper = host::process::Process::open(health.pid);
        // Its last breath may be shorter than its answer: what counts is that it is gone.
        let answer: Result<(), Fault> = self.request(Method::POST, "/shutdown", &Shutdown { manner }).await;
        match keeper {
            Ok(keeper) if answer.is_ok() || !keeper.is_alive() => {
                keeper.ended().await.map_err(|error| Fault::because("cannot see the keeper end", &error))
            }
            Ok(_) => answer,
            Err(_) => Ok(()),
        }
    }

    async fn request<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Fault> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let stream = self.connect_patiently().await.map_err(|error| self.away(&error))?;
            match self.exchange(stream, method.clone(), path, body).await {
                // A question that a dying keeper left unanswered may be asked again. An order may have been carried out.
                Err(fault)
                    if method == Method::GET
                        && fault.retry == Retry::Safe
                        && self.is_being_revived()
                        && Instant::now() < deadline =>
                {
                    tokio::time::sleep(PAUSE).await;
                }
                answer => return answer,
            }
        }
    }

    /// Nothing was sent yet, so trying again is safe.
    async fn connect_patiently(&self) -> io::Result<UnixStream> {
        let attempt = async {
            loop {
                match self.connect() {
                    Ok(stream) => return Ok(stream),
                    Err(error) if !self.is_being_revived() => return Err(error),
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
            }
        };
        match tokio::time::timeout(PATIENCE, attempt).await {
            Ok(result) => result,
            Err(_) => self.connect(),
        }
    }

    fn is_being_revived(&self) -> bool {
        files::exists(&self.root.keeper_socket()) && !files::exists(&down_marker(&self.root))
    }

    fn connect(&self) -> io::Result<UnixStream> {
        let stream = host::socket::connect_unix(&self.root.keeper_socket()).map_err(|fault| fault.source)?;
        stream.set_nonblocking(true)?;
        UnixStream::from_std(stream)
    }

    async fn exchange<T: DeserializeOwned>(
        &self,
        stream: UnixStream,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, Fault> {
        let lost = |error: &(dyn std::error::Error + 'static)| {
            Fault::because("the connection to the keeper broke while it worked", error)
                .hint("whoever holds its lifeline starts it again; try again")
                .retry_safe()
        };
        let body = serde_json::to_vec(body).map_err(|error| Fault::because("cannot write a request", &error))?;
        let request =
            Request::builder().method(method).uri(path).header(HOST, "keeper").header(CONTENT_TYPE, "application/json");
        let request = match self.epoch {
            Some(epoch) => request.header(EPOCH_HEADER, epoch),
            None => request,
        };
        let request = request
            .body(Full::new(Bytes::from(body)))
            .map_err(|error| Fault::because("cannot write a request", &error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| lost(&error))?;
        let exchange = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            Ok::<_, hyper::Error>((status, response.into_body().collect().await?.to_bytes()))
        };
        tokio::pin!(exchange);
        tokio::pin!(connection);
        let answer = tokio::select! {
            answer = &mut exchange => answer,
            // It ends first when the keeper closes after its answer; the answer is there then.
            _ = &mut connection => exchange.await,
        };
        let (status, bytes) = answer.map_err(|error| lost(&error))?;
        if status == StatusCode::OK {
            return serde_json::from_slice(&bytes)
                .map_err(|error| Fault::because("cannot read the keeper's answer", &error));
        }
        Err(serde_json::from_slice::<Fault>(&bytes).unwrap_or_else(|_| {
            Fault::new(format!("the keeper refused {path}"))
                .cause(format!("{status}: {}", String::from_utf8_lossy(&bytes)))
                .hint("a keeper of another version may be running: `roadbed down`, then `roadbed up`")
        }))
    }

    fn away(&self, error: &io::Error) -> Fault {
        Fault::because(format!("no keeper answers for {}", self.root.path().display()), error)
            .hint("nothing runs there: `roadbed up` starts it")
            .retry_safe()
    }

    fn post<'a>(&'a self, name: &'a str, what: &'a str) -> PortFuture<'a, ()> {
        Box::pin(async move { self.request(Method::POST, &format!("/units/{name}/{what}"), &()).await })
    }
}

impl Units for KeeperClient {
    fn ensure(&self, spec: UnitSpec) -> PortFuture<'_, Ensured> {
        Box::pin(async move {
            let path = format!("/units/{}", spec.name);
            let answer: EnsureAnswer = self.request(Method::PUT, &path, &spec).await?;
            Ok(answer.ensured)
        })
    }

    fn remove<'a>(&'a self, name: &'a str) -> PortFuture<'a, ()> {
        Box::pin(async move { self.request(Method::DELETE, &format!("/units/{name}"), &()).await })
    }

    fn restart<'a>(&'a self, name: &'a str) -> PortFuture<'a, ()> {
        self.post(name, "restart")
    }

    fn hold<'a>(&'a self, name: &'a str) -> PortFuture<'a, ()> {
        self.post(name, "hold")
    }

    fn resume<'a>(&'a self, name: &'a str) -> PortFuture<'a, ()> {
        self.post(name, "resume")
    }

    fn list(&self) -> PortFuture<'_, Vec<UnitStatus>> {
        Box::pin(async move { self.request(Method::GET, "/units", &()).await })
    }

    /// Reads the unit's log file; works without a keeper.
    fn tail<'a>(&'a self, name: &'a str, n: usize) -> PortFuture<'a, Vec<String>> {
        Box::pin(async move {
            log::tail(&self.root.log_of(name), n)
                .map_err(|fault| Fault::because(format!("cannot read the log of unit {name:?}"), &fault))
        })
    }
}

impl Sockets for KeeperClient {
    fn listen<'a>(&'a self, name: &'a str, address: SocketAddr) -> PortFuture<'a, SocketAddr> {
        Box::pin(async move {
            let answer: Listening =
                self.request(Method::PUT, &format!("/sockets/{name}"), &Listening { address }).await?;
            Ok(answer.address)
        })
    }
}
