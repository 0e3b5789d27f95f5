//! From an object to an answer: fetched, looked at, made by a worker, kept.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::http::StatusCode;
use bytes::{Bytes, BytesMut};
use futures_util::StreamExt;
use host::clock::{Clock, SystemClock, Timestamp};
use tokio::time::timeout;

use crate::answer::file_type;
use crate::cache::{About, Begun, Content, Entry, digest_of};
use crate::image::{Bounds, Fault, Kind, Target, Task};
use crate::origin::{Facts, Found, Object, Unmet};
use crate::server::Shared;
use crate::variant::{Asked, Variant};
use crate::worker::{Job, Trouble};

use crate::{Format, SvgPolicy};

/// Where an origin does not answer, what is kept goes on to be used, and the origin is asked again after so long.
const AGAIN: Duration = Duration::from_secs(5);

/// Why there is no answer, as a client is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Failure {
    pub(crate) status: StatusCode,
    pub(crate) text: String,
}

impl Failure {
    pub(crate) fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self { status, text: text.into() }
    }
}

/// Between two pieces of an object. A store that says nothing for so long has forgotten us.
const PATIENCE: Duration = Duration::from_secs(20);

/// Objects of the largest size that are in memory at once, while they are fetched and made; smaller ones are more.
pub(crate) const OBJECTS: usize = 8;

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) enum Outcome {
    Entry(Arc<Entry>),
    /// A file that is too large to be kept: each who asks gets it from the origin.
    HandedOn,
}

impl Shared {
    /// What is asked for, in this format if it is a picture. `kept` is what there is already, which may be right still.
    pub(crate) async fn make(
        &self,
        name: &str,
        asked: &Asked,
        format: Option<Format>,
        kept: Option<Arc<Entry>>,
    ) -> Result<Outcome, Failure> {
        // Before anything is in memory for it: what waits here takes nothing from those who wait for the other formats.
        let _turn = if format == Some(Format::Avif) {
            let _place = Place::take(&self.slow.waiting, self.settings.limits.waiting)?;
            Some(self.slow.turn.acquire().await.expect("nobody closes the semaphore"))
        } else {
            None
        };
        let begun = self.cache.begin();
        let known = kept.as_ref().map(|entry| entry.about.origin_etag.as_str()).filter(|etag| !etag.is_empty());
        let now = SystemClock.now();
        match (self.origin.get(&asked.bucket, &asked.key, known).await, kept) {
            (Ok(Found::Unchanged), Some(entry)) => Ok(Outcome::Entry(self.cache.touch(name, &entry, now, begun).await)),
            (Ok(Found::Unchanged), None) => Err(Failure::new(
                StatusCode::BAD_GATEWAY,
                "the store says that nothing changed, though nothing was known",
            )),
            (Ok(Found::Object(object)), _) => self.make_of(name, asked, format, object, now, begun).await,
            (Err(Unmet::Absent), _) => {
                self.cache.forget(name).await;
                Err(Failure::new(StatusCode::NOT_FOUND, "there is no such object"))
            }
            (Err(unmet @ Unmet::Refused(_)), _) => {
                tracing::warn!(bucket = asked.bucket, why = %unmet, "an object may not be delivered");
                self.cache.forget(name).await;
                Err(Failure::new(StatusCode::NOT_FOUND, "there is no such object"))
            }
            (Err(unmet), Some(entry)) => {
                self.metrics.origin_errors.one();
                tracing::warn!(bucket = asked.bucket, why = %unmet, "what is kept is used on");
                // As if it had been looked at so long ago that it is to be looked at again soon.
                let since = self.settings.fresh().saturating_sub(AGAIN).as_millis();
                let checked = now.unix_millis().saturating_sub(i64::try_from(since).unwrap_or(i64::MAX));
                let checked = Timestamp::from_unix_millis(checked);
                Ok(Outcome::Entry(self.cache.touch(name, &entry, checked, begun).await))
            }
            (Err(unmet), None) => {
                self.metrics.origin_errors.one();
                tracing::warn!(bucket = asked.bucket, why = %unmet, "an object cannot be delivered");
                Err(Failure::new(StatusCode::BAD_GATEWAY, "the store of objects does not answer"))
            }
        }
    }

    async fn make_of(
        &self,
        name: &str,
        asked: &Asked,
        format: Option<Format>,
        object: Object,
        now: Timestamp,
        begun: Begun,
    ) -> Result<Outcome, Failure> {
        let Object { facts, length, mut body } = object;
        let most = self.settings.limits.bytes;
        let is_large = |length: u64| length > most;
        let _place = Place::take(&self.making, self.settings.limits.waiting)?;
        // Held until the answer is there. Who does not say how much comes is given the most.
        let pages = u32::try_from((length.unwrap_or(most).min(most) >> 10) + 1).unwrap_or(u32::MAX);
        let _room = self.room.acquire_many(pages).await.expect("nobody closes the semaphore");
        let (mut bytes, mut is_looked_at) = (BytesMut::new(), false);
        let mut kind = Kind::Other;
        loop {
            let late = |_| Err(std::io::ErrorKind::TimedOut.into());
            let piece =
                timeout(PATIENCE, body.next()).await.map(Option::transpose).unwrap_or_else(late).map_err(|error| {
                    tracing::warn!(bucket = asked.bucket, why = %error, "an object broke off");
                    Failure::new(StatusCode::BAD_GATEWAY, "the store of objects broke off")
                })?;
            let is_end = piece.is_none();
            bytes.extend_from_slice(&piece.unwrap_or_default());
            if !is_looked_at && (is_end || bytes.len() >= Kind::HEAD) {
                is_looked_at = true;
                kind = Kind::of(&bytes);
                self.admit(asked, kind)?;
            }
            let is_too_large = is_large(bytes.len() as u64) || (is_looked_at && length.is_some_and(is_large));
            if is_too_large && kind.is_picture() {
                return Err(Failure::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    format!("the picture is larger than {most} bytes"),
                ));
            }
            if is_too_large {
                return Ok(Outcome::HandedOn);
            }
            if is_end {
                break;
            }
        }
        let entry = match kind.is_picture() {
            true => self.picture(asked, format, bytes.freeze(), facts, now).await?,
            false => {
                let content_type = match kind {
                    Kind::Svg => "image/svg+xml".to_owned(),
                    _ => file_type(facts.content_type.as_deref()),
                };
                entry(asked, Content::File(content_type), bytes.freeze(), facts, now)
            }
        };
        let entry = Arc::new(entry);
        self.cache.put(name, &entry, begun).await;
        Ok(Outcome::Entry(entry))
    }

    /// Whether what it turned out to be may be asked for so.
    pub(crate) fn admit(&self, asked: &Asked, kind: Kind) -> Result<(), Failure> {
        if kind == Kind::Svg && self.settings.svg == SvgPolicy::Refuse {
            self.metrics.refused.one();
            return Err(Failure::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "SVG is not delivered here"));
        }
        if !kind.is_picture() && !asked.variant.is_whole() {
            self.metrics.faults.one();
            return Err(Failure::new(StatusCode::UNPROCESSABLE_ENTITY, "the object is no JPEG, PNG, WebP or GIF"));
        }
        Ok(())
    }

    async fn picture(
        &self,
        asked: &Asked,
        format: Option<Format>,
        bytes: Bytes,
        facts: Facts,
        now: Timestamp,
    ) -> Result<Entry, Failure> {
        let Variant { width, height, quality, fit, .. } = asked.variant;
        let task = Task {
            width,
            height,
            fit: fit.unwrap_or_default(),
            format: format.map_or(Target::JpegOrPng, Target::As),
            quality: quality.unwrap_or(self.settings.quality),
            bounds: self.bounds(),
        };
        let made = self.run(Job::Render(task), bytes).await?;
        Ok(entry(asked, Content::Picture(made.format), made.bytes.into(), facts, now))
    }

    pub(crate) fn bounds(&self) -> Bounds {
        Bounds { pixels: self.settings.limits.pixels, side: self.settings.limits.side }
    }

    /// By a worker, with what went wrong as a client is told.
    pub(crate) async fn run(&self, job: Job, bytes: Bytes) -> Result<crate::image::Made, Failure> {
        let pool = if job.is_slow() { &self.slow.pool } else { &self.pool };
        let outcome = pool.run(job, bytes).await;
        let status = match &outcome {
            Ok(_) => {
                self.metrics.made.one();
                StatusCode::OK
            }
            Err(Trouble::Fault(fault)) => {
                self.metrics.faults.one();
                match fault {
                    Fault::TooManyPixels { .. } => StatusCode::PAYLOAD_TOO_LARGE,
                    _ => StatusCode::UNPROCESSABLE_ENTITY,
                }
            }
            Err(Trouble::Died(why)) => {
                tracing::warn!(why, "a worker died");
                return Err(Failure::new(StatusCode::BAD_GATEWAY, "the process that decoded the picture died of it"));
            }
            Err(Trouble::Late(_)) => StatusCode::GATEWAY_TIMEOUT,
            Err(Trouble::Busy) => StatusCode::SERVICE_UNAVAILABLE,
        };
        outcome.map_err(|trouble| Failure::new(status, format!("the picture cannot be made: {trouble}")))
    }
}

fn entry(asked: &Asked, content: Content, body: Bytes, facts: Facts, now: Timestamp) -> Entry {
    let about = About {
        object: format!("{}/{}", asked.bucket, asked.key),
        content,
        digest: digest_of(&body),
        origin_etag: facts.etag,
        tags: facts.tags,
        checked: now,
    };
    Entry { about, body }
}

/// A place among what is being made.
struct Place<'a>(&'a AtomicUsize);

impl<'a> Place<'a> {
    fn take(places: &'a AtomicUsize, most: usize) -> Result<Self, Failure> {
        let before = places.fetch_add(1, Ordering::Relaxed);
        let place = Self(places);
        let busy = || Failure::new(StatusCode::SERVICE_UNAVAILABLE, "too many pictures wait to be made already");
        if before > most { Err(busy()) } else { Ok(place) }
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
