//! The other end of the edge's socket: how control publishes routes.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use reconcile::ports::{Challenges, PortFuture, Published, RouteTable, Routes, Traffic};
use reconcile::{Fault, Root};
use response_cache::Counted;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::abuse::top::Row;
use crate::admission::Admission;
use crate::api::{AskedTop, EPOCH_HEADER, Health, Purge, Rest};
use crate::arrivals::Arrived;
use crate::publish::Outcome;
use crate::rate_limit::access::{StoreAccess, StoreHealth};

/// Speaks to the edge of one environment.
#[derive(Clone, Debug)]
pub struct EdgeClient {
    root: Root,
    epoch: Option<u64>,
}

impl EdgeClient {
    pub fn new(root: Root) -> Self {
        Self { root, epoch: None }
    }

    /// As the control of this epoch: refused once another has taken over.
    pub fn of_epoch(self, epoch: u64) -> Self {
        Self { epoch: Some(epoch), ..self }
    }

    pub async fn health(&self) -> Result<Health, Fault> {
        self.call(Method::GET, "/health", Bytes::new()).await
    }

    /// How many requests of visitors came in: told when it is not what is known, or after a while.
    pub async fn arrivals(&self, known: Arrived) -> Result<Arrived, Fault> {
        let body = serde_json::to_vec(&known).map_err(|error| Fault::because("cannot encode what is known", &error))?;
        self.call(Method::POST, "/arrivals", Bytes::from(body)).await
    }

    /// Tells the edge where limits are counted together. Only over its socket, never on disk: it holds a password.
    pub async fn count_limits_in(&self, access: &StoreAccess) -> Result<(), Fault> {
        let body = serde_json::to_vec(access).map_err(|_| Fault::new("cannot encode where limits are counted"))?;
        self.call(Method::PUT, "/limits-store", Bytes::from(body)).await
    }

    /// Whether limits are counted there, as a question to Redis says it now.
    pub async fn limits_store(&self) -> Result<StoreHealth, Fault> {
        self.call(Method::GET, "/limits-store", Bytes::new()).await
    }

    /// Tells the edge who is let in beyond what the routes say.
    pub async fn admit(&self, admission: &Admission) -> Result<(), Fault> {
        let body =
            serde_json::to_vec(admission).map_err(|error| Fault::because("cannot encode who is let in", &error))?;
        self.call(Method::PUT, "/admission", Bytes::from(body)).await
    }

    /// Who asked most in the last five minutes.
    pub async fn top(&self, asked: AskedTop) -> Result<Vec<Row>, Fault> {
        let body = serde_json::to_vec(&asked).map_err(|error| Fault::because("cannot encode a question", &error))?;
        self.call(Method::POST, "/top", Bytes::from(body)).await
    }

    /// What became of requests in the cache of each app that has one, since this edge began.
    pub async fn caches(&self) -> Result<BTreeMap<String, Counted>, Fault> {
        self.call(Method::GET, "/cache", Bytes::new()).await
    }

    /// Takes kept answers back, and says of how many addresses.
    pub async fn purge(&self, purge: &Purge) -> Result<usize, Fault> {
        let body =
            serde_json::to_vec(purge).map_err(|error| Fault::because("cannot encode what is taken back", &error))?;
        self.call(Method::POST, "/purge", Bytes::from(body)).await
    }

    async fn about(&self, path: &str, rest: &Rest) -> Result<(), Fault> {
        let body = serde_json::to_vec(rest).map_err(|error| Fault::because("cannot encode an instance", &error))?;
        self.call::<usize>(Method::POST, path, Bytes::from(body)).await.map(drop)
    }

    async fn call<T: DeserializeOwned>(&self, method: Method, path: &str, body: Bytes) -> Result<T, Fault> {
        // Whoever calls may call again: nothing here happens twice.
        let away = |error: &(dyn std::error::Error + 'static)| {
            Fault::because("cannot speak to the edge", error)
                .hint("`roadbed status` shows whether it runs")
                .retry_safe()
        };
        let stream = host::socket::connect_unix(&self.root.edge_socket()).map_err(|error| away(&error))?;
        stream.set_nonblocking(true).map_err(|error| away(&error))?;
        let stream = UnixStream::from_std(stream).map_err(|error| away(&error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| away(&error))?;
        let mut request = Request::builder().method(method).uri(path).header(http::header::HOST, "edge");
        if let Some(epoch) = self.epoch {
            request = request.header(EPOCH_HEADER, epoch);
        }
        let request = request.body(Full::new(body)).map_err(|error| away(&error))?;
        let exchange = async {
            let response = sender.send_request(request).await?;
            let status = response.status();
            Ok::<_, hyper::Error>((status, response.into_body().collect().await?.to_bytes()))
        };
        // The connection moves only while it is polled, and lives for this one call.
        let driver = tokio::spawn(connection);
        let outcome = exchange.await;
        driver.abort();
        let (status, bytes) = outcome.map_err(|error| away(&error))?;
        if !status.is_success() {
            return Err(serde_json::from_slice(&bytes).unwrap_or_else(|error| away(&error)));
        }
        serde_json::from_slice(&bytes).map_err(|error| away(&error))
    }
}

impl Routes for EdgeClient {
    fn publish(&self, table: RouteTable) -> PortFuture<'_, Published> {
        Box::pin(async move {
            let body =
                serde_json::to_vec(&table).map_err(|error| Fault::because("cannot encode the routes", &error))?;
            let outcome: Outcome = self.call(Method::PUT, "/routes", Bytes::from(body)).await?;
            Ok(match outcome {
                Outcome { generation, changed: true } => Published::Served { generation },
                Outcome { generation, changed: false } => Published::Unchanged { generation },
            })
        })
    }

    fn rest<'a>(&'a self, instance: &'a str, longest: Duration) -> PortFuture<'a, ()> {
        Box::pin(async move {
            let longest_ms = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
            self.about("/rest", &Rest { instance: instance.to_owned(), longest_ms }).await
        })
    }

    fn wake<'a>(&'a self, instance: &'a str) -> PortFuture<'a, ()> {
        Box::pin(async move { self.about("/wake", &Rest { instance: instance.to_owned(), longest_ms: 0 }).await })
    }

    fn prove(&self, challenges: Challenges) -> PortFuture<'_, ()> {
        Box::pin(async move {
            let body =
                serde_json::to_vec(&challenges).map_err(|error| Fault::because("cannot encode the proofs", &error))?;
            self.call(Method::PUT, "/challenges", Bytes::from(body)).await
        })
    }

    fn take_up_certificates(&self) -> PortFuture<'_, ()> {
        Box::pin(self.call(Method::POST, "/certificates", Bytes::new()))
    }

    fn end_streams<'a>(&'a self, instance: &'a str, within: Duration) -> PortFuture<'a, ()> {
        Box::pin(async move {
            let longest_ms = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
            self.about("/end-streams", &Rest { instance: instance.to_owned(), longest_ms }).await
        })
    }

    fn traffic(&self) -> PortFuture<'_, Vec<Traffic>> {
        Box::pin(self.call(Method::GET, "/traffic", Bytes::new()))
    }

    fn current(&self) -> PortFuture<'_, Option<RouteTable>> {
        Box::pin(self.call(Method::GET, "/routes", Bytes::new()))
    }
}
