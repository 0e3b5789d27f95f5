//! A store that speaks S3, addressed by path: `ENDPOINT/BUCKET/KEY`.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HOST, IF_NONE_MATCH};
use axum::http::uri::{Authority, Scheme, Uri};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, StreamExt};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::{Facts, Found, Object, Origin, Unmet, tags};
use crate::variant;

/// Until the head of the answer is there. Stores answer in tens of milliseconds; what waits is a visitor.
const PATIENCE: Duration = Duration::from_secs(10);

/// What signs requests, as AWS does it or otherwise.
pub trait Sign: Send + Sync + std::fmt::Debug {
    /// Header fields to add to a request without a body. The path is canonical (escaped as signatures have it), and there is no query.
    ///
    /// # Errors
    /// Where there is no key to sign with, in words.
    fn sign(&self, method: &Method, host: &str, path: &str) -> Result<Vec<(HeaderName, HeaderValue)>, String>;
}

/// For stores that anybody may read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Unsigned;

impl Sign for Unsigned {
    fn sign(&self, _: &Method, _: &str, _: &str) -> Result<Vec<(HeaderName, HeaderValue)>, String> {
        Ok(Vec::new())
    }
}

#[derive(Debug)]
pub struct S3 {
    authority: Authority,
    port: u16,
    tls: Option<TlsConfig>,
    sign: Arc<dyn Sign>,
}

struct TlsConfig(TlsConnector, ServerName<'static>);

impl std::fmt::Debug for TlsConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("TlsConfig").field(&self.1).finish_non_exhaustive()
    }
}

/// An endpoint that is no `http(s)://HOST[:PORT]`.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is no endpoint of a store: it is http(s)://HOST[:PORT]")]
pub struct NoEndpoint(String);

trait Stream: AsyncRead + AsyncWrite + Send {}
impl<T: AsyncRead + AsyncWrite + Send> Stream for T {}

impl S3 {
    /// `authorities` are believed beside the public ones where the endpoint is `https`.
    ///
    /// # Errors
    /// Where the endpoint is no such.
    pub fn new(endpoint: &str, authorities: &RootCertStore, sign: Arc<dyn Sign>) -> Result<Self, NoEndpoint> {
        let wrong = || NoEndpoint(endpoint.to_owned());
        let uri: Uri = endpoint.parse().map_err(|_| wrong())?;
        let bare = matches!(uri.path(), "" | "/") && uri.query().is_none();
        let (Some(scheme), Some(authority), true) = (uri.scheme(), uri.authority(), bare) else { return Err(wrong()) };
        if authority.as_str().contains('@') {
            return Err(wrong());
        }
        let tls = if *scheme == Scheme::HTTPS {
            let name =
                ServerName::try_from(authority.host().trim_matches(['[', ']']).to_owned()).map_err(|_| wrong())?;
            let mut believed = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
            believed.extend(authorities.roots.iter().cloned());
            let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
            let config = ClientConfig::builder_with_provider(provider)
                .with_safe_default_protocol_versions()
                .expect("the provider has suites of the default versions")
                .with_root_certificates(believed)
                .with_no_client_auth();
            Some(TlsConfig(TlsConnector::from(Arc::new(config)), name))
        } else if *scheme == Scheme::HTTP {
            None
        } else {
            return Err(wrong());
        };
        let port = authority.port_u16().unwrap_or(if tls.is_some() { 443 } else { 80 });
        Ok(Self { authority: authority.clone(), port, tls, sign })
    }

    async fn connect(&self) -> io::Result<Pin<Box<dyn Stream>>> {
        let host = self.authority.host().trim_matches(['[', ']']);
        let stream = TcpStream::connect((host, self.port)).await?;
        stream.set_nodelay(true)?;
        Ok(match &self.tls {
            Some(TlsConfig(connector, name)) => Box::pin(connector.connect(name.clone(), stream).await?),
            None => Box::pin(stream),
        })
    }

    /// On a connection of its own: the cache asks seldom, and what is kept open may be closed by the other side just now.
    async fn ask(&self, path: &str, known: Option<&str>) -> Result<Response<Incoming>, String> {
        let stream = self.connect().await.map_err(|error| error.to_string())?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| error.to_string())?;
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(Method::GET)
            .uri(path)
            .header(HOST, self.authority.as_str())
            .body(Body::empty())
            .map_err(|error| error.to_string())?;
        if let Some(known) = known.and_then(|known| HeaderValue::from_str(known).ok()) {
            request.headers_mut().insert(IF_NONE_MATCH, known);
        }
        request.headers_mut().extend(self.sign.sign(&Method::GET, self.authority.as_str(), path)?);
        sender.send_request(request).await.map_err(|error| error.to_string())
    }
}

impl Origin for S3 {
    fn get<'a>(&'a self, bucket: &'a str, key: &'a str, known: Option<&'a str>) -> BoxFuture<'a, Result<Found, Unmet>> {
        async move {
            let path = variant::path(bucket, key);
            let late = |_| Unmet::Away(format!("{} did not answer within {} s", self.authority, PATIENCE.as_secs()));
            let answer = timeout(PATIENCE, self.ask(&path, known)).await.map_err(late)?;
            let answer = answer.map_err(|why| Unmet::Away(format!("{}: {why}", self.authority)))?;
            match answer.status() {
                StatusCode::OK => Ok(Found::Object(object(answer))),
                StatusCode::NOT_MODIFIED if known.is_some() => Ok(Found::Unchanged),
                StatusCode::NOT_FOUND => Err(Unmet::Absent),
                status if status.is_client_error() => Err(Unmet::Refused(status.to_string())),
                status => Err(Unmet::Away(format!("{} answers {status}", self.authority))),
            }
        }
        .boxed()
    }
}

fn object(answer: Response<Incoming>) -> Object {
    let (head, body) = answer.into_parts();
    let said = |name: &str| text(&head.headers, name);
    let facts = Facts {
        etag: said(ETAG.as_str()).unwrap_or_default(),
        version: said("x-amz-version-id"),
        content_type: said(CONTENT_TYPE.as_str()),
        tags: said("x-amz-meta-tags").map(|value| tags(&value)).unwrap_or_default(),
    };
    let length = said(CONTENT_LENGTH.as_str()).and_then(|length| length.parse().ok());
    let body = body.into_data_stream().map(|piece| piece.map_err(io::Error::other)).boxed();
    Object { facts, length, body }
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
}
