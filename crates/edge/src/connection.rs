//! One visitor's connection, from accept to its last byte.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use rustls::server::Acceptor;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor};

use crate::announcement;
use crate::crowd::Guest;
use crate::drain::{Phase, Watch};
use crate::edge::Edge;
use crate::head::Inspection;
use crate::pipeline;
use crate::tls::on_demand::OnDemand;
use crate::tls::{self, clients};
use crate::unread::{self, Streams, Watched};
use crate::wire::Wire;

/// Which of the keeper's sockets a visitor came through.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Door {
    Https,
    Http,
    /// As HTTPS, to a release that visitors do not get yet.
    Candidate,
    /// The socket for calls between apps; holds its name.
    Internal(Arc<str>),
}

/// What is known about a connection, for all its requests.
#[derive(Debug)]
pub struct Visitor {
    pub door: Door,
    pub peer: SocketAddr,
    /// The host that the TLS handshake asked for.
    pub sni: Option<String>,
    /// Who it proved to be, where its host asks.
    pub client: Option<clients::Client>,
    /// The strict reader's verdicts; None over HTTP/2.
    pub inspection: Option<Arc<Inspection>>,
    requests: Arc<Requests>,
}

/// How busy a connection is.
#[derive(Debug, Default)]
struct Requests {
    open: AtomicUsize,
    begun: AtomicUsize,
}

/// A request under way, up to the last byte of its answer.
#[derive(Debug)]
pub struct OpenRequest(Arc<Requests>);

impl Drop for OpenRequest {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Visitor {
    /// Without TLS, as far as is known yet.
    pub fn plain(door: Door, peer: SocketAddr) -> Self {
        Self { door, peer, sni: None, client: None, inspection: None, requests: Arc::default() }
    }

    pub fn open_request(&self) -> OpenRequest {
        self.requests.begun.fetch_add(1, Ordering::Relaxed);
        self.requests.open.fetch_add(1, Ordering::Relaxed);
        OpenRequest(Arc::clone(&self.requests))
    }

    /// Ends when nothing was asked for as long as that.
    async fn is_idle_for(&self, longest: Duration) {
        let mut before = self.requests.begun.load(Ordering::Relaxed);
        loop {
            sleep(longest).await;
            let begun = self.requests.begun.load(Ordering::Relaxed);
            if begun == before && self.requests.open.load(Ordering::Relaxed) == 0 {
                return;
            }
            before = begun;
        }
    }
}

/// An HTTP/2 client may have so many requests under way at once. Browsers open about this many.
const STREAMS: u32 = 128;
/// A peer that vanished in the middle of an answer is noticed by a ping.
const PING_INTERVAL: Duration = Duration::from_secs(30);
/// Room to read a head into, and for as much of a body as is passed on at once.
const BUFFER: usize = 64 * 1024;

/// Serves a connection to its end.
pub async fn serve(edge: Arc<Edge>, mut stream: TcpStream, peer: SocketAddr, door: Door, watch: Watch) {
    let Some((peer, _guest)) = announced(&edge, &mut stream, peer, &door).await else { return };
    // Small answers go out now, not when the peer has acknowledged the last one.
    let _ = stream.set_nodelay(true);
    match door {
        Door::Https | Door::Candidate => serve_tls(edge, stream, peer, door, watch).await,
        Door::Http | Door::Internal(_) => serve_h1(edge, stream, Visitor::plain(door, peer), watch).await,
    }
}

/// Who is at the other end, where a proxy in between has to say so first; `None`: nobody who may come in. Whoever the proxy names
/// is counted as if he had come himself.
async fn announced(
    edge: &Edge,
    stream: &mut TcpStream,
    peer: SocketAddr,
    door: &Door,
) -> Option<(SocketAddr, Option<Guest>)> {
    let is_public = matches!(door, Door::Https | Door::Http);
    let announces =
        || edge.serving.load().proxies().is_some_and(|proxies| proxies.announce && proxies.trusts(peer.ip()));
    if !is_public || !announces() {
        return Some((peer, None));
    }
    match timeout(edge.limits.first_byte, announcement::read(stream)).await {
        Ok(Ok(Some(visitor))) => Some((visitor, edge.admit(visitor.ip())?)),
        Ok(Ok(None)) => Some((peer, None)),
        Ok(Err(error)) => {
            tracing::warn!(%peer, %error, "a proxy did not say whose connection this is");
            None
        }
        Err(_) => None,
    }
}

async fn serve_tls(edge: Arc<Edge>, stream: TcpStream, peer: SocketAddr, door: Door, watch: Watch) {
    let (stream, client) = match shake_hands(&edge, stream, peer, &door).await {
        Ok(shaken) => shaken,
        Err(error) => return tracing::debug!(%peer, %error, "TLS handshake failed"),
    };
    let (_, session) = stream.get_ref();
    // It has seen the certificate that it came for.
    if session.alpn_protocol() == Some(certificates::ACME_PROTOCOL) {
        return;
    }
    let speaks_h2 = session.alpn_protocol() == Some(b"h2");
    let visitor = Visitor { sni: session.server_name().map(str::to_owned), client, ..Visitor::plain(door, peer) };
    // The handshake has chosen. Guessing from the first bytes would need a read that no timeout covers.
    if speaks_h2 {
        serve_h2(edge, stream, visitor, watch).await;
    } else {
        serve_h1(edge, stream, visitor, watch).await;
    }
}

/// As the host that is asked for wants it: most do not ask who is there. What the visitor has to do has its deadline, and what he
/// waits for another.
async fn shake_hands(
    edge: &Arc<Edge>,
    stream: TcpStream,
    peer: SocketAddr,
    door: &Door,
) -> io::Result<(TlsStream<TcpStream>, Option<clients::Client>)> {
    let longest = edge.limits.tls_handshake;
    let serving = edge.serving.load_full();
    let orders_on_demand = *door == Door::Https && serving.orders_on_demand();
    if !serving.asks_for_clients() && !orders_on_demand {
        return Ok((timeout(longest, TlsAcceptor::from(edge.tls.usual()).accept(stream)).await??, None));
    }
    let begun = timeout(longest, LazyConfigAcceptor::new(Acceptor::default(), stream)).await??;
    let host = begun.client_hello().server_name().map(str::to_owned);
    let is_visitor = !tls::is_of_authority(&begun.client_hello());
    if let Some(host) = host.as_deref().filter(|host| orders_on_demand && is_visitor && !serving.names(host))
        && let Some(alert) = OnDemand::find_out(edge, host, peer.ip()).await.alert()
    {
        let mut stream = begun.io;
        timeout(longest, stream.write_all(&alert)).await??;
        return Err(io::Error::other("the host is not served"));
    }
    let authorities = host.as_deref().and_then(|host| serving.client_authorities(door, host));
    let Some(authorities) = authorities else {
        return Ok((timeout(longest, begun.into_stream(edge.tls.usual())).await??, None));
    };
    let config = edge.tls.with_clients(authorities).map_err(io::Error::other)?;
    let stream = timeout(longest, begun.into_stream(config)).await??;
    let client = clients::Client::of(stream.get_ref().1, authorities);
    Ok((stream, client))
}

async fn serve_h1<T>(edge: Arc<Edge>, io: T, mut visitor: Visitor, watch: Watch)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let inspection = Arc::new(Inspection::default());
    visitor.inspection = Some(Arc::clone(&inspection));
    let visitor = Arc::new(visitor);
    let wire = Wire::inspected(io, &edge.limits, inspection);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(edge.limits.keep_alive)
        .max_header_size(edge.limits.head_bytes)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(wire), service(Arc::clone(&edge), Arc::clone(&visitor)))
        .with_upgrades();
    let mut connection = pin!(connection);
    // The parser's timer sees to idle ones.
    let never = std::future::pending();
    let finish = |connection: Pin<&mut _>| http1::UpgradeableConnection::graceful_shutdown(connection);
    if let Err(error) =
        drive(connection.as_mut(), finish, never, edge.limits.write_stall, (watch, Phase::Closing)).await
    {
        note_end(&edge, &visitor, &error);
    }
}

async fn serve_h2<T>(edge: Arc<Edge>, io: T, visitor: Visitor, watch: Watch)
where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let visitor = Arc::new(visitor);
    let wire = Wire::framed(io, &edge.limits);
    let connection = http2::Builder::new(Streams::new(edge.limits.write_stall))
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .enable_connect_protocol()
        .max_header_list_size(u32::try_from(edge.limits.head_bytes).unwrap_or(u32::MAX))
        .keep_alive_interval(PING_INTERVAL)
        .serve_connection(TokioIo::new(wire), watched(Arc::clone(&edge), Arc::clone(&visitor)));
    let mut connection = pin!(connection);
    let idle = visitor.is_idle_for(edge.limits.keep_alive);
    let finish = |connection: Pin<&mut _>| http2::Connection::graceful_shutdown(connection);
    // HTTP/2 has a word for "no more requests" that cuts none which is on its way: it is said at once.
    if let Err(error) =
        drive(connection.as_mut(), finish, idle, edge.limits.write_stall, (watch, Phase::LameDuck)).await
    {
        note_end(&edge, &visitor, &error);
    }
}

type Answer = http::Response<crate::body::Recorded>;

fn service(
    edge: Arc<Edge>,
    visitor: Arc<Visitor>,
) -> impl hyper::service::Service<
    http::Request<Incoming>,
    Response = Answer,
    Error = Infallible,
    Future = impl Future<Output = Result<Answer, Infallible>> + Send + 'static,
> {
    service_fn(move |request| {
        let (edge, visitor) = (Arc::clone(&edge), Arc::clone(&visitor));
        async move { Ok(pipeline::answer(edge, visitor, request).await) }
    })
}

/// As [`service`], with an eye on whether the client reads its answers.
fn watched(
    edge: Arc<Edge>,
    visitor: Arc<Visitor>,
) -> impl hyper::service::Service<
    http::Request<Incoming>,
    Response = http::Response<Watched<crate::body::Recorded>>,
    Error = Infallible,
    Future = impl Future<Output = Result<http::Response<Watched<crate::body::Recorded>>, Infallible>> + Send + 'static,
> {
    service_fn(move |request| {
        let (edge, visitor) = (Arc::clone(&edge), Arc::clone(&visitor));
        let watch = unread::begin();
        async move { Ok(pipeline::answer(edge, visitor, request).await.map(watch)) }
    })
}

/// Runs a connection to its end; when it is idle or the edge drains so far, to its last answer; and no longer than the drain lasts.
async fn drive<C>(
    mut connection: Pin<&mut C>,
    finish: impl Fn(Pin<&mut C>),
    idle: impl Future<Output = ()>,
    farewell: Duration,
    (mut watch, last_call): (Watch, Phase),
) -> hyper::Result<()>
where
    C: Future<Output = hyper::Result<()>>,
{
    tokio::select! {
        end = connection.as_mut() => return end,
        () = idle => {
            finish(connection.as_mut());
            // Nothing is asked for any more. What was answered and is not read yet does not keep it for ever.
            return timeout(farewell, connection).await.unwrap_or(Ok(()));
        }
        () = watch.reached(last_call) => {}
    }
    finish(connection.as_mut());
    tokio::select! {
        end = connection.as_mut() => end,
        () = watch.reached(Phase::Over) => Ok(()),
    }
}

/// A request that the parser itself refused never reached the pipeline; it is in the access log all the same.
fn note_end(edge: &Edge, visitor: &Visitor, error: &hyper::Error) {
    if error.is_parse() {
        edge.log.unparsed(edge.clock.now(), edge.clock.instant(), visitor, error);
    } else {
        tracing::debug!(peer = %visitor.peer, %error, "connection ended early");
    }
}
