//! A word to systemd, which asked for it: that we are ready, that we are going.

use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Where systemd listens.
const SOCKET: &str = "NOTIFY_SOCKET";

/// Says it, where somebody asked. Whoever does not hear it must not keep us from our work.
pub fn say(what: &str) {
    let Ok(place) = std::env::var(SOCKET) else { return };
    let address = match place.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(&place),
    };
    let said = address.and_then(|address| UnixDatagram::unbound()?.send_to_addr(what.as_bytes(), &address));
    if let Err(error) = said {
        tracing::warn!(%error, "cannot tell systemd");
    }
}
