//! One question over HTTPS: with bounds of time and size, and to nobody else than who was meant.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HOST, HeaderValue};
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use url::{Host, Url};

/// From the first packet to the end of the answer. A job waits for it, and another one is begun soon.
const PATIENCE: Duration = Duration::from_secs(5);

/// Bytes of an answer: sets of keys have some eight thousand.
const LARGEST: usize = 256 * 1024;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AskFault {
    #[error("{0} is no address that begins with https://")]
    NoAddress(String),
    #[error("{host} cannot be reached: {why}")]
    Away { host: String, why: String },
    #[error("{host} did not answer within {} s", PATIENCE.as_secs())]
    Slow { host: String },
    #[error("{host} answered {status}; who sends us elsewhere is not followed")]
    Status { host: String, status: u16 },
    #[error("the answer of {host} is longer than {LARGEST} bytes, or broke off")]
    Body { host: String },
}

/// Asks once, for JSON. `bearer` is shown to that host alone.
pub async fn get(url: &str, tls: &Arc<ClientConfig>, bearer: Option<&str>) -> Result<Bytes, AskFault> {
    let authorization = bearer.map(|bearer| format!("Bearer {bearer}"));
    ask(url, tls, Question { authorization, form: None }).await
}

/// Sends a form once, for JSON. `basic` is a name and a password, for that host alone.
pub async fn post(
    url: &str,
    tls: &Arc<ClientConfig>,
    form: String,
    basic: Option<(&str, &str)>,
) -> Result<Bytes, AskFault> {
    let authorization =
        basic.map(|(name, password)| format!("Basic {}", STANDARD.encode(format!("{name}:{password}"))));
    ask(url, tls, Question { authorization, form: Some(form) }).await
}

struct Question {
    authorization: Option<String>,
    /// What is sent; `None`: nothing, it is only asked for.
    form: Option<String>,
}

async fn ask(url: &str, tls: &Arc<ClientConfig>, question: Question) -> Result<Bytes, AskFault> {
    let address = Url::parse(url).ok().filter(|url| url.scheme() == "https" && url.has_host());
    // What is behind the host may be somebody's secret.
    let address =
        address.ok_or_else(|| AskFault::NoAddress(url.chars().take_while(|c| *c != '?').take(80).collect()))?;
    let host = address.host_str().unwrap_or_default().to_owned();
    timeout(PATIENCE, exchange(&address, &host, tls, question)).await.unwrap_or(Err(AskFault::Slow { host }))
}

async fn exchange(url: &Url, host: &str, tls: &Arc<ClientConfig>, question: Question) -> Result<Bytes, AskFault> {
    let away = |error: &dyn std::error::Error| AskFault::Away { host: host.to_owned(), why: told(error) };
    let port = url.port_or_known_default().unwrap_or(443);
    let (tcp, name) = match url.host() {
        Some(Host::Ipv4(ip)) => (TcpStream::connect((ip, port)).await, Ok(ServerName::from(std::net::IpAddr::V4(ip)))),
        Some(Host::Ipv6(ip)) => (TcpStream::connect((ip, port)).await, Ok(ServerName::from(std::net::IpAddr::V6(ip)))),
        _ => (TcpStream::connect((host, port)).await, ServerName::try_from(host.to_owned())),
    };
    let (tcp, name) = (tcp.map_err(|error| away(&error))?, name.map_err(|error| away(&error))?);
    let stream = TlsConnector::from(tls.clone()).connect(name, tcp).await.map_err(|error| away(&error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| away(&error))?;
    // Ends by itself when the sender is dropped at the end of this function.
    tokio::spawn(connection);
    let target = match url.query() {
        Some(query) => format!("{}?{query}", url.path()),
        None => url.path().to_owned(),
    };
    let Question { authorization, form } = question;
    let mut request = Request::builder().uri(target).header(HOST, url.authority());
    request = request.header(ACCEPT, HeaderValue::from_static("application/json"));
    if form.is_some() {
        let kind = HeaderValue::from_static("application/x-www-form-urlencoded");
        request = request.method(Method::POST).header(CONTENT_TYPE, kind);
    }
    if let Some(authorization) = authorization {
        let mut value = HeaderValue::try_from(authorization).map_err(|error| away(&error))?;
        value.set_sensitive(true);
        request = request.header(AUTHORIZATION, value);
    }
    let request = request.body(Full::new(Bytes::from(form.unwrap_or_default()))).map_err(|error| away(&error))?;
    let (head, body) = sender.send_request(request).await.map_err(|error| away(&error))?.into_parts();
    if head.status != StatusCode::OK {
        return Err(AskFault::Status { host: host.to_owned(), status: head.status.as_u16() });
    }
    let body = Limited::new(body, LARGEST).collect().await;
    Ok(body.map_err(|_| AskFault::Body { host: host.to_owned() })?.to_bytes())
}

fn told(error: &dyn std::error::Error) -> String {
    let mut all = error.to_string();
    let mut cause = error.source();
    while let Some(source) = cause {
        let text = source.to_string();
        if !all.contains(&text) {
            all.push_str(": ");
            all.push_str(&text);
        }
        cause = source.source();
    }
    all
}
