//! One instance of an app, and the connections to it that are kept for the next request.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use host::clock::Clock;
use http::{Request, Response, StatusCode};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::client::conn::http2;
use hyper_util::rt::TokioIo;
use reconcile::ports::{Protocol, Traffic};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::multiplex::{self, Multiplex, Place};
use crate::stream::{End, Streams};
use crate::upload::Upload;

/// A connection to an instance, or a place on one.
#[derive(Debug)]
pub enum Sender {
    Whole(SendRequest<Upload>),
    Place(Place),
    /// Of HTTP/2, with nobody beside.
    Alone(http2::SendRequest<Upload>),
}

impl Sender {
    pub async fn send(&mut self, mut request: Request<Upload>) -> Result<Response<Incoming>, Unanswered> {
        match self {
            Self::Whole(sender) => sender.try_send_request(request).await,
            Self::Place(place) => {
                multiplex::as_http_2(&mut request);
                place.sender().try_send_request(request).await
            }
            Self::Alone(sender) => {
                multiplex::as_http_2(&mut request);
                sender.try_send_request(request).await
            }
        }
    }
}

/// Why there is no answer; with the request, if it never left.
pub type Unanswered = TrySendError<Request<Upload>>;

/// One process that answers on a port of this machine.
#[derive(Debug)]
pub struct Instance {
    pub name: String,
    pub port: u16,
    born: Instant,
    in_flight: AtomicUsize,
    pub streams: Streams,
    /// Milliseconds after `born`.
    avoided_until: AtomicU64,
    /// Milliseconds after `born`. Ends by itself: whoever asked for it may have died.
    rests_until: AtomicU64,
    /// Answers of a process in trouble, or none, one after the other.
    troubles: AtomicU32,
    idle: Mutex<Vec<Idle>>,
    /// In place of `idle`, where it speaks HTTP/2.
    multiplex: Option<Multiplex>,
    answered: AtomicU64,
    failed: AtomicU64,
    by_time: [AtomicU64; TIMES],
}

/// Classes of time, each up to twice as long as the one before: from under 1 ms to half a minute and more.
const TIMES: usize = 16;

#[derive(Debug)]
struct Idle {
    sender: SendRequest<Upload>,
    since: Instant,
}

/// So many troubles one after the other are no accident.
const TROUBLES_BEFORE: u32 = 3;

/// An instance is not avoided for more than so many times as long as at first.
const LONGEST_AVOIDED: u32 = 30;

/// So many idle connections are kept per instance; further ones are closed.
const KEPT: usize = 64;

impl Instance {
    pub fn new(name: String, port: u16, protocol: Protocol, now: Instant) -> Self {
        Self {
            name,
            port,
            born: now,
            in_flight: AtomicUsize::new(0),
            streams: Streams::default(),
            avoided_until: AtomicU64::new(0),
            rests_until: AtomicU64::new(0),
            troubles: AtomicU32::new(0),
            idle: Mutex::new(Vec::new()),
            multiplex: (protocol == Protocol::H2c).then(|| Multiplex::new(now)),
            answered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            by_time: Default::default(),
        }
    }

    pub fn protocol(&self) -> Protocol {
        if self.multiplex.is_some() { Protocol::H2c } else { Protocol::Http1 }
    }

    /// Counts an answer; `None`: there was none.
    pub fn count(&self, status: Option<StatusCode>, took: Duration) {
        self.answered.fetch_add(1, Ordering::Relaxed);
        if status.is_none_or(|status| status.is_server_error()) {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
        let class = (u64::BITS - millis.leading_zeros()) as usize;
        self.by_time[class.min(TIMES - 1)].fetch_add(1, Ordering::Relaxed);
    }

    /// Avoids an instance that does not answer, or only that it cannot, while others may: for `once`, and longer each time it is tried
    /// and still does not. `None`: there was no answer.
    pub fn judge(&self, status: Option<StatusCode>, now: Instant, once: Duration) {
        let in_trouble = |status: StatusCode| matches!(status.as_u16(), 502..=504);
        if !status.is_none_or(in_trouble) {
            self.troubles.store(0, Ordering::Relaxed);
            return;
        }
        let troubles = self.troubles.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let times = troubles.saturating_sub(TROUBLES_BEFORE - 1).min(LONGEST_AVOIDED);
        if times > 0 {
            self.avoid_until(now + once * times);
        }
    }

    pub fn traffic(&self) -> Traffic {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Traffic {
            instance: self.name.clone(),
            in_flight: self.in_flight(),
            streams: self.streams.open(),
            answered: count(&self.answered),
            failed: count(&self.failed),
            by_time: self.by_time.iter().map(count).collect(),
        }
    }

    /// Requests under way; what has no end of its own is among [`Self::streams`].
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// What it has to do, with and without an end.
    pub fn load(&self) -> usize {
        self.in_flight() + self.streams.open()
    }

    /// Counts a request until the value is dropped.
    pub fn begin(self: &Arc<Self>) -> Flight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        Flight { instance: Arc::clone(self), is_stream: false }
    }

    /// Whether its process is being replaced: no request may be sent there.
    pub fn rests(&self, now: Instant) -> bool {
        self.age(now) < self.rests_until.load(Ordering::Relaxed)
    }

    pub fn rest_until(&self, then: Instant) {
        self.rests_until.store(self.age(then), Ordering::Relaxed);
    }

    /// The process behind it is another one, or the same after all.
    pub fn wake(&self) {
        self.forget_idle();
        self.avoided_until.store(0, Ordering::Relaxed);
        self.troubles.store(0, Ordering::Relaxed);
        self.rests_until.store(0, Ordering::Relaxed);
    }

    pub fn is_avoided(&self, now: Instant) -> bool {
        self.age(now) < self.avoided_until.load(Ordering::Relaxed)
    }

    pub fn avoid_until(&self, then: Instant) {
        self.avoided_until.store(self.age(then), Ordering::Relaxed);
    }

    fn age(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.born).as_millis()).unwrap_or(u64::MAX)
    }

    /// A kept connection that is still good: the most recently used, so that surplus ones grow old and are closed.
    pub fn take_idle(&self, now: Instant, longest: Duration) -> Option<Sender> {
        if let Some(multiplex) = &self.multiplex {
            return multiplex.place(now).map(Sender::Place);
        }
        let mut idle = self.idle.lock().expect("no holder panics");
        while let Some(Idle { sender, since }) = idle.pop() {
            if now.saturating_duration_since(since) >= longest {
                // Those below are older still.
                idle.clear();
                return None;
            }
            if sender.is_ready() {
                return Some(Sender::Whole(sender));
            }
        }
        None
    }

    /// The process behind the kept connections is gone: none of them will be better.
    pub fn forget_idle(&self) {
        self.idle.lock().expect("no holder panics").clear();
        if let Some(multiplex) = &self.multiplex {
            multiplex.forget();
        }
    }

    pub fn sweep(&self, now: Instant, longest: Duration) {
        let mut idle = self.idle.lock().expect("no holder panics");
        idle.retain(|kept| !kept.sender.is_closed() && now.saturating_duration_since(kept.since) < longest);
        if let Some(multiplex) = &self.multiplex {
            multiplex.sweep(now, longest);
        }
    }

    /// A new connection of HTTP/2 that nobody else is given: an app that has never heard of what it is asked for there may hang up,
    /// and would take the requests of others with it.
    pub async fn connect_alone(&self, longest: Duration) -> io::Result<Sender> {
        multiplex::over(self.reach(longest).await?, longest).await.map(Sender::Alone)
    }

    async fn reach(&self, longest: Duration) -> io::Result<TcpStream> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, self.port));
        let stream = timeout(longest, TcpStream::connect(address)).await.map_err(io::Error::from)??;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// A new connection.
    pub async fn connect(&self, now: Instant, longest: Duration) -> io::Result<Sender> {
        let stream = self.reach(longest).await?;
        if let Some(multiplex) = &self.multiplex {
            return Ok(Sender::Place(multiplex.connected(multiplex::over(stream, longest).await?, now)));
        }
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        // Ends when the sender is dropped or the app hangs up; what went wrong is told to the request.
        tokio::spawn(async move {
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "connection to an app ended early");
            }
        });
        Ok(Sender::Whole(sender))
    }

    fn keep(&self, sender: SendRequest<Upload>, now: Instant) {
        let mut idle = self.idle.lock().expect("no holder panics");
        if idle.len() < KEPT {
            idle.push(Idle { sender, since: now });
        }
    }
}

/// One request, or stream, under way at an instance.
#[derive(Debug)]
pub struct Flight {
    instance: Arc<Instance>,
    is_stream: bool,
}

impl Flight {
    /// Its answer has no end of its own: it is counted among the streams from now on, and ends when they are told to.
    pub fn becomes_stream(&mut self) -> End {
        // First the one and then the other: at no time is nothing under way.
        let end = self.instance.streams.begin();
        self.instance.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.is_stream = true;
        end
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if self.is_stream {
            self.instance.streams.ended();
        } else {
            self.instance.in_flight.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// A connection in use, to be kept when the answer has been read whole.
#[derive(Debug)]
pub struct Lease {
    pub sender: Sender,
    pub flight: Flight,
    pub clock: Arc<dyn Clock>,
}

impl Lease {
    fn give_back(self) {
        let Self { sender, flight, clock } = self;
        let Sender::Whole(mut sender) = sender else { return };
        let instance = Arc::clone(&flight.instance);
        drop(flight);
        if sender.is_ready() {
            instance.keep(sender, clock.instant());
            return;
        }
        // The connection's own task has yet to notice that the answer ended. If the app wants to close, it ends in an error.
        tokio::spawn(async move {
            if sender.ready().await.is_ok() {
                instance.keep(sender, clock.instant());
            }
        });
    }
}

/// An app's answer. Dropped before its end, it takes the connection with it.
#[derive(Debug)]
pub struct Leased {
    body: Incoming,
    lease: Option<Lease>,
    state: State,
}

#[derive(Debug)]
enum State {
    /// It ends when the app ends it.
    Whole,
    /// It ends when its turn comes, too.
    Stream(End),
    /// By us: the visitor sees a proper end.
    Ended,
}

impl Leased {
    pub fn new(body: Incoming, lease: Lease) -> Self {
        let mut leased = Self { body, lease: Some(lease), state: State::Whole };
        if leased.body.is_end_stream() {
            leased.release();
        }
        leased
    }

    /// Of a body that has no end of its own.
    pub fn stream(body: Incoming, mut lease: Lease) -> Self {
        let end = lease.flight.becomes_stream();
        Self { state: State::Stream(end), ..Self::new(body, lease) }
    }

    fn release(&mut self) {
        if let Some(lease) = self.lease.take() {
            lease.give_back();
        }
    }
}

impl Body for Leased {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = self.get_mut();
        match &mut this.state {
            State::Whole => {}
            State::Stream(end) => {
                if Pin::new(end).poll(cx).is_ready() {
                    this.state = State::Ended;
                    // Takes the connection with it.
                    this.lease = None;
                    return Poll::Ready(None);
                }
            }
            State::Ended => return Poll::Ready(None),
        }
        let poll = Pin::new(&mut this.body).poll_frame(cx);
        // A body of known length ends with its last frame: whoever reads it will not ask again.
        let is_over =
            matches!(poll, Poll::Ready(None)) || matches!(poll, Poll::Ready(Some(Ok(_)))) && this.body.is_end_stream();
        if is_over {
            this.release();
        }
        poll
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.state, State::Ended) || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        match self.state {
            State::Ended => SizeHint::with_exact(0),
            State::Whole | State::Stream(_) => self.body.size_hint(),
        }
    }
}
