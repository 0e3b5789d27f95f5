//! What an edge is given when it starts.

use std::future::Future;
use std::net::TcpListener;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use host::clock::Clock;
use reconcile::Root;

/// What [`crate::run`] needs.
pub struct EdgeConfig {
    pub root: Root,
    /// Bound sockets by name: `https`, `http`, `<app>-internal`.
    pub listeners: Vec<(String, TcpListener)>,
    pub clock: Arc<dyn Clock>,
    /// Ends when the edge shall drain and return.
    pub shutdown: Pin<Box<dyn Future<Output = ()> + Send>>,
    /// Ends when another edge serves on the same sockets: then this one takes its time with what it has.
    pub succeeded: Pin<Box<dyn Future<Output = ()> + Send>>,
    pub limits: Limits,
}

impl EdgeConfig {
    pub fn new(
        root: Root,
        listeners: Vec<(String, TcpListener)>,
        clock: Arc<dyn Clock>,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let succeeded = Box::pin(std::future::pending());
        Self { root, listeners, clock, shutdown: Box::pin(shutdown), succeeded, limits: Limits::default() }
    }

    /// Says how the edge learns that another one has taken its place.
    #[must_use]
    pub fn until_succeeded(self, succeeded: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { succeeded: Box::pin(succeeded), ..self }
    }
}

impl std::fmt::Debug for EdgeConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EdgeConfig").field("root", &self.root).field("limits", &self.limits).finish_non_exhaustive()
    }
}

/// How much of everything, and how long. The defaults serve people; tests make them short.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Open client connections; further ones wait in the socket's queue.
    pub connections: usize,
    /// Open connections of one client, which is one address, or all of a network of 64 bits. Further ones are closed. Many clients
    /// may share an address, behind a provider's translation; one shall not have more than a tenth of all places.
    pub connections_per_client: usize,
    /// Whether connections from this machine are counted, too. No stranger comes from here.
    pub counts_this_machine: bool,
    /// From accept to a finished TLS handshake.
    pub tls_handshake: Duration,
    /// From there to the first byte of a request: a client that says nothing is no client.
    pub first_byte: Duration,
    /// From the first byte of a request head to its last, in total: a header per second must not hold a connection.
    pub head: Duration,
    /// Idle time between two requests of one connection.
    pub keep_alive: Duration,
    /// Request line and headers together.
    pub head_bytes: usize,
    /// Number of request headers.
    pub headers: usize,
    /// Longest pause of a client in the middle of its request body.
    pub upload_stall: Duration,
    /// Longest time that a client may refuse to read what we write.
    pub write_stall: Duration,
    /// One attempt to connect to an app. It is on this machine: what takes longer is not listening.
    pub connect: Duration,
    /// How long a request waits for an app that refuses connections, since it may be restarting.
    pub restart_patience: Duration,
    /// How long an instance that refused a connection is avoided while others are there.
    pub eject: Duration,
    /// When draining, so long idle connections are left open, so that a request on its way is not cut.
    pub lame_duck: Duration,
    /// When draining, the whole time; what is open then is closed. Shorter than the keeper's patience with the edge.
    pub drain: Duration,
    /// After another edge took over, so long connections may be used once more or end by themselves. Longer than `keep_alive`: none
    /// is closed while a request may be on its way.
    pub succeeded_lame_duck: Duration,
    /// After another edge took over, the whole time: streams and tunnels may go on for so long. Shorter than the keeper's patience.
    pub succeeded_drain: Duration,
    /// After one side of a tunnel ended, so long the other may go on.
    pub half_closed: Duration,
    /// What a request waits for at most until limits are counted in Redis. A script takes some 50 µs, on a machine that is busy a few
    /// milliseconds.
    pub limits_store: Duration,
    /// Size of the access log at which it is rotated.
    pub log_bytes: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_client: 1_000,
            counts_this_machine: false,
            tls_handshake: Duration::from_secs(10),
            first_byte: Duration::from_secs(10),
            head: Duration::from_secs(10),
            keep_alive: Duration::from_secs(75),
            head_bytes: 32 * 1024,
            headers: 100,
            upload_stall: Duration::from_secs(30),
            write_stall: Duration::from_secs(60),
            connect: Duration::from_secs(1),
            restart_patience: Duration::from_secs(8),
            eject: Duration::from_secs(1),
            lame_duck: Duration::from_millis(300),
            drain: Duration::from_secs(4),
            succeeded_lame_duck: Duration::from_secs(80),
            succeeded_drain: Duration::from_secs(300),
            half_closed: Duration::from_secs(10),
            limits_store: Duration::from_millis(5),
            log_bytes: 10 * 1024 * 1024,
        }
    }
}
