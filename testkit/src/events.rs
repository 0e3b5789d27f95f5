//! A stream of events, as a browser's `EventSource` reads it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::SendRequest;
use tokio::runtime::Runtime;
use tokio::time::timeout;

/// An open stream.
#[derive(Debug)]
pub struct Events {
    runtime: Arc<Runtime>,
    body: Incoming,
    /// Which release it is of, if the answer says so.
    pub release: String,
    /// The connection ends with it.
    _sender: SendRequest<Full<Bytes>>,
}

impl Events {
    pub(crate) fn new(
        runtime: Arc<Runtime>,
        response: hyper::Response<Incoming>,
        sender: SendRequest<Full<Bytes>>,
    ) -> Self {
        let release = response.headers().get("roadbed-release").and_then(|release| release.to_str().ok());
        let release = release.unwrap_or_default().to_owned();
        Self { runtime, body: response.into_body(), release, _sender: sender }
    }

    /// What comes next; `None` at the end. An error is a stream that broke off, or one that says nothing for so long.
    pub fn next(&mut self, within: Duration) -> Result<Option<String>, String> {
        let Self { runtime, body, .. } = self;
        match runtime.block_on(async { timeout(within, body.frame()).await }) {
            Ok(None) => Ok(None),
            Ok(Some(Ok(frame))) => {
                let data = frame.into_data().unwrap_or_default();
                Ok(Some(String::from_utf8_lossy(&data).into_owned()))
            }
            Ok(Some(Err(error))) => Err(error.to_string()),
            Err(_) => Err(format!("nothing within {} s", within.as_secs())),
        }
    }
}
