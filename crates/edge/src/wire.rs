//! The bytes of a visitor's connection, with a clock on them: who says nothing, drips, or will not read is let go.
//!
//! The HTTP library bounds the time between requests; it does not bound a client that never speaks (over TLS, after the
//! handshake), one that sends a header line every few seconds, or one that stops reading our answer.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep};

use crate::config::Limits;
use crate::head::{BrokenAt, Inspection, Inspector};

/// A visitor's byte stream.
#[derive(Debug)]
pub struct Wire<T> {
    io: T,
    has_spoken: bool,
    is_broken: bool,
    inspector: Option<(Inspector, Arc<Inspection>)>,
    reading: Timer,
    writing: Timer,
    first_byte: Duration,
    head: Duration,
    write_stall: Duration,
}

impl<T> Wire<T> {
    /// For HTTP/2: its framing has one meaning only.
    pub fn framed(io: T, limits: &Limits) -> Self {
        Self {
            io,
            has_spoken: false,
            is_broken: false,
            inspector: None,
            reading: Timer::default(),
            writing: Timer::default(),
            first_byte: limits.first_byte,
            head: limits.head,
            write_stall: limits.write_stall,
        }
    }

    /// For HTTP/1: every head gets a verdict in `inspection` before the parser sees it.
    pub fn inspected(io: T, limits: &Limits, inspection: Arc<Inspection>) -> Self {
        // Twice the limit: the parser answers 431 by itself, the inspector only must not grow without bound.
        let inspector = Inspector::new(limits.head_bytes * 2);
        Self { inspector: Some((inspector, inspection)), ..Self::framed(io, limits) }
    }

    /// How long the client may keep silent now; None while nothing is owed.
    fn patience(&self) -> Option<Duration> {
        if !self.has_spoken {
            return Some(self.first_byte);
        }
        let is_inside_head = self.inspector.as_ref().is_some_and(|(inspector, _)| inspector.is_inside_head());
        is_inside_head.then_some(self.head)
    }

    /// Shows the strict reader what arrived from `before` on, and takes away what it does not let through.
    fn inspect(&mut self, buffer: &mut ReadBuf<'_>, before: usize) -> io::Result<()> {
        let Some((inspector, inspection)) = &mut self.inspector else { return Ok(()) };
        if inspection.has_ended() {
            self.inspector = None;
            return Ok(());
        }
        let was_inside = inspector.is_inside_head();
        if let Err(BrokenAt(at)) = inspector.feed(&buffer.filled()[before..], inspection) {
            // What came before may be a whole head, and deserves an answer; the next read says that the rest is no good.
            self.is_broken = true;
            buffer.set_filled(before + at);
            return if at == 0 { Err(broken_framing()) } else { Ok(()) };
        }
        // The time for a head runs in total, from its first byte: only its end stops the timer.
        if was_inside && !inspector.is_inside_head() {
            self.reading.stop();
        }
        Ok(())
    }
}

fn broken_framing() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "the request body is not framed as HTTP says")
}

impl<T: AsyncRead + Unpin> AsyncRead for Wire<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_broken {
            return Poll::Ready(Err(broken_framing()));
        }
        let before = buffer.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut this.io).poll_read(cx, buffer) {
            read?;
            if !this.has_spoken {
                this.has_spoken = true;
                this.reading.stop();
            }
            return Poll::Ready(this.inspect(buffer, before));
        }
        let Some(patience) = this.patience() else { return Poll::Pending };
        ready!(this.reading.poll(patience, cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client sent no whole request in time")))
    }
}

impl<T: AsyncWrite + Unpin> Wire<T> {
    fn timed<R>(&mut self, cx: &mut Context<'_>, poll: Poll<io::Result<R>>) -> Poll<io::Result<R>> {
        if poll.is_ready() {
            self.writing.stop();
            return poll;
        }
        ready!(self.writing.poll(self.write_stall, cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client did not read its answer in time")))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Wire<T> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.timed(cx, poll)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.io).poll_write_vectored(cx, slices);
        this.timed(cx, poll)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.io).poll_flush(cx);
        this.timed(cx, poll)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let poll = Pin::new(&mut this.io).poll_shutdown(cx);
        this.timed(cx, poll)
    }
}

/// A deadline that costs nothing until somebody has to wait: most requests arrive whole.
#[derive(Debug, Default)]
struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    is_running: bool,
}

impl Timer {
    /// Starts at the first poll after a stop; ready when the time is over.
    fn poll(&mut self, duration: Duration, cx: &mut Context<'_>) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep(duration)));
        if !self.is_running {
            self.is_running = true;
            sleep.as_mut().reset(Instant::now() + duration);
        }
        sleep.as_mut().poll(cx)
    }

    fn stop(&mut self) {
        self.is_running = false;
    }
}
