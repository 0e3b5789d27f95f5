//! A visitor from outside: comes in by the edge's public sockets, and trusts the environment's authority and nobody else.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use host::files;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper_util::rt::TokioIo;
use reconcile::Fault;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Pages of the apps are far smaller; more is cut off as a failure.
const LARGEST_BODY: usize = 4 * 1024 * 1024;

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: String,
}

/// Visits the sites of one environment over loopback.
#[derive(Clone)]
pub struct Visitor {
    tls: TlsConnector,
    http_port: u16,
    https_port: u16,
}

impl std::fmt::Debug for Visitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Visitor").field("http_port", &self.http_port).field("https_port", &self.https_port).finish()
    }
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

impl Visitor {
    pub fn new(ca_file: &Path, http_port: u16, https_port: u16) -> Result<Self, Fault> {
        let cannot =
            |error: &(dyn std::error::Error + 'static)| Fault::because("cannot trust the local authority", error);
        let pem = files::read(ca_file).map_err(|fault| cannot(&fault))?;
        let mut roots = RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            let certificate = certificate.map_err(|error| cannot(&error))?;
            roots.add(certificate).map_err(|error| cannot(&error))?;
        }
        let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| cannot(&error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { tls: TlsConnector::from(Arc::new(config)), http_port, https_port })
    }

    /// `GET https://HOST:PORT/PATH`. An error is a sentence: refused, no valid certificate, no answer in time.
    pub async fn get(&self, host: &str, path: &str, limit: Duration) -> Result<Answer, String> {
        let authority = format!("{host}:{}", self.https_port);
        let visit = async {
            let stream = TcpStream::connect(loopback(self.https_port)).await?;
            let name = ServerName::try_from(host.to_owned())?;
            let stream = self.tls.connect(name, stream).await?;
            exchange(stream, &authority, path).await
        };
        ended(timeout(limit, visit).await, limit)
    }

    /// `GET http://HOST:PORT/PATH`, without following where it leads.
    pub async fn get_plain(&self, host: &str, path: &str, limit: Duration) -> Result<Answer, String> {
        let authority = format!("{host}:{}", self.http_port);
        let visit = async {
            let stream = TcpStream::connect(loopback(self.http_port)).await?;
            exchange(stream, &authority, path).await
        };
        ended(timeout(limit, visit).await, limit)
    }

    /// The address that a redirect must lead to.
    pub fn https_url(&self, host: &str, path: &str) -> String {
        match self.https_port {
            443 => format!("https://{host}{path}"),
            port => format!("https://{host}:{port}{path}"),
        }
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn ended(
    outcome: Result<Result<Answer, AnyError>, tokio::time::error::Elapsed>,
    limit: Duration,
) -> Result<Answer, String> {
    match outcome {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} ms", limit.as_millis())),
    }
}

async fn exchange<S>(stream: S, authority: &str, path: &str) -> Result<Answer, AnyError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Ends by itself when the sender is dropped at the end of this function.
    tokio::spawn(connection);
    let request = Request::get(path)
        .header("host", authority)
        .header("accept", "text/html,application/json")
        .body(Empty::<Bytes>::new())?;
    let response = sender.send_request(request).await?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, LARGEST_BODY).collect().await?.to_bytes();
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    Ok(Answer { status: head.status.as_u16(), headers, body: String::from_utf8_lossy(&body).into_owned() })
}
