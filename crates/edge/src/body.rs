//! The body of an answer, and the wrapper that sees its last byte go.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::Response;
use http_body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep};

use crate::cache::Collected;
use crate::compress::Compressed;
use crate::connection::OpenRequest;
use crate::files::Reading;
use crate::log::Entry;
use crate::upstream::Leased;

/// Where the bytes come from.
#[derive(Debug)]
pub enum Body {
    Empty,
    Full(Bytes),
    App(Leased),
    /// Of an app, and kept for others on its way.
    Collected(Box<Collected>),
    /// Of the console.
    Control(hyper::body::Incoming),
    Compressed(Box<Compressed>),
    File(Reading),
    Malformed(Malformed),
}

/// A page about a request that HTTP/2 calls malformed. Its stream ends as RFC 9113 (8.1.1) says: with an error, so that nobody in
/// between takes the answer for one to another request.
#[derive(Debug)]
pub struct Malformed {
    page: Bytes,
    reset: Option<Pin<Box<Sleep>>>,
}

/// What is written and not sent yet goes with the stream, so the page gets a moment. Whoever asked so is in no hurry.
const BEFORE_RESET: Duration = Duration::from_millis(50);

impl Malformed {
    /// Ends an answer so. Other bodies than pages stay as they are.
    pub fn answer(response: Response<Body>) -> Response<Body> {
        response.map(|body| match body {
            Body::Full(page) => Body::Malformed(Self { page, reset: None }),
            body => body,
        })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        if !self.page.is_empty() {
            return Poll::Ready(Some(Ok(Frame::data(std::mem::take(&mut self.page)))));
        }
        let reset = self.reset.get_or_insert_with(|| Box::pin(sleep(BEFORE_RESET)));
        ready!(reset.as_mut().poll(cx));
        Poll::Ready(Some(Err(Broken::Request(h2::Reason::PROTOCOL_ERROR.into()))))
    }
}

/// Why an answer broke off in the middle. The visitor sees the connection (or the stream) end without its proper end.
#[derive(Debug, thiserror::Error)]
pub enum Broken {
    #[error("the app's answer broke off")]
    App(#[source] hyper::Error),
    #[error("the request was malformed")]
    Request(#[source] h2::Error),
    #[error("the app's answer was not read to its end")]
    Unread,
    #[error("the app's answer could not be compressed")]
    Compression(#[source] std::io::Error),
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
            Self::Collected(collected) => collected.poll_frame(cx),
            Self::Control(answer) => Pin::new(answer).poll_frame(cx).map_err(Broken::App),
            Self::Compressed(compressed) => compressed.poll_frame(cx),
            Self::Malformed(malformed) => malformed.poll(cx),
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
            Self::Collected(collected) => collected.has_ended(),
            Self::Control(answer) => answer.is_end_stream(),
            Self::Compressed(compressed) => compressed.has_ended(),
            Self::File(reading) => reading.left() == 0,
            Self::Malformed(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Full(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::App(leased) => leased.size_hint(),
            Self::Collected(collected) => collected.size_hint(),
            Self::Control(answer) => answer.size_hint(),
            Self::Compressed(_) | Self::Malformed(_) => SizeHint::default(),
            Self::File(reading) => SizeHint::with_exact(reading.left()),
        }
    }
}

/// Counts what goes out, and sees the last byte go.
#[derive(Debug)]
pub struct Recorded {
    body: Body,
    entry: Entry,
    _open: OpenRequest,
}

impl Recorded {
    pub fn wrap(response: Response<Body>, mut entry: Entry, open: OpenRequest) -> Response<Self> {
        entry.answered(response.status());
        response.map(|body| {
            if entry.is_head() || http_body::Body::is_end_stream(&body) {
                entry.complete();
            }
            Self { body, entry, _open: open }
        })
    }
}

impl http_body::Body for Recorded {
    type Data = Bytes;
    type Error = Broken;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Broken>>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.body).poll_frame(cx);
        match &poll {
            Poll::Pending => {}
            Poll::Ready(Some(Ok(frame))) => {
                this.entry.sent(frame.data_ref().map_or(0, |data| data.len() as u64));
                // Of a body whose end is known nobody asks for more.
                if http_body::Body::is_end_stream(&this.body) {
                    this.entry.complete();
                }
            }
            // It has an error by its own name already.
            Poll::Ready(Some(Err(Broken::Request(_)))) => this.entry.complete(),
            Poll::Ready(Some(Err(_))) => this.entry.failed("answer-broke-off"),
            Poll::Ready(None) => this.entry.complete(),
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
