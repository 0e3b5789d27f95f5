//! What is sent to somebody elsewhere again and again: over one connection that is kept, by the trust that channels have.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::header::{HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use url::Url;

use crate::probe::tls::shake_hands;
use crate::probe::{Miss, connect_to};
use crate::settings::Trusted;
use crate::trust;

/// A receiver that takes longer is asked again later.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a receiver says of a request; what is behind is not read.
const LARGEST_ANSWER: usize = 64 * 1024;

/// So that whoever reads an access log knows who it was.
const AGENT: &str = concat!("Roadbed/", env!("CARGO_PKG_VERSION"));

/// What a receiver answered.
#[derive(Clone, Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

/// A way to a receiver. Nothing is connected before something is sent, and nothing is followed.
#[derive(Debug)]
pub struct Outbound {
    trusted: Trusted,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    /// Scheme, host and port.
    origin: String,
    sender: SendRequest<Full<Bytes>>,
    driver: JoinHandle<Result<(), hyper::Error>>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

impl Outbound {
    pub fn new(trusted: Trusted) -> Self {
        Self { trusted, open: None }
    }

    /// Sends a body. It may arrive twice: a connection that ends before the answer says nothing of the request.
    ///
    /// # Errors
    /// A sentence, where there is no answer within ten seconds. It has host and port in it, and nothing else of the address.
    pub async fn post(&mut self, url: &Url, headers: &HeaderMap, body: Bytes) -> Result<Reply, String> {
        let exchange = tokio::time::timeout(PATIENCE, self.exchange(url, headers, body)).await;
        let reply = exchange.unwrap_or_else(|_| Err(format!("no answer within {} s", PATIENCE.as_secs())));
        if reply.is_err() {
            self.open = None;
        }
        reply
    }

    async fn exchange(&mut self, url: &Url, headers: &HeaderMap, body: Bytes) -> Result<Reply, String> {
        let origin = url.origin().ascii_serialization();
        if let Some(open) = self.open.as_mut().filter(|open| open.origin == origin)
            && open.sender.ready().await.is_ok()
            && let Ok(reply) = send(&mut open.sender, url, headers, body.clone()).await
        {
            return Ok(reply);
        }
        // A connection that was kept may have been closed meanwhile, which is nobody's fault: another one.
        self.open = None;
        let mut open = self.connect(url, origin).await?;
        let reply = send(&mut open.sender, url, headers, body).await.map_err(|error| format!("no answer: {error}"))?;
        self.open = Some(open);
        Ok(reply)
    }

    async fn connect(&self, url: &Url, origin: String) -> Result<Open, String> {
        let why = |miss| match miss {
            Miss::Bad(why) | Miss::Unknown(why) => why,
        };
        let host = url.host_str().ok_or("there is no host in its address")?;
        let port = url.port_or_known_default().ok_or("there is no port in its address")?;
        let stream = connect_to(&format!("{host}:{port}")).await.map_err(why)?;
        if url.scheme() != "https" {
            return open(origin, stream).await;
        }
        let config = trust::elsewhere(&self.trusted).map_err(|fault| fault.to_string())?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        open(origin, shake_hands(config, bare, stream).await.map_err(why)?).await
    }
}

async fn open<S>(origin: String, stream: S) -> Result<Open, String>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let shaken = http1::handshake(TokioIo::new(stream)).await;
    let (sender, connection) = shaken.map_err(|error| format!("no answer: {error}"))?;
    Ok(Open { origin, sender, driver: tokio::spawn(connection) })
}

async fn send(
    sender: &mut SendRequest<Full<Bytes>>,
    url: &Url,
    headers: &HeaderMap,
    body: Bytes,
) -> Result<Reply, String> {
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let mut request = Request::builder().method(Method::POST).uri(path).header(HOST, authority);
    for (name, value) in headers {
        request = request.header(HeaderName::clone(name), HeaderValue::clone(value));
    }
    let request = request.header(USER_AGENT, AGENT).body(Full::new(body)).map_err(|error| error.to_string())?;
    let response = sender.send_request(request).await.map_err(|error| error.to_string())?;
    let (head, body) = response.into_parts();
    let body = Limited::new(body, LARGEST_ANSWER).collect().await.map_err(|error| error.to_string())?.to_bytes();
    Ok(Reply { status: head.status.as_u16(), headers: head.headers, body })
}
