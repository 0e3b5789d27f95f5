//! Ctrl-C and SIGTERM, as something to wait for.

use std::fmt;
use std::pin::Pin;

use futures_util::stream::{self, Stream, StreamExt};
use reconcile::Fault;
use tokio::signal::unix::{SignalKind, signal};

/// The wish to stop, each time it is uttered.
pub struct Interrupts(Pin<Box<dyn Stream<Item = ()> + Send>>);

impl fmt::Debug for Interrupts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Interrupts")
    }
}

impl Interrupts {
    /// From the process's signals. From now on they no longer end the process by themselves.
    pub fn of_process() -> Result<Self, Fault> {
        let of = |kind| signal(kind).map_err(|error| Fault::because("cannot listen for signals", &error));
        let (mut interrupt, mut terminate) = (of(SignalKind::interrupt())?, of(SignalKind::terminate())?);
        let both = stream::poll_fn(move |cx| match interrupt.poll_recv(cx) {
            std::task::Poll::Pending => terminate.poll_recv(cx),
            ready => ready,
        });
        Ok(Self(Box::pin(both)))
    }

    /// From anything: for tests.
    pub fn from_stream(stream: impl Stream<Item = ()> + Send + 'static) -> Self {
        Self(Box::pin(stream))
    }

    /// Waits for the next one; for ever, if none can come any more.
    pub async fn next(&mut self) {
        if self.0.next().await.is_none() {
            std::future::pending::<()>().await;
        }
    }
}
