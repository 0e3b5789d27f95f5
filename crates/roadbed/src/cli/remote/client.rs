//! Asks the API of an environment over HTTPS.

use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use host::files;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use manifest::EnvRef;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use reconcile::Fault;
use reconcile::fault::Retry;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use url::{Host, Url};

use super::ci::Ci;
use crate::cli::failure::Failure;
use crate::control::api::answers::Exchanged;
use crate::control::api::problem::Problem;
use crate::control::api::questions::ToExchange;
use crate::control::api::token::Token;

/// From the first packet to the end of the answer; longer than any answer may wait.
const PATIENCE: Duration = Duration::from_secs(45);

/// As control has it for them.
const PATIENCE_WITH_FILES: Duration = Duration::from_secs(9 * 60);

/// Fifty releases with their changes are far less.
const MOST_ANSWER: usize = 16 * 1024 * 1024;

/// A request that can be sent again is, so often: a control that is killed is back within seconds.
const TRIES: u32 = 20;
const PAUSE: Duration = Duration::from_millis(500);

/// The API, perhaps of one environment. Its `Debug` shows no token.
#[derive(Clone)]
pub struct Api {
    base: Url,
    /// What is shown. That of a run of the CI is had when it is first needed, and anew when it is over.
    token: Arc<Mutex<Option<Arc<Token>>>>,
    ci: Option<Arc<Ci>>,
    tls: TlsConnector,
    /// Paths that do not begin with a slash are below it.
    below: String,
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Api").field("base", &self.base.as_str()).finish_non_exhaustive()
    }
}

/// The token in a file.
pub(super) fn token_of(file: &Path) -> Result<String, Failure> {
    files::read_string(file).map_err(|fault| {
        Failure::Usage(
            Fault::because("cannot read the token", &fault).hint("--token-file names the file that it is in"),
        )
    })
}

/// The token on stdin.
pub(super) fn token_of_stdin() -> Result<String, Failure> {
    let mut text = String::new();
    // A token is 77 characters long: whatever is longer is none.
    std::io::stdin()
        .take(4096)
        .read_to_string(&mut text)
        .map_err(|error| Fault::because("cannot read the token", &error))?;
    Ok(text)
}

impl Api {
    pub fn new(url: &str, token: &str, ca_file: Option<&Path>) -> Result<Self, Failure> {
        let none = || {
            Failure::Usage(
                Fault::new(format!("cannot ask {url}"))
                    .cause("what was given is no token: `roadbed token create` makes one"),
            )
        };
        // First where it would go: the token would be anybody's on the way.
        let api = Self::by(url, None, ca_file)?;
        let token = Token::read(token.trim()).ok_or_else(none)?;
        *api.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(token));
        Ok(api)
    }

    /// For a job of a CI.
    pub(super) fn of_ci(url: &str, ci: Ci, ca_file: Option<&Path>) -> Result<Self, Failure> {
        Self::by(url, Some(Arc::new(ci)), ca_file)
    }

    fn by(url: &str, ci: Option<Arc<Ci>>, ca_file: Option<&Path>) -> Result<Self, Failure> {
        let wrong = |why: String| Failure::Usage(Fault::new(format!("cannot ask {url}")).cause(why));
        let base = Url::parse(url).map_err(|error| wrong(error.to_string()))?;
        // The token would be anybody's on the way.
        if base.scheme() != "https" || base.host().is_none() || !base.username().is_empty() || base.query().is_some() {
            return Err(wrong(
                "the address of an API begins with https:// and has nothing but a host and a port".to_owned(),
            ));
        }
        let mut roots = RootCertStore::empty();
        match ca_file {
            None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Some(file) => {
                let pem = files::read(file).map_err(|fault| wrong(format!("{fault}: {}", fault.source)))?;
                let (added, _) = roots.add_parsable_certificates(CertificateDer::pem_slice_iter(&pem).flatten());
                if added == 0 {
                    return Err(wrong(format!("{} holds no certificate", file.display())));
                }
            }
        }
        let config = ClientConfig::builder_with_provider(edge::tls::provider())
            .with_safe_default_protocol_versions()
            .map_err(|error| wrong(error.to_string()))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let (token, tls) = (Arc::default(), TlsConnector::from(Arc::new(config)));
        Ok(Self { base, token, ci, tls, below: String::new() })
    }

    /// The same, of one environment.
    pub(super) fn of(&self, environment: &EnvRef) -> Self {
        let environment = utf8_percent_encode(&environment.to_string(), NON_ALPHANUMERIC).to_string();
        Self { below: format!("/v1/environments/{environment}/"), ..self.clone() }
    }

    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Fault> {
        self.answered(Method::GET, path, None, None).await
    }

    /// `None`: there is no such thing.
    pub(super) async fn find<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Fault> {
        match self.replied(Method::GET, path, None, None).await? {
            (StatusCode::NOT_FOUND, _) => Ok(None),
            (status, answer) => self.read(status, &answer).map(Some),
        }
    }

    /// With a key a request is sent again where no answer came: it is done once all the same.
    pub(super) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        key: Option<&str>,
    ) -> Result<T, Fault> {
        let body = Bytes::from(serde_json::to_vec(body).expect("requests are plain data"));
        let mut tries = if key.is_some() { TRIES } else { 1 };
        loop {
            match self.answered(Method::POST, path, Some(body.clone()), key).await {
                Err(fault) if fault.retry == Retry::Safe && tries > 1 => {
                    tries -= 1;
                    sleep(PAUSE).await;
                }
                answer => return answer,
            }
        }
    }

    /// Brings a file. It can be sent again: what is there already stays.
    pub(super) async fn put_file<T: DeserializeOwned>(&self, path: &str, file: &Path) -> Result<T, Fault> {
        let bytes = files::read(file).map_err(|fault| Fault::because("cannot bring an artifact", &fault))?;
        let body = Bytes::from(bytes);
        let mut tries = TRIES;
        loop {
            match self.answered(Method::PUT, path, Some(body.clone()), None).await {
                Err(fault) if fault.retry == Retry::Safe && tries > 1 => {
                    tries -= 1;
                    sleep(PAUSE).await;
                }
                answer => return answer,
            }
        }
    }

    async fn answered<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        key: Option<&str>,
    ) -> Result<T, Fault> {
        let (status, answer) = self.replied(method, path, body, key).await?;
        self.read(status, &answer)
    }

    async fn replied(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        key: Option<&str>,
    ) -> Result<(StatusCode, Bytes), Fault> {
        let mut shown = self.shown().await?;
        let (mut status, mut answer) = self.asked(method.clone(), path, body.clone(), key, Some(&shown)).await?;
        if status == StatusCode::UNAUTHORIZED && self.ci.is_some() {
            // A deployment may take longer than its token holds.
            self.forget(&shown);
            shown = self.shown().await?;
            (status, answer) = self.asked(method, path, body, key, Some(&shown)).await?;
        }
        Ok((status, answer))
    }

    /// The token that is shown.
    async fn shown(&self) -> Result<Arc<Token>, Fault> {
        let kept = || self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(ci) = self.ci.as_ref().filter(|_| kept().is_none()) else {
            return kept().ok_or_else(|| Fault::new(format!("there is no token for {}", self.base)));
        };
        let mut tries = TRIES;
        let exchanged: Exchanged = loop {
            // Each is accepted once, so each try takes a fresh one.
            let body = ToExchange { token: ci.token().await?.expose().to_owned() };
            let body = Bytes::from(serde_json::to_vec(&body).expect("requests are plain data"));
            let answer = match self.asked(Method::POST, "/v1/token/exchange", Some(body), None, None).await {
                Ok((status, answer)) => self.read(status, &answer),
                Err(fault) => Err(fault),
            };
            match answer {
                Err(fault) if fault.retry == Retry::Safe && tries > 1 => {
                    tries -= 1;
                    sleep(PAUSE).await;
                }
                answer => break answer?,
            }
        };
        let token = Token::read(&exchanged.token).map(Arc::new);
        let token = token.ok_or_else(|| Fault::new("cannot understand the answer of the API: it gave no token"))?;
        *self.token.lock().unwrap_or_else(PoisonError::into_inner) = Some(token.clone());
        Ok(token)
    }

    /// A token that is over is asked for anew.
    fn forget(&self, over: &Arc<Token>) {
        let mut kept = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.as_ref().is_some_and(|kept| Arc::ptr_eq(kept, over)) {
            *kept = None;
        }
    }

    async fn asked(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        key: Option<&str>,
        token: Option<&Token>,
    ) -> Result<(StatusCode, Bytes), Fault> {
        let patience = if method == Method::PUT { PATIENCE_WITH_FILES } else { PATIENCE };
        timeout(patience, self.exchange(method, path, body, key, token))
            .await
            .unwrap_or_else(|_| Err(self.away().cause(format!("it did not answer within {} s", patience.as_secs()))))
    }

    fn read<T: DeserializeOwned>(&self, status: StatusCode, body: &[u8]) -> Result<T, Fault> {
        if status.is_success() {
            return serde_json::from_slice(body).map_err(|error| {
                Fault::because("cannot understand the answer of the API", &error).hint("it may be of another version")
            });
        }
        Err(match serde_json::from_slice::<Problem>(body) {
            Ok(problem) => {
                let retry = if status == StatusCode::SERVICE_UNAVAILABLE { Retry::Safe } else { Retry::Useless };
                Fault { retry, ..Fault::from(problem) }
            }
            Err(_) => Fault::new(format!("{} answered {status}", self.base)).hint("is it the API of an environment?"),
        })
    }

    fn away(&self) -> Fault {
        Fault::new(format!("cannot reach {}", self.base))
            .hint("`roadbed status` at the environment says where its API is, and whether it listens")
            .retry_safe()
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Option<Bytes>,
        key: Option<&str>,
        token: Option<&Token>,
    ) -> Result<(StatusCode, Bytes), Fault> {
        let away = |error: &(dyn std::error::Error + 'static)| {
            let fault = self.away();
            Fault { causes: Fault::because("", error).causes, ..fault }
        };
        let host = self.base.host().ok_or_else(|| self.away())?;
        let port = self.base.port_or_known_default().unwrap_or(443);
        let (tcp, name) = match host {
            Host::Domain(name) => (TcpStream::connect((name, port)).await, ServerName::try_from(name.to_owned())),
            Host::Ipv4(ip) => (TcpStream::connect((ip, port)).await, Ok(ServerName::from(std::net::IpAddr::V4(ip)))),
            Host::Ipv6(ip) => (TcpStream::connect((ip, port)).await, Ok(ServerName::from(std::net::IpAddr::V6(ip)))),
        };
        let tcp = tcp.map_err(|error| away(&error))?;
        let name = name.map_err(|error| away(&error))?;
        let stream = self.tls.connect(name, tcp).await.map_err(|error| {
            // No second try makes a certificate another one.
            Fault { retry: Retry::Useless, ..away(&error) }
                .hint("--ca-file names the certificates that it is recognised by")
        })?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| away(&error))?;
        tokio::spawn(connection);
        let path = if path.starts_with('/') { path.to_owned() } else { format!("{}{path}", self.below) };
        let mut request = Request::builder()
            .header("content-type", if method == Method::PUT { "application/octet-stream" } else { "application/json" })
            .method(method)
            .uri(path)
            .header("host", self.base.authority());
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {}", token.expose()));
        }
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let request = request.body(Full::new(body.unwrap_or_default())).map_err(|error| away(&error))?;
        let response = sender.send_request(request).await.map_err(|error| away(&error))?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, MOST_ANSWER).collect().await;
        let body = body.map_err(|error| self.away().cause(error.to_string()))?;
        Ok((head.status, body.to_bytes()))
    }
}
