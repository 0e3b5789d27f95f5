//! A question to control, over its own socket: nobody else on this machine can be at the other end.

use std::path::Path;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HOST};
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

/// Bytes of what control says.
const LARGEST: usize = 16 * 1024;

pub(crate) type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Asks at this path. Whoever asks has a deadline of his own.
pub(crate) async fn control<A: DeserializeOwned>(
    socket: &Path,
    path: &str,
    question: &impl Serialize,
) -> Result<A, AnyError> {
    let stream = host::socket::connect_unix(socket)?;
    stream.set_nonblocking(true)?;
    let stream = UnixStream::from_std(stream)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let driver = tokio::spawn(connection);
    let request = Request::post(path)
        .header(HOST, "control")
        .header(CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(serde_json::to_vec(question)?)))?;
    let answer = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), LARGEST).collect().await?.to_bytes();
        if status != StatusCode::OK {
            return Err(AnyError::from(format!("control answered {status}")));
        }
        Ok(serde_json::from_slice(&body)?)
    };
    let answer = answer.await;
    driver.abort();
    answer
}
