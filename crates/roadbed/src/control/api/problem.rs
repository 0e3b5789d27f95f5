//! Why something was not done, as RFC 9457 writes it.

use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use reconcile::Fault;
use reconcile::fault::Retry;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::authorise::Refusal;

/// What it is sent as.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// Why something was not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// Which kind of problem: `urn:roadbed:problem:…`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What could not be done, to which thing.
    pub title: String,
    /// The status of the answer.
    pub status: u16,
    /// Why.
    pub detail: Option<String>,
    /// A command to run or an edit to make.
    pub hint: Option<String>,
    /// Goes into `Retry-After`.
    #[serde(skip)]
    pub again: Option<Duration>,
}

impl Problem {
    pub fn new(status: StatusCode, kind: &str, title: impl Into<String>) -> Self {
        Self {
            kind: format!("urn:roadbed:problem:{kind}"),
            title: title.into(),
            status: status.as_u16(),
            detail: None,
            hint: None,
            again: None,
        }
    }

    pub fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    pub fn not_found(what: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", what)
    }

    /// What was sent is not what the route takes.
    pub fn not_understood(why: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "not-understood", "the request is not one that this route takes").detail(why)
    }

    /// So many refusals that nobody listens any more.
    pub fn too_many(again: Duration) -> Self {
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many", "too many requests were refused");
        Self { again: Some(again), ..problem.hint("try again later, with a token that holds") }
    }

    pub fn refused(refusal: &Refusal) -> Self {
        let (status, kind) = match refusal.is_about_identity() {
            true => (StatusCode::UNAUTHORIZED, "not-known"),
            false => (StatusCode::FORBIDDEN, "not-allowed"),
        };
        Self::new(status, kind, refusal.to_string())
            .hint("`roadbed token list` at the environment shows its tokens, and `roadbed token create` makes one")
    }

    pub fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The headers that go with it.
    pub(super) fn headers(&self) -> Vec<(header::HeaderName, HeaderValue)> {
        let mut headers = vec![(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE))];
        if self.status() == StatusCode::UNAUTHORIZED {
            headers.push((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"roadbed\"")));
        }
        if let Some(again) = self.again {
            headers.push((header::RETRY_AFTER, HeaderValue::from(again.as_secs().max(1))));
        }
        headers
    }
}

/// What control could not do: the environment is not in a state in which it can be done. What may be tried again says so.
impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        let (status, kind) = match fault.retry {
            Retry::Safe => (StatusCode::SERVICE_UNAVAILABLE, "not-now"),
            Retry::Useless => (StatusCode::CONFLICT, "refused"),
        };
        let detail = (!fault.causes.is_empty()).then(|| fault.causes.join(": "));
        Self { detail, hint: fault.hint, ..Self::new(status, kind, fault.message) }
    }
}

/// What a client is told, as a person is told it.
impl From<Problem> for Fault {
    fn from(problem: Problem) -> Self {
        let fault = Self::new(problem.title);
        let fault = problem.detail.into_iter().fold(fault, Self::cause);
        match problem.hint {
            Some(hint) => fault.hint(hint),
            None => fault,
        }
    }
}
