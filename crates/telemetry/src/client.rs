//! The other end of the role's socket.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use reconcile::{Fault, Root};
use secrets::Secret;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

use crate::exports::{ExportSecret, ExportState};
use crate::logs::{Answer, Question, State};
use crate::metrics::{Fact, Minute};
use crate::query::Health;
use crate::redaction::{self, Unspeakable};
use crate::traces::Span;

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

    /// Lines that were kept.
    ///
    /// # Errors
    /// Where nobody answers, or nothing can be read.
    pub async fn logs(&self, question: &Question) -> Result<Answer, Fault> {
        let body = serde_json::to_vec(question).map_err(|error| Fault::because("cannot ask for logs", &error))?;
        self.ask(Method::POST, "/logs", body.into()).await
    }

    /// How it goes with the logs.
    ///
    /// # Errors
    /// Where nobody answers.
    pub async fn logs_state(&self) -> Result<State, Fault> {
        self.get("/logs/state").await
    }

    /// The spans of a trace, by their beginning.
    ///
    /// # Errors
    /// Where nobody answers, or nothing can be read.
    pub async fn trace(&self, id: &str) -> Result<Vec<Span>, Fault> {
        // What has no such form is no trace's, and no path either.
        if id.len() != 32 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Vec::new());
        }
        self.get(&format!("/traces/{}", id.to_ascii_lowercase())).await
    }

    /// What control knows in numbers, all of it.
    ///
    /// # Errors
    /// Where nobody answers.
    pub async fn tell(&self, facts: &[Fact]) -> Result<(), Fault> {
        let body =
            serde_json::to_vec(facts).map_err(|error| Fault::because("cannot tell telemetry numbers", &error))?;
        self.ask(Method::PUT, "/facts", body.into()).await
    }

    /// Which state of knowledge it has of what must not be kept; `None`: it was told nothing yet.
    ///
    /// # Errors
    /// Where nobody answers.
    pub async fn secrets_told(&self) -> Result<Option<String>, Fault> {
        self.get("/secrets").await
    }

    /// The state of knowledge that these make.
    pub fn fingerprint(secrets: &[(String, Secret)]) -> String {
        redaction::fingerprint(secrets.iter().map(|(name, secret)| (name.as_str(), secret.expose())))
    }

    /// Tells it what must not be kept of what apps report.
    ///
    /// # Errors
    /// Where nobody answers.
    pub async fn look_for(&self, secrets: &[(String, Secret)]) -> Result<(), Fault> {
        let all: Vec<Unspeakable> = secrets.iter().map(|(name, secret)| Unspeakable::new(name, secret)).collect();
        let body = serde_json::to_vec(&all).map_err(|error| Fault::because("cannot tell telemetry secrets", &error))?;
        self.ask(Method::PUT, "/secrets", body.into()).await
    }

    /// How it goes with what leaves for services elsewhere.
    ///
    /// # Errors
    /// Where nobody answers.
    pub async fn exports(&self) -> Result<Vec<ExportState>, Fault> {
        self.get("/exports").await
    }

    /// Tells it what opens the receivers of exports, all of it.
    ///
    /// # Errors
    /// Where nobody answers.
    pub async fn tell_exports(&self, secrets: &[ExportSecret]) -> Result<(), Fault> {
        let body =
            serde_json::to_vec(secrets).map_err(|error| Fault::because("cannot tell telemetry secrets", &error))?;
        self.ask(Method::PUT, "/exports/secrets", body.into()).await
    }

    /// Requests of each app by the minute.
    ///
    /// # Errors
    /// Where nobody answers.
    pub async fn minutes(&self) -> Result<Vec<Minute>, Fault> {
        self.get("/minutes").await
    }

    /// As [`Self::minutes`], from one on, in minutes since 1970.
    ///
    /// # Errors
    /// As [`Self::minutes`].
    pub async fn minutes_since(&self, minute: i64) -> Result<Vec<Minute>, Fault> {
        self.get(&format!("/minutes?since={minute}")).await
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Fault> {
        self.ask(Method::GET, path, Bytes::new()).await
    }

    pub(crate) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Fault> {
        let body = serde_json::to_vec(body).expect("questions are plain data");
        self.ask(Method::POST, path, body.into()).await
    }

    pub(crate) async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, body: Bytes) -> Result<T, Fault> {
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
