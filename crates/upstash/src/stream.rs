//! Answers without an end, as server-sent events, each on a connection of its own.

use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::stream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;

use crate::connection::{Connection, Lost};
use crate::resp::{Command, Value};

/// A line that means nothing, by which a client that went away is noticed. Proxies let go of what is silent for a minute.
const ALIVE: Duration = Duration::from_secs(15);

/// What is streamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Subscribe,
    PatternSubscribe,
    Monitor,
}

impl Kind {
    pub(crate) fn of(segment: &[u8]) -> Option<Self> {
        let kinds =
            [("subscribe", Self::Subscribe), ("psubscribe", Self::PatternSubscribe), ("monitor", Self::Monitor)];
        kinds.into_iter().find(|(name, _)| segment.eq_ignore_ascii_case(name.as_bytes())).map(|(_, kind)| kind)
    }
}

struct Events {
    connection: Connection,
    first: Option<Value>,
    _turn: OwnedSemaphorePermit,
}

/// Begins; the inner error is what Redis said.
pub(crate) async fn begin(
    (mut connection, turn): (Connection, OwnedSemaphorePermit),
    command: &Command,
) -> Result<Result<Body, Value>, Lost> {
    let first = connection.ask(std::slice::from_ref(command)).await?.pop();
    if let Some(refusal @ Value::Error(_)) = first {
        return Ok(Err(refusal));
    }
    let events = Events { connection, first, _turn: turn };
    Ok(Ok(Body::from_stream(stream::unfold(events, |mut events| async move {
        let next = match events.first.take() {
            Some(first) => Ok(Ok(first)),
            None => timeout(ALIVE, events.connection.next()).await,
        };
        let event = match next {
            Err(_) => Bytes::from_static(b": alive\n\n"),
            Ok(Ok(value)) => event(&value),
            // Redis went away, or the user did: the stream ends, and the client comes anew.
            Ok(Err(_)) => return None,
        };
        Some((Ok::<_, Infallible>(event), events))
    }))))
}

fn event(value: &Value) -> Bytes {
    let mut text = BytesMut::new();
    match value {
        Value::Array(Some(parts)) => {
            for (index, part) in parts.iter().enumerate() {
                if index > 0 {
                    text.put_u8(b',');
                }
                put(&mut text, part);
            }
        }
        other => put(&mut text, other),
    }
    // A message of several lines is one event of several.
    let said = String::from_utf8_lossy(&text).replace("\r\n", "\n").replace(['\n', '\r'], "\ndata: ");
    Bytes::from(format!("data: {said}\n\n"))
}

fn put(text: &mut BytesMut, value: &Value) {
    match value {
        Value::Simple(bytes) | Value::Error(bytes) | Value::Integer(bytes) | Value::Bulk(Some(bytes)) => {
            text.put_slice(bytes);
        }
        // What is subscribed to is a list of texts and numbers.
        Value::Bulk(None) | Value::Array(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_message_ends_its_event_early() {
        let bulk = |text: &'static str| Value::Bulk(Some(text.into()));
        let message =
            Value::Array(Some(vec![bulk("message"), bulk("news"), bulk("a\n\ndata: message,news,forged\r\nb")]));
        let text = event(&message);
        let text = std::str::from_utf8(&text).unwrap();
        assert_eq!(text, "data: message,news,a\ndata: \ndata: data: message,news,forged\ndata: b\n\n");
    }
}
