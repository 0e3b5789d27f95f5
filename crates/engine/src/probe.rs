//! Asks an instance over loopback whether it is alive and ready.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::Request;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What an instance said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    Status(u16, String),
    /// Nobody listens, or nobody answered in time; the text says which.
    Silent(String),
}

impl Answer {
    pub fn is_ok(&self) -> bool {
        matches!(self, Self::Status(200, _))
    }

    /// In words, for an error or an observation.
    pub fn describe(&self) -> String {
        match self {
            Self::Status(status, body) if body.is_empty() => format!("status {status}"),
            Self::Status(status, body) => format!("status {status}: {body}"),
            Self::Silent(why) => why.clone(),
        }
    }
}

/// As much of an answer as is worth showing to a person.
const SHOWN_BODY: usize = 4 * 1024;

/// `GET http://127.0.0.1:PORT/PATH`, on a connection of its own: a pooled one would hide an instance that no longer accepts. In HTTP/1,
/// and in HTTP/2 where somebody is there who does not speak that: so whoever asks need not know, and one that is of an earlier release
/// and speaks the other is asked rightly, too.
pub async fn get(port: u16, path: &str, limit: Duration) -> Answer {
    let either = async {
        match exchange(port, path).await {
            Err(error) if speaks_otherwise(error.as_ref()) => exchange_over_http_2(port, path).await.map_err(|_| error),
            answer => answer,
        }
    };
    match timeout(limit, either).await {
        Ok(Ok((status, body))) => Answer::Status(status, body),
        Ok(Err(error)) => Answer::Silent(error.to_string()),
        Err(_) => Answer::Silent(format!("no answer within {} ms", limit.as_millis())),
    }
}

type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Whether somebody accepted, and answered no HTTP/1: with other bytes, with none, or by hanging up before or after it was asked.
fn speaks_otherwise(error: &(dyn std::error::Error + Send + Sync + 'static)) -> bool {
    error.is::<hyper::Error>()
}

async fn exchange_over_http_2(port: u16, path: &str) -> Result<(u16, String), AnyError> {
    let stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    let (mut sender, connection) = http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await?;
    let request = Request::get(format!("http://127.0.0.1:{port}{path}")).body(Empty::<Bytes>::new())?;
    let talk = async {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), SHOWN_BODY).collect().await;
        let text = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned()).unwrap_or_default();
        Ok::<_, AnyError>((status, text))
    };
    tokio::select! {
        biased;
        answer = talk => answer,
        ended = connection => Err(ended.err().map_or_else(|| "it hung up".into(), AnyError::from)),
    }
}

async fn exchange(port: u16, path: &str) -> Result<(u16, String), AnyError> {
    let stream = TcpStream::connect(SocketAddr::from((Ipv4Addr::LOCALHOST, port))).await?;
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let request = Request::get(path)
        .header("host", format!("127.0.0.1:{port}"))
        .header("connection", "close")
        .body(Empty::<Bytes>::new())?;
    let talk = async {
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), SHOWN_BODY).collect().await;
        // A longer body is no fault of the instance; the status is what counts.
        let text = body.map(|body| String::from_utf8_lossy(&body.to_bytes()).into_owned()).unwrap_or_default();
        Ok::<_, AnyError>((status, text))
    };
    tokio::pin!(talk);
    tokio::select! {
        answer = &mut talk => answer,
        ended = connection => {
            ended?;
            talk.await
        }
    }
}
