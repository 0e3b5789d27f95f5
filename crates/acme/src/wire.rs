//! The way to an authority: HTTPS by the TLS that is there, believing whom the manifest says.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use host::clock::{Clock, SystemClock, Timestamp};
use http::header::{HOST, HeaderValue, RETRY_AFTER};
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use instant_acme::{BodyWrapper, BytesResponse, Error, HttpClient};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// One question and its answer. Authorities are slow under load; what takes longer is away.
const PATIENCE: Duration = Duration::from_secs(30);

/// A chain has some 6 KiB.
const LARGEST: usize = 1024 * 1024;

type Broken = Box<dyn std::error::Error + Send + Sync>;

/// What an authority said about being asked again.
#[derive(Clone, Debug, Default)]
pub struct AskedToWait(Arc<Mutex<Option<Duration>>>);

impl AskedToWait {
    /// For how long, when it last refused because of it.
    pub fn get(&self) -> Option<Duration> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, response: &Response<Full<Bytes>>) {
        if !matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            return;
        }
        let value = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::trim);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = value.and_then(wait_of);
    }
}

/// A number of seconds, or a date.
fn wait_of(value: &str) -> Option<Duration> {
    match value.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let until = httpdate::parse_http_date(value).ok()?;
            let until = until.duration_since(UNIX_EPOCH).ok()?;
            Some(until.saturating_sub(SystemClock.now().since(Timestamp::from_unix_millis(0))))
        }
    }
}

/// Asks each question on a connection of its own: an order has some fifteen, every other month.
#[derive(Clone)]
pub struct Wire {
    tls: Arc<ClientConfig>,
    pub waits: AskedToWait,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

impl Wire {
    pub fn new(tls: Arc<ClientConfig>) -> Self {
        Self { tls, waits: AskedToWait::default() }
    }

    async fn ask(self, request: Request<BodyWrapper<Bytes>>) -> Result<BytesResponse, Broken> {
        let (mut parts, body) = request.into_parts();
        let body = body.collect().await?.to_bytes();
        let host = parts.uri.host().ok_or("an address without a host")?.to_owned();
        if parts.uri.scheme_str() != Some("https") {
            return Err(format!("{} is not asked without TLS", parts.uri).into());
        }
        let port = parts.uri.port_u16().unwrap_or(443);
        let authority = parts.uri.authority().map(|authority| authority.as_str().to_owned()).unwrap_or_default();
        let bare = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let stream = TcpStream::connect((bare.as_str(), port)).await?;
        let stream = TlsConnector::from(self.tls.clone()).connect(ServerName::try_from(bare)?, stream).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        // Ends by itself when the sender is dropped at the end of this function.
        tokio::spawn(connection);
        parts.headers.insert(HOST, HeaderValue::from_str(&authority)?);
        parts.uri = parts.uri.path_and_query().ok_or("an address without a path")?.as_str().parse()?;
        let (parts, body) = sender.send_request(Request::from_parts(parts, Full::new(body))).await?.into_parts();
        let body = Limited::new(body, LARGEST).collect().await?.to_bytes();
        let response = Response::from_parts(parts, Full::new(body));
        self.waits.note(&response);
        Ok(response.into())
    }
}

impl HttpClient for Wire {
    fn request(
        &self,
        request: Request<BodyWrapper<Bytes>>,
    ) -> Pin<Box<dyn Future<Output = Result<BytesResponse, Error>> + Send>> {
        let wire = self.clone();
        Box::pin(async move {
            let uri = request.uri().clone();
            match timeout(PATIENCE, wire.ask(request)).await {
                Ok(Ok(response)) => Ok(response),
                Ok(Err(error)) => Err(Error::Other(format!("{uri}: {error}").into())),
                Err(_) => Err(Error::Other(format!("{uri}: no answer within {} s", PATIENCE.as_secs()).into())),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(status: StatusCode, value: &str) -> Option<Duration> {
        let waits = AskedToWait::default();
        let response = Response::builder().status(status).header(RETRY_AFTER, value).body(Full::default()).unwrap();
        waits.note(&response);
        waits.get()
    }

    #[test]
    fn how_long_to_wait_is_heard_in_both_notations_and_only_from_who_refuses() {
        assert_eq!(waits(StatusCode::TOO_MANY_REQUESTS, "90"), Some(Duration::from_secs(90)));
        assert_eq!(waits(StatusCode::TOO_MANY_REQUESTS, "Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(waits(StatusCode::TOO_MANY_REQUESTS, "soon"), None);
        assert_eq!(waits(StatusCode::OK, "90"), None);
    }
}
