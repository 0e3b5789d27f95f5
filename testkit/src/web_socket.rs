//! As much of a WebSocket as a test needs: the texts that the server sends.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, Error};
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::client::Stream;

/// An open WebSocket.
pub struct WebSocket {
    runtime: Arc<Runtime>,
    stream: Box<dyn Stream>,
}

impl std::fmt::Debug for WebSocket {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WebSocket")
    }
}

const TEXT: u8 = 1;

impl WebSocket {
    pub(crate) fn new(runtime: Arc<Runtime>, stream: Box<dyn Stream>) -> Self {
        Self { runtime, stream }
    }

    /// The next text, within a deadline.
    pub fn next_text(&mut self, within: Duration) -> Result<String, String> {
        let Self { runtime, stream } = self;
        let reading = async {
            loop {
                let (kind, payload) = frame(stream).await?;
                if kind == TEXT {
                    return Ok::<_, Error>(String::from_utf8_lossy(&payload).into_owned());
                }
            }
        };
        match runtime.block_on(async { timeout(within, reading).await }) {
            Ok(Ok(text)) => Ok(text),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err(format!("nothing within {} s", within.as_secs())),
        }
    }
}

/// One frame, as servers send them: not masked. Development servers do not split their messages.
async fn frame(stream: &mut Box<dyn Stream>) -> Result<(u8, Vec<u8>), Error> {
    let head = [stream.read_u8().await?, stream.read_u8().await?];
    let length = match head[1] & 0x7f {
        126 => u64::from(stream.read_u16().await?),
        127 => stream.read_u64().await?,
        short => u64::from(short),
    };
    let mut payload = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut payload).await?;
    Ok((head[0] & 0x0f, payload))
}
