//! One request, from its head to its answer: who is it, may they, is it one, do it, tell it. Top to bottom.

use std::net::SocketAddr;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use delivery::{Deployment, DeploymentId};
use engine::artifact::Digest;
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Request, StatusCode, header};
use http_body_util::{BodyExt, Limited};
use manifest::PersonName;
use reconcile::Fault;
use serde_json::{Map, Value};
use tokio::time::timeout;
use url::form_urlencoded;

use super::action::Action;
use super::authorise::{Actor, Bearer, Refusal, Scope, authorise};
use super::problem::Problem;
use super::route::{Given, Repeats, Route, Takes};
use super::throttle::{Source, Verdict};
use super::token::Token;
use super::{idempotency, record};
use crate::control::Control;
use crate::wanted;

/// No request of ours is longer: 64 artifacts are 8 KiB.
const MOST_BODY: usize = 64 * 1024;

/// A body that comes slower than this is somebody who wants to wait, and not to ask.
const BODY_TIME: Duration = Duration::from_secs(10);

/// What nobody wants to read is waited for as long as this, up to [`MOST_BODY`].
const LINGERS: Duration = Duration::from_secs(2);

/// Who asks, and about what.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    pub(super) control: Arc<Control>,
    pub(super) actor: Actor,
    pub(super) peer: SocketAddr,
    deployment: Option<DeploymentId>,
    artifact: Option<Digest>,
}

impl Caller {
    /// Whoever got past `authorise` on a route of an environment has a token.
    pub(super) fn bearer(&self) -> Result<&Bearer, Problem> {
        match &self.actor {
            Actor::Bearer(bearer) => Ok(bearer),
            Actor::Nobody | Actor::Owner | Actor::Stranger { .. } => Err(Problem::refused(&Refusal::Unknown)),
        }
    }

    /// The person whom the token names, if the manifest still knows them.
    pub(super) fn person(&self) -> Result<&PersonName, Problem> {
        let bearer = self.bearer()?;
        let person = bearer.person.as_ref().ok_or_else(|| Problem::refused(&Refusal::NoPerson(bearer.id)))?;
        let people = match wanted::read(&self.control.root)? {
            Some(want) => wanted::manifest_as_wanted(&want)?.people(),
            None => Vec::new(),
        };
        if !people.iter().any(|(known, _)| known == person) {
            let problem =
                Problem::new(StatusCode::FORBIDDEN, "not-allowed", format!("{person} is nobody here any more"));
            return Err(problem.hint("[people] in roadbed.toml says who is"));
        }
        Ok(person)
    }

    /// The deployment that the path names.
    pub(super) fn deployment(&self) -> Result<Deployment, Problem> {
        let named = self.deployment.ok_or_else(|| Problem::not_found("there is no such deployment"))?;
        let found = self.control.delivering.find(named)?;
        found.ok_or_else(|| Problem::not_found(format!("there is no deployment {named}")))
    }

    /// The artifact that the path names.
    pub(super) fn artifact(&self) -> Result<&Digest, Problem> {
        self.artifact.as_ref().ok_or_else(|| Problem::not_found("there is no such artifact"))
    }

    /// A fault of ours, in the log and not in the answer.
    pub(super) fn broken(&self, error: &(dyn std::error::Error + 'static)) -> Problem {
        broken(error)
    }
}

fn broken(error: &(dyn std::error::Error + 'static)) -> Problem {
    let fault = Fault::because("the API cannot answer", error);
    tracing::error!(causes = ?fault.causes, "{fault}");
    Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "broken", "control cannot answer")
        .hint("`roadbed logs control` at the environment says why")
}

/// Answers a request. `named` are the parts of the path that the route has names for.
pub(super) async fn answer(
    control: Arc<Control>,
    route: Arc<Route>,
    peer: SocketAddr,
    named: &[(String, String)],
    request: Request<Body>,
) -> Response {
    let redactions = control.redactions_as_wanted();
    let (head, body) = request.into_parts();
    let mut body = Some(body);
    let done = timeout(route.longest(), done(control, &route, peer, named, &head, &mut body)).await;
    if let Some(unread) = body {
        hear_out(unread).await;
    }
    let done = done.unwrap_or_else(|_| {
        Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "too-slow", "control took too long to answer"))
    });
    match done {
        // The one answer that is a secret: whoever asked is who it is for.
        Ok(answer) if route.action == Action::ExchangeToken => respond(answer.status, &answer.body, &answer.headers),
        Ok(answer) => respond(answer.status, &redactions.redact(&answer.body), &answer.headers),
        Err(problem) => {
            let mut refusal = refuse(&problem, |text| redactions.redact(text).into_owned());
            // An archive is too long to be heard out: its connection ends here, and is not used again.
            if route.takes == Takes::Archive {
                refusal.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            refusal
        }
    }
}

/// Reads what nobody wants. A connection whose request was not read to its end is closed: the client may never read the answer, or send
/// the next request where nobody is.
pub(super) async fn hear_out(unread: Body) {
    let _ = timeout(LINGERS, Limited::new(unread, MOST_BODY).collect()).await;
}

/// What goes back where all is well.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: String,
    pub(super) headers: Vec<(header::HeaderName, HeaderValue)>,
}

pub(super) fn refuse(problem: &Problem, redact: impl Fn(&str) -> String) -> Response {
    let body = serde_json::to_string(problem).expect("a problem is plain data");
    respond(problem.status(), &redact(&body), &problem.headers())
}

fn respond(status: StatusCode, body: &str, headers: &[(header::HeaderName, HeaderValue)]) -> Response {
    let mut response = Response::new(Body::from(body.to_owned()));
    *response.status_mut() = status;
    let all = response.headers_mut();
    all.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    // It is of this moment, for this bearer.
    all.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    all.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    for (name, value) in headers {
        all.insert(name.clone(), value.clone());
    }
    response
}

async fn done(
    control: Arc<Control>,
    route: &Route,
    peer: SocketAddr,
    named: &[(String, String)],
    head: &Parts,
    body: &mut Option<Body>,
) -> Result<Answer, Problem> {
    let part = |name: &str| named.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
    let here = here(&control)?;
    let actor = who(&control, &head.headers)?;
    let asked = match part("environment") {
        Some(environment) => Scope { environment: environment.to_owned(), ..here.clone() },
        None => here.clone(),
    };
    if let Err(refusal) = authorise(&actor, route.action, &asked) {
        // Whoever shows nothing guesses nothing: that is told, and neither counted nor noted.
        if !head.headers.contains_key(header::AUTHORIZATION) {
            return Err(Problem::refused(&refusal));
        }
        return Err(refused(&control, &actor, route.action, &refusal, peer).await);
    }
    let deployment = match part("deployment") {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| Problem::not_found("there is no such deployment"))?),
    };
    let artifact = match part("artifact") {
        None => None,
        Some(text) => Some(text.parse().map_err(|_| Problem::not_found("there is no such artifact"))?),
    };
    let key = key(route, &head.headers)?;
    let query = query(head.uri.query())?;
    let given = match route.takes {
        Takes::Json => Given { query, body: read(route, &head.headers, body).await?, archive: None },
        Takes::Archive => Given { query, body: Vec::new(), archive: body.take() },
    };
    let about = part("deployment").or(part("artifact")).unwrap_or_default().to_owned();
    if let (Actor::Bearer(bearer), true) = (&actor, route.action.changes_something()) {
        record::asked(&control, bearer, route.action, &about, peer).await?;
    }
    let caller = Caller { control: control.clone(), actor: actor.clone(), peer, deployment, artifact };
    match (key, &actor) {
        (Some(key), Actor::Bearer(bearer)) => idempotency::once(&control, bearer.id, &key, route, caller, given).await,
        _ => route.run(caller, given).await.map(|body| Answer { status: route.status, body, headers: Vec::new() }),
    }
}

/// The environment and the root of this control.
pub(super) fn here(control: &Control) -> Result<Scope, Problem> {
    let environment = wanted::read(&control.root)?.map(|want| want.environment).unwrap_or_default();
    Ok(Scope { environment, root: control.id.clone() })
}

/// Who shows the token, if it was made here.
fn who(control: &Control, headers: &HeaderMap) -> Result<Actor, Problem> {
    let Some(token) = bearer_token(headers) else { return Ok(Actor::Nobody) };
    let kept = control.api.tokens.shown(token.digest()).map_err(|error| broken(&error))?;
    let Some(kept) = kept else { return Ok(Actor::Nobody) };
    let now = control.clock.now();
    if let Err(error) = control.api.tokens.used(&kept, now) {
        tracing::warn!(token = %kept.id, %error, "cannot note that a token was used");
    }
    Ok(Actor::Bearer(kept.bearer(now)))
}

fn bearer_token(headers: &HeaderMap) -> Option<Token> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| Token::read(token.trim()))?
}

/// Counts and notes a refusal. Past the limit it is neither noted nor explained.
async fn refused(control: &Control, actor: &Actor, action: Action, refusal: &Refusal, peer: SocketAddr) -> Problem {
    let source = match actor {
        Actor::Bearer(bearer) => Source::Token(bearer.id.0),
        Actor::Nobody | Actor::Owner | Actor::Stranger { .. } => Source::of(peer.ip()),
    };
    match count(control, source) {
        Verdict::TooMany { again } => Problem::too_many(again),
        Verdict::Told => {
            record::refused(control, actor, action, refusal, peer).await;
            Problem::refused(refusal)
        }
    }
}

/// Counts a refusal.
pub(super) fn count(control: &Control, source: Source) -> Verdict {
    let mut throttle = control.api.throttle.lock().unwrap_or_else(PoisonError::into_inner);
    throttle.refused(source, control.clock.now())
}

/// The key of a request that is to be done once.
fn key(route: &Route, headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers.get("idempotency-key").filter(|_| route.repeats == Repeats::OnceByKey) else {
        return Ok(None);
    };
    let key = value
        .to_str()
        .ok()
        .filter(|key| (1..=128).contains(&key.len()) && key.bytes().all(|byte| byte.is_ascii_graphic()));
    let key =
        key.ok_or_else(|| Problem::not_understood("`Idempotency-Key` is a text of 1 to 128 visible characters"))?;
    Ok(Some(key.to_owned()))
}

/// The query, each parameter once. What is written as a number is one.
fn query(text: Option<&str>) -> Result<Map<String, Value>, Problem> {
    let mut all = Map::new();
    for (name, value) in form_urlencoded::parse(text.unwrap_or_default().as_bytes()) {
        let number = value.parse::<u64>().ok().filter(|number| number.to_string() == value);
        let value = number.map_or_else(|| Value::from(value.as_ref()), Value::from);
        if all.insert(name.to_string(), value).is_some() {
            return Err(Problem::not_understood("a parameter of the query stands there twice"));
        }
    }
    Ok(all)
}

async fn read(route: &Route, headers: &HeaderMap, body: &mut Option<Body>) -> Result<Vec<u8>, Problem> {
    let Some(body) = body.take_if(|_| route.body.is_some()) else { return Ok(Vec::new()) };
    let read = timeout(BODY_TIME, Limited::new(body, MOST_BODY).collect())
        .await
        .map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "the body of the request took too long"))?;
    let bytes = match read {
        Ok(whole) => whole.to_bytes().to_vec(),
        Err(error) if error.is::<http_body_util::LengthLimitError>() => {
            let title = format!("the body of the request is longer than {MOST_BODY} bytes");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-long", title));
        }
        Err(_) => return Err(Problem::not_understood("the body broke off")),
    };
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if !bytes.is_empty() && !kind.eq_ignore_ascii_case("application/json") {
        let problem = Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-json", "the body of a request is JSON");
        return Err(problem.hint("send it with `content-type: application/json`"));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_once_and_in_its_header() {
        let token = Token::make().unwrap();
        let with = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            }
            bearer_token(&headers).map(|token| token.digest())
        };
        let good = format!("Bearer {}", token.expose());
        assert_eq!(with(&[&good]), Some(token.digest()));
        assert_eq!(with(&[&good.replace("Bearer", "bearer")]), Some(token.digest()));
        assert_eq!(with(&[&good, &good]), None, "whoever sends two hides one");
        assert_eq!(with(&[&good.replace("Bearer", "Basic")]), None);
        assert_eq!(with(&[token.expose()]), None);
        assert_eq!(with(&[]), None);
    }

    #[test]
    fn parameters_of_a_query_stand_there_once() {
        let found = query(Some("after=7&wait=x&of=07")).unwrap();
        assert_eq!(Value::Object(found), serde_json::json!({"after": 7, "wait": "x", "of": "07"}));
        assert_eq!(query(Some("after=7&after=8")).unwrap_err().status, 400);
        assert!(query(None).unwrap().is_empty());
    }
}
