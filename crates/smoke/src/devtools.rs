//! The DevTools protocol over Chromium's two pipes: JSON, each message ended by a zero byte.
//! <https://chromedevtools.github.io/devtools-protocol/>
//!
//! Pipes and not the WebSocket that most clients use: no port is opened that others on the machine could speak to, no crate is
//! needed, and Chromium ends when our ends are closed.

use std::io;

use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::browser::Pipes;

/// Speaks to one Chromium.
#[derive(Debug)]
pub(crate) struct DevTools {
    pipes: Pipes,
    pending: Vec<u8>,
    /// How much of `pending` was searched for the end of a message.
    searched: usize,
    last_id: u64,
}

/// Chromium does not speak to us any more, or not so that we understand it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Lost {
    #[error("the browser closed the connection")]
    Closed,
    #[error("cannot speak to the browser")]
    Pipe(#[from] io::Error),
    #[error("cannot understand the browser")]
    Nonsense(#[from] serde_json::Error),
    #[error("the browser refuses {method}: {why}")]
    Refused { method: &'static str, why: String },
}

/// What Chromium says: the answer to a command, or an event.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Message {
    pub(crate) id: Option<u64>,
    pub(crate) method: String,
    pub(crate) params: Value,
    pub(crate) result: Value,
    pub(crate) error: Option<Refusal>,
    pub(crate) session_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Refusal {
    pub(crate) message: String,
}

impl DevTools {
    pub(crate) fn new(pipes: Pipes) -> Self {
        Self { pipes, pending: Vec::new(), searched: 0, last_id: 0 }
    }

    /// Sends a command, to a page or to the browser, and returns the number of its answer.
    pub(crate) async fn send(&mut self, method: &str, params: &Value, session: Option<&str>) -> Result<u64, Lost> {
        self.last_id += 1;
        let mut command = json!({ "id": self.last_id, "method": method, "params": params });
        if let Some(session) = session {
            command["sessionId"] = session.into();
        }
        let mut text = serde_json::to_vec(&command)?;
        text.push(0);
        self.pipes.commands.write_all(&text).await?;
        Ok(self.last_id)
    }

    /// The next message. May be given up and called again.
    pub(crate) async fn next(&mut self) -> Result<Message, Lost> {
        loop {
            if let Some(length) = self.pending[self.searched..].iter().position(|byte| *byte == 0) {
                let end = self.searched + length;
                let message = serde_json::from_slice(&self.pending[..end]);
                self.pending.drain(..=end);
                self.searched = 0;
                return Ok(message?);
            }
            self.searched = self.pending.len();
            self.pending.reserve(64 * 1024);
            if self.pipes.answers.read_buf(&mut self.pending).await? == 0 {
                return Err(Lost::Closed);
            }
        }
    }

    /// Asks the browser itself, while no page is open.
    pub(crate) async fn ask(&mut self, method: &'static str, params: &Value) -> Result<Value, Lost> {
        let id = self.send(method, params, None).await?;
        loop {
            let message = self.next().await?;
            if message.id == Some(id) {
                return message.answer(method);
            }
        }
    }
}

impl Message {
    pub(crate) fn answer(self, method: &'static str) -> Result<Value, Lost> {
        match self.error {
            Some(refusal) => Err(Lost::Refused { method, why: refusal.message }),
            None => Ok(self.result),
        }
    }
}
