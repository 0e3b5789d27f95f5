//! Visitors: one that writes raw bytes, over TLS or without, and one that speaks HTTP properly.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::world::World;

/// Nothing here takes long; whatever does is a failure to be shown, not waited for.
const PATIENCE: Duration = Duration::from_secs(20);

pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// An answer as it came over the wire.
#[derive(Debug, Clone)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Reply {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }
}

pub(crate) async fn tcp(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

pub(crate) fn tls_config(world: &World, protocols: &[&[u8]]) -> Arc<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    let pem = std::fs::read(world.root.ca_certificate()).unwrap();
    roots.add(CertificateDer::from_pem_slice(&pem).unwrap()).unwrap();
    let mut config = rustls::ClientConfig::builder_with_provider(edge::tls::provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    Arc::new(config)
}

pub(crate) async fn try_tls(world: &World, name: &str, protocols: &[&[u8]]) -> std::io::Result<TlsStream<TcpStream>> {
    let name = ServerName::try_from(name.to_owned()).unwrap();
    TlsConnector::from(tls_config(world, protocols)).connect(name, tcp(world.https).await).await
}

pub(crate) async fn tls(world: &World, name: &str) -> TlsStream<TcpStream> {
    try_tls(world, name, &[b"http/1.1"]).await.unwrap()
}

/// Writes raw bytes and reads one answer. None: the edge closed without one.
pub(crate) async fn exchange(stream: &mut (impl Stream + ?Sized), wire: &[u8]) -> Option<Reply> {
    // The edge may refuse and close before it has read everything.
    let _ = stream.write_all(wire).await;
    let _ = stream.flush().await;
    read_reply(stream).await
}

/// Reads one answer: by its length, by its chunks, or up to the end.
pub(crate) async fn read_reply(stream: &mut (impl Stream + ?Sized)) -> Option<Reply> {
    timeout(PATIENCE, read_reply_patiently(stream)).await.expect("an answer in time")
}

async fn read_reply_patiently(stream: &mut (impl Stream + ?Sized)) -> Option<Reply> {
    let head = read_until(stream, b"\r\n\r\n").await?;
    let head = String::from_utf8(head).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    let mut reply = Reply { status, head, body: Vec::new() };
    let is_bodyless = matches!(status, 101 | 204 | 304);
    if let Some(length) = reply.header("content-length").filter(|_| !is_bodyless) {
        let mut body = vec![0; length.parse().unwrap()];
        // A HEAD has a length and no body; the edge closes or waits then, so those tests read the head only.
        stream.read_exact(&mut body).await.ok()?;
        reply.body = body;
    } else if reply.header("transfer-encoding").is_some() {
        loop {
            let size = String::from_utf8(read_until(stream, b"\r\n").await?).unwrap();
            let size = usize::from_str_radix(size.trim(), 16).unwrap();
            let mut chunk = vec![0; size + 2];
            stream.read_exact(&mut chunk).await.ok()?;
            reply.body.extend_from_slice(&chunk[..size]);
            if size == 0 {
                break;
            }
        }
    } else if !is_bodyless {
        let _ = stream.read_to_end(&mut reply.body).await;
    }
    Some(reply)
}

pub(crate) async fn read_until(stream: &mut (impl Stream + ?Sized), end: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end) {
        bytes.push(stream.read_u8().await.ok()?);
    }
    Some(bytes)
}

/// True if the other side closes within the time.
pub(crate) async fn closes_within(stream: &mut (impl Stream + ?Sized), longest: Duration) -> bool {
    let mut rest = Vec::new();
    timeout(longest, stream.read_to_end(&mut rest)).await.is_ok()
}

pub(crate) enum Protocol {
    H1,
    H2,
}

/// One proper request over TLS.
pub(crate) async fn request(
    world: &World,
    host: &str,
    protocol: Protocol,
    request: Request<Full<Bytes>>,
) -> Response<Incoming> {
    match protocol {
        Protocol::H1 => {
            let stream = try_tls(world, host, &[b"http/1.1"]).await.unwrap();
            let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        }
        Protocol::H2 => {
            let stream = try_tls(world, host, &[b"h2"]).await.unwrap();
            assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            let (mut sender, connection) =
                hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
            tokio::spawn(connection);
            sender.send_request(request).await.unwrap()
        }
    }
}

/// A GET with header lines (each ended by CRLF), over TLS.
pub(crate) async fn get(world: &World, host: &str, path: &str, lines: &str) -> Reply {
    let mut stream = tls(world, host).await;
    let wire = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{lines}\r\n");
    exchange(&mut stream, wire.as_bytes()).await.expect("an answer")
}

/// As [`get`], at the release that visitors do not get yet.
pub(crate) async fn get_candidate(world: &World, host: &str, path: &str) -> Reply {
    let name = ServerName::try_from(host.to_owned()).unwrap();
    let connector = TlsConnector::from(tls_config(world, &[b"http/1.1"]));
    let mut stream = connector.connect(name, tcp(world.candidate).await).await.unwrap();
    let wire = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n");
    exchange(&mut stream, wire.as_bytes()).await.expect("an answer")
}

pub(crate) async fn text_of(response: Response<Incoming>) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}
