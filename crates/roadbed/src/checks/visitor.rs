//! A visitor from outside: comes in by the edge's public sockets, and trusts who signs for the environment and nobody else.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use acme::Trust;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use reconcile::Fault;
use rustls::client::ResolvesClientCert;
use rustls::pki_types::ServerName;
use secrets::Secret;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpSocket, TcpStream};
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
    /// `shown` goes to sites that ask for a certificate.
    pub fn new(
        trust: &Trust,
        shown: Option<Arc<dyn ResolvesClientCert>>,
        http_port: u16,
        https_port: u16,
    ) -> Result<Self, Fault> {
        let config = trust.client().map_err(|error| Fault::because("cannot set up TLS for a visitor", &error))?;
        let mut config = (*config).clone();
        if let Some(shown) = shown {
            config.client_auth_cert_resolver = shown;
        }
        let config = Arc::new(config);
        Ok(Self { tls: TlsConnector::from(config), http_port, https_port })
    }

    /// `GET https://HOST:PORT/PATH`. An error is a sentence: refused, no valid certificate, no answer in time.
    pub async fn get(&self, host: &str, path: &str, limit: Duration) -> Result<Answer, String> {
        let authority = format!("{host}:{}", self.https_port);
        let visit = async {
            let stream = TcpStream::connect(loopback(self.https_port)).await?;
            let name = ServerName::try_from(host.to_owned())?;
            let stream = self.tls.connect(name, stream).await?;
            exchange(stream, &authority, path, None).await
        };
        ended(timeout(limit, visit).await, limit)
    }

    /// As [`Visitor::get`], with a name and a password.
    pub async fn get_as(
        &self,
        host: &str,
        path: &str,
        user: &str,
        password: &Secret,
        limit: Duration,
    ) -> Result<Answer, String> {
        let login = format!("Basic {}", base64(format!("{user}:{}", password.expose()).as_bytes()));
        let authority = format!("{host}:{}", self.https_port);
        let visit = async {
            let stream = TcpStream::connect(loopback(self.https_port)).await?;
            let stream = self.tls.connect(ServerName::try_from(host.to_owned())?, stream).await?;
            exchange(stream, &authority, path, Some(&login)).await
        };
        ended(timeout(limit, visit).await, limit)
    }

    /// As [`Visitor::get`], with more headers.
    pub async fn get_showing(
        &self,
        host: &str,
        path: &str,
        headers: &[(String, String)],
        limit: Duration,
    ) -> Result<Answer, String> {
        let authority = format!("{host}:{}", self.https_port);
        let visit = async {
            let stream = TcpStream::connect(loopback(self.https_port)).await?;
            let stream = self.tls.connect(ServerName::try_from(host.to_owned())?, stream).await?;
            exchange_showing(stream, &authority, path, headers).await
        };
        ended(timeout(limit, visit).await, limit)
    }

    /// `POST https://HOST:PORT/PATH`.
    pub async fn post(
        &self,
        host: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Bytes,
        limit: Duration,
    ) -> Result<Answer, String> {
        let visit = async {
            let stream = TcpStream::connect(loopback(self.https_port)).await?;
            let stream = self.tls.connect(ServerName::try_from(host.to_owned())?, stream).await?;
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            // Ends by itself when the sender is dropped.
            tokio::spawn(connection);
            let request = Request::post(path).header("host", format!("{host}:{}", self.https_port));
            let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
            answer_of(sender.send_request(request.body(Full::new(body))?).await?).await
        };
        ended(timeout(limit, visit).await, limit)
    }

    /// `GET http://HOST:PORT/PATH`, without following where it leads.
    pub async fn get_plain(&self, host: &str, path: &str, limit: Duration) -> Result<Answer, String> {
        let authority = format!("{host}:{}", self.http_port);
        let visit = async {
            let stream = TcpStream::connect(loopback(self.http_port)).await?;
            exchange(stream, &authority, path, None).await
        };
        ended(timeout(limit, visit).await, limit)
    }

    /// A connection from an address of this machine's own, for several requests. `from` is whom the edge takes it for.
    pub async fn keep(&self, host: &str, from: Ipv4Addr, limit: Duration) -> Result<Kept, String> {
        let visit = async {
            let socket = TcpSocket::new_v4()?;
            socket.bind(SocketAddr::from((from, 0)))?;
            let stream = socket.connect(loopback(self.https_port)).await?;
            let stream = self.tls.connect(ServerName::try_from(host.to_owned())?, stream).await?;
            let (sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            // Ends by itself when the sender is dropped.
            tokio::spawn(connection);
            Ok(Kept { sender, authority: format!("{host}:{}", self.https_port) })
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

/// A connection that is kept open.
#[derive(Debug)]
pub struct Kept {
    sender: SendRequest<Empty<Bytes>>,
    authority: String,
}

impl Kept {
    /// Asks once more, without a body.
    pub async fn ask(&mut self, method: &str, path: &str, limit: Duration) -> Result<Answer, String> {
        let visit = async {
            self.sender.ready().await?;
            let request = Request::builder().method(method).uri(path).header("host", &self.authority);
            let request = request.header("accept", "application/json").body(Empty::new())?;
            answer_of(self.sender.send_request(request).await?).await
        };
        ended(timeout(limit, visit).await, limit)
    }
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

fn ended<T>(outcome: Result<Result<T, AnyError>, tokio::time::error::Elapsed>, limit: Duration) -> Result<T, String> {
    match outcome {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(error.to_string()),
        Err(_) => Err(format!("no answer within {} ms", limit.as_millis())),
    }
}

async fn exchange<S>(stream: S, authority: &str, path: &str, login: Option<&str>) -> Result<Answer, AnyError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let headers: Vec<_> = login.map(|login| ("authorization".to_owned(), login.to_owned())).into_iter().collect();
    exchange_showing(stream, authority, path, &headers).await
}

async fn exchange_showing<S>(
    stream: S,
    authority: &str,
    path: &str,
    headers: &[(String, String)],
) -> Result<Answer, AnyError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // Ends by itself when the sender is dropped at the end of this function.
    tokio::spawn(connection);
    let mut request = Request::get(path).header("host", authority).header("accept", "text/html,application/json");
    for (name, value) in headers {
        request = request.header(name, value);
    }
    let request = request.body(Empty::<Bytes>::new())?;
    answer_of(sender.send_request(request).await?).await
}

async fn answer_of(response: Response<Incoming>) -> Result<Answer, AnyError> {
    let (head, body) = response.into_parts();
    let body = Limited::new(body, LARGEST_BODY).collect().await?.to_bytes();
    let headers = head
        .headers
        .iter()
        .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
        .collect();
    Ok(Answer { status: head.status.as_u16(), headers, body: String::from_utf8_lossy(&body).into_owned() })
}

/// As HTTP wants a name and a password. Four lines, for which no crate is worth its place.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, place| bits << 8 | usize::from(chunk.get(place).copied().unwrap_or(0)));
        for place in 0..4 {
            let letter = char::from(LETTERS[bits >> (18 - 6 * place) & 63]);
            text.push(if place <= chunk.len() { letter } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_in_its_standard() {
        for (plain, coded) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            assert_eq!(base64(plain.as_bytes()), coded);
        }
    }
}
