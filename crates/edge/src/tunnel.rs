//! A connection that left HTTP (a WebSocket, say): bytes both ways until one side ends it, or the edge goes.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::time::timeout;

use crate::drain::Phase;
use crate::edge::Edge;
use crate::log::Entry;
use crate::upstream::Flight;

/// Runs beside the request that asked for it, which is answered with 101 now. The log entry is written when the tunnel ends.
pub fn open(edge: &Edge, visitor: OnUpgrade, app: OnUpgrade, mut flight: Flight, mut entry: Entry) {
    let mut watch = edge.watch.clone();
    let half_closed = edge.limits.half_closed;
    let end = flight.becomes_stream();
    tokio::spawn(async move {
        let sent = AtomicU64::new(0);
        let ends = tokio::try_join!(visitor, app);
        match ends {
            Ok((visitor, app)) => {
                let exchange = exchange(TokioIo::new(visitor), TokioIo::new(app), half_closed, &sent);
                // A tunnel has no end of its own to wait for; it may use the drain's whole time.
                tokio::select! {
                    () = exchange => {}
                    () = watch.reached(Phase::Over) => entry.failed("drained"),
                    // Its instance goes. What speaks there is not known, so there are no words of farewell.
                    () = end => entry.failed("drained"),
                }
            }
            Err(error) => {
                tracing::debug!(%error, "upgrade failed");
                entry.failed("upgrade-failed");
            }
        }
        entry.sent(sent.into_inner());
        entry.complete();
        drop((flight, entry));
    });
}

/// Copies both ways, and counts what goes to the visitor. When one side has said its last, the other may finish, but not stay
/// for ever: some never close their half.
async fn exchange<V, A>(visitor: V, app: A, half_closed: Duration, sent: &AtomicU64)
where
    V: AsyncRead + AsyncWrite,
    A: AsyncRead + AsyncWrite,
{
    let (visitor_reads, visitor_writes) = split(visitor);
    let (app_reads, app_writes) = split(app);
    let uncounted = AtomicU64::new(0);
    let mut up = std::pin::pin!(pass_on(visitor_reads, app_writes, &uncounted));
    let mut down = std::pin::pin!(pass_on(app_reads, visitor_writes, sent));
    let _ = tokio::select! {
        () = up.as_mut() => timeout(half_closed, down).await,
        () = down.as_mut() => timeout(half_closed, up).await,
    };
}

async fn pass_on(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, passed: &AtomicU64) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        // An error is an end too: a visitor who closes the browser resets the connection.
        let n = from.read(&mut buffer).await.unwrap_or_default();
        if n == 0 || to.write_all(&buffer[..n]).await.is_err() || to.flush().await.is_err() {
            break;
        }
        passed.fetch_add(n as u64, Ordering::Relaxed);
    }
    let _ = to.shutdown().await;
}
