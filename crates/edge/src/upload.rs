//! A visitor's request body on its way to the app, piece by piece as it arrives.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use host::clock::Clock;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Sleep, sleep};

use crate::refusal::Refusal;

/// The body of our request to the app.
#[derive(Debug)]
pub enum Upload {
    /// Nothing to send: such a request can be sent again.
    Nothing,
    Stream(Box<Stream>),
}

#[derive(Debug)]
pub struct Stream {
    body: Incoming,
    progress: Arc<Progress>,
    stall: Duration,
    /// So much may still come.
    left: u64,
    waiting: Option<Pin<Box<Sleep>>>,
}

/// How the upload goes, seen from the one who waits for the answer.
#[derive(Debug)]
pub struct Progress {
    clock: Arc<dyn Clock>,
    began: Instant,
    /// Milliseconds after `began` when a piece last arrived.
    moved: AtomicU64,
    trouble: AtomicU8,
}

const NO_TROUBLE: u8 = 0;
const STALLED: u8 = 1;
const BROKEN: u8 = 2;
const TOO_LONG: u8 = 3;

/// Why the rest of a body will not come.
#[derive(Debug, thiserror::Error)]
pub enum Cut {
    #[error("the client sent nothing for too long")]
    Stalled,
    #[error("the client's body is longer than the app takes")]
    TooLong,
    #[error("the client's body broke off")]
    Broken(#[source] hyper::Error),
}

impl Upload {
    /// Of at most so many bytes, `longest`; `None`: any.
    pub fn new(
        body: Option<Incoming>,
        clock: &Arc<dyn Clock>,
        stall: Duration,
        longest: Option<u64>,
    ) -> (Self, Option<Arc<Progress>>) {
        let Some(body) = body.filter(|body| !body.is_end_stream()) else { return (Self::Nothing, None) };
        let progress = Arc::new(Progress {
            clock: Arc::clone(clock),
            began: clock.instant(),
            moved: AtomicU64::new(0),
            trouble: AtomicU8::new(NO_TROUBLE),
        });
        let stream =
            Stream { body, progress: Arc::clone(&progress), stall, left: longest.unwrap_or(u64::MAX), waiting: None };
        (Self::Stream(Box::new(stream)), Some(progress))
    }
}

impl Progress {
    /// When the client last sent something.
    pub fn last_moved(&self) -> Instant {
        self.began + Duration::from_millis(self.moved.load(Ordering::Relaxed))
    }

    /// Whether the exchange failed on the client's side.
    pub fn trouble(&self) -> Option<Refusal> {
        match self.trouble.load(Ordering::Relaxed) {
            STALLED => Some(Refusal::UploadStalled),
            BROKEN => Some(Refusal::UploadBroken),
            TOO_LONG => Some(Refusal::BodyTooLong),
            _ => None,
        }
    }

    fn note(&self) {
        let moved = self.clock.instant().saturating_duration_since(self.began);
        self.moved.store(u64::try_from(moved.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        let Self::Stream(stream) = self.get_mut() else { return Poll::Ready(None) };
        match Pin::new(&mut stream.body).poll_frame(cx) {
            Poll::Ready(frame) => {
                stream.waiting = None;
                stream.progress.note();
                let length = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
                let Some(left) = stream.left.checked_sub(length as u64) else {
                    stream.progress.trouble.store(TOO_LONG, Ordering::Relaxed);
                    return Poll::Ready(Some(Err(Cut::TooLong)));
                };
                stream.left = left;
                if matches!(frame, Some(Err(_))) {
                    stream.progress.trouble.store(BROKEN, Ordering::Relaxed);
                }
                Poll::Ready(frame.map(|frame| frame.map_err(Cut::Broken)))
            }
            Poll::Pending => {
                let waiting = stream.waiting.get_or_insert_with(|| Box::pin(sleep(stream.stall)));
                if waiting.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                stream.progress.trouble.store(STALLED, Ordering::Relaxed);
                Poll::Ready(Some(Err(Cut::Stalled)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Nothing => true,
            Self::Stream(stream) => stream.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Nothing => SizeHint::with_exact(0),
            Self::Stream(stream) => stream.body.size_hint(),
        }
    }
}
