//! Requests over HTTP/1: of probes, and of channels.

use std::net::SocketAddr;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper::header::{HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use url::Url;

use super::tls::shake_hands;
use super::{Miss, connect, connect_to};
use crate::settings::Trusted;
use crate::trust;

/// A page that is looked at is smaller; what is behind is not read.
const LARGEST_BODY: usize = 1024 * 1024;

/// So that whoever reads an access log knows who it was.
const AGENT: &str = "Roadbed-Monitor";

/// By which apps say which release answers.
const RELEASE: &str = "x-roadbed-release";

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Bytes,
    pub(crate) release: Option<String>,
}

/// What is asked.
pub(crate) struct Asked<'a> {
    pub(crate) method: Method,
    pub(crate) url: &'a str,
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    pub(crate) body: Bytes,
}

pub(super) async fn get(url: &str, via: Option<SocketAddr>, trusted: &Trusted) -> Result<Answer, Miss> {
    ask(&Asked { method: Method::GET, url, headers: Vec::new(), body: Bytes::new() }, via, trusted).await
}

/// One request on a connection of its own. Nothing is followed.
pub(crate) async fn ask(asked: &Asked<'_>, via: Option<SocketAddr>, trusted: &Trusted) -> Result<Answer, Miss> {
    let wrong = |why: &str| Miss::Bad(format!("cannot ask for it: {why}"));
    let url = Url::parse(asked.url).map_err(|error| wrong(&error.to_string()))?;
    let host = url.host_str().ok_or_else(|| wrong("there is no host in it"))?.to_owned();
    let port = url.port_or_known_default().ok_or_else(|| wrong("there is no port in it"))?;
    let stream = match via {
        Some(address) => connect(address).await?,
        None => connect_to(&format!("{host}:{port}")).await?,
    };
    if url.scheme() != "https" {
        return exchange(stream, asked, &url).await;
    }
    let config = if via.is_some() { trust::at_our_door(trusted) } else { trust::elsewhere(trusted) };
    let config = config.map_err(|fault| Miss::Unknown(fault.to_string()))?;
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    exchange(shake_hands(config, bare, stream).await?, asked, &url).await
}

async fn exchange<S>(stream: S, asked: &Asked<'_>, url: &Url) -> Result<Answer, Miss>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let broken = |error: &dyn std::fmt::Display| Miss::Bad(format!("no answer: {error}"));
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(&error))?;
    // Lives for this one request, and is ended with it whatever the other side does.
    let driver = Driver(tokio::spawn(connection));
    let authority = &url[url::Position::BeforeHost..url::Position::AfterPort];
    let path = &url[url::Position::BeforePath..url::Position::AfterQuery];
    let mut request = Request::builder().method(&asked.method).uri(path);
    request = request.header(HOST, authority).header(USER_AGENT, AGENT);
    for (name, value) in &asked.headers {
        request = request.header(name, value);
    }
    let request = request.body(Full::new(asked.body.clone())).map_err(|error| broken(&error))?;
    let response = sender.send_request(request).await.map_err(|error| broken(&error))?;
    let status = response.status().as_u16();
    let release = response.headers().get(RELEASE).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = Limited::new(response.into_body(), LARGEST_BODY).collect().await;
    let body = body.map_err(|error| broken(&error))?.to_bytes();
    drop(driver);
    Ok(Answer { status, body, release })
}

struct Driver(tokio::task::JoinHandle<Result<(), hyper::Error>>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Whether an answer is a good one.
pub(super) fn judge(
    answer: &Answer,
    status: &[(u16, u16)],
    contains: Option<&str>,
    within_ms: Option<u64>,
    ms: u64,
) -> Result<(), Miss> {
    if !status.iter().any(|(from, to)| (*from..=*to).contains(&answer.status)) {
        return Err(Miss::Bad(format!("it answers {}", answer.status)));
    }
    if let Some(text) = contains
        && !String::from_utf8_lossy(&answer.body).contains(text)
    {
        return Err(Miss::Bad(format!("its answer does not contain {text:?}")));
    }
    match within_ms {
        Some(most) if ms > most => Err(Miss::Bad(format!("it took {ms} ms, and may take {most}"))),
        _ => Ok(()),
    }
}
