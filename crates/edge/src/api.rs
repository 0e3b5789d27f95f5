//! The edge's own small API, on a Unix socket that only its owner can open: what control publishes comes in here.
//!
//! ```text
//!   GET  /health   {"generation":7,"state":"serving"}      PUT /routes   a route table in, {"generation":8,"changed":true} out
//!   GET  /routes   the table that is served, or null
//!   POST /rest     {"instance":"api-1","longest_ms":60000}  no new request there; answers when those under way are answered
//!   POST /wake     {"instance":"api-1","longest_ms":0}      ends that
//!   PUT  /challenges    how authorities are answered that ask whether our hosts are ours
//!   POST /certificates  those that are on disk now are shown
//!   POST /end-streams {"instance":"api-1","longest_ms":9000} ends its streams, spread over that time; answers how many
//!   GET  /traffic  what each instance has under way and has answered
//!   PUT  /limits-store {"ports":…}      where limits are counted together with other edges, in memory alone; GET: whether they are
//!   PUT  /admission {"key":…}            who is let in beyond what the routes say
//!   POST /top {"by":"client","count":10}  who asked most in the last five minutes
//!   GET  /cache    what became of requests in the caches of apps     POST /purge {"selector":…}   takes answers back; answers of how many addresses
//!   POST /arrivals {"edge":…,"count":7}  how many visitors' requests came in; answers when it is not that, or after a while
//! ```
//!
//! What changes something may say of which control it is (`roadbed-epoch: 7`): of one that has been replaced nothing is taken.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use reconcile::Fault;
use reconcile::ports::{Challenges, RouteTable};
use response_cache::{Counted, Selector};
use serde::{Deserialize, Serialize};
use tokio::net::UnixListener;
use tokio::task::JoinSet;

use crate::abuse::top::By;
use crate::admission::Admission;
use crate::arrivals::Arrived;
use crate::edge::Edge;
use crate::fault::EdgeFault;
use crate::publish::Publisher;
use crate::rate_limit::access::{StoreAccess, StoreHealth};
use crate::snapshot::Serving;
use crate::upstream::Instance;

/// The epoch of the control that asks.
pub(crate) const EPOCH_HEADER: &str = "roadbed-epoch";

/// A table of ten thousand hosts has about two megabytes.
const LARGEST: usize = 16 * 1024 * 1024;
/// Whoever waits for the next visitor asks again after this: a control that went away is not waited on for ever.
const LONGEST_LOOK: Duration = Duration::from_secs(20);
/// Who connects here has something to say.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the edge says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// 0 before the first.
    pub generation: u64,
    pub state: State,
    /// Lines that the access log lost, since start.
    pub log_dropped: u64,
    /// Where limits are counted with other edges.
    #[serde(default)]
    pub limits: StoreHealth,
    /// Which admission counts.
    #[serde(default)]
    pub admission: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Nothing was published yet.
    Empty,
    Damaged,
    Serving,
}

/// Accepts until the future is dropped.
pub async fn serve(edge: Arc<Edge>, publisher: Arc<Publisher>, listener: UnixListener) {
    // Dropped with this future: a caller who keeps his connection open does not hold up the edge's end.
    let mut calls = JoinSet::new();
    loop {
        while calls.try_join_next().is_some() {}
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept on the edge's socket");
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        let (edge, publisher) = (Arc::clone(&edge), Arc::clone(&publisher));
        calls.spawn(async move {
            let service = service_fn(|request| {
                let (edge, publisher) = (Arc::clone(&edge), Arc::clone(&publisher));
                async move { Ok::<_, Infallible>(answer(&edge, &publisher, request).await) }
            });
            let serving = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(PATIENCE)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = serving.await {
                tracing::debug!(%error, "a connection to the edge's socket ended early");
            }
        });
    }
}

async fn answer(edge: &Edge, publisher: &Arc<Publisher>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    match (request.method(), request.uri().path()) {
        (&Method::GET, "/health") => json(StatusCode::OK, &health(edge)),
        (&Method::GET, "/routes") => {
            let serving = edge.serving.load();
            json(StatusCode::OK, &serving.snapshot().ok().map(|snapshot| &snapshot.table))
        }
        (&Method::GET, "/cache") => json(StatusCode::OK, &counted(edge)),
        (&Method::POST, "/purge") => match publisher.fence(epoch_of(&request)) {
            Ok(()) => purge(edge, request).await,
            Err(cause) => fault(StatusCode::CONFLICT, &refused("cannot take answers back", &cause)),
        },
        (&Method::GET, "/traffic") => json(StatusCode::OK, &publisher.traffic()),
        (&Method::POST, "/arrivals") => match read_known(request).await {
            Ok(known) => json(StatusCode::OK, &edge.arrivals.other_than(known, LONGEST_LOOK).await),
            Err(told) => fault(StatusCode::BAD_REQUEST, &told),
        },
        (&Method::POST, "/top") => match read_asked(request).await {
            Ok(asked) => json(StatusCode::OK, &edge.log.top(asked.by, asked.count, edge.clock.now())),
            Err(told) => fault(StatusCode::BAD_REQUEST, &told),
        },
        (&Method::PUT, "/routes") => publish(publisher, request).await,
        (&Method::PUT, "/challenges") => match publisher.fence(epoch_of(&request)) {
            Ok(()) => prove(edge, request).await,
            Err(cause) => fault(StatusCode::CONFLICT, &refused("cannot answer an authority", &cause)),
        },
        (&Method::GET, "/limits-store") => json(StatusCode::OK, &edge.limiter.look().await),
        (&Method::PUT, "/limits-store") => match publisher.fence(epoch_of(&request)) {
            Ok(()) => count_limits_in(edge, request).await,
            Err(cause) => fault(StatusCode::CONFLICT, &refused("cannot count limits elsewhere", &cause)),
        },
        (&Method::PUT, "/admission") => match publisher.fence(epoch_of(&request)) {
            Ok(()) => admit(edge, request).await,
            Err(cause) => fault(StatusCode::CONFLICT, &refused("cannot change who is let in", &cause)),
        },
        (&Method::POST, "/certificates") => take_up(publisher).await,
        (&Method::POST, path @ ("/rest" | "/wake" | "/end-streams")) => {
            let path = path.to_owned();
            match publisher.fence(epoch_of(&request)) {
                Ok(()) => about_instance(edge, publisher, &path, request).await,
                Err(cause) => fault(StatusCode::CONFLICT, &refused("cannot change anything of an instance", &cause)),
            }
        }
        _ => {
            let known = "the edge has `/health`, `/routes`, `/challenges`, `/certificates`, `/limits-store`, `/admission`, `/top`, `/traffic`, `/cache`, `/purge`, `/arrivals`, `/rest`, `/wake` and `/end-streams`";
            fault(StatusCode::NOT_FOUND, &Fault::new(known))
        }
    }
}

fn health(edge: &Edge) -> Health {
    let (generation, state) = match edge.serving.load().as_ref() {
        Serving::Nothing => (0, State::Empty),
        Serving::Damaged(_) => (0, State::Damaged),
        Serving::Snapshot(snapshot) => (snapshot.generation, State::Serving),
    };
    Health {
        generation,
        state,
        log_dropped: edge.log.dropped(),
        limits: edge.limiter.health(),
        admission: edge.admissions.fingerprint(),
    }
}

/// What became of requests in the cache of each app that has one.
fn counted(edge: &Edge) -> BTreeMap<String, Counted> {
    let serving = edge.serving.load();
    let caches = serving.snapshot().ok().into_iter().flat_map(|snapshot| snapshot.caches());
    caches.map(|(app, cache)| (app.to_owned(), cache.counted())).collect()
}

/// Which answers are taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purge {
    /// `None`: of every app.
    #[serde(default)]
    pub app: Option<String>,
    pub selector: Selector,
}

async fn purge(edge: &Edge, request: Request<Incoming>) -> Response<Full<Bytes>> {
    const HEADLINE: &str = "cannot read which answers are taken back";
    let body = match Limited::new(request.into_body(), LARGEST).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return fault(StatusCode::BAD_REQUEST, &Fault::because(HEADLINE, error.as_ref())),
    };
    let wanted: Purge = match serde_json::from_slice(&body) {
        Ok(wanted) => wanted,
        Err(error) => return fault(StatusCode::BAD_REQUEST, &Fault::because(HEADLINE, &error)),
    };
    let serving = edge.serving.load();
    let caches = serving.snapshot().ok().into_iter().flat_map(|snapshot| snapshot.caches());
    let meant = caches.filter(|(app, _)| wanted.app.as_deref().is_none_or(|wanted| wanted == *app));
    json(StatusCode::OK, &meant.map(|(_, cache)| cache.purge(&wanted.selector)).sum::<usize>())
}

/// About an instance that is being replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rest {
    pub instance: String,
    pub longest_ms: u64,
}

/// What is not answered by then is long: the app itself ends it in order, since it knows that it is busy with it.
const UNDER_WAY: Duration = Duration::from_secs(2);

async fn about_instance(
    edge: &Edge,
    publisher: &Publisher,
    path: &str,
    request: Request<Incoming>,
) -> Response<Full<Bytes>> {
    let rest = match read_rest(request).await {
        Ok(rest) => rest,
        Err(told) => return fault(StatusCode::BAD_REQUEST, &told),
    };
    let instances = publisher.named(&rest.instance);
    let longest = Duration::from_millis(rest.longest_ms);
    match path {
        "/rest" => rest_all(edge, &instances, longest).await,
        "/wake" => instances.iter().for_each(|instance| instance.wake()),
        _ => {
            let ended: usize = instances.iter().map(|instance| instance.streams.end_within(longest)).sum();
            return json(StatusCode::OK, &ended);
        }
    }
    json(StatusCode::OK, &instances.len())
}

async fn rest_all(edge: &Edge, instances: &[Arc<Instance>], longest: Duration) {
    let began = edge.clock.instant();
    for instance in instances {
        instance.rest_until(began + longest);
    }
    while instances.iter().any(|instance| instance.in_flight() > 0) && edge.clock.instant() < began + UNDER_WAY {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Which of those who ask most.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskedTop {
    pub by: By,
    pub count: usize,
}

async fn read_asked(request: Request<Incoming>) -> Result<AskedTop, Fault> {
    const HEADLINE: &str = "cannot read whose number is asked for";
    let body = Limited::new(request.into_body(), 4096).collect().await;
    let body = body.map_err(|error| Fault::because(HEADLINE, error.as_ref()))?.to_bytes();
    serde_json::from_slice(&body).map_err(|error| Fault::because(HEADLINE, &error))
}

async fn read_known(request: Request<Incoming>) -> Result<Arrived, Fault> {
    let cannot =
        |error: &(dyn std::error::Error + 'static)| Fault::because("cannot read what is known of visitors", error);
    let body = Limited::new(request.into_body(), 4096).collect().await.map_err(|error| cannot(error.as_ref()))?;
    serde_json::from_slice(&body.to_bytes()).map_err(|error| cannot(&error))
}

async fn read_rest(request: Request<Incoming>) -> Result<Rest, Fault> {
    let cannot = |error: &(dyn std::error::Error + 'static)| Fault::because("cannot read which instance", error);
    let body = Limited::new(request.into_body(), 4096).collect().await.map_err(|error| cannot(error.as_ref()))?;
    serde_json::from_slice(&body.to_bytes()).map_err(|error| cannot(&error))
}

async fn prove(edge: &Edge, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let cannot = |error: &(dyn std::error::Error + 'static)| {
        fault(StatusCode::BAD_REQUEST, &Fault::because("cannot read how to answer an authority", error))
    };
    let bytes = match Limited::new(request.into_body(), LARGEST).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return cannot(error.as_ref()),
    };
    let challenges: Challenges = match serde_json::from_slice(&bytes) {
        Ok(challenges) => challenges,
        Err(error) => return cannot(&error),
    };
    let proofs = Arc::clone(&edge.proofs);
    in_background("cannot answer an authority", move || proofs.set(&challenges)).await
}

async fn count_limits_in(edge: &Edge, request: Request<Incoming>) -> Response<Full<Bytes>> {
    // Nothing of what came is said again: it holds a password.
    let cannot = || fault(StatusCode::BAD_REQUEST, &Fault::new("cannot read where limits are counted"));
    let Ok(body) = Limited::new(request.into_body(), LARGEST).collect().await else { return cannot() };
    let bytes = zeroize::Zeroizing::new(body.to_bytes().to_vec());
    match serde_json::from_slice::<StoreAccess>(&bytes) {
        Ok(access) => edge.limiter.shared.use_access(access),
        Err(_) => return cannot(),
    }
    json(StatusCode::OK, &())
}

async fn take_up(publisher: &Arc<Publisher>) -> Response<Full<Bytes>> {
    let publisher = Arc::clone(publisher);
    in_background("cannot take up the certificates", move || publisher.take_up_certificates()).await
}

async fn admit(edge: &Edge, request: Request<Incoming>) -> Response<Full<Bytes>> {
    const HEADLINE: &str = "cannot change who is let in";
    let bytes = match Limited::new(request.into_body(), LARGEST).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return fault(StatusCode::BAD_REQUEST, &Fault::because(HEADLINE, error.as_ref())),
    };
    let admission: Admission = match serde_json::from_slice(&bytes) {
        Ok(admission) => admission,
        Err(error) => return fault(StatusCode::BAD_REQUEST, &Fault::because(HEADLINE, &error)),
    };
    let admissions = Arc::clone(&edge.admissions);
    in_background(HEADLINE, move || admissions.take(admission)).await
}

/// Waits for the disk where no visitor waits with us.
async fn in_background(
    headline: &str,
    work: impl FnOnce() -> Result<(), EdgeFault> + Send + 'static,
) -> Response<Full<Bytes>> {
    match tokio::task::spawn_blocking(work).await {
        Ok(Ok(())) => json(StatusCode::OK, &()),
        Ok(Err(cause)) => fault(StatusCode::UNPROCESSABLE_ENTITY, &refused(headline, &cause)),
        Err(error) => fault(StatusCode::INTERNAL_SERVER_ERROR, &Fault::because(headline, &error)),
    }
}

/// Which control this is of, if it says so.
fn epoch_of<B>(request: &Request<B>) -> Option<u64> {
    request.headers().get(EPOCH_HEADER)?.to_str().ok()?.parse().ok()
}

async fn publish(publisher: &Arc<Publisher>, request: Request<Incoming>) -> Response<Full<Bytes>> {
    let epoch = epoch_of(&request);
    let bytes = match Limited::new(request.into_body(), LARGEST).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => {
            return fault(StatusCode::BAD_REQUEST, &Fault::because("cannot read the route table", error.as_ref()));
        }
    };
    let table: RouteTable = match serde_json::from_slice(&bytes) {
        Ok(table) => table,
        Err(error) => return fault(StatusCode::BAD_REQUEST, &Fault::because("cannot read the route table", &error)),
    };
    let publisher = Arc::clone(publisher);
    match tokio::task::spawn_blocking(move || publisher.publish(table, epoch)).await {
        Ok(Ok(outcome)) => json(StatusCode::OK, &outcome),
        Ok(Err(cause)) => fault(StatusCode::UNPROCESSABLE_ENTITY, &refused("cannot publish the routes", &cause)),
        Err(error) => fault(StatusCode::INTERNAL_SERVER_ERROR, &Fault::because("cannot publish the routes", &error)),
    }
}

fn refused(headline: &str, cause: &EdgeFault) -> Fault {
    let fault = Fault::because(headline, cause);
    match cause.hint() {
        Some(hint) => fault.hint(hint),
        None => fault,
    }
}

fn json(status: StatusCode, value: &impl Serialize) -> Response<Full<Bytes>> {
    let text = serde_json::to_vec(value).expect("our own types encode");
    let mut response = Response::new(Full::new(Bytes::from(text)));
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

fn fault(status: StatusCode, fault: &Fault) -> Response<Full<Bytes>> {
    json(status, fault)
}
