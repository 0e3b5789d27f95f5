//! A visitor from outside: comes in by the edge's public addresses, and trusts one certificate authority and nobody else.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::client::WantsClientCert;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::events::Events;
use crate::web_socket::WebSocket;

/// A visitor is gone after this long, unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(20);

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

impl Answer {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body)
            .unwrap_or_else(|error| panic!("status {} and no JSON: {error}\n{}", self.status, self.body))
    }
}

/// Makes requests, each on a connection of its own. Blocking, and to be shared by threads.
#[derive(Clone)]
pub struct Client {
    runtime: Arc<Runtime>,
    tls: TlsConnector,
    patience: Duration,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("patience", &self.patience).finish_non_exhaustive()
    }
}

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

impl Client {
    /// Trusts what `ca_file` signed.
    pub fn trusting(ca_file: &Path) -> Self {
        Self::of(Self::config(ca_file).with_no_client_auth())
    }

    /// As [`Client::trusting`], and shows this certificate, in PEM, to who asks.
    pub fn showing(ca_file: &Path, chain_pem: &str, key_pem: &str) -> Self {
        let chain = CertificateDer::pem_slice_iter(chain_pem.as_bytes()).map(Result::unwrap).collect();
        let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).unwrap();
        Self::of(Self::config(ca_file).with_client_auth_cert(chain, key).unwrap())
    }

    fn config(ca_file: &Path) -> ConfigBuilder<ClientConfig, WantsClientCert> {
        let pem = std::fs::read(ca_file).unwrap_or_else(|error| panic!("{}: {error}", ca_file.display()));
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            roots.add(certificate.unwrap()).unwrap();
        }
        ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
    }

    fn of(config: ClientConfig) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        Self { runtime: Arc::new(runtime), tls: TlsConnector::from(Arc::new(config)), patience: PATIENCE }
    }

    /// The same, giving up after `patience`.
    pub fn patient_for(&self, patience: Duration) -> Self {
        Self { patience, ..self.clone() }
    }

    /// An error is a sentence: refused, no valid certificate, no answer in time.
    pub fn get(&self, url: &str) -> Result<Answer, String> {
        self.request("GET", url, &[], "")
    }

    pub fn post(&self, url: &str, headers: &[(&str, &str)], body: &str) -> Result<Answer, String> {
        self.request("POST", url, headers, body)
    }

    pub fn request(&self, method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Result<Answer, String> {
        let exchange = async {
            let (mut sender, request) = self.begin(method, url, headers, body).await?;
            read(sender.send_request(request).await?).await
        };
        self.ended(exchange)
    }

    /// As [`Client::request`], on a connection that is kept.
    pub(crate) fn request_on(
        &self,
        kept: &mut Option<http1::SendRequest<Full<Bytes>>>,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer, String> {
        let exchange = async {
            if let Some(mut sender) = kept.take()
                && sender.ready().await.is_ok()
            {
                let request = Self::request_of(method, &Address::of(url)?, headers, body)?;
                match sender.send_request(request).await {
                    Ok(response) => {
                        let answer = read(response).await?;
                        *kept = Some(sender);
                        return Ok(answer);
                    }
                    // It never left: the other side had closed the connection meanwhile.
                    Err(error) if error.is_canceled() => {}
                    Err(error) => return Err(error.into()),
                }
            }
            let (mut sender, request) = self.begin(method, url, headers, body).await?;
            let answer = read(sender.send_request(request).await?).await?;
            *kept = Some(sender);
            Ok(answer)
        };
        self.ended(exchange)
    }

    /// Opens a stream of events. An answer that is not 200 is an error.
    pub fn events(&self, url: &str) -> Result<Events, String> {
        let opening = async {
            let (mut sender, request) = self.begin("GET", url, &[("accept", "text/event-stream")], "").await?;
            let response = sender.send_request(request).await?;
            match response.status().as_u16() {
                200 => Ok((response, sender)),
                other => Err(format!("answered {other} and not 200").into()),
            }
        };
        let (response, sender) = self.ended(opening)?;
        Ok(Events::new(Arc::clone(&self.runtime), response, sender))
    }

    /// Upgrades to a WebSocket. An answer that is not 101 is an error.
    pub fn web_socket(&self, url: &str, headers: &[(&str, &str)]) -> Result<WebSocket, String> {
        // Any 16 bytes; the answer proves that they were read.
        const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
        const PROOF: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
        let upgrading = async {
            let mut all = vec![
                ("connection", "Upgrade"),
                ("upgrade", "websocket"),
                ("sec-websocket-version", "13"),
                ("sec-websocket-key", KEY),
            ];
            all.extend_from_slice(headers);
            let (mut sender, request) = self.begin("GET", url, &all, "").await?;
            let response = sender.send_request(request).await?;
            if response.status() != 101 {
                let status = response.status();
                let body = response.into_body().collect().await?.to_bytes();
                return Err(format!("answered {status} and not 101: {}", String::from_utf8_lossy(&body)).into());
            }
            let proof = response.headers().get("sec-websocket-accept").cloned();
            if proof.as_ref().is_none_or(|proof| proof != PROOF) {
                return Err(format!("sec-websocket-accept is {proof:?}").into());
            }
            Ok(TokioIo::new(hyper::upgrade::on(response).await?))
        };
        let stream = self.ended(upgrading)?;
        Ok(WebSocket::new(Arc::clone(&self.runtime), Box::new(stream)))
    }

    /// The certificate that a server shows, in DER, once its chain has been verified.
    pub fn certificate_of(&self, url: &str) -> Result<Vec<u8>, String> {
        let connecting = async {
            let address = Address::of(url)?;
            let tcp = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, address.port))).await?;
            let stream = self.tls.connect(ServerName::try_from(address.host.to_owned())?, tcp).await?;
            let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
            Ok(chain.first().ok_or("no certificate")?.to_vec())
        };
        self.ended(connecting)
    }

    async fn begin(
        &self,
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<(http1::SendRequest<Full<Bytes>>, Request<Full<Bytes>>), AnyError> {
        let address = Address::of(url)?;
        let Address { scheme, host, port, .. } = address;
        let tcp = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
        let stream: Box<dyn Stream> = match scheme {
            "https" => Box::new(self.tls.connect(ServerName::try_from(host.to_owned())?, tcp).await?),
            _ => Box::new(tcp),
        };
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends by itself when the sender is dropped.
        tokio::spawn(connection.with_upgrades());
        Ok((sender, Self::request_of(method, &address, headers, body)?))
    }

    fn request_of(
        method: &str,
        address: &Address<'_>,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Request<Full<Bytes>>, AnyError> {
        let uri = format!("/{}", address.path);
        let mut request = Request::builder().method(method).uri(uri).header("host", address.authority);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Ok(request.body(Full::new(Bytes::from(body.to_owned())))?)
    }

    fn ended<T>(&self, work: impl Future<Output = Result<T, AnyError>>) -> Result<T, String> {
        match self.runtime.block_on(async { timeout(self.patience, work).await }) {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("no answer within {} s", self.patience.as_secs())),
        }
    }
}

async fn read(response: hyper::Response<hyper::body::Incoming>) -> Result<Answer, AnyError> {
    let (head, body) = response.into_parts();
    let body = body.collect().await?.to_bytes();
    Ok(Answer {
        status: head.status.as_u16(),
        headers: texts(&head.headers),
        body: String::from_utf8_lossy(&body).into_owned(),
    })
}

/// A URL, taken apart.
struct Address<'a> {
    scheme: &'a str,
    authority: &'a str,
    host: &'a str,
    port: u16,
    /// Without the slash it begins with.
    path: &'a str,
}

impl<'a> Address<'a> {
    fn of(url: &'a str) -> Result<Self, AnyError> {
        let (scheme, rest) = url.split_once("://").ok_or_else(|| format!("{url} is no URL"))?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, port.parse()?),
            None => (authority, if scheme == "https" { 443 } else { 80 }),
        };
        Ok(Self { scheme, authority, host, port, path })
    }
}

fn texts(headers: &hyper::HeaderMap) -> BTreeMap<String, String> {
    headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect()
}
