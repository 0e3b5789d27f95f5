//! The access log: a JSON line per request, written when its last byte is gone.
//!
//! The request path hands a record to a bounded channel and goes on; one thread makes lines of them. When the disk cannot keep
//! up, records are dropped and counted, and the next line that gets through says how many.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use host::clock::Timestamp;
use host::files::{self, Access};
use http::{HeaderValue, Method, Request, StatusCode, Version};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::connection::{Door, Visitor};
use crate::edge::Edge;
use crate::fault::EdgeFault;
use crate::guard::Asked;
use crate::refusal::Refusal;

/// What is known about one request, filled in as it runs.
#[derive(Debug)]
pub struct Entry(Option<Box<Record>>);

#[derive(Debug)]
struct Record {
    time: Timestamp,
    started: Instant,
    request_id: HeaderValue,
    method: Method,
    scheme: &'static str,
    host: String,
    path: String,
    protocol: &'static str,
    client: std::net::IpAddr,
    app: Option<String>,
    upstream: Option<String>,
    status: u16,
    bytes: u64,
    error: Option<&'static str>,
}

impl Entry {
    pub fn begin<B>(edge: &Edge, visitor: &Visitor, request: &Request<B>, id: &HeaderValue) -> Self {
        Self(Some(Box::new(Record {
            time: edge.clock.now(),
            started: edge.clock.instant(),
            request_id: id.clone(),
            method: request.method().clone(),
            scheme: scheme_of(&visitor.door),
            // Replaced by what the guard makes of it; until then, what it looks like.
            host: request
                .headers()
                .get(http::header::HOST)
                .map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned())
                .unwrap_or_default(),
            path: path_without_values(request.uri().path(), request.uri().query()),
            protocol: protocol_of(request.version()),
            client: visitor.peer.ip(),
            app: None,
            upstream: None,
            status: 0,
            bytes: 0,
            error: None,
        })))
    }

    /// In the place of one that was given away.
    pub fn taken() -> Self {
        Self(None)
    }

    /// Somebody who outlives the request writes it.
    pub fn take_over(&mut self) -> Self {
        let mut entry = Self(self.0.take());
        entry.answered(StatusCode::SWITCHING_PROTOCOLS);
        entry
    }

    pub fn is_taken_over(&self) -> bool {
        self.0.is_none()
    }

    pub fn asked(&mut self, asked: &Asked) {
        self.change(|record| record.host.clone_from(&asked.host));
    }

    pub fn app(&mut self, app: &str) {
        self.change(|record| record.app = Some(app.to_owned()));
    }

    pub fn upstream(&mut self, instance: &str) {
        self.change(|record| record.upstream = Some(instance.to_owned()));
    }

    pub fn refused(&mut self, refusal: Refusal) {
        self.failed(refusal.code());
    }

    pub fn failed(&mut self, error: &'static str) {
        self.change(|record| record.error = Some(error));
    }

    pub fn answered(&mut self, status: StatusCode) {
        self.change(|record| record.status = status.as_u16());
    }

    pub fn sent(&mut self, bytes: u64) {
        self.change(|record| record.bytes += bytes);
    }

    fn change(&mut self, change: impl FnOnce(&mut Record)) {
        if let Some(record) = &mut self.0 {
            change(record);
        }
    }
}

fn scheme_of(door: &Door) -> &'static str {
    match door {
        Door::Https => "https",
        Door::Http => "http",
        Door::Internal(_) => "internal",
    }
}

fn protocol_of(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "HTTP/1.0",
        Version::HTTP_2 => "HTTP/2",
        _ => "HTTP/1.1",
    }
}

/// Queries hold search words, mail addresses and tokens: that there was one is enough.
fn path_without_values(path: &str, query: Option<&str>) -> String {
    // Longer paths are someone trying; a log line needs their beginning.
    const LONGEST: usize = 1024;
    let mut text: String = path.chars().take(LONGEST).collect();
    if query.is_some() {
        text.push_str("?…");
    }
    text
}

/// So many records wait for the disk before they are dropped: about a second of a busy edge.
const WAITING: usize = 8192;

/// The end that requests hold.
#[derive(Clone, Debug)]
pub struct AccessLog {
    sender: mpsc::Sender<Message>,
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
enum Message {
    Line(Box<Record>, u64),
    Close,
}

/// The end that writes.
#[derive(Debug)]
pub struct LogWriter {
    thread: std::thread::JoinHandle<()>,
    sender: mpsc::Sender<Message>,
}

impl AccessLog {
    /// Opens the log and starts its writer.
    pub fn open(path: PathBuf, longest: u64) -> Result<(Self, LogWriter), EdgeFault> {
        let (sender, receiver) = mpsc::channel(WAITING);
        let dropped = Arc::new(AtomicU64::new(0));
        let rotating = Rotating::open(path, longest)?;
        let counter = Arc::clone(&dropped);
        let thread = std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || write_all(receiver, rotating, &counter))
            .map_err(EdgeFault::LogWriter)?;
        Ok((Self { sender: sender.clone(), dropped }, LogWriter { thread, sender }))
    }

    /// Never waits.
    pub fn write(&self, entry: Entry, now: Instant) {
        let Some(record) = entry.0 else { return };
        let took = now.saturating_duration_since(record.started);
        self.send(record, u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// A request that the parser refused: nothing of it is known but where it came from.
    pub fn unparsed(&self, time: Timestamp, now: Instant, visitor: &Visitor, error: &hyper::Error) {
        let status = if error.is_parse_too_large() { 431 } else { 400 };
        let record = Record {
            time,
            started: now,
            request_id: HeaderValue::from_static("-"),
            method: Method::default(),
            scheme: scheme_of(&visitor.door),
            host: visitor.sni.clone().unwrap_or_default(),
            path: String::new(),
            protocol: if visitor.inspection.is_some() { "HTTP/1.1" } else { "HTTP/2" },
            client: visitor.peer.ip(),
            app: None,
            upstream: None,
            status,
            bytes: 0,
            error: Some("unparsed"),
        };
        self.send(Box::new(record), 0);
    }

    fn send(&self, record: Box<Record>, micros: u64) {
        if self.sender.try_send(Message::Line(record, micros)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }
}

impl LogWriter {
    /// Writes what is waiting and ends. Requests that end later are not logged.
    pub async fn close(self) {
        let _ = self.sender.send(Message::Close).await;
        let _ = tokio::task::spawn_blocking(move || self.thread.join()).await;
    }
}

/// A line as it is read by people and programs. Times in milliseconds.
#[derive(Serialize)]
struct Line<'a> {
    time: String,
    request_id: &'a str,
    method: &'a str,
    scheme: &'a str,
    host: &'a str,
    path: &'a str,
    status: u16,
    bytes: u64,
    ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    app: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upstream: Option<&'a str>,
    protocol: &'a str,
    client: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    /// Lines lost before this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    dropped: Option<u64>,
}

fn write_all(mut receiver: mpsc::Receiver<Message>, mut rotating: Rotating, dropped: &AtomicU64) {
    let mut told = 0;
    let mut lines = Vec::with_capacity(64 * 1024);
    while let Some(first) = receiver.blocking_recv() {
        // One write for all that came meanwhile, but not more than a page of lines at a time.
        let mut next = Some(first);
        let mut is_closing = false;
        while let Some(message) = next {
            match message {
                Message::Line(record, micros) => {
                    let lost = dropped.load(Ordering::Relaxed);
                    append(&mut lines, &record, micros, (lost > told).then_some(lost - told));
                    told = lost;
                }
                Message::Close => is_closing = true,
            }
            next = if lines.len() < 60 * 1024 { receiver.try_recv().ok() } else { None };
        }
        rotating.write(&lines);
        lines.clear();
        if is_closing {
            return;
        }
    }
}

fn append(lines: &mut Vec<u8>, record: &Record, micros: u64, dropped: Option<u64>) {
    #[expect(clippy::cast_precision_loss, reason = "microseconds below 2^53 are exact")]
    let ms = micros as f64 / 1000.0;
    let line = Line {
        time: record.time.to_string(),
        request_id: record.request_id.to_str().unwrap_or("-"),
        method: record.method.as_str(),
        scheme: record.scheme,
        host: &record.host,
        path: &record.path,
        status: record.status,
        bytes: record.bytes,
        ms,
        app: record.app.as_deref(),
        upstream: record.upstream.as_deref(),
        protocol: record.protocol,
        client: record.client.to_string(),
        error: record.error,
        dropped,
    };
    // Strings and numbers always encode.
    if serde_json::to_writer(&mut *lines, &line).is_ok() {
        lines.push(b'\n');
    }
}

/// So many full logs are kept beside the current one.
const KEPT: u8 = 3;

/// A file that is moved aside when it is full.
#[derive(Debug)]
struct Rotating {
    path: PathBuf,
    file: File,
    size: u64,
    longest: u64,
}

impl Rotating {
    fn open(path: PathBuf, longest: u64) -> Result<Self, EdgeFault> {
        let file = files::open_append(&path, Access::Owner)?;
        let size = files::metadata(&path)?.len();
        Ok(Self { path, file, size, longest })
    }

    fn write(&mut self, lines: &[u8]) {
        if self.size > 0 && self.size + lines.len() as u64 > self.longest {
            self.rotate();
        }
        // A full disk must not stop visitors; the operator hears of it.
        match self.file.write_all(lines) {
            Ok(()) => self.size += lines.len() as u64,
            Err(error) => tracing::error!(%error, path = %self.path.display(), "cannot write the access log"),
        }
    }

    fn rotate(&mut self) {
        for age in (1..KEPT).rev() {
            let _ = files::rename(&numbered(&self.path, age), &numbered(&self.path, age + 1));
        }
        let moved = files::rename(&self.path, &numbered(&self.path, 1));
        match moved.and_then(|()| files::open_append(&self.path, Access::Owner)) {
            Ok(file) => (self.file, self.size) = (file, 0),
            Err(error) => tracing::error!(%error, "cannot rotate the access log"),
        }
    }
}

fn numbered(path: &Path, age: u8) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{age}"));
    PathBuf::from(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_log_moves_aside_and_three_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("access.log");
        let mut log = Rotating::open(path.clone(), 10).unwrap();
        for line in ["one-----\n", "two-----\n", "three---\n", "four----\n", "five----\n"] {
            log.write(line.as_bytes());
        }
        let read = |path: &Path| files::read_string(path).unwrap();
        assert_eq!(read(&path), "five----\n");
        assert_eq!(read(&numbered(&path, 1)), "four----\n");
        assert_eq!(read(&numbered(&path, 3)), "two-----\n");
        assert!(!files::exists(&numbered(&path, 4)));
    }

    #[test]
    fn a_query_leaves_no_value_in_the_log() {
        assert_eq!(path_without_values("/reset", Some("token=s3cret")), "/reset?…");
        assert_eq!(path_without_values("/", None), "/");
    }
}
