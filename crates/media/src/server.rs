//! The role: listens, and answers with pictures.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, HeaderMap, HeaderValue};
use axum::http::{Method, Response, StatusCode};
use futures_util::StreamExt;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use crate::answer::{self, Choice, words};
use crate::cache::{Cache, Content, Entry, Place};
use crate::flight::{Flights, Role};
use crate::image::Kind;
use crate::lane::Lane;
use crate::making::{Failure, OBJECTS, Outcome};
use crate::metrics::Metrics;
use crate::origin::{Found, Origin};
use crate::settings::{Limits, Settings, SettingsFault};
use crate::variant::{self, Asked, SigningKey};
use crate::worker::{Pool, Program};
use crate::{Format, accept};

/// Answers 200 when requests can be answered. No bucket has this name.
pub const HEALTH: &str = "/-/health";

/// Workers are less urgent than who serves: pictures that are there already go first.
const NICENESS: i32 = 5;

/// Nobody waits for AVIF.
const SLOW_NICENESS: i32 = 15;

/// AVIF takes five to eight times as long as WebP.
const SLOWER: u64 = 4;

/// All that requests share. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Media(pub(crate) Arc<Shared>);

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    key: Option<SigningKey>,
    pub(crate) origin: Arc<dyn Origin>,
    pub(crate) pool: Pool,
    pub(crate) slow: Slow,
    /// What is being made or waits for it.
    pub(crate) making: AtomicUsize,
    /// Kilobytes for objects in memory.
    pub(crate) room: Semaphore,
    pub(crate) cache: Cache,
    pub(crate) flights: Arc<Flights<Outcome, Failure>>,
    pub(crate) metrics: Metrics,
}

/// For AVIF: one worker, so that the others are there for whoever waits.
#[derive(Debug)]
pub(crate) struct Slow {
    pub(crate) pool: Pool,
    pub(crate) turn: Semaphore,
    pub(crate) waiting: AtomicUsize,
    lane: Arc<Lane>,
}

/// Why the role cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum NotOpened {
    #[error("the settings of media delivery cannot be meant")]
    Settings(#[from] SettingsFault),
    #[error("the folder of the cache cannot be used")]
    Cache(#[from] host::files::FileFault),
}

impl Media {
    /// Reads what the cache has kept. `program` is what workers are started as.
    ///
    /// # Errors
    /// Where the settings cannot be meant, or the cache's folder cannot be used.
    pub fn open(
        settings: Settings,
        key: Option<SigningKey>,
        origin: Arc<dyn Origin>,
        program: Program,
    ) -> Result<Self, NotOpened> {
        settings.check()?;
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let pool = Pool::new(program.clone(), settings.workers.unwrap_or(cores), settings.limits, NICENESS);
        let milliseconds = settings.limits.milliseconds.saturating_mul(SLOWER);
        let slow_limits = Limits { milliseconds, ..settings.limits };
        let slow = Slow {
            pool: Pool::new(program, 1, slow_limits, SLOW_NICENESS),
            turn: Semaphore::new(1),
            waiting: AtomicUsize::new(0),
            lane: Arc::default(),
        };
        let (cache, flights, metrics) = (Cache::open(&settings)?, Flights::new(), Metrics::default());
        let kilobytes = usize::try_from(settings.limits.bytes >> 10).unwrap_or(usize::MAX).saturating_add(1);
        let room = Semaphore::new(kilobytes.saturating_mul(OBJECTS).min(Semaphore::MAX_PERMITS));
        Ok(Self(Arc::new(Shared {
            settings,
            key,
            origin,
            pool,
            slow,
            making: AtomicUsize::new(0),
            room,
            cache,
            flights,
            metrics,
        })))
    }

    /// Pictures that were given to workers since the start.
    pub fn pictures_begun(&self) -> u64 {
        self.0.pool.begun() + self.0.slow.pool.begun()
    }
}

/// After `shutdown` answers may go on for so long. A picture is sent in less, and a client that does not read is not waited for.
const LEAVE: Duration = Duration::from_secs(10);

/// Serves until `shutdown`, then what was begun.
///
/// # Errors
/// Where the listener fails for good.
pub async fn serve(
    listener: TcpListener,
    media: Media,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let router = Router::new().fallback(answer_request).with_state(media);
    let (tell, told) = oneshot::channel::<()>();
    let serving = axum::serve(listener, router).with_graceful_shutdown(async { drop(told.await) });
    let mut serving = pin!(serving.into_future());
    tokio::select! {
        served = &mut serving => served,
        () = shutdown => {
            drop(tell);
            timeout(LEAVE, serving).await.unwrap_or(Ok(()))
        }
    }
}

async fn answer_request(State(Media(shared)): State<Media>, request: Request) -> Response<Body> {
    let (head, _) = request.into_parts();
    let method = head.method;
    if method != Method::GET && method != Method::HEAD {
        return words(&method, StatusCode::METHOD_NOT_ALLOWED, "use GET or HEAD");
    }
    if head.uri.path() == HEALTH {
        return words(&method, StatusCode::OK, "ready");
    }
    let read = variant::read(head.uri.path(), head.uri.query(), &shared.settings, shared.key.as_ref());
    let asked = match read {
        Ok(asked) => asked,
        Err(refused) => {
            shared.metrics.refused.one();
            let status = if refused.is_forbidden() { StatusCode::FORBIDDEN } else { StatusCode::BAD_REQUEST };
            return words(&method, status, &refused.to_string());
        }
    };
    shared.deliver(&method, &head.headers, asked).await
}

/// The name of an answer in the cache. A key has no control characters, so the parts cannot be mistaken for each other.
fn name_of(asked: &Asked, format: Option<Format>) -> String {
    let format = format.map_or("plain", Format::name);
    format!("{}/{}\n{}\n{format}", asked.bucket, asked.key, asked.variant.query())
}

/// What is in the cache, by its age.
enum Kept {
    Fresh(Arc<Entry>),
    /// It may be used while the origin is asked.
    Stale(Arc<Entry>),
    Old(Arc<Entry>),
    None,
}

impl Shared {
    async fn deliver(self: &Arc<Self>, method: &Method, headers: &HeaderMap, asked: Asked) -> Response<Body> {
        if !self.settings.buckets.contains(&asked.bucket) {
            return words(method, StatusCode::NOT_FOUND, "there is no such object");
        }
        let choice = if asked.variant.format.is_some() { Choice::Named } else { Choice::Negotiated };
        let takes = |format| self.settings.formats.contains(&format) && accept::takes(headers, format);
        // A whole picture of a camera would take half a minute.
        let wants_avif = choice == Choice::Negotiated && !asked.variant.is_whole() && takes(Format::Avif);
        if wants_avif && let Some(entry) = self.avif(&asked).await {
            return answer::entry(method, headers, &entry, choice, &self.settings);
        }
        let format = asked.variant.format.or_else(|| takes(Format::Webp).then_some(Format::Webp));
        let name = name_of(&asked, format);
        let (outcome, role) = match self.kept(&name).await {
            Kept::Fresh(entry) => (Ok(Outcome::Entry(entry)), Role::Joined),
            Kept::Stale(entry) => {
                self.metrics.stale.one();
                let (shared, asked, kept) = (self.clone(), asked.clone(), entry.clone());
                tokio::spawn(async move { shared.fly(&name, asked, format, Some(kept)).await });
                (Ok(Outcome::Entry(entry)), Role::Joined)
            }
            Kept::Old(entry) => self.fly(&name, asked.clone(), format, Some(entry)).await,
            Kept::None => self.fly(&name, asked.clone(), format, None).await,
        };
        if role == Role::First {
            self.metrics.misses.one();
        }
        match outcome {
            Ok(Outcome::Entry(entry)) => answer::entry(method, headers, &entry, choice, &self.settings),
            Ok(Outcome::HandedOn) => self
                .hand_on(method, &asked)
                .await
                .unwrap_or_else(|failure| words(method, failure.status, &failure.text)),
            Err(failure) => words(method, failure.status, &failure.text),
        }
    }

    /// The picture in AVIF if it is there. If not it will be: whoever asks later gets it.
    async fn avif(self: &Arc<Self>, asked: &Asked) -> Option<Arc<Entry>> {
        let format = Some(Format::Avif);
        let name = name_of(asked, format);
        let (ready, kept) = match self.kept(&name).await {
            Kept::Fresh(entry) => return Some(entry),
            Kept::Stale(entry) => (Some(entry.clone()), Some(entry)),
            Kept::Old(entry) => (None, Some(entry)),
            Kept::None => (None, None),
        };
        if let Some(ticket) = self.slow.lane.enter(&name) {
            let (shared, asked) = (self.clone(), asked.clone());
            tokio::spawn(async move {
                let (outcome, _) = shared.fly(&name, asked, format, kept).await;
                if outcome.is_err() {
                    ticket.failed();
                }
            });
        }
        ready
    }

    async fn kept(&self, name: &str) -> Kept {
        let Some((entry, place)) = self.cache.get(name).await else { return Kept::None };
        match place {
            Place::Memory => self.metrics.memory_hits.one(),
            Place::Disk => self.metrics.disk_hits.one(),
        }
        let age = entry.about.age();
        let fresh = self.settings.fresh();
        if age < fresh || answer::is_digest(&entry.about.object) {
            Kept::Fresh(entry)
        } else if age < fresh + self.settings.stale() {
            Kept::Stale(entry)
        } else {
            Kept::Old(entry)
        }
    }

    async fn fly(
        self: &Arc<Self>,
        name: &str,
        asked: Asked,
        format: Option<Format>,
        kept: Option<Arc<Entry>>,
    ) -> (Result<Outcome, Failure>, Role) {
        let broken = Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "the picture could not be made");
        let (shared, making) = (self.clone(), name.to_owned());
        let make = move || async move { shared.make(&making, &asked, format, kept).await };
        self.flights.join(name, broken, make).await
    }

    /// A large file, as it comes and without being kept.
    async fn hand_on(&self, method: &Method, asked: &Asked) -> Result<Response<Body>, Failure> {
        let away = |_| Failure::new(StatusCode::BAD_GATEWAY, "the store of objects does not answer");
        let found = self.origin.get(&asked.bucket, &asked.key, None).await.map_err(away)?;
        let Found::Object(mut object) = found else {
            return Err(Failure::new(StatusCode::BAD_GATEWAY, "the store of objects has no object"));
        };
        // It may be another one than before: looked at again before a byte of it goes out.
        let mut first = Vec::new();
        while first.len() < Kind::HEAD {
            match object.body.next().await {
                Some(Ok(piece)) => first.extend_from_slice(&piece),
                Some(Err(_)) => {
                    return Err(Failure::new(StatusCode::BAD_GATEWAY, "the store of objects broke off"));
                }
                None => break,
            }
        }
        let kind = Kind::of(&first);
        self.admit(asked, kind)?;
        if kind.is_picture() {
            return Err(Failure::new(StatusCode::SERVICE_UNAVAILABLE, "the object changes just now"));
        }
        let content_type = answer::file_type(object.facts.content_type.as_deref());
        let rest = futures_util::stream::iter([Ok(first.into())]).chain(object.body);
        let body = if *method == Method::HEAD { Body::empty() } else { Body::from_stream(rest) };
        let mut response = Response::new(body);
        let headers = response.headers_mut();
        answer::every_answer(headers);
        answer::describe(headers, &Content::File(content_type), &asked.key);
        headers.insert(CACHE_CONTROL, answer::lifetime(&asked.key, &self.settings));
        if let Some(length) = object.length {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        Ok(response)
    }
}
