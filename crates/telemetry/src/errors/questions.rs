//! What our own ask about errors, and decide.
//!
//! ```text
//!   GET  /errors/issues?app=…&status=…&release=…&search=…&behind=…&limit=…     issues, the latest first
//!   GET  /errors/issues/ID                                            one, with releases and events
//!   POST /errors/issues/ID   {"to":"resolve","release":null}          what a person decides
//!   GET  /errors/events?search=request:ID                             events of a request, a trace, or with an id
//!   GET  /errors/releases?app=…&since=…                               sessions, and how many crashed
//!   GET  /errors/health                                               what waits, and what was not kept
//! ```

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use host::database;
use reconcile::Fault;
use rusqlite::Connection;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use super::digest::Order;
use super::issues::{self, Behind, Change, IssueFilter};
use super::schema::SCHEMA;
use super::{Errors, IssueStatus, sessions};

/// How the keeping of errors is doing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorsHealth {
    /// Events that there were, and how many of these are kept.
    pub events: i64,
    pub kept: i64,
    pub issues: i64,
    /// Bytes that were taken and are not in the database yet.
    pub waiting: u64,
    /// What was sent and is not kept, and why.
    pub not_kept: Vec<NotKept>,
}

/// A reason for which something was not kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotKept {
    pub app: String,
    pub what: String,
    pub count: i64,
}

pub(crate) fn routes(errors: Arc<Errors>) -> Router {
    Router::new()
        .route("/errors/issues", get(list))
        .route("/errors/issues/{id}", get(show).post(change))
        .route("/errors/events", get(events))
        .route("/errors/releases", get(releases))
        .route("/errors/health", get(health))
        .with_state(errors)
}

type Answer<T> = Result<Json<T>, Response>;

pub(super) fn told(status: StatusCode, fault: Fault) -> Response {
    (status, Json(fault)).into_response()
}

impl Errors {
    /// Reads in a thread that may wait. Nothing is there before the first event.
    async fn read<T: Send + Default + 'static>(
        self: Arc<Self>,
        look: impl FnOnce(&Connection, &Self) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Response> {
        let looked = tokio::task::spawn_blocking(move || {
            let cannot = |error: &(dyn std::error::Error + 'static)| Fault::because("cannot read the errors", error);
            match database::open_to_read(&self.database(), SCHEMA).map_err(|fault| cannot(&fault))? {
                None => Ok(T::default()),
                Some(connection) => look(&connection, &self).map_err(|fault| cannot(&fault)),
            }
        });
        let looked = looked.await.unwrap_or_else(|error| Err(Fault::because("cannot read the errors", &error)));
        looked.map_err(|fault| told(StatusCode::INTERNAL_SERVER_ERROR, fault))
    }
}

pub(super) fn parameter(uri: &Uri, name: &str) -> Option<String> {
    let query = url::form_urlencoded::parse(uri.query().unwrap_or("").as_bytes());
    query.into_iter().find(|(known, value)| known == name && !value.is_empty()).map(|(_, value)| value.into_owned())
}

async fn list(State(errors): State<Arc<Errors>>, uri: Uri) -> Answer<Vec<super::Issue>> {
    let status = parameter(&uri, "status");
    let all = [IssueStatus::Open, IssueStatus::Resolved, IssueStatus::Ignored, IssueStatus::Snoozed];
    let filter = IssueFilter {
        app: parameter(&uri, "app"),
        status: status.and_then(|status| all.into_iter().find(|known| known.as_str() == status)),
        release: parameter(&uri, "release"),
        search: parameter(&uri, "search"),
        behind: parameter(&uri, "behind").as_deref().and_then(Behind::read),
        limit: parameter(&uri, "limit").and_then(|limit| limit.parse().ok()),
    };
    errors.read(move |connection, _| issues::list(connection, &filter)).await.map(Json)
}

async fn show(State(errors): State<Arc<Errors>>, Path(id): Path<i64>) -> Answer<super::IssueDetails> {
    let found = errors.read(move |connection, errors| issues::details(connection, id, &errors.environment)).await?;
    found.map(Json).ok_or_else(|| no_such(id))
}

fn no_such(id: i64) -> Response {
    told(StatusCode::NOT_FOUND, Fault::new(format!("there is no issue {id}")).hint("`roadbed errors` lists them"))
}

async fn change(State(errors): State<Arc<Errors>>, Path(id): Path<i64>, Json(change): Json<Change>) -> Answer<()> {
    let (done, changed) = oneshot::channel();
    let cannot = |why: String| {
        told(StatusCode::SERVICE_UNAVAILABLE, Fault::new(format!("cannot change issue {id}")).cause(why).retry_safe())
    };
    let ended = "telemetry is ending";
    errors.orders.send(Order::Change { issue: id, change, done }).map_err(|_| cannot(ended.into()))?;
    match changed.await.unwrap_or_else(|_| Err(ended.into())) {
        Ok(true) => Ok(Json(())),
        Ok(false) => Err(no_such(id)),
        Err(why) => Err(cannot(why)),
    }
}

async fn events(State(errors): State<Arc<Errors>>, uri: Uri) -> Answer<Vec<super::ErrorEvent>> {
    let search = parameter(&uri, "search").unwrap_or_default();
    errors.read(move |connection, errors| issues::find_events(connection, &search, &errors.environment)).await.map(Json)
}

async fn releases(State(errors): State<Arc<Errors>>, uri: Uri) -> Answer<Vec<super::ReleaseHealth>> {
    let app = parameter(&uri, "app");
    let since = parameter(&uri, "since").and_then(|since| since.parse().ok()).unwrap_or(0);
    errors.read(move |connection, _| sessions::health(connection, app.as_deref(), since)).await.map(Json)
}

async fn health(State(errors): State<Arc<Errors>>) -> Answer<ErrorsHealth> {
    let waiting = errors.spool().map_or(0, |spool| spool.waiting());
    let written = errors.read(move |connection, _| {
        let sql = "SELECT coalesce(sum(events), 0), coalesce(sum(kept), 0), count(*) FROM issues";
        let (events, kept, issues) =
            connection.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        let sql = "SELECT app, what, sum(count) FROM counts GROUP BY app, what ORDER BY app, what";
        let mut statement = connection.prepare(sql)?;
        let not_kept = statement
            .query_map([], |row| Ok(NotKept { app: row.get(0)?, what: row.get(1)?, count: row.get(2)? }))?
            .collect::<rusqlite::Result<_>>()?;
        Ok(ErrorsHealth { events, kept, issues, waiting, not_kept })
    });
    Ok(Json(written.await?))
}
