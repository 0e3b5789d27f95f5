//! A connection that left HTTP (a WebSocket, say): bytes both ways until one side ends it, or the edge goes.

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt, copy};
use tokio::time::timeout;

use crate::drain::Phase;
use crate::edge::Edge;
use crate::log::Entry;
use crate::upstream::Flight;

/// Runs beside the request that asked for it, which is answered with 101 now. The log entry is written when the tunnel ends.
pub fn open(edge: &Edge, visitor: OnUpgrade, app: OnUpgrade, flight: Flight, mut entry: Entry) {
    let mut watch = edge.watch.clone();
    let log = edge.log.clone();
    let clock = std::sync::Arc::clone(&edge.clock);
    let half_closed = edge.limits.half_closed;
    tokio::spawn(async move {
        let joined = async {
            let (visitor, app) = tokio::try_join!(visitor, app)?;
            Ok::<_, hyper::Error>((TokioIo::new(visitor), TokioIo::new(app)))
        };
        match joined.await {
            Ok((visitor, app)) => {
                // A tunnel has no end of its own to wait for; it may use the drain's whole time.
                tokio::select! {
                    bytes = exchange(visitor, app, half_closed) => entry.sent(bytes),
                    () = watch.reached(Phase::Over) => entry.failed("drained"),
                }
            }
            Err(error) => {
                tracing::debug!(%error, "upgrade failed");
                entry.failed("upgrade-failed");
            }
        }
        drop(flight);
        log.write(entry, clock.instant());
    });
}

/// Copies both ways. When one side has said its last, the other may finish, but not stay for ever. Returns the bytes toward
/// the visitor.
async fn exchange<V, A>(visitor: V, app: A, half_closed: std::time::Duration) -> u64
where
    V: AsyncRead + AsyncWrite,
    A: AsyncRead + AsyncWrite,
{
    let (visitor_reads, visitor_writes) = tokio::io::split(visitor);
    let (app_reads, app_writes) = tokio::io::split(app);
    let mut up = std::pin::pin!(pass_on(visitor_reads, app_writes));
    let mut down = std::pin::pin!(pass_on(app_reads, visitor_writes));
    tokio::select! {
        _ = up.as_mut() => timeout(half_closed, down).await.unwrap_or_default(),
        bytes = down.as_mut() => {
            let _ = timeout(half_closed, up).await;
            bytes
        }
    }
}

async fn pass_on(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin) -> u64 {
    // An error is an end too: a visitor who closes the browser resets the connection.
    let bytes = copy(&mut from, &mut to).await.unwrap_or_default();
    let _ = to.shutdown().await;
    bytes
}
