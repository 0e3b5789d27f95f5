//! Connections to an app over HTTP/2, each for many requests at once.
//!
//! Nobody waits for a place: where every connection has as many requests as one should have, another one is made. A connection that the
//! app says goodbye on (GOAWAY) answers what it has taken and gets nothing more.

use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use http::header::{CONNECTION, HOST, TRANSFER_ENCODING};
use http::uri::{Authority, Scheme};
use http::{Request, Uri};
use hyper::client::conn::http2::{Builder, SendRequest};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::upload::Upload;

/// So many requests go over one connection. Servers allow a hundred or more; whoever comes beyond what they allow would wait.
const STREAMS: usize = 64;

/// The connections of one instance.
#[derive(Debug)]
pub struct Multiplex {
    born: Instant,
    open: Mutex<Vec<Arc<Shared>>>,
}

#[derive(Debug)]
struct Shared {
    sender: SendRequest<Upload>,
    streams: AtomicUsize,
    /// Milliseconds after the beginning when the last place was given.
    used: AtomicU64,
}

/// A connection whose app said within `longest` that it speaks HTTP/2.
pub async fn over(stream: TcpStream, longest: Duration) -> io::Result<SendRequest<Upload>> {
    let handshake = Builder::new(TokioExecutor::new()).handshake(TokioIo::new(stream));
    let (sender, connection) = timeout(longest, handshake).await.map_err(io::Error::from)?.map_err(io::Error::other)?;
    // Ends when nobody has a place on it and none is given any more, or the app hangs up.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection to an app ended early");
        }
    });
    Ok(sender)
}

/// A place for one request on a connection, until the answer has been read.
#[derive(Debug)]
pub struct Place {
    sender: SendRequest<Upload>,
    shared: Arc<Shared>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.streams.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Multiplex {
    pub fn new(now: Instant) -> Self {
        Self { born: now, open: Mutex::default() }
    }

    /// A place on a connection that is there.
    pub fn place(&self, now: Instant) -> Option<Place> {
        let mut open = self.open.lock().expect("no holder panics");
        open.retain(|shared| !shared.sender.is_closed());
        let free =
            open.iter().find(|shared| shared.streams.load(Ordering::Relaxed) < STREAMS && shared.sender.is_ready())?;
        Some(self.place_on(free, now))
    }

    /// Takes a new connection in, with a place on it.
    pub fn connected(&self, sender: SendRequest<Upload>, now: Instant) -> Place {
        let shared = Arc::new(Shared { sender, streams: AtomicUsize::new(0), used: AtomicU64::new(0) });
        let place = self.place_on(&shared, now);
        self.open.lock().expect("no holder panics").push(shared);
        place
    }

    fn place_on(&self, shared: &Arc<Shared>, now: Instant) -> Place {
        shared.streams.fetch_add(1, Ordering::Relaxed);
        shared.used.store(self.age(now), Ordering::Relaxed);
        Place { sender: shared.sender.clone(), shared: Arc::clone(shared) }
    }

    /// Gives none of them out any more. What is under way goes on.
    pub fn forget(&self) {
        self.open.lock().expect("no holder panics").clear();
    }

    /// Lets go of those that nobody used for so long.
    pub fn sweep(&self, now: Instant, longest: Duration) {
        let oldest = self.age(now).saturating_sub(u64::try_from(longest.as_millis()).unwrap_or(u64::MAX));
        let is_used = |shared: &Arc<Shared>| {
            shared.streams.load(Ordering::Relaxed) > 0 || shared.used.load(Ordering::Relaxed) > oldest
        };
        self.open.lock().expect("no holder panics").retain(|shared| !shared.sender.is_closed() && is_used(shared));
    }

    fn age(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.born).as_millis()).unwrap_or(u64::MAX)
    }
}

impl Place {
    pub fn sender(&mut self) -> &mut SendRequest<Upload> {
        &mut self.sender
    }
}

/// Writes a request down as HTTP/2 has it. One that is written so already stays as it is.
pub fn as_http_2(request: &mut Request<Upload>) {
    let headers = request.headers_mut();
    headers.remove(CONNECTION);
    headers.remove(TRANSFER_ENCODING);
    let Some(host) = headers.remove(HOST) else { return };
    let authority = Authority::try_from(host.as_bytes()).expect("the guard let it pass as a host");
    let mut parts = std::mem::take(request.uri_mut()).into_parts();
    (parts.scheme, parts.authority) = (Some(Scheme::HTTP), Some(authority));
    *request.uri_mut() = Uri::from_parts(parts).expect("a path, and a host before it");
}

/// Whether the app has said that it did nothing about a request: so it may be sent again, whatever it asks for (RFC 9113, 8.7).
pub fn is_untouched(error: &hyper::Error) -> bool {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(cause) = cause.downcast_ref::<h2::Error>() {
            return cause.is_remote()
                && (cause.is_reset() && cause.reason() == Some(h2::Reason::REFUSED_STREAM)
                    || cause.is_go_away() && cause.reason() == Some(h2::Reason::NO_ERROR));
        }
        source = cause.source();
    }
    false
}
