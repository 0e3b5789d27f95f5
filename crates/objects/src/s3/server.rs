//! Connections taken, requests answered.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use host::clock::{Clock, SystemClock};
use http::header::{CONTENT_TYPE, HeaderValue};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

use super::authenticate::{self, Who};
use super::connection::Patient;
use super::fault::Refusal;
use super::intake::blocking;
use super::operation::{self, Operation, Target};
use super::{HEALTH, Limits, cors, headers, lists, multipart, object};
use crate::grants::{Grants, Verb};
use crate::settings::Settings;
use crate::store::{Store, check_key};

pub(crate) type Answer = Response<UnsyncBoxBody<Bytes, io::Error>>;

/// How long requests that are being answered have to end after the shutdown.
const LAST_CALL: Duration = Duration::from_secs(10);

/// How long a request waits for its turn among transfers.
const TURN: Duration = Duration::from_secs(10);

/// Of a body that nobody wants: read so that its sender hears why. More is not worth it.
const HEARD_OUT: usize = 1 << 20;

/// All that requests have in common.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) store: Arc<Store>,
    pub(crate) settings: Settings,
    pub(crate) limits: Limits,
    grants: Arc<Grants>,
    transfers: Arc<Semaphore>,
}

impl Desk {
    /// Bytes of an object of a bucket, of which no more than `most` come in any case.
    pub(crate) fn largest(&self, bucket: &str, most: u64) -> u64 {
        let declared = self.settings.bucket(bucket).and_then(|bucket| bucket.max_object_bytes);
        declared.map_or(most, |declared| declared.min(most))
    }
}

/// A request that may be done.
pub(crate) struct Asked {
    pub(crate) head: Parts,
    pub(crate) who: Who,
    pub(crate) target: Target,
}

/// Serves until `shutdown`; requests that are being answered then have some seconds to end. Buckets are those of the store: whoever
/// starts it has declared them by [`Store::settle`] before.
///
/// # Errors
/// Where the listener fails.
pub async fn serve(
    listener: TcpListener,
    store: Arc<Store>,
    settings: Settings,
    grants: Arc<Grants>,
    limits: Limits,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let transfers = Arc::new(Semaphore::new(limits.transfers));
    let desk = Arc::new(Desk { store, settings, limits, grants, transfers });
    let room = Arc::new(Semaphore::new(limits.connections));
    let (over, is_over) = watch::channel(false);
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        let accepted = tokio::select! {
            () = &mut shutdown => break,
            accepted = async {
                let place = room.clone().acquire_owned().await.expect("nobody closes the semaphore");
                (place, listener.accept().await)
            } => accepted,
        };
        match accepted {
            (place, Ok((stream, _))) => {
                let _ = stream.set_nodelay(true);
                let stream = Patient::new(stream, limits.idle);
                tokio::spawn(converse(desk.clone(), stream, is_over.clone(), place));
            }
            // Of the one that came: it is gone again, or there are no descriptors, which others give back.
            (_, Err(error)) if is_passing(&error) => tokio::time::sleep(Duration::from_millis(50)).await,
            (_, Err(error)) => return Err(error),
        }
    }
    let _ = over.send(true);
    drop(listener);
    let all = u32::try_from(limits.connections).unwrap_or(u32::MAX);
    let _ = timeout(LAST_CALL, room.acquire_many(all)).await;
    Ok(())
}

fn is_passing(error: &io::Error) -> bool {
    // Too many open files, of this process (24) or of the machine (23).
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
        || matches!(error.raw_os_error(), Some(23 | 24))
}

async fn converse(desk: Arc<Desk>, stream: Patient, mut is_over: watch::Receiver<bool>, _place: OwnedSemaphorePermit) {
    let limits = desk.limits;
    let service = service_fn(move |request| {
        let desk = desk.clone();
        async move { Ok::<_, Infallible>(desk.answer(request).await) }
    });
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(limits.head_time).max_buf_size(limits.head.max(8192));
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = &mut connection => ended,
        () = async { drop(is_over.wait_for(|over| *over).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended");
    }
}

impl Desk {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        if head.uri.path() == HEALTH && (head.method == Method::GET || head.method == Method::HEAD) {
            return self.health().await;
        }
        let request_id = request_id();
        let path = head.uri.path().to_owned();
        let (is_head, asks_first) = (head.method == Method::HEAD, head.headers.contains_key("expect"));
        let origins = (head.headers.get("origin").cloned(), head.headers.clone());
        let mut body = Some(body);
        let target = self.target(&head);
        let bucket_name = target.as_ref().map(|target| target.bucket.clone()).unwrap_or_default();
        let outcome = match target {
            Ok(target) => self.clone().route(head, target, &mut body).await,
            Err(refusal) => Err(refusal),
        };
        let mut answer = match outcome {
            Ok(answer) => answer,
            Err(refusal) => {
                if let Some(body) = body.filter(|_| !asks_first) {
                    hear_out(body).await;
                }
                refuse(&refusal, &path, &request_id, is_head)
            }
        };
        let bucket = self.settings.bucket(&bucket_name);
        if origins.0.is_some() && !answer.headers().contains_key("access-control-allow-methods") {
            cors::decorate(bucket, &origins.1, answer.headers_mut());
        }
        if let Ok(id) = HeaderValue::from_str(&request_id) {
            answer.headers_mut().insert("x-amz-request-id", id);
        }
        answer
    }

    fn target(&self, head: &Parts) -> Result<Target, Refusal> {
        let host = head.uri.authority().map(http::uri::Authority::as_str);
        let host = host.or_else(|| head.headers.get("host").and_then(|host| host.to_str().ok())).unwrap_or_default();
        operation::target(host, self.settings.base_host.as_deref(), head.uri.path())
    }

    async fn route(
        self: Arc<Self>,
        head: Parts,
        target: Target,
        body: &mut Option<Incoming>,
    ) -> Result<Answer, Refusal> {
        if head.method == Method::OPTIONS {
            let mut answer = empty(StatusCode::OK);
            cors::preflight(self.settings.bucket(&target.bucket), &head.headers, answer.headers_mut())?;
            return Ok(answer);
        }
        let who = authenticate::who(&head, &self.grants, &self.settings.region, SystemClock.now())?;
        if who.is_anybody() && !matches!(head.method, Method::GET | Method::HEAD) {
            return Err(Refusal::denied());
        }
        let operation = match Operation::of(&head.method, &target, head.uri.query().unwrap_or_default()) {
            Ok(operation) => operation,
            Err(_) if who.is_anybody() => return Err(Refusal::denied()),
            Err(refusal) => return Err(refusal),
        };
        self.permit(&operation, &target, &who)?;
        headers::refuse_unknown(&head.headers)?;
        if !target.key.is_empty() {
            check_key(&target.key).map_err(crate::store::Fault::from)?;
        }
        let asked = Asked { head, who, target };
        let whole = |body: &mut Option<Incoming>| body.take().expect("nobody took it before");
        match operation {
            Operation::ListBuckets => lists::buckets(&self, &asked).await,
            Operation::HeadBucket => self.head_bucket(&asked).await,
            Operation::CreateBucket => self.create_bucket(&asked).await,
            Operation::Location => lists::location(&self, &asked).await,
            Operation::ListObjects(query) => lists::objects(&self, &asked, query).await,
            Operation::ListUploads { prefix, key_marker, id_marker, limit, is_url } => {
                lists::uploads(&self, &asked, prefix, (key_marker, id_marker), limit, is_url).await
            }
            Operation::ListParts { id, after, limit, is_url } => {
                lists::parts(&self, &asked, id, after, limit, is_url).await
            }
            Operation::Get { overrides } => object::get(&self, &asked, overrides).await,
            Operation::Head { overrides } => object::head(&self, &asked, overrides).await,
            Operation::Put if asked.head.headers.contains_key("x-amz-copy-source") => object::copy(&self, &asked).await,
            Operation::Put => object::put(&self, asked, body).await,
            Operation::Delete => object::delete(&self, &asked).await,
            Operation::DeleteObjects => object::delete_many(&self, asked, whole(body)).await,
            Operation::BeginUpload => multipart::begin(&self, &asked).await,
            Operation::PutPart { id, number } if asked.head.headers.contains_key("x-amz-copy-source") => {
                multipart::copy_part(&self, &asked, id, number).await
            }
            Operation::PutPart { id, number } => multipart::put_part(&self, asked, body, id, number).await,
            Operation::Complete { id } => multipart::complete(&self, asked, whole(body), id).await,
            Operation::Abort { id } => multipart::abort(&self, &asked, id).await,
        }
    }

    /// Before anything is looked up, so that what is told to somebody who may not is the same whatever is there.
    fn permit(&self, operation: &Operation, target: &Target, who: &Who) -> Result<(), Refusal> {
        let Target { bucket, key } = target;
        match operation {
            Operation::ListBuckets if who.is_anybody() => Err(Refusal::denied()),
            Operation::ListBuckets => Ok(()),
            Operation::HeadBucket | Operation::CreateBucket | Operation::Location => who.knows(bucket),
            Operation::ListObjects(query) => who.may(Verb::List, bucket, &query.prefix, &self.settings),
            Operation::ListUploads { prefix, .. } => who.may(Verb::List, bucket, prefix, &self.settings),
            Operation::Get { overrides } | Operation::Head { overrides } => {
                who.may(Verb::Read, bucket, key, &self.settings)?;
                if who.is_anybody() && !overrides.is_empty() {
                    return Err(Refusal::invalid("only a signed request may have answers with other headers"));
                }
                Ok(())
            }
            Operation::Put
            | Operation::BeginUpload
            | Operation::PutPart { .. }
            | Operation::Complete { .. }
            | Operation::Abort { .. }
            | Operation::ListParts { .. } => who.may(Verb::Write, bucket, key, &self.settings),
            Operation::Delete => who.may(Verb::Delete, bucket, key, &self.settings),
            // Each key on its own, when they have been read.
            Operation::DeleteObjects => who.knows(bucket),
        }
    }

    /// A turn among those who read or write contents.
    pub(crate) async fn turn(&self) -> Result<OwnedSemaphorePermit, Refusal> {
        match timeout(TURN, self.transfers.clone().acquire_owned()).await {
            Ok(permit) => Ok(permit.expect("nobody closes the semaphore")),
            Err(_) => Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "SlowDown", "too many transfers at a time")),
        }
    }

    async fn head_bucket(&self, asked: &Asked) -> Result<Answer, Refusal> {
        let (store, bucket) = (self.store.clone(), asked.target.bucket.clone());
        blocking(move || Ok(store.usage(&bucket)?)).await?;
        let mut answer = empty(StatusCode::OK);
        if let Ok(region) = HeaderValue::from_str(&self.settings.region) {
            answer.headers_mut().insert("x-amz-bucket-region", region);
        }
        Ok(answer)
    }

    async fn create_bucket(&self, asked: &Asked) -> Result<Answer, Refusal> {
        self.head_bucket(asked).await?;
        Err(Refusal::new(StatusCode::CONFLICT, "BucketAlreadyOwnedByYou", "the bucket is there"))
    }

    async fn health(&self) -> Answer {
        let store = self.store.clone();
        let (status, text) = match tokio::task::spawn_blocking(move || store.check()).await {
            Ok(Ok(())) => (StatusCode::OK, "OK"),
            Ok(Err(fault)) => {
                tracing::error!(%fault, source = std::error::Error::source(&fault), "the store cannot be written");
                (StatusCode::SERVICE_UNAVAILABLE, "the store cannot be written")
            }
            Err(_) => (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer"),
        };
        let mut answer = with_body(status, Bytes::from_static(text.as_bytes()));
        answer.headers_mut().insert("cache-control", HeaderValue::from_static("no-store"));
        answer
    }
}

fn request_id() -> String {
    static ASKED: AtomicU64 = AtomicU64::new(0);
    let number = ASKED.fetch_add(1, Ordering::Relaxed);
    format!("{:X}{number:08X}", SystemClock.now().unix_millis())
}

async fn hear_out(mut body: Incoming) {
    let reading = async {
        let mut left = HEARD_OUT;
        while let Some(Ok(frame)) = body.frame().await {
            left = left.saturating_sub(frame.data_ref().map_or(0, Bytes::len));
            if left == 0 {
                break;
            }
        }
    };
    // Who sends slower than this is not worth it either.
    let _ = timeout(Duration::from_secs(2), reading).await;
}

fn refuse(refusal: &Refusal, path: &str, request_id: &str, is_head: bool) -> Answer {
    let body = if is_head { String::new() } else { refusal.body(path, request_id) };
    let mut answer = document(refusal.status, body);
    if let Some(size) = refusal.size
        && let Ok(range) = HeaderValue::from_str(&format!("bytes */{size}"))
    {
        answer.headers_mut().insert("content-range", range);
    }
    answer
}

pub(crate) fn empty(status: StatusCode) -> Answer {
    with_body(status, Bytes::new())
}

pub(crate) fn document(status: StatusCode, xml: String) -> Answer {
    let mut answer = with_body(status, Bytes::from(xml));
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    answer
}

fn with_body(status: StatusCode, body: Bytes) -> Answer {
    let body = Full::new(body).map_err(|never| match never {}).boxed_unsync();
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer
}
