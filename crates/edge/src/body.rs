//! The body of an answer, and the wrapper that sees its last byte go.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Response;
use http_body::{Frame, SizeHint};

use crate::edge::Edge;
use crate::files::Reading;
use crate::log::{AccessLog, Entry};
use crate::upstream::Leased;

/// Where the bytes come from.
#[derive(Debug)]
pub enum Body {
    Empty,
    Full(Bytes),
    App(Leased),
    File(Reading),
}

/// Why an answer broke off in the middle. The visitor sees the connection (or the stream) end without its proper end.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    #[error("the app's answer broke off")]
    App(#[source] hyper::Error),
    #[error("the file could not be read on")]
    File(#[source] std::io::Error),
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Full(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Full(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::App(leased) => Pin::new(leased).poll_frame(cx).map_err(Broken::App),
            Self::File(reading) => {
                reading.poll_chunk(cx).map(|chunk| chunk.map(|chunk| chunk.map(Frame::data).map_err(Broken::File)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Full(bytes) => bytes.is_empty(),
            Self::App(leased) => leased.is_end_stream(),
            Self::File(reading) => reading.left() == 0,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::App(leased) => leased.size_hint(),
            Self::File(reading) => SizeHint::with_exact(reading.left()),
        }
    }
}

/// Counts what goes out, and writes the log entry when it is gone or given up.
#[derive(Debug)]
pub struct Recorded {
    body: Body,
    record: Option<Record>,
}

#[derive(Debug)]
struct Record {
    entry: Entry,
    log: AccessLog,
    clock: std::sync::Arc<dyn host::clock::Clock>,
    is_complete: bool,
}

impl Recorded {
    pub fn wrap(response: Response<Body>, mut entry: Entry, edge: &Edge) -> Response<Self> {
        entry.answered(response.status());
        response.map(|body| {
            let is_complete = http_body::Body::is_end_stream(&body);
            // A tunnel has taken the entry over and writes it at its own end.
            let record = (!entry.is_taken_over()).then(|| Record {
                entry,
                log: edge.log.clone(),
                clock: std::sync::Arc::clone(&edge.clock),
                is_complete,
            });
            Self { body, record }
        })
    }
}

impl http_body::Body for Recorded {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.body).poll_frame(cx);
        if let (Poll::Ready(frame), Some(record)) = (&poll, &mut this.record) {
            match frame {
                Some(Ok(frame)) => {
                    record.entry.sent(frame.data_ref().map_or(0, |data| data.len() as u64));
                    record.is_complete = http_body::Body::is_end_stream(&this.body);
                }
                Some(Err(_)) => {
                    record.entry.failed("answer-broke-off");
                    record.is_complete = true;
                }
                None => record.is_complete = true,
            }
        }
        poll
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        if !self.is_complete {
            self.entry.failed("client-gone");
        }
        self.log.write(std::mem::replace(&mut self.entry, Entry::taken()), self.clock.instant());
    }
}
