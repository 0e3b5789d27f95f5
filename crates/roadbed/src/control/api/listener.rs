//! The listener of the API: where the manifest says, for as long as it says so.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{Extension, RawPathParams};
use axum::routing::{MethodFilter, MethodRouter, on};
use edge::tls::local_ca::Owner;
use http::{Request, StatusCode};
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use manifest::{Api as Declared, Environment};
use reconcile::Fault;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::certificate::{self, Certificate};
use super::problem::Problem;
use super::route::{self, Route};
use super::{Listening, call, url};
use crate::control::Control;
use crate::wanted::{self, PublicPorts};
use crate::world::ports::PortBook;

/// Time between two looks at what the manifest says and whether the certificate is due.
const LOOK: Duration = Duration::from_secs(1);

/// Connections at once. Who asks this API is a handful of people and pipelines; more wait in the socket's queue.
const MOST_CONNECTIONS: usize = 64;

/// A handshake and a head that take longer are somebody who holds a connection, and does not ask.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
const HEAD_TIME: Duration = Duration::from_secs(10);

/// Bytes of a head: a token is a hundred.
const MOST_HEAD: usize = 16 * 1024;

/// A connection ends after this long, whatever goes on.
const CONNECTION_TIME: Duration = Duration::from_secs(10 * 60);

/// Name of its port in the port book.
const PORT: &str = "api";

/// What listens now.
struct Running {
    declared: Declared,
    address: SocketAddr,
    certificate: Arc<Certificate>,
    accepting: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Listens, for as long as it is polled, where the wanted manifest says.
pub async fn listen(control: Arc<Control>) {
    let mut running: Option<Running> = None;
    let mut told = String::new();
    loop {
        match look(&control, running.take()).await {
            Ok(now) => {
                told.clear();
                let listening =
                    now.as_ref().map(|now| Listening { url: url(now.address, &now.declared.hosts), trouble: None });
                control.api.listens(listening);
                running = now;
            }
            Err((url, fault)) => {
                let text = format!("{fault} {:?}", fault.causes);
                if text != told {
                    tracing::error!(causes = ?fault.causes, "{fault}");
                    told = text;
                }
                control.api.listens(Some(Listening { url, trouble: Some(fault) }));
            }
        }
        sleep(LOOK).await;
    }
}

async fn look(control: &Arc<Control>, running: Option<Running>) -> Result<Option<Running>, (String, Fault)> {
    let Some((environment, owner)) = environment(control) else { return Ok(running) };
    let Some(declared) = environment.api else { return Ok(None) };
    let at_fault = |fault: Fault| (url(declared.listen, &declared.hosts), fault);
    match running {
        Some(running) if running.declared == declared => {
            show(control, &owner, &running.certificate, running.address, &declared).map_err(at_fault)?;
            Ok(Some(running))
        }
        before => {
            // The address may be the same.
            drop(before);
            begin(control, &declared, &owner).await.map(Some).map_err(at_fault)
        }
    }
}

/// What is wanted; what cannot be read is told elsewhere, and changes nothing here.
fn environment(control: &Control) -> Option<(Environment, Owner)> {
    let want = wanted::read(&control.root).ok()??;
    let mut environment = wanted::resolve(&want).ok()?;
    if let (PublicPorts::Free, Some(api)) = (want.ports, &mut environment.api) {
        api.listen.set_port(0);
    }
    let name = format!("{} {}", environment.product, environment.reference());
    Some((environment, Owner { environment: name, root: control.id.clone() }))
}

/// Sees to a certificate for all names of the API.
fn show(
    control: &Control,
    owner: &Owner,
    certificate: &Certificate,
    address: SocketAddr,
    declared: &Declared,
) -> Result<(), Fault> {
    let hosts = certificate::hosts(address, &declared.hosts);
    certificate.ensure(&control.root, owner, &hosts, control.clock.now())
}

async fn begin(control: &Arc<Control>, declared: &Declared, owner: &Owner) -> Result<Running, Fault> {
    let address = SocketAddr::new(declared.listen.ip(), port(control, declared).await?);
    // First: nobody is accepted whom nothing can be shown to.
    let certificate = Arc::new(Certificate::default());
    show(control, owner, &certificate, address, declared)?;
    let cannot = |error: &(dyn std::error::Error + 'static)| {
        Fault::because(format!("the API cannot listen at {address}"), error)
            .hint("give `listen` of `api` in roadbed.toml another address")
    };
    let listener = host::socket::listen(address).map_err(|error| cannot(&error))?;
    listener.set_nonblocking(true).map_err(|error| cannot(&error))?;
    let listener = TcpListener::from_std(listener).map_err(|error| cannot(&error))?;
    let accepting = tokio::spawn(accept_all(listener, router(control), certificate.clone()));
    tracing::info!(%address, "the API listens");
    Ok(Running { declared: declared.clone(), address, certificate, accepting })
}

/// The port that the manifest names, or one of the port book, which nobody else writes meanwhile.
async fn port(control: &Control, declared: &Declared) -> Result<u16, Fault> {
    if declared.listen.port() != 0 {
        return Ok(declared.listen.port());
    }
    let _turn = control.turn.lock().await;
    PortBook::open(&control.root)?.port(PORT, false)
}

async fn accept_all(listener: TcpListener, router: Router, certificate: Arc<Certificate>) {
    let slots = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    loop {
        let Ok(slot) = slots.clone().acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let (router, config) = (router.clone(), certificate.config());
                tokio::spawn(async move {
                    if let Some(config) = config {
                        let served = serve(stream, peer, router, TlsAcceptor::from(config));
                        let _ = timeout(CONNECTION_TIME, served).await;
                    }
                    drop(slot);
                });
            }
            Err(error) => {
                // Out of file descriptors, or a client who gave up in the queue: neither is worth a busy loop.
                tracing::warn!(%error, "the API cannot accept a connection");
                sleep(Duration::from_millis(20)).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, router: Router, acceptor: TlsAcceptor) {
    let _ = stream.set_nodelay(true);
    let stream = match timeout(HANDSHAKE_TIME, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => stream,
        Ok(Err(error)) => return tracing::debug!(%peer, %error, "no TLS handshake at the API"),
        Err(_) => return tracing::debug!(%peer, "a TLS handshake at the API took too long"),
    };
    let service = TowerToHyperService::new(router.layer(Extension(Caller(peer))));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(MOST_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    if let Err(error) = connection.await {
        tracing::debug!(%peer, %error, "a connection to the API broke");
    }
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug)]
struct Caller(SocketAddr);

/// Where a request without an address of its own comes from: from nowhere.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 0);

/// The routes, and problems for what is none.
pub(super) fn router(control: &Arc<Control>) -> Router {
    let mut router = Router::new();
    for route in route::all() {
        router = router.route(route.path, handler(control, Arc::new(route)));
    }
    let no_route = |request: Request<Body>| async {
        call::hear_out(request.into_body()).await;
        Ok::<_, Infallible>(call::refuse(
            &Problem::not_found("there is no such route").hint("GET /openapi.json"),
            str::to_owned,
        ))
    };
    let no_method = |request: Request<Body>| async {
        call::hear_out(request.into_body()).await;
        let problem =
            Problem::new(StatusCode::METHOD_NOT_ALLOWED, "no-such-method", "this route does not take that method");
        Ok::<_, Infallible>(call::refuse(&problem, str::to_owned))
    };
    router.fallback(no_route).method_not_allowed_fallback(no_method)
}

/// The parts of the path that the route has names for.
type Named = Result<RawPathParams, RawPathParamsRejection>;

fn handler(control: &Arc<Control>, route: Arc<Route>) -> MethodRouter {
    let control = control.clone();
    let filter = MethodFilter::try_from(route.method.clone()).expect("routes have common methods");
    on(filter, move |named: Named, peer: Option<Extension<Caller>>, request: Request<Body>| {
        let (control, route) = (control.clone(), route.clone());
        let peer = peer.map_or(NOWHERE, |Extension(Caller(peer))| peer);
        async move {
            let Ok(named) = named else {
                call::hear_out(request.into_body()).await;
                return call::refuse(&Problem::not_understood("a part of the path is no UTF-8"), str::to_owned);
            };
            let named: Vec<(String, String)> =
                named.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            call::answer(control, route, peer, &named, request).await
        }
    })
}
