//! Answers of an app that are kept and given to others, where its site has a cache ([`response_cache`]).
//!
//! ```text
//!   place ─► look ─► given, the app not being asked
//!              │
//!              └─► one asks the app, others wait ─► forward ─► collect: kept, and on its way to the visitor at once
//! ```
//!
//! Nothing is kept of, or given to, anybody who had to say who he is: a site that is protected, or that asks for certificates, has
//! no place here, and neither has a candidate, which is looked at to see what the app says.

mod collect;

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderMap, Method, Response, StatusCode, Uri};
use response_cache::{
    Answer, Boarded, Bypass, Cache, Forward, Found, Hit, Key, Landed, Now, Refused, Reply, Request, State, Ticket, Told,
};

use crate::balance::Pool;
use crate::body::Body;
use crate::connection::{Door, Visitor};
use crate::edge::Edge;
use crate::forward::{self, Exchange, Undelimited};
use crate::guard::Asked;
use crate::log::Entry;
use crate::refusal::Refusal;
use crate::snapshot::{Site, Snapshot, Target};

use collect::Keeping;

pub use collect::Collected;

/// So long a visitor waits for an answer that another one is getting; then he asks himself. Apps answer sooner, or are so slow that
/// waiting for one after the other would take for ever.
const PATIENCE: Duration = Duration::from_secs(5);

/// Where answers to a request are kept.
#[derive(Debug)]
pub struct Place {
    cache: Arc<Cache>,
    key: Key,
    /// Whether anything is given from here, or kept. If not, it still is known what a request changes.
    is_open: bool,
}

impl Place {
    /// `None`: the site keeps nothing.
    pub fn of(snapshot: &Snapshot, site: &Site, visitor: &Visitor, asked: &Asked) -> Option<Self> {
        let cache = Arc::clone(site.cache.as_ref()?);
        if visitor.door == Door::Candidate {
            return None;
        }
        // Apps call each other by another name of the same place.
        let host = if matches!(visitor.door, Door::Internal(_)) { &site.canonical } else { &asked.host };
        let authority = match snapshot.table.https_port {
            443 => host.clone(),
            port => format!("{host}:{port}"),
        };
        // An app may say again how it was called. By another port, or in other letters, that would be another page.
        let is_open = visitor.door == Door::Https
            && asked.authority == authority
            && site.access.protected().is_none()
            && site.clients.is_none();
        let release = site.release.as_ref().and_then(|release| release.to_str().ok()).unwrap_or_default();
        let key = Key::new(release, &format!("https://{authority}"), asked.target.as_str());
        Some(Self { cache, key, is_open })
    }
}

/// Answers from what is kept, or asks the app.
pub async fn answer(
    edge: &Arc<Edge>,
    visitor: &Visitor,
    (site, pool): (&Arc<Site>, &Pool),
    place: Place,
    exchange: Exchange,
    entry: &mut Entry,
) -> Result<Response<Body>, Refusal> {
    let Place { cache, key, is_open } = place;
    let read = if is_open { Request::read(exchange.method(), exchange.fields()) } else { Err(Bypass::Host) };
    let request = match read {
        Ok(request) => request,
        Err(why) => {
            let method = exchange.method().clone();
            cache.counters.bypassed(why);
            let mut response = forward::forward(edge, Some(visitor), pool, exchange, entry).await?;
            cache.changed(&key, &method, (response.status(), response.headers()));
            if is_open && !response.status().is_informational() {
                tell(&mut response, Told::Forwarded { why: Forward::Bypass(why), kept: None }, entry);
            }
            return Ok(response);
        }
    };
    let (method, target, fields) = (exchange.method().clone(), exchange.target().clone(), exchange.fields().clone());
    let (edge, site) = (Arc::clone(edge), Arc::clone(site));
    Asking { edge, site, cache, key, request, method, target, fields }.answer(entry).await
}

fn tell(response: &mut Response<Body>, told: Told, entry: &mut Entry) {
    // After what caches behind us say.
    response.headers_mut().append(Told::HEADER, told.value());
    entry.cache(told.word());
}

/// A request that may be answered from what is kept. It may outlive its visitor.
#[derive(Clone, Debug)]
struct Asking {
    edge: Arc<Edge>,
    site: Arc<Site>,
    cache: Arc<Cache>,
    key: Key,
    request: Request,
    method: Method,
    target: Uri,
    fields: HeaderMap,
}

/// What the app is asked for, and who waits for it.
#[derive(Debug)]
struct Question {
    why: Forward,
    /// What is kept and is not good enough.
    known: Option<Arc<Answer>>,
    ticket: Option<Ticket>,
}

impl Question {
    fn land(&mut self, landed: Landed) {
        if let Some(ticket) = self.ticket.take() {
            ticket.land(landed);
        }
    }
}

impl Asking {
    fn now(&self) -> Now {
        let millis = u64::try_from(self.edge.clock.now().unix_millis()).unwrap_or(0);
        let wall = SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        Now { instant: self.edge.clock.instant(), wall }
    }

    async fn answer(self, entry: &mut Entry) -> Result<Response<Body>, Refusal> {
        let until = self.edge.clock.instant() + PATIENCE;
        let mut landed = None;
        let question = loop {
            let now = self.now();
            let (why, known) = match self.cache.look(&self.key, &self.request, now) {
                Found::Answer(answer, State::Fresh | State::TakenStale) => {
                    return Ok(self.hit(&answer, landed.is_some(), now, entry));
                }
                Found::Answer(answer, State::WhileRevalidating) => {
                    let response = self.hit(&answer, landed.is_some(), now, entry);
                    self.revalidate(answer, now);
                    return Ok(response);
                }
                Found::Answer(answer, State::Stale) => {
                    let is_wish = answer.left(now) > 0 && !self.request.takes_what_is_there();
                    (if is_wish { Forward::Request } else { Forward::Stale }, Some(answer))
                }
                Found::ForOthers => (Forward::VaryMiss, None),
                Found::Nothing => (Forward::UriMiss, None),
            };
            if self.request.is_only_if_cached() {
                return Err(Refusal::NotKept);
            }
            // What was got a moment ago and is not to be given unasked would be asked for by one after the other.
            let is_in_vain = landed == Some(Landed::Kept) && known.is_some();
            if is_in_vain || !self.may_share(known.as_deref()) {
                break Question { why, known, ticket: None };
            }
            match self.cache.board(&self.key, &self.request, now) {
                // Whoever asked before may have been answered since we looked.
                Boarded::First(ticket) if self.is_there(now) => ticket.land(Landed::Kept),
                Boarded::First(ticket) => break Question { why, known, ticket: Some(ticket) },
                Boarded::Alone => break Question { why, known, ticket: None },
                Boarded::Joined(waiting) => {
                    landed = waiting.landed(until.saturating_duration_since(now.instant)).await;
                    if matches!(landed, None | Some(Landed::NotKept)) {
                        break Question { why, known, ticket: None };
                    }
                }
            }
        };
        self.ask(question, entry).await
    }

    fn is_there(&self, now: Now) -> bool {
        matches!(self.cache.look(&self.key, &self.request, now), Found::Answer(_, State::Fresh))
    }

    /// Whether others can be given the answer to this question.
    fn may_share(&self, known: Option<&Answer>) -> bool {
        let asks_for_all = self.request.is_for_the_whole() || known.is_some_and(Answer::has_validator);
        asks_for_all && self.method == Method::GET && self.request.takes_what_is_there()
    }

    fn hit(&self, answer: &Answer, is_collapsed: bool, now: Now, entry: &mut Entry) -> Response<Body> {
        let left = answer.left(now);
        self.cache.counters.hit(match (is_collapsed, left > 0) {
            (true, _) => Hit::Collapsed,
            (false, true) => Hit::Fresh,
            (false, false) => Hit::Stale,
        });
        self.give(answer, Told::Hit { left, is_collapsed }, now, entry)
    }

    fn give(&self, answer: &Answer, told: Told, now: Now, entry: &mut Entry) -> Response<Body> {
        let Reply { status, headers, body } = answer.to(&self.request, now);
        let mut response = Response::new(if body.is_empty() { Body::Empty } else { Body::Full(body) });
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        tell(&mut response, told, entry);
        response
    }

    /// Gets a newer answer while nobody waits for it, unless somebody does already.
    fn revalidate(self, known: Arc<Answer>, now: Now) {
        let Boarded::First(ticket) = self.cache.board(&self.key, &self.request, now) else { return };
        tokio::spawn(async move {
            let mut entry = Entry::of_nobody(&self.edge);
            let question = Question { why: Forward::Stale, known: Some(known), ticket: Some(ticket) };
            // What comes is kept on its way, also when nobody reads it; what does not come is asked for again by the next one.
            drop(self.ask(question, &mut entry).await);
        });
    }

    async fn ask(&self, mut question: Question, entry: &mut Entry) -> Result<Response<Body>, Refusal> {
        let Target::Instances(pool) = &self.site.target else { return Err(Refusal::AppUnreachable) };
        let (begun, asked) = (self.cache.begin(), self.now());
        let mut fields = self.fields.clone();
        let known = question.known.take();
        let is_validating =
            self.method == Method::GET && known.as_ref().is_some_and(|known| known.ask_about(&mut fields));
        let exchange = Exchange::asking(self.method.clone(), self.target.clone(), fields);
        let outcome = forward::forward(&self.edge, None, pool, exchange, entry).await;
        let received = self.now();
        let helps = known.as_ref().filter(|known| is_in_trouble(&outcome) && known.helps_in_error(received));
        if let Some(answer) = helps {
            question.land(Landed::NotKept);
            self.cache.counters.hit(Hit::Stale);
            return Ok(self.give(answer, Told::InsteadOfError { left: answer.left(received) }, received, entry));
        }
        let mut response = match outcome {
            Ok(response) => response,
            Err(refusal) => {
                // Each of those who wait has an instance of his own to try.
                question.land(Landed::NotKept);
                return Err(refusal);
            }
        };
        if let (Some(known), true, StatusCode::NOT_MODIFIED) = (&known, is_validating, response.status()) {
            let said = response.headers();
            let renewed = self.cache.freshen(&self.key, known, &self.request, said, (asked, received), begun);
            self.cache.counters.validated();
            let is_kept = matches!(renewed, Some((_, Ok(()))));
            question.land(if is_kept { Landed::Kept } else { Landed::NotKept });
            let answer = renewed.as_ref().map_or(known, |(renewed, _)| renewed);
            let told = Told::Validated { why: question.why, left: answer.left(received) };
            return Ok(self.give(answer, told, received, entry));
        }
        self.cache.counters.missed();
        let head = (response.status(), response.headers());
        if self.method == Method::HEAD {
            self.cache.learn(&self.key, &self.request, head, (asked, received), begun);
            tell(&mut response, Told::Forwarded { why: question.why, kept: None }, entry);
            return Ok(response);
        }
        let is_whole = response.extensions().get::<Undelimited>().is_none();
        let may_keep = if is_whole {
            self.cache.may_keep(&self.request, head, (asked, received))
        } else {
            Err(Refused::Unfinished)
        };
        let told = Told::Forwarded { why: question.why, kept: Some(may_keep) };
        let mut response = match may_keep {
            Ok(()) => {
                let Self { cache, key, request, edge, .. } = self.clone();
                let times = (asked, received);
                collect::collect(response, Keeping { cache, key, request, edge, times, begun, ticket: question.ticket })
            }
            Err(why) => {
                self.cache.refuse(&self.key, &self.request, why, received);
                question.land(Landed::NotKept);
                response
            }
        };
        tell(&mut response, told, entry);
        Ok(response)
    }
}

/// Whether the app does not answer, or only that it cannot (RFC 5861, section 4).
fn is_in_trouble(outcome: &Result<Response<Body>, Refusal>) -> bool {
    match outcome {
        Ok(response) => matches!(response.status().as_u16(), 500 | 502..=504),
        Err(refusal) => matches!(refusal, Refusal::AppUnreachable | Refusal::AppBroke | Refusal::AppTooSlow),
    }
}
