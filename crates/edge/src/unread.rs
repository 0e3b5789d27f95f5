//! Answers over HTTP/2 that their client does not read.
//!
//! Over HTTP/1 such a client fills the socket, and [`crate::wire`] lets it go. Over HTTP/2 the socket is never full: the client opens no
//! window for the stream, answers pings, and so would hold the stream, and the app's connection behind it, for as long as it likes. So
//! each stream has a clock of its own, that runs while what the app gave is not taken. When it is over the stream is reset; the others of
//! the connection go on.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use hyper::rt::Executor;
use tokio::time::{Instant, Sleep, sleep};

/// How one answer goes. Even: whoever sends it waits for the app, or is done. Odd: it has a piece that the client has to take first.
#[derive(Debug, Default)]
struct Turn(AtomicU32);

impl Turn {
    fn is_clients(&self) -> Option<u32> {
        let turn = self.0.load(Ordering::Relaxed);
        (turn % 2 == 1).then_some(turn)
    }

    fn becomes(&self, is_clients: bool) {
        let turn = self.0.load(Ordering::Relaxed);
        // Another number each time, so that a new wait is not taken for one that went on.
        self.0.store(turn.wrapping_add(if (turn % 2 == 1) == is_clients { 2 } else { 1 }), Ordering::Relaxed);
    }
}

/// The body of an answer, which notes whose turn it is.
#[derive(Debug)]
pub struct Watched<B> {
    body: B,
    turn: Arc<Turn>,
}

impl<B: http_body::Body<Data = Bytes> + Unpin> http_body::Body for Watched<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.body).poll_frame(cx);
        this.turn.becomes(matches!(poll, Poll::Ready(Some(Ok(_)))));
        poll
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

thread_local! {
    /// Of the request that is about to be run. HTTP/2 asks the service first, and right after it, on this thread and without a pause, for
    /// somebody who runs it.
    static NEXT: Cell<Option<Arc<Turn>>> = const { Cell::new(None) };
}

/// Runs streams, each no longer than its client reads.
#[derive(Clone, Debug)]
pub struct Streams {
    longest: Duration,
}

impl Streams {
    /// A client may leave an answer unread for so long.
    pub fn new(longest: Duration) -> Self {
        Self { longest }
    }
}

/// Called where a request comes in; what it returns is put around the body of the answer.
pub fn begin<B>() -> impl FnOnce(B) -> Watched<B> + use<B> {
    let turn = Arc::new(Turn::default());
    NEXT.set(Some(Arc::clone(&turn)));
    move |body| {
        // HTTP/2 does not even look at it before the client has opened a window.
        turn.becomes(true);
        Watched { body, turn }
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    fn execute(&self, stream: F) {
        // A tunnel's way back is none of a request: its bytes have limits of their own.
        match NEXT.take() {
            Some(turn) => drop(tokio::spawn(Reading {
                stream: Box::pin(stream),
                turn,
                longest: self.longest,
                seen: 0,
                over: None,
            })),
            None => drop(tokio::spawn(stream)),
        }
    }
}

/// A stream on its way out. Dropped before its end, it is reset.
struct Reading<F> {
    stream: Pin<Box<F>>,
    turn: Arc<Turn>,
    longest: Duration,
    seen: u32,
    over: Option<Pin<Box<Sleep>>>,
}

impl<F: Future<Output = ()>> Future for Reading<F> {
    type Output = ();

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if this.stream.as_mut().poll(cx).is_ready() {
            return Poll::Ready(());
        }
        let Some(turn) = this.turn.is_clients() else { return Poll::Pending };
        let over = this.over.get_or_insert_with(|| Box::pin(sleep(this.longest)));
        if this.seen != turn {
            this.seen = turn;
            over.as_mut().reset(Instant::now() + this.longest);
        }
        over.as_mut().poll(cx)
    }
}
