//! A proxy to be measured from outside, by `benches/proxies.py` and `benches/cache.py`: this edge with all that it does, the same with
//! a cache, or the least that hyper makes a proxy of.
//!
//! ```text
//!   proxy edge|cache|bare UPSTREAM-PORT HTTP-PORT HTTPS-PORT FOLDER      FOLDER has cert.pem and key.pem for the bare one, and gets what the edge writes
//! ```
//!
//! It says `ready` when it answers, and ends with its parent's SIGTERM.

#![expect(clippy::print_stdout, reason = "who measures waits for a word")]
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking")]

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use edge::tls::local_ca;
use edge::{EdgeClient, EdgeConfig};
use host::clock::{Clock, SystemClock};
use host::socket;
use http::header::HOST;
use http::uri::{Authority, Scheme};
use http::{HeaderValue, Request, Response, Uri};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use reconcile::Root;
use reconcile::ports::{CacheRules, Certificates, Protocol, RouteTable, Routes, Site, SiteAccess, Target, Upstream};
use reconcile::rate_limits::{LimitedBy, LimitedClass, Rate, RateLimits};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio_rustls::TlsAcceptor;

const HOST_NAME: &str = "bench.localhost";

#[derive(Clone, Copy)]
struct Ports {
    upstream: u16,
    http: u16,
    https: u16,
}

fn main() {
    let words: Vec<String> = std::env::args().filter(|word| word != "--bench").collect();
    // `cargo bench` for all starts it without words: there is nothing to measure alone.
    let [_, mode, upstream, http, https, folder] = &words[..] else { return };
    let port = |word: &String| word.parse().unwrap();
    let ports = Ports { upstream: port(upstream), http: port(http), https: port(https) };
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let mut ended = signal(SignalKind::terminate()).unwrap();
        let end = async move {
            ended.recv().await;
        };
        match mode.as_str() {
            "edge" => edge(ports, Path::new(folder), None, end).await,
            "cache" => {
                edge(ports, Path::new(folder), Some(CacheRules { bytes: 64 << 20, largest: 1 << 20 }), end).await
            }
            "bare" => bare(ports, Path::new(folder), end).await,
            other => panic!("{other}: edge, cache or bare"),
        }
    });
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

// ---- The edge ------------------------------------------------------------------------------------------------------------

/// With the JSON log, limits, checks of requests, retries, compression and security headers: as an environment has it. On port
/// HTTP it is asked as apps ask each other, since to visitors it only redirects there.
async fn edge(ports: Ports, folder: &Path, cache: Option<CacheRules>, end: impl Future<Output = ()> + Send + 'static) {
    let root = Root::new(folder.canonicalize().unwrap());
    let owner = local_ca::Owner { environment: "bench".to_owned(), root: "1".to_owned() };
    local_ca::ensure(&root, &owner, &[HOST_NAME.to_owned()], SystemClock.now()).unwrap();
    let listen = |name: &str, port| (name.to_owned(), socket::listen(loopback(port)).unwrap());
    let sockets = vec![listen("https", ports.https), listen("shop-internal", ports.http)];
    let clock = Arc::new(SystemClock);
    let running = tokio::spawn(edge::run(EdgeConfig::new(root.clone(), sockets, clock, end)));
    let client = EdgeClient::new(root);
    while client.health().await.is_err() {
        tokio::task::yield_now().await;
    }
    client.publish(table(ports, cache)).await.unwrap();
    println!("ready");
    running.await.unwrap().unwrap();
}

fn table(ports: Ports, cache: Option<CacheRules>) -> RouteTable {
    let headers = [("x-content-type-options", "nosniff"), ("referrer-policy", "strict-origin-when-cross-origin")];
    RouteTable {
        environment: "bench".to_owned(),
        https_port: ports.https,
        certificates: Certificates::Local,
        rate_limits: Some(RateLimits {
            classes: vec![LimitedClass {
                name: "default".to_owned(),
                rate: Rate { count: 1_000_000, period_ms: 1000, burst: 1_000_000 },
                by: LimitedBy::Client,
                shadow: false,
                shared: false,
                strict: false,
                failures: None,
                routes: Vec::new(),
            }],
            exempt: Vec::new(),
        }),
        sites: vec![Site {
            app: "shop".to_owned(),
            hosts: vec![HOST_NAME.to_owned()],
            target: Target::Instances {
                upstreams: vec![Upstream { instance: "shop-1".to_owned(), port: ports.upstream }],
                first_byte_ms: 30_000,
                idle_ms: 60_000,
                longest_body: Some(100 * 1024 * 1024),
                protocol: Protocol::default(),
                wake_ms: None,
            },
            access: SiteAccess::Public,
            client_authorities: None,
            cache,
            config: None,
            key_set: None,
            internal_socket: Some("shop-internal".to_owned()),
            release: Some("r-1".to_owned()),
            kept: Vec::new(),
            headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        }],
        ..RouteTable::default()
    }
}

// ---- The least that hyper makes a proxy of -------------------------------------------------------------------------------

type Upstreams = Client<HttpConnector, Incoming>;

async fn bare(ports: Ports, folder: &Path, end: impl Future<Output = ()>) {
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let client: Upstreams = Client::builder(TokioExecutor::new()).pool_max_idle_per_host(256).build(connector);
    let authority: Authority = format!("127.0.0.1:{}", ports.upstream).parse().unwrap();
    let tls = TlsAcceptor::from(Arc::new(tls(folder)));
    let plain = TcpListener::bind(loopback(ports.http)).await.unwrap();
    let sealed = TcpListener::bind(loopback(ports.https)).await.unwrap();
    {
        let (client, authority) = (client.clone(), authority.clone());
        tokio::spawn(async move {
            loop {
                let Ok((stream, _)) = plain.accept().await else { continue };
                let _ = stream.set_nodelay(true);
                tokio::spawn(serve_h1(stream, client.clone(), authority.clone()));
            }
        });
    }
    tokio::spawn(async move {
        loop {
            let Ok((stream, _)) = sealed.accept().await else { continue };
            let _ = stream.set_nodelay(true);
            let (tls, client, authority) = (tls.clone(), client.clone(), authority.clone());
            tokio::spawn(async move {
                let Ok(stream) = tls.accept(stream).await else { return };
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    let service = service_fn(move |request| forward(client.clone(), authority.clone(), request));
                    let _ = http2::Builder::new(TokioExecutor::new())
                        .timer(TokioTimer::new())
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                } else {
                    serve_h1(stream, client, authority).await;
                }
            });
        }
    });
    println!("ready");
    end.await;
}

async fn serve_h1<S: AsyncRead + AsyncWrite + Unpin>(stream: S, client: Upstreams, authority: Authority) {
    let service = service_fn(move |request| forward(client.clone(), authority.clone(), request));
    let _ = http1::Builder::new().timer(TokioTimer::new()).serve_connection(TokioIo::new(stream), service).await;
}

async fn forward(
    client: Upstreams,
    authority: Authority,
    request: Request<Incoming>,
) -> Result<Response<BoxBody<Bytes, hyper::Error>>, hyper::Error> {
    const REQUEST_ID: &str = "x-request-id";
    let (mut parts, body) = request.into_parts();
    let mut uri = std::mem::take(&mut parts.uri).into_parts();
    uri.scheme = Some(Scheme::HTTP);
    uri.authority = Some(authority);
    parts.uri = Uri::from_parts(uri).unwrap();
    parts.version = http::Version::HTTP_11;
    if !parts.headers.contains_key(HOST) {
        parts.headers.insert(HOST, HeaderValue::from_static(HOST_NAME));
    }
    let id = HeaderValue::from_static("0193fd2e-8c5b-7000-8000-000000000000");
    parts.headers.insert(REQUEST_ID, id.clone());
    match client.request(Request::from_parts(parts, body)).await {
        Ok(response) => {
            let (mut parts, body) = response.into_parts();
            parts.headers.insert(REQUEST_ID, id);
            Ok(Response::from_parts(parts, body.boxed()))
        }
        Err(_) => {
            let body = Full::new(Bytes::new()).map_err(|never| match never {}).boxed();
            Ok(Response::builder().status(502).body(body).unwrap())
        }
    }
}

fn tls(folder: &Path) -> ServerConfig {
    let chain = CertificateDer::pem_file_iter(folder.join("cert.pem")).unwrap().collect::<Result<Vec<_>, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    config
}
