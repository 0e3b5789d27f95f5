//! Passing a request to an app and its answer back, both as they come.
//!
//! A request is sent a second time only if nobody can tell: the first time no byte of it left us, or it is one that may be
//! repeated and no byte of an answer arrived. An app that refuses connections is waited for: a restart is a slow answer, not
//! an error.

use std::sync::Arc;
use std::time::{Duration, Instant};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::header::{
    CONNECTION, CONTENT_LENGTH, HeaderMap, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, TRANSFER_ENCODING, UPGRADE,
};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, StatusCode, Uri, Version};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use reconcile::ports::Protocol;
use tokio::time::sleep;

use crate::balance::Pool;
use crate::body::Body;
use crate::connection::Visitor;
use crate::edge::Edge;
use crate::log::Entry;
use crate::refusal::Refusal;
use crate::tunnel::Speaks;
use crate::upload::{Progress, Upload};
use crate::upstream::{Instance, Lease, Leased, Sender};
use crate::{headers, multiplex, stream, tunnel, web_socket};

/// A request as the app will see it.
#[derive(Debug)]
pub struct Exchange {
    method: Method,
    target: Uri,
    fields: HeaderMap,
    /// `None`: there is none, whoever asks.
    body: Option<Incoming>,
    upgrade: Option<Upgrade>,
}

/// A visitor's wish to speak another protocol on this connection.
#[derive(Debug)]
pub struct Upgrade {
    protocol: HeaderValue,
    visitor: OnUpgrade,
    /// Whether it is one stream of a connection that stays HTTP.
    in_stream: bool,
    toward_app: TowardApp,
}

/// How an app is asked for another protocol.
#[derive(Debug)]
enum TowardApp {
    /// With `Upgrade`, as HTTP/1.1 has it.
    Switch,
    /// As one stream of HTTP/2 (RFC 8441), which knows no proof that a key was read. A visitor of HTTP/1.1 waits for it: it is ours
    /// to give then.
    Stream { accept: Option<HeaderValue> },
}

impl TowardApp {
    fn is_stream(&self) -> bool {
        matches!(self, Self::Stream { .. })
    }
}

/// Reads the wish before hop-by-hop headers go. An app that speaks HTTP/2 is asked for WebSockets alone.
pub fn upgrade_of(parts: &mut Parts, pool: &Pool) -> Option<Upgrade> {
    let is_stream = parts.method == Method::CONNECT;
    match pool.protocol() {
        Protocol::Http1 if is_stream => over_one_stream(parts),
        Protocol::Http1 => wish_of(parts),
        Protocol::H2c if is_stream => {
            let visitor = parts.extensions.remove::<OnUpgrade>()?;
            let toward_app = TowardApp::Stream { accept: None };
            Some(Upgrade { protocol: web_socket::name(), visitor, in_stream: true, toward_app })
        }
        Protocol::H2c => {
            if parts.method != Method::GET || !web_socket::is_spoken(parts.headers.get(UPGRADE)?) {
                return None;
            }
            let wish = wish_of(parts)?;
            let accept = web_socket::accept(parts.headers.remove(SEC_WEBSOCKET_KEY)?.as_bytes());
            parts.method = Method::CONNECT;
            Some(Upgrade { toward_app: TowardApp::Stream { accept: Some(accept) }, ..wish })
        }
    }
}

/// HTTP by another name is none: it would pass by the guard.
fn wish_of(parts: &mut Parts) -> Option<Upgrade> {
    let protocol = parts.headers.get(UPGRADE)?.clone();
    let name = protocol.to_str().ok()?.to_ascii_lowercase();
    let is_http =
        name.split(',').any(|name| ["h2c", "h2", "http", "tls"].iter().any(|http| name.trim().starts_with(http)));
    let is_nominated = parts.headers.get_all(CONNECTION).iter().any(|value| {
        value.to_str().is_ok_and(|value| value.split(',').any(|name| name.trim().eq_ignore_ascii_case("upgrade")))
    });
    // A body would be bytes before the new protocol's first, and two readers might draw the line differently.
    let has_body = parts.headers.contains_key(TRANSFER_ENCODING)
        || parts.headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
    if is_http || !is_nominated || has_body {
        return None;
    }
    let visitor = parts.extensions.remove::<OnUpgrade>()?;
    Some(Upgrade { protocol, visitor, in_stream: false, toward_app: TowardApp::Switch })
}

/// A WebSocket in one stream of HTTP/2 (RFC 8441): the guard lets no other CONNECT pass. To the app it is a request like any other
/// that asks for a WebSocket.
fn over_one_stream(parts: &mut Parts) -> Option<Upgrade> {
    let visitor = parts.extensions.remove::<OnUpgrade>()?;
    parts.method = Method::GET;
    // Sixteen bytes that are others each time (RFC 6455, section 4.1). Over HTTP/2 nobody has to prove that he read them.
    let key = BASE64_STANDARD.encode(uuid::Uuid::new_v4().as_bytes());
    parts.headers.insert(SEC_WEBSOCKET_KEY, HeaderValue::from_str(&key).expect("base64 is fit for a header"));
    Some(Upgrade { protocol: web_socket::name(), visitor, in_stream: true, toward_app: TowardApp::Switch })
}

impl Exchange {
    pub fn new(parts: Parts, body: Incoming, target: PathAndQuery, upgrade: Option<Upgrade>) -> Self {
        let Parts { method, headers: mut fields, .. } = parts;
        if let Some(upgrade) = upgrade.as_ref().filter(|upgrade| !upgrade.toward_app.is_stream()) {
            fields.insert(UPGRADE, upgrade.protocol.clone());
            fields.insert(CONNECTION, HeaderValue::from_static("upgrade"));
        }
        if !http_body::Body::is_end_stream(&body) && !fields.contains_key(CONTENT_LENGTH) {
            // Said explicitly: otherwise a GET with a body of unknown length would be sent without it.
            fields.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        Self { method, target: Uri::from(target), fields, body: Some(body), upgrade }
    }

    /// A question that has no body and is nobody's own.
    pub fn asking(method: Method, target: Uri, fields: HeaderMap) -> Self {
        Self { method, target, fields, body: None, upgrade: None }
    }

    pub fn method(&self) -> &Method {
        &self.method
    }

    pub fn fields(&self) -> &HeaderMap {
        &self.fields
    }

    /// What the app is asked for, by path and query.
    pub fn target(&self) -> &Uri {
        &self.target
    }
}

/// Marks an answer whose end nobody can tell from a connection that broke.
#[derive(Clone, Copy, Debug)]
pub struct Undelimited;

/// Repeats of a request that may be repeated, after hang-ups without an answer: one for a kept connection that had grown
/// stale, one for a process that died under it. More would let one poisonous request kill instance after instance.
const REPEATS: u8 = 2;

pub async fn forward(
    edge: &Edge,
    visitor: Option<&Visitor>,
    pool: &Pool,
    exchange: Exchange,
    entry: &mut Entry,
) -> Result<Response<Body>, Refusal> {
    let mut began = edge.clock.instant();
    let Exchange { method, target, fields, body, upgrade } = exchange;
    // Who says beforehand how much it is need not send it.
    let length = body.as_ref().map_or(Some(0), |body| body.size_hint().exact());
    if length.zip(pool.longest_body).is_some_and(|(length, longest)| length > longest) {
        return Err(Refusal::BodyTooLong);
    }
    let (upload, progress) = Upload::new(body, &edge.clock, edge.limits.upload_stall, pool.longest_body);
    let has_no_body = matches!(upload, Upload::Nothing);
    let may_repeat = has_no_body && method.is_idempotent();
    // Over HTTP/2 an app can say of any request that it did nothing about it.
    let may_be_untouched = has_no_body && pool.protocol() == Protocol::H2c;
    let mut request = Request::new(upload);
    *request.method_mut() = method;
    *request.uri_mut() = target;
    *request.headers_mut() = fields;

    let in_stream_of_app = upgrade.as_ref().is_some_and(|upgrade| upgrade.toward_app.is_stream());

    let longest = pool.wake.unwrap_or_else(|| edge.limits.restart_patience.min(pool.first_byte));
    let mut patience = Patience::new(began, longest);
    let mut repeats = 0;
    pool.repeats.pay_in();
    loop {
        let Some(instance) = pool.pick(edge.clock.instant()) else {
            if pool.is_empty() {
                return Err(Refusal::AppUnreachable);
            }
            // All of them are being replaced.
            patience.wait(edge.clock.instant()).await?;
            continue;
        };
        entry.upstream(&instance.name);
        let flight = instance.begin();
        let connected = match in_stream_of_app {
            true => instance.connect_alone(edge.limits.connect).await,
            false => connection_to(edge, pool, instance).await,
        };
        let mut sender = match connected {
            Ok(sender) => sender,
            Err(error) => {
                tracing::debug!(instance = %instance.name, %error, "cannot connect");
                drop(flight);
                let now = edge.clock.instant();
                instance.avoid_until(now + edge.limits.eject);
                if !pool.has_other(instance, now) {
                    patience.wait(now).await?;
                }
                continue;
            }
        };
        if pool.wake.is_some() {
            // It was asleep until now, and that is not the app's time.
            began = edge.clock.instant();
        }
        let spare = ((may_repeat || may_be_untouched) && repeats < REPEATS).then(|| copy_of(&request));
        if in_stream_of_app {
            request.extensions_mut().insert(hyper::ext::Protocol::from_static(web_socket::NAME));
        }
        let sending = sender.send(request);
        let counted = |status: Option<StatusCode>| {
            let now = edge.clock.instant();
            instance.count(status, now.saturating_duration_since(began));
            instance.judge(status, now, edge.limits.eject);
        };
        let Some(outcome) = in_time(edge, pool, began, progress.as_deref(), sending).await else {
            counted(None);
            return Err(Refusal::AppTooSlow);
        };
        let mut failure = match outcome {
            Ok(response) => {
                counted(Some(response.status()));
                let lease = Lease { sender, flight, clock: Arc::clone(&edge.clock) };
                return answer(edge, visitor, response, lease, upgrade, entry);
            }
            Err(failure) => failure,
        };
        tracing::debug!(instance = %instance.name, error = %failure.error(), "no answer");
        instance.forget_idle();
        request = match (failure.take_message(), spare) {
            // It never left: whoever accepted the connection closed it before.
            (Some(unsent), _) => {
                patience.wait(edge.clock.instant()).await?;
                unsent
            }
            (None, Some(spare)) if multiplex::is_untouched(failure.error()) || may_repeat && pool.repeats.take() => {
                repeats += 1;
                spare
            }
            // It does not know what it was asked for, and says so in the only way there is.
            _ if in_stream_of_app => {
                counted(None);
                return Err(Refusal::UpgradeDeclined);
            }
            _ => {
                let trouble = progress.and_then(|progress| progress.trouble());
                if trouble.is_none() {
                    counted(None);
                }
                return Err(trouble.unwrap_or(Refusal::AppBroke));
            }
        };
    }
}

async fn connection_to(edge: &Edge, pool: &Pool, instance: &Instance) -> std::io::Result<Sender> {
    match instance.take_idle(edge.clock.instant(), pool.idle) {
        Some(sender) => Ok(sender),
        None => instance.connect(edge.clock.instant(), edge.limits.connect).await,
    }
}

/// Waits for the head of the answer. The time counts from the request, and anew whenever a piece of its body arrives: an app
/// cannot answer what it has not got.
async fn in_time<T>(
    edge: &Edge,
    pool: &Pool,
    began: Instant,
    progress: Option<&Progress>,
    sending: impl Future<Output = T>,
) -> Option<T> {
    let mut sending = std::pin::pin!(sending);
    loop {
        let since = progress.map_or(began, |progress| progress.last_moved().max(began));
        let left = (since + pool.first_byte).saturating_duration_since(edge.clock.instant());
        if left.is_zero() {
            return None;
        }
        tokio::select! {
            biased;
            outcome = &mut sending => return Some(outcome),
            () = sleep(left) => {}
        }
    }
}

/// How long, and how often, an app that refuses is asked again.
#[derive(Debug)]
struct Patience {
    until: Instant,
    pause: Duration,
}

impl Patience {
    fn new(began: Instant, longest: Duration) -> Self {
        Self { until: began + longest, pause: Duration::ZERO }
    }

    async fn wait(&mut self, now: Instant) -> Result<(), Refusal> {
        let left = self.until.saturating_duration_since(now);
        if left.is_zero() {
            return Err(Refusal::AppUnreachable);
        }
        sleep(self.pause.min(left)).await;
        // At once at first (a kept connection may have grown stale), then often, then every quarter of a second.
        self.pause = (self.pause * 2).clamp(Duration::from_millis(20), Duration::from_millis(250));
        Ok(())
    }
}

fn copy_of(request: &Request<Upload>) -> Request<Upload> {
    let mut copy = Request::new(Upload::Nothing);
    *copy.method_mut() = request.method().clone();
    *copy.uri_mut() = request.uri().clone();
    *copy.headers_mut() = request.headers().clone();
    copy
}

fn answer(
    edge: &Edge,
    visitor: Option<&Visitor>,
    mut response: Response<Incoming>,
    lease: Lease,
    upgrade: Option<Upgrade>,
    entry: &mut Entry,
) -> Result<Response<Body>, Refusal> {
    let agreed = match &upgrade {
        Some(Upgrade { toward_app: TowardApp::Stream { .. }, .. }) => StatusCode::OK,
        _ => StatusCode::SWITCHING_PROTOCOLS,
    };
    if response.status() != agreed {
        // There "200" would be a yes that the app did not give.
        if upgrade.is_some_and(|upgrade| upgrade.in_stream) && response.status().is_success() {
            return Err(Refusal::UpgradeDeclined);
        }
        let leased = if stream::is_of_events(response.headers()) { Leased::stream } else { Leased::new };
        if !is_delimited(&response) {
            response.extensions_mut().insert(Undelimited);
        }
        headers::toward_visitor(response.headers_mut());
        return Ok(response.map(|body| Body::App(leased(body, lease))));
    }
    // An app that switches unasked has lost its place in the conversation.
    let upgrade = upgrade.ok_or(Refusal::AppBroke)?;
    if let Some(inspection) = visitor.and_then(|visitor| visitor.inspection.as_ref()) {
        inspection.end();
    }
    let app = hyper::upgrade::on(&mut response);
    let protocol = response.headers().get(UPGRADE).cloned().unwrap_or(upgrade.protocol);
    let speaks = if web_socket::is_spoken(&protocol) { Speaks::WebSocket } else { Speaks::Unknown };
    headers::toward_visitor(response.headers_mut());
    if upgrade.in_stream {
        *response.status_mut() = StatusCode::OK;
        response.headers_mut().remove(SEC_WEBSOCKET_ACCEPT);
    } else {
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().insert(UPGRADE, protocol);
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        if let TowardApp::Stream { accept: Some(accept) } = upgrade.toward_app {
            response.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept);
        }
    }
    entry.answered(response.status());
    tunnel::open(edge, upgrade.visitor, app, speaks, lease, entry.take_over());
    Ok(response.map(|_| Body::Empty))
}

/// By a length, by chunks or by a frame; over HTTP/1 a body may also end with the connection.
fn is_delimited(response: &Response<Incoming>) -> bool {
    let headers = response.headers();
    response.version() == Version::HTTP_2
        || response.body().is_end_stream()
        || headers.contains_key(CONTENT_LENGTH)
        || headers.contains_key(TRANSFER_ENCODING)
}
