//! A connection that left HTTP (a WebSocket, say): bytes both ways until one side ends it, or the edge goes.

use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use crate::drain::Phase;
use crate::edge::Edge;
use crate::log::Entry;
use crate::upstream::Lease;
use crate::web_socket::{Frames, SERVICE_RESTARTS};

/// A frame that was begun may end before the edge says goodbye, and the visitor may say it too. Less than the second that whoever
/// stops the edge, or an instance, waits for such last words.
const LAST_WORDS: Duration = Duration::from_millis(800);

/// What is spoken in a tunnel, as far as it matters to the edge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaks {
    WebSocket,
    /// So there are no words of farewell.
    Unknown,
}

/// Runs beside the request that asked for it, which is answered with 101 now. The log entry is written when the tunnel ends.
pub fn open(edge: &Edge, visitor: OnUpgrade, app: OnUpgrade, speaks: Speaks, lease: Lease, mut entry: Entry) {
    // The connection is kept with it: it ends when nobody has a place on it.
    let Lease { sender, mut flight, .. } = lease;
    let mut watch = edge.watch.clone();
    let half_closed = edge.limits.half_closed;
    let end = flight.becomes_stream();
    tokio::spawn(async move {
        let sent = AtomicU64::new(0);
        let ends = tokio::try_join!(visitor, app);
        match ends {
            Ok((visitor, app)) => {
                // A tunnel has no end of its own to wait for; it may use the drain's whole time.
                let leave = Notify::new();
                let last = async {
                    tokio::select! {
                        () = watch.reached(Phase::Over) => {}
                        // Its instance goes.
                        () = end => {}
                    }
                    leave.notify_one();
                    // Whoever reads nothing any more hears nothing either.
                    sleep(LAST_WORDS).await;
                };
                let (visitor, app) = (TokioIo::new(visitor), TokioIo::new(app));
                let ended = tokio::select! {
                    ended = exchange(visitor, app, half_closed, &sent, speaks, &leave) => ended,
                    () = last => Ended::ByEdge,
                };
                if ended == Ended::ByEdge {
                    entry.failed("drained");
                }
            }
            Err(error) => {
                tracing::debug!(%error, "upgrade failed");
                entry.failed("upgrade-failed");
            }
        }
        entry.sent(sent.into_inner());
        entry.complete();
        drop((sender, flight, entry));
    });
}

/// Who ended a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ended {
    ByASide,
    ByEdge,
}

/// Copies both ways, and counts what goes to the visitor. When one side has said its last, the other may finish, but not stay
/// for ever: some never close their half.
async fn exchange<V, A>(
    visitor: V,
    app: A,
    half_closed: Duration,
    sent: &AtomicU64,
    speaks: Speaks,
    leave: &Notify,
) -> Ended
where
    V: AsyncRead + AsyncWrite,
    A: AsyncRead + AsyncWrite,
{
    let (visitor_reads, visitor_writes) = split(visitor);
    let (app_reads, app_writes) = split(app);
    let visitor_closed = Notify::new();
    let mut up = pin!(pass_on(visitor_reads, app_writes, speaks, &visitor_closed));
    let mut down = pin!(pass_on_until(app_reads, visitor_writes, sent, speaks, leave));
    tokio::select! {
        () = up.as_mut() => match timeout(half_closed, down).await {
            Ok(Ended::ByEdge) => Ended::ByEdge,
            Ok(Ended::ByASide) | Err(_) => Ended::ByASide,
        },
        ended = down.as_mut() => {
            if ended == Ended::ByASide {
                let _ = timeout(half_closed, up).await;
            } else if speaks == Speaks::WebSocket {
                // The visitor's own goodbye still reaches the app.
                tokio::select! { () = up => {}, () = visitor_closed.notified() => {} }
            }
            ended
        }
    }
}

/// From the visitor. `closed` hears when a WebSocket's last frame has gone by.
async fn pass_on(mut from: impl AsyncRead + Unpin, mut to: impl AsyncWrite + Unpin, speaks: Speaks, closed: &Notify) {
    let mut frames = Frames::default();
    let mut buffer = vec![0; 16 * 1024];
    loop {
        // An error is an end too: a visitor who closes the browser resets the connection.
        let n = from.read(&mut buffer).await.unwrap_or_default();
        if n == 0 || to.write_all(&buffer[..n]).await.is_err() || to.flush().await.is_err() {
            break;
        }
        if speaks == Speaks::WebSocket {
            frames.pass(&buffer[..n]);
            if frames.is_closed() {
                closed.notify_one();
            }
        }
    }
    let _ = to.shutdown().await;
}

/// From the app, until it ends or the edge wants to `leave`: then a frame that was begun may end, and the edge says goodbye.
async fn pass_on_until(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    passed: &AtomicU64,
    speaks: Speaks,
    leave: &Notify,
) -> Ended {
    let mut frames = Frames::default();
    let mut buffer = vec![0; 16 * 1024];
    let mut leaves = false;
    while !(leaves && (speaks == Speaks::Unknown || frames.is_between())) {
        let n = tokio::select! {
            () = leave.notified(), if !leaves => {
                leaves = true;
                continue;
            }
            read = from.read(&mut buffer) => read.unwrap_or_default(),
        };
        let n = match speaks {
            Speaks::WebSocket if leaves => frames.pass_to_end(&buffer[..n]),
            Speaks::WebSocket => {
                frames.pass(&buffer[..n]);
                n
            }
            Speaks::Unknown => n,
        };
        if n == 0 || to.write_all(&buffer[..n]).await.is_err() || to.flush().await.is_err() {
            let _ = to.shutdown().await;
            return Ended::ByASide;
        }
        passed.fetch_add(n as u64, Ordering::Relaxed);
    }
    if speaks == Speaks::WebSocket && !frames.is_closed() {
        // Where it cannot be told, nobody is left to hear it.
        let _ = to.write_all(&SERVICE_RESTARTS).await;
        let _ = to.flush().await;
    }
    Ended::ByEdge
}
