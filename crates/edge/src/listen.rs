//! The doors: accept loops over the sockets that the keeper holds.

use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use reconcile::ports::CANDIDATE_SOCKET;
use tokio::sync::Semaphore;

use crate::connection::{self, Door};
use crate::drain::{Phase, Watch};
use crate::edge::Edge;
use crate::fault::EdgeFault;

/// A socket that visitors come through.
#[derive(Debug)]
pub struct Listener {
    door: Door,
    socket: tokio::net::TcpListener,
}

/// Takes an inherited socket over, by its name.
pub fn adopt(name: &str, socket: TcpListener) -> Result<Listener, EdgeFault> {
    let door = match name {
        "https" => Door::Https,
        "http" => Door::Http,
        CANDIDATE_SOCKET => Door::Candidate,
        name if name.ends_with("-internal") => Door::Internal(Arc::from(name)),
        name => return Err(EdgeFault::UnknownSocket { name: name.to_owned() }),
    };
    let fault = |source| EdgeFault::Listen { name: name.to_owned(), source };
    socket.set_nonblocking(true).map_err(fault)?;
    let socket = tokio::net::TcpListener::from_std(socket).map_err(fault)?;
    Ok(Listener { door, socket })
}

/// Accepts until the edge drains. Each connection is a task of its own and holds a slot; when there is none left, visitors
/// wait in the socket's queue, where they cost nothing.
pub async fn accept_all(edge: Arc<Edge>, listener: Listener, slots: Arc<Semaphore>, mut watch: Watch) {
    let mut is_told = false;
    loop {
        let accepted = tokio::select! {
            accepted = listener.socket.accept() => accepted,
            () = watch.reached(Phase::LameDuck) => return,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => {
                if is_told {
                    tracing::info!("connections are accepted again");
                    is_told = false;
                }
                accepted
            }
            Err(error) => {
                // Out of file descriptors, or a visitor who gave up in the queue: neither is worth a busy loop, or a line each time.
                if !is_told {
                    tracing::warn!(%error, "cannot accept connections; those that are there are served, others wait");
                    is_told = true;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        let Some(guest) = edge.admit(peer.ip()) else {
            tracing::debug!(%peer, "has as many connections as a client may have");
            continue;
        };
        // After accepting: a quiet door must not keep a slot from a busy one. Not part of the choice above: whoever was let in
        // is served, also when the edge drains meanwhile.
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let (edge, door, watch) = (Arc::clone(&edge), listener.door.clone(), watch.clone());
        tokio::spawn(async move {
            connection::serve(edge, stream, peer, door, watch).await;
            drop((slot, guest));
        });
    }
}
