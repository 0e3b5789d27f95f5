//! Every route of the API, once: its action, its types, its handler. A route cannot be without an action, nor be described by other
//! types than it reads and writes.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use axum::body::Body;
use http::{Method, StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::action::Action;
use super::answers::{
    Artifact, Deployment, Deployments, Events, Exchanged, Gate, Releases, StatusAnswer, TokenAnswer, WayBack,
};
use super::call::Caller;
use super::problem::Problem;
use super::questions::{Follow, Nothing, OfApp, ToApprove, ToDeploy, ToExchange, ToProve, ToRollBack};
use super::{arriving, changing, exchange, gate_run, openapi, reading};

type SchemaOf = fn(&mut SchemaGenerator) -> Schema;
pub(super) type Answering = Pin<Box<dyn Future<Output = Result<String, Problem>> + Send>>;
type Handler = Box<dyn Fn(Caller, Given) -> Answering + Send + Sync>;

/// What came with a request, besides who asks and about what.
#[derive(Debug)]
pub(super) struct Given {
    /// The query, each parameter once.
    pub(super) query: Map<String, Value>,
    pub(super) body: Vec<u8>,
    /// What is too long to be read at once.
    pub(super) archive: Option<Body>,
}

/// What the body of a request is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Takes {
    Json,
    /// An archive of zstd, as it comes.
    Archive,
}

/// Whether a request may say which one it is, so that it is done once however often it is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Repeats {
    AsSent,
    /// With the header `Idempotency-Key`.
    OnceByKey,
}

/// One route.
pub struct Route {
    pub method: Method,
    pub path: &'static str,
    pub action: Action,
    /// What it does, for the description.
    pub summary: &'static str,
    /// Of a successful answer.
    pub status: StatusCode,
    pub repeats: Repeats,
    pub takes: Takes,
    pub(super) query: Option<SchemaOf>,
    pub(super) body: Option<SchemaOf>,
    /// Whether nothing in the body stands for an empty one.
    pub(super) body_may_be_empty: bool,
    pub(super) answer: SchemaOf,
    handler: Handler,
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Route").field("method", &self.method).field("path", &self.path).finish_non_exhaustive()
    }
}

impl Route {
    /// A route that looks: its parameters are in the query.
    fn reading<Q, T, F>(path: &'static str, action: Action, summary: &'static str, handler: fn(Caller, Q) -> F) -> Self
    where
        Q: DeserializeOwned + JsonSchema + Send + 'static,
        T: Serialize + JsonSchema + 'static,
        F: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        let handler: Handler = Box::new(move |caller, given| {
            Box::pin(async move {
                let query = serde_json::from_value(Value::Object(given.query));
                let query = query.map_err(|error| Problem::not_understood(format!("the query: {error}")))?;
                Ok(written(&handler(caller, query).await?))
            })
        });
        Self {
            method: Method::GET,
            path,
            action,
            summary,
            status: StatusCode::OK,
            repeats: Repeats::AsSent,
            takes: Takes::Json,
            query: Some(Q::json_schema),
            body: None,
            body_may_be_empty: true,
            answer: |generator| generator.subschema_for::<T>(),
            handler,
        }
    }

    /// A route that changes something: what it takes is in its body.
    fn changing<B, T, F>(path: &'static str, action: Action, summary: &'static str, handler: fn(Caller, B) -> F) -> Self
    where
        B: DeserializeOwned + JsonSchema + Send + 'static,
        T: Serialize + JsonSchema + 'static,
        F: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        let handler: Handler = Box::new(move |caller, given| {
            Box::pin(async move {
                let body = if given.body.is_empty() { b"{}".as_slice() } else { &given.body };
                let body = serde_json::from_slice(body);
                let body = body.map_err(|error| Problem::not_understood(format!("the body: {error}")))?;
                Ok(written(&handler(caller, body).await?))
            })
        });
        Self {
            method: Method::POST,
            path,
            action,
            summary,
            status: StatusCode::OK,
            repeats: Repeats::AsSent,
            takes: Takes::Json,
            query: None,
            body: Some(|generator| generator.subschema_for::<B>()),
            body_may_be_empty: serde_json::from_str::<B>("{}").is_ok(),
            answer: |generator| generator.subschema_for::<T>(),
            handler,
        }
    }

    /// A route that takes something long: what there is to say of it is in its query.
    fn receiving<Q, T, F>(
        path: &'static str,
        action: Action,
        summary: &'static str,
        handler: fn(Caller, Q, Body) -> F,
    ) -> Self
    where
        Q: DeserializeOwned + JsonSchema + Send + 'static,
        T: Serialize + JsonSchema + 'static,
        F: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        let handler: Handler = Box::new(move |caller, given| {
            Box::pin(async move {
                let query = serde_json::from_value(Value::Object(given.query));
                let query = query.map_err(|error| Problem::not_understood(format!("the query: {error}")))?;
                Ok(written(&handler(caller, query, given.archive.unwrap_or_default()).await?))
            })
        });
        Self {
            method: Method::PUT,
            path,
            action,
            summary,
            status: StatusCode::OK,
            repeats: Repeats::AsSent,
            takes: Takes::Archive,
            query: Some(Q::json_schema),
            body: None,
            body_may_be_empty: false,
            answer: |generator| generator.subschema_for::<T>(),
            handler,
        }
    }

    /// How long an answer may take.
    pub(super) fn longest(&self) -> Duration {
        match self.takes {
            // Longer than the longest wait for events. What is cut off is a fault of ours.
            Takes::Json => Duration::from_secs(60),
            // A gigabyte at two megabytes a second; a connection ends after ten minutes.
            Takes::Archive => Duration::from_secs(9 * 60),
        }
    }

    /// It is begun, and goes on after the answer.
    fn accepted(self) -> Self {
        Self { status: StatusCode::ACCEPTED, ..self }
    }

    fn once_by_key(self) -> Self {
        Self { repeats: Repeats::OnceByKey, ..self }
    }

    pub(super) fn run(&self, caller: Caller, given: Given) -> Answering {
        (self.handler)(caller, given)
    }

    /// Whether it is about an environment, which its path names.
    pub fn is_of_environment(&self) -> bool {
        self.path.contains("{environment}")
    }

    pub fn is_of_artifact(&self) -> bool {
        self.path.contains("{artifact}")
    }

    pub fn is_of_deployment(&self) -> bool {
        self.path.contains("{deployment}")
    }
}

fn written(answer: &impl Serialize) -> String {
    serde_json::to_string(answer).expect("answers are plain data")
}

/// Every route, in the order of the description.
pub fn all() -> Vec<Route> {
    use Action::{
        Approve, BringArtifact, Cancel, Deploy, ExchangeToken, ReadDeployments, ReadDescription, ReadGate,
        ReadOwnToken, ReadReleases, ReadStatus, RollBack, RunGate,
    };
    vec![
        Route::reading::<Nothing, Value, _>("/openapi.json", ReadDescription, "This description", openapi::answer),
        Route::reading::<Nothing, TokenAnswer, _>("/v1/token", ReadOwnToken, "The token that asks", reading::token),
        Route::changing::<ToExchange, Exchanged, _>(
            "/v1/token/exchange",
            ExchangeToken,
            "A token for a run of the CI, for 15 minutes, by the one that the CI signed for its job",
            exchange::exchange,
        ),
        Route::reading::<Nothing, StatusAnswer, _>(
            "/v1/environments/{environment}/status",
            ReadStatus,
            "Addresses and processes",
            reading::status,
        ),
        Route::reading::<Nothing, Releases, _>(
            "/v1/environments/{environment}/releases",
            ReadReleases,
            "The newest 50 releases",
            reading::releases,
        ),
        Route::reading::<Nothing, Artifact, _>(
            "/v1/environments/{environment}/artifacts/{artifact}",
            ReadReleases,
            "An artifact that the environment has and believes",
            arriving::find,
        ),
        Route::receiving::<OfApp, Artifact, _>(
            "/v1/environments/{environment}/artifacts/{artifact}",
            BringArtifact,
            "Bring an artifact that was built by the run that asks, and have the environment sign it",
            arriving::bring,
        ),
        Route::reading::<Nothing, Deployments, _>(
            "/v1/environments/{environment}/deployments",
            ReadDeployments,
            "The newest 50 deployments",
            reading::deployments,
        ),
        Route::changing::<ToDeploy, Deployment, _>(
            "/v1/environments/{environment}/deployments",
            Deploy,
            "Ask for a deployment",
            changing::deploy,
        )
        .accepted()
        .once_by_key(),
        Route::reading::<Nothing, Deployment, _>(
            "/v1/environments/{environment}/deployments/{deployment}",
            ReadDeployments,
            "One deployment",
            reading::deployment,
        ),
        Route::reading::<Follow, Events, _>(
            "/v1/environments/{environment}/deployments/{deployment}/events",
            ReadDeployments,
            "What happened to a deployment; waits for more where that is asked for",
            reading::events,
        ),
        Route::changing::<ToApprove, Deployment, _>(
            "/v1/environments/{environment}/deployments/{deployment}/approve",
            Approve,
            "Say yes to a deployment, as the person whom the token names",
            changing::approve,
        ),
        Route::changing::<Nothing, Deployment, _>(
            "/v1/environments/{environment}/deployments/{deployment}/cancel",
            Cancel,
            "Call a deployment off, as long as visitors have seen nothing of it",
            changing::cancel,
        ),
        Route::changing::<ToRollBack, WayBack, _>(
            "/v1/environments/{environment}/rollback",
            RollBack,
            "Go back to a release that served well, or say what that would do",
            changing::roll_back,
        )
        .accepted()
        .once_by_key(),
        Route::reading::<Nothing, Gate, _>(
            "/v1/environments/{environment}/gate",
            ReadGate,
            "How the promises of the environment stand",
            reading::gate,
        ),
        Route::changing::<ToProve, Gate, _>(
            "/v1/environments/{environment}/gate",
            RunGate,
            "Look at the promises again; some checks restart what they look at",
            gate_run::begin,
        )
        .accepted(),
    ]
}
