//! The other end of the role's socket.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use reconcile::{Fault, Root};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::query::Health;

/// Speaks to the telemetry of one environment.
#[derive(Clone, Debug)]
pub struct TelemetryClient {
    root: Root,
}

impl TelemetryClient {
    pub fn new(root: Root) -> Self {
        Self { root }
    }

    /// # Errors
    /// Where nobody answers.
    pub async fn health(&self) -> Result<Health, Fault> {
        self.get("/health").await
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Fault> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Fault> {
        let body = serde_json::to_vec(body).expect("questions are plain data");
        self.ask(Method::POST, path, body.into()).await
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, body: Bytes) -> Result<T, Fault> {
        let away = |error: &(dyn std::error::Error + 'static)| {
            Fault::because("cannot speak to telemetry", error)
                .hint("`roadbed status` shows whether it runs")
                .retry_safe()
        };
        let stream = host::socket::connect_unix(&self.root.telemetry_socket()).map_err(|error| away(&error))?;
        stream.set_nonblocking(true).map_err(|error| away(&error))?;
        let stream = UnixStream::from_std(stream).map_err(|error| away(&error))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| away(&error))?;
        let request = Request::builder().method(method).uri(path).header("host", "telemetry");
        let request =
            request.header("content-type", "application/json").body(Full::new(body)).map_err(|error| away(&error))?;
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
