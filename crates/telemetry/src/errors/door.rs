//! The way in for reports, from the key to the disk.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use host::files;
use serde_json::Value;

use super::answers::{self, Answer};
use super::limits::Verdict;
use super::projects::{KeyOf, Project};
use super::record::{self, Kind, RecordHead};
use super::{Errors, event_id, security};
use crate::envelope::{Envelope, Header};

/// An event has no more, unpacked: Sentry's own limit.
const MAX_EVENT: usize = 1 << 20;

/// More on the spool than this, and the writer does not keep up: clients wait.
const MAX_WAITING: u64 = 64 << 20;

/// As what the disk or the spool did not take is counted.
const NO_ROOM: &str = "no-room";

/// How often the disk is asked for room.
const LOOK: Duration = Duration::from_secs(1);

/// What Sentry's clients find below the address that they are given.
pub(crate) fn routes(errors: Arc<Errors>) -> Router {
    let mut router = Router::new();
    for end in ["", "/"] {
        router = router
            .route(&format!("/api/{{project}}/envelope{end}"), post(envelope).options(answers::preflight))
            .route(&format!("/api/{{project}}/store{end}"), post(store).options(answers::preflight))
            .route(&format!("/api/{{project}}/security{end}"), post(security_reports).options(answers::preflight))
            .route(&format!("/tunnel{end}"), post(tunnel).options(answers::preflight));
    }
    let for_pages = |mut response: Response| async move {
        answers::for_pages(response.headers_mut());
        response
    };
    router.layer(axum::middleware::map_response(for_pages)).with_state(errors)
}

async fn envelope(
    State(errors): State<Arc<Errors>>,
    Path(project): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let key = key_of(&uri, &headers);
    let taken = errors.take_envelope(Some(&project), key.as_deref(), &headers, body).await;
    taken.unwrap_or_else(|refused| refused).into_response()
}

/// Where an app passes on what its pages send, the envelope says whose it is.
async fn tunnel(State(errors): State<Arc<Errors>>, headers: HeaderMap, body: Body) -> Response {
    errors.take_envelope(None, None, &headers, body).await.unwrap_or_else(|refused| refused).into_response()
}

/// One event without an envelope, as clients of before sent it.
async fn store(
    State(errors): State<Arc<Errors>>,
    Path(project): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let take = async {
        let (project, of) = errors.admit(&project, key_of(&uri, &headers).as_deref())?;
        errors.has_room(&project.app)?;
        let body = errors.bodies.read(&headers, body).await?;
        let id = serde_json::from_slice::<Header>(&body).ok().and_then(|said| said.event_id);
        errors.take(project, of, id, vec![(Kind::Event, &body)], false).await
    };
    take.await.unwrap_or_else(|refused| refused).into_response()
}

async fn security_reports(
    State(errors): State<Arc<Errors>>,
    Path(project): Path<String>,
    uri: Uri,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let take = async {
        let (project, of) = errors.admit(&project, key_of(&uri, &headers).as_deref())?;
        errors.has_room(&project.app)?;
        let body = errors.bodies.read(&headers, body).await?;
        let events: Vec<Vec<u8>> =
            security::events(&body).iter().map(|event: &Value| event.to_string().into_bytes()).collect();
        if events.is_empty() {
            errors.counts.add(&project.app, "not-a-report", 1);
            return Err(Answer::Refused {
                status: StatusCode::BAD_REQUEST,
                why: "this is no report of a policy".into(),
            });
        }
        let lines = events.iter().map(|event| (Kind::Event, event.as_slice())).collect();
        errors.take(project, of, None, lines, false).await
    };
    take.await.unwrap_or_else(|refused| refused).into_response()
}

/// The key that a client shows, in the query or in a header.
fn key_of(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    let query = url::form_urlencoded::parse(uri.query().unwrap_or("").as_bytes());
    if let Some((_, key)) = query.into_iter().find(|(name, _)| name == "sentry_key") {
        return Some(key.into_owned());
    }
    let said = headers.get("x-sentry-auth").or_else(|| headers.get("authorization"))?.to_str().ok()?;
    let said = said.strip_prefix("Sentry ").or_else(|| said.strip_prefix("sentry "))?;
    let mut pairs = said.split(',').filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(name, _)| *name == "sentry_key").map(|(_, key)| key.to_owned())
}

/// Key and project of an address: `https://KEY@HOST/…/ID`.
fn of_dsn(dsn: &str) -> Option<(String, String)> {
    let url = url::Url::parse(dsn).ok()?;
    let project = url.path_segments()?.next_back()?.to_owned();
    Some((project, url.username().to_owned()))
}

impl Errors {
    async fn take_envelope(
        &self,
        project: Option<&str>,
        key: Option<&str>,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Answer, Answer> {
        // Who shows a key is looked at before anything of the body is read.
        let known = match (project, key) {
            (Some(project), Some(key)) => Some(self.admit(project, Some(key))?),
            _ => None,
        };
        // Whose a tunnel's envelope is, is in it.
        self.has_room(known.map_or("", |(project, _)| &project.app))?;
        let body = self.bodies.read(headers, body).await?;
        let Envelope { header, items, broken } = Envelope::read(&body)?;
        let (project, of) = match known {
            Some(known) => known,
            None => {
                let (named, key) = header.dsn.as_deref().and_then(of_dsn).ok_or_else(Answer::stranger)?;
                if project.is_some_and(|project| project != named) {
                    return Err(Answer::stranger());
                }
                self.admit(&named, Some(&key))?
            }
        };
        if let Some(broken) = broken {
            self.counts.add(&project.app, "broken-envelope", 1);
            if items.is_empty() {
                return Err(broken.into());
            }
        }
        let mut lines = Vec::new();
        let mut some_not_kept = false;
        for item in &items {
            match Kind::of(&item.kind) {
                Some(kind) => lines.push((kind, item.payload)),
                None => {
                    // Reports of what a client itself let go are no reason to make it wait.
                    some_not_kept |=
                        !matches!(item.kind.as_str(), "client_report" | "attachment" | "user_report" | "feedback");
                    self.counts.add(&project.app, &kind_name(&item.kind), u64::from(item.count));
                }
            }
        }
        self.take(project, of, header.event_id, lines, some_not_kept).await
    }

    fn admit(&self, project: &str, key: Option<&str>) -> Result<(&Project, KeyOf), Answer> {
        let id = project.parse::<u32>().map_err(|_| Answer::stranger())?;
        let project = self.settings.projects.iter().find(|known| known.id == id).ok_or_else(Answer::stranger)?;
        let of = key.and_then(|key| project.holder(key)).ok_or_else(Answer::stranger)?;
        Ok((project, of))
    }

    /// Whether anything can be taken just now, before anything is read. What is sent away is counted.
    fn has_room(&self, app: &str) -> Result<(), Answer> {
        let full = |reason| {
            self.counts.add(app, NO_ROOM, 1);
            Err(Answer::Full { reason })
        };
        if self.spool().is_none_or(|spool| spool.waiting() > MAX_WAITING) {
            return full("the database does not keep up");
        }
        if !self.room.is_there(self) {
            return full("the disk is full");
        }
        Ok(())
    }

    async fn take(
        &self,
        project: &Project,
        of: KeyOf,
        event_id: Option<String>,
        items: Vec<(Kind, &[u8])>,
        some_not_kept: bool,
    ) -> Result<Answer, Answer> {
        let event_id = event_id.filter(|id| event_id::bytes(id).is_some());
        let has_event = items.iter().any(|(kind, _)| *kind == Kind::Event);
        let id = event_id.unwrap_or_else(event_id::fresh);
        let mut lines = Vec::with_capacity(items.len());
        let mut refused = None;
        for (kind, json) in items {
            match self.line(project, of, kind, json) {
                Ok(json) => lines.push((kind, json)),
                Err(why) => refused = Some(why),
            }
        }
        if !lines.is_empty() {
            let received = self.clock.now().unix_millis();
            let head = RecordHead { app: project.app.clone(), received, of, event_id: id.clone() };
            let spool = self.spool().ok_or(Answer::Full { reason: "telemetry is ending" })?;
            let kept = spool.append(record::write(&head, &lines)).await;
            kept.inspect_err(|_| self.counts.add(&project.app, NO_ROOM, 1))?;
        }
        match refused {
            Some(refused) => Err(refused),
            None => Ok(Answer::Kept { event_id: has_event.then_some(id), some_not_kept }),
        }
    }

    fn line(&self, project: &Project, of: KeyOf, kind: Kind, json: &[u8]) -> Result<Vec<u8>, Answer> {
        let refuse = |what: &str, status: StatusCode, why: &str| {
            self.counts.add(&project.app, what, 1);
            Answer::Refused { status, why: why.to_owned() }
        };
        if json.len() > MAX_EVENT {
            return Err(refuse("too-large", StatusCode::PAYLOAD_TOO_LARGE, "an event has more than 1 MiB"));
        }
        if kind == Kind::Event
            && let Verdict::Wait(seconds) = self.guard.pass(project.id, of, self.clock.instant())
        {
            self.counts.add(&project.app, "spike", 1);
            return Err(Answer::Wait { seconds, reason: "spike" });
        }
        let scrubbed = self.scrubber.scrub(json);
        let scrubbed = scrubbed.map_err(|_| refuse("not-json", StatusCode::BAD_REQUEST, "an item is not JSON"))?;
        if scrubbed.first() != Some(&b'{') {
            return Err(refuse("not-an-object", StatusCode::BAD_REQUEST, "an item is no object"));
        }
        Ok(scrubbed)
    }
}

/// As it is counted: a name that a stranger gives is short and plain.
fn kind_name(kind: &str) -> String {
    let plain =
        kind.chars().filter(|letter| letter.is_ascii_lowercase() || matches!(letter, '_' | '-')).take(40).collect();
    format!("item-{}", if kind.is_empty() { "?".to_owned() } else { plain })
}

/// Whether the disk has room, as it was a moment ago.
#[derive(Debug, Default)]
pub(crate) struct Room(Mutex<Option<(Instant, bool)>>);

impl Room {
    fn is_there(&self, errors: &Errors) -> bool {
        let now = errors.clock.instant();
        let mut looked = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, there)) = *looked
            && now.saturating_duration_since(at) < LOOK
        {
            return there;
        }
        // A disk that cannot be asked will say so at the write.
        let there = files::free_bytes(&errors.folder).is_ok_and(|free| free >= errors.settings.limits.free_bytes);
        *looked = Some((now, there));
        there
    }
}
