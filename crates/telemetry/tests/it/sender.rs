//! A client that says exactly what it is told to say.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use telemetry::Project;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::role::{Role, SERVER_KEY};

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) body: String,
}

/// `POST /api/ID/envelope/?sentry_key=…` of the app `web`.
pub(crate) fn path_of_web() -> String {
    format!("/api/{}/envelope/?sentry_version=7&sentry_key={SERVER_KEY}", Project::id_of("web"))
}

pub(crate) async fn send(port: u16, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    let mut head =
        format!("{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    // Who is refused early is answered before all is sent.
    let _ = stream.write_all(head.as_bytes()).await;
    let _ = stream.write_all(body).await;
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes).await;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let pair = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
    Answer { status, headers: lines.filter_map(pair).collect(), body: body.to_owned() }
}

/// An envelope with one event.
pub(crate) fn envelope(event: &Value) -> Vec<u8> {
    let id = event.get("event_id").cloned().unwrap_or_else(|| json!(uuid()));
    format!("{}\n{{\"type\":\"event\"}}\n{event}\n", json!({ "event_id": id })).into_bytes()
}

/// An event that was thrown in `function`.
pub(crate) fn thrown(kind: &str, value: &str, function: &str) -> Value {
    json!({
        "event_id": uuid(), "level": "error", "platform": "node", "release": "shop@1",
        "exception": { "values": [{ "type": kind, "value": value, "stacktrace": { "frames": [
            { "filename": "node:internal/run", "module": "run", "function": "run", "in_app": false },
            { "filename": "/srv/dist/cart.js", "module": "cart", "function": function, "lineno": 7, "in_app": true },
        ] } }] },
    })
}

pub(crate) fn uuid() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("{:08x}{:024x}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

impl Role {
    /// Sends to `web`, which must take it.
    pub(crate) async fn report(&self, event: &Value) {
        let answer = self.post(&envelope(event)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
    }

    pub(crate) async fn post(&self, body: &[u8]) -> Answer {
        send(self.port, "POST", &path_of_web(), &[], body).await
    }
}

/// What a real client sent once.
pub(crate) fn recorded(name: &str) -> Vec<u8> {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/recorded").join(name);
    host::files::read(&path).unwrap()
}
