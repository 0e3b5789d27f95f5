//! What a thread that may block writes, as a stream of pieces.

use std::io::{self, Write};

use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::sync::mpsc;

/// What goes into one message between the thread that reads and the connection.
const PIECE: usize = 256 * 1024;

/// Pieces that wait at most: more is memory that a slow reader would take.
const WAITING: usize = 4;

/// Hands out what is written in pieces; waits while the other side has enough, and fails when it is gone.
#[derive(Debug)]
pub(crate) struct Pieces {
    to: mpsc::Sender<io::Result<Bytes>>,
    half: Vec<u8>,
}

impl Pieces {
    /// The writing end, and what comes out of it.
    pub(crate) fn new() -> (Self, impl Stream<Item = io::Result<Bytes>> + Send + 'static) {
        let (to, taken) = mpsc::channel(WAITING);
        let stream = stream::unfold(taken, async |mut taken| taken.recv().await.map(|piece| (piece, taken)));
        (Self { to, half: Vec::with_capacity(PIECE) }, stream)
    }

    /// Ends it as broken: a stream that just ended would be a whole one to whoever reads.
    pub(crate) fn break_off(self, why: &'static str) {
        let _ = self.to.blocking_send(Err(io::Error::other(why)));
    }
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.half.extend_from_slice(bytes);
        if self.half.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.half.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.half, Vec::with_capacity(PIECE));
        self.to.blocking_send(Ok(piece.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
