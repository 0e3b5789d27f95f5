//! The access log: a JSON line per request, written when its last byte is gone.
//!
//! ```text
//!   pipeline ─► Entry ─ dropped ─► bounded channel ─► one thread ─► access.log, rotated
//! ```
//!
//! The request path never waits for the disk. When it cannot keep up, records are dropped and counted, and the next line that
//! gets through says how many.

mod entry;
mod search;
mod writer;

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use host::clock::Timestamp;
use http::{HeaderValue, Method};
use tokio::sync::mpsc;

use crate::abuse::top::{By, Row, Top};
use crate::connection::Visitor;
use crate::fault::EdgeFault;
use crate::log::entry::{Record, scheme_of};
use crate::log::writer::Rotating;

pub use entry::{Entry, Judged, Limited};
pub use search::lines_of;

/// So many records wait for the disk before they are dropped: about a second of a busy edge.
const WAITING: usize = 8192;

/// The end that requests hold.
#[derive(Clone, Debug)]
pub struct AccessLog {
    sender: mpsc::Sender<Message>,
    dropped: Arc<AtomicU64>,
    top: Arc<Mutex<Top>>,
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
        let top: Arc<Mutex<Top>> = Arc::default();
        let counted = Arc::clone(&top);
        let thread = std::thread::Builder::new()
            .name("access-log".into())
            .spawn(move || writer::write_all(receiver, rotating, &counter, &counted))
            .map_err(EdgeFault::LogWriter)?;
        Ok((Self { sender: sender.clone(), dropped, top }, LogWriter { thread, sender }))
    }

    /// A request that the parser refused: nothing of it is known but where it came from.
    pub fn unparsed(&self, time: Timestamp, now: Instant, visitor: &Visitor, error: &hyper::Error) {
        let status = if error.is_parse_too_large() { 431 } else { 400 };
        let record = Record {
            time,
            started: now,
            request_id: HeaderValue::from_static("-"),
            trace: None,
            method: Method::default(),
            scheme: scheme_of(&visitor.door),
            host: visitor.sni.clone().unwrap_or_default(),
            path: String::new(),
            protocol: if visitor.inspection.is_some() { "HTTP/1.1" } else { "HTTP/2" },
            client: visitor.peer.ip(),
            app: None,
            release: None,
            route: None,
            upstream: None,
            cache: None,
            status,
            bytes: 0,
            error: Some("unparsed"),
            limited: None,
            user: None,
            judged: None,
            fingerprint: None,
        };
        self.send(Box::new(record), 0);
    }

    /// Never waits.
    fn send(&self, record: Box<Record>, micros: u64) {
        if self.sender.try_send(Message::Line(record, micros)).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The most frequent of the last five minutes. Records that were dropped are not counted.
    pub fn top(&self, by: By, count: usize, now: Timestamp) -> Vec<Row> {
        self.top.lock().unwrap_or_else(PoisonError::into_inner).rows(by, count, now)
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
