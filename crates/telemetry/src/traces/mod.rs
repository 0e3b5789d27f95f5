//! Spans, by the id of their trace: what each app did about a request, and for how long.
//!
//! A file a day, as for logs, by the day on which a span came. The edge's part of a trace is no span here: it is the line in the
//! access log, which has its ids too.

mod at_edge;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Path as Id, State as Shared};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use host::clock::Timestamp;
use host::database::{self, DatabaseFault, Schema};
use host::files::{self, Access};
use reconcile::{Fault, Root};
use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::fault::TelemetryFault;
use crate::logs::{Keeping, name_of};

pub use at_edge::at_edge;

/// `RBtr`. A span that is sent again replaces itself.
const SCHEMA: Schema = Schema {
    application_id: 0x5242_7472,
    migrations: &["
    CREATE TABLE spans (
        trace TEXT NOT NULL, span TEXT NOT NULL, parent TEXT, app TEXT NOT NULL, name TEXT NOT NULL,
        start INTEGER NOT NULL, micros INTEGER NOT NULL, failed INTEGER NOT NULL, attributes TEXT NOT NULL,
        PRIMARY KEY (trace, span)
    ) STRICT, WITHOUT ROWID;"],
};

/// Whoever looks into a trace does so within a week.
const KEPT: Duration = Duration::from_hours(7 * 24);

/// More spans of one trace are nobody's reading.
const MOST: usize = 5_000;

/// A piece of work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Span {
    pub trace_id: String,
    pub span_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_id: Option<String>,
    pub app: String,
    pub name: String,
    pub start: Timestamp,
    pub micros: u64,
    pub has_failed: bool,
    pub attributes: Map<String, Value>,
}

/// The spans of an environment.
#[derive(Debug)]
pub(crate) struct Traces {
    folder: PathBuf,
    keeping: Keeping,
    open: Mutex<Option<(String, Connection)>>,
}

impl Traces {
    pub(crate) fn open(root: &Root, keeping: Keeping) -> Result<Self, TelemetryFault> {
        let folder = root.telemetry().join("traces");
        files::create_dir(&folder, Access::Owner)?;
        Ok(Self { folder, keeping, open: Mutex::default() })
    }

    /// All of them are on disk, or none, and why.
    pub(crate) fn store(&self, spans: &[Span], now: Timestamp) -> Result<(), String> {
        if files::free_bytes(&self.folder).is_ok_and(|free| free < self.keeping.least_free_bytes) {
            return Err("the disk is nearly full".into());
        }
        let day = name_of(now);
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match self.try_store(&mut open, &day, spans) {
            Ok(()) => Ok(()),
            Err(fault) => {
                *open = None;
                if !is_damage(&fault) {
                    return Err(fault.to_string());
                }
                self.set_aside(&day, now)?;
                tracing::error!(day, %fault, "the spans of a day are damaged: moved aside, and begun anew");
                self.try_store(&mut open, &day, spans).map_err(|fault| fault.to_string())
            }
        }
    }

    fn try_store(
        &self,
        open: &mut Option<(String, Connection)>,
        day: &str,
        spans: &[Span],
    ) -> Result<(), DatabaseFault> {
        let path = self.folder.join(format!("{day}.db"));
        let sqlite = |source| DatabaseFault::Sqlite { path: path.clone(), source };
        if open.as_ref().is_none_or(|(name, _)| name != day) {
            *open = Some((day.to_owned(), database::open_unread(&path, SCHEMA)?));
            self.prune(day);
        }
        let (_, connection) = open.as_mut().expect("it was opened above");
        let mut write = || {
            let transaction = connection.transaction()?;
            {
                let mut statement =
                    transaction.prepare("INSERT OR REPLACE INTO spans VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)")?;
                for span in spans {
                    statement.execute(params![
                        span.trace_id,
                        span.span_id,
                        span.parent_id,
                        span.app,
                        span.name,
                        span.start.unix_millis(),
                        i64::try_from(span.micros).unwrap_or(i64::MAX),
                        span.has_failed,
                        Value::from(span.attributes.clone()).to_string(),
                    ])?;
                }
            }
            transaction.commit()
        };
        write().map_err(sqlite)
    }

    fn set_aside(&self, day: &str, now: Timestamp) -> Result<(), String> {
        for end in ["", "-wal", "-shm"] {
            let path = self.folder.join(format!("{day}.db{end}"));
            if files::exists(&path) {
                let aside = self.folder.join(format!("{day}.damaged-{}{end}", now.unix_millis()));
                files::rename(&path, &aside).map_err(|fault| fault.to_string())?;
            }
        }
        Ok(())
    }

    /// With each new day the oldest goes, and more of them where they take too much room: a quarter of what logs may have.
    fn prune(&self, today: &str) {
        let Ok(mut paths) = files::list(&self.folder) else { return };
        paths.sort();
        let day =
            |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().chars().take(10).collect::<String>());
        let oldest = i64::try_from(KEPT.as_millis()).unwrap_or(i64::MAX);
        let oldest = crate::logs::line::at(&format!("{today}T00:00:00Z"))
            .map(|now| name_of(Timestamp::from_unix_millis(now.unix_millis() - oldest)))
            .unwrap_or_default();
        let mut total = 0;
        for path in paths.iter().rev() {
            total += files::metadata(path).map_or(0, |meta| meta.len());
            let Some(day) = day(path) else { continue };
            if (day < oldest || total > self.keeping.most_bytes / 4) && day != today {
                let _ = files::remove(path);
            }
        }
    }

    /// The spans of a trace, by their beginning.
    pub(crate) fn find(&self, trace_id: &str) -> Result<Vec<Span>, TelemetryFault> {
        let mut spans = Vec::new();
        for path in files::list(&self.folder)?.iter().filter(|path| path.extension().is_some_and(|end| end == "db")) {
            match self.of_day(path, trace_id) {
                Ok(found) => spans.extend(found),
                Err(fault) => tracing::warn!(%fault, "cannot read the spans of a day"),
            }
        }
        spans.sort_by_key(|span| span.start);
        spans.truncate(MOST);
        Ok(spans)
    }

    fn of_day(&self, path: &std::path::Path, trace_id: &str) -> Result<Vec<Span>, DatabaseFault> {
        let sqlite = |source| DatabaseFault::Sqlite { path: path.to_owned(), source };
        let Some(connection) = database::open_to_read(path, SCHEMA)? else { return Ok(Vec::new()) };
        let query = "SELECT trace, span, parent, app, name, start, micros, failed, attributes FROM spans WHERE trace = ?1 \
                     ORDER BY start LIMIT 5000";
        let mut statement = connection.prepare(query).map_err(sqlite)?;
        let rows = statement.query_map([trace_id], |row| {
            let (micros, attributes): (i64, String) = (row.get(6)?, row.get(8)?);
            Ok(Span {
                trace_id: row.get(0)?,
                span_id: row.get(1)?,
                parent_id: row.get(2)?,
                app: row.get(3)?,
                name: row.get(4)?,
                start: Timestamp::from_unix_millis(row.get(5)?),
                micros: u64::try_from(micros).unwrap_or(0),
                has_failed: row.get(7)?,
                attributes: serde_json::from_str(&attributes).unwrap_or_default(),
            })
        });
        rows.and_then(Iterator::collect).map_err(sqlite)
    }
}

/// `GET /traces/ID`: for our own alone.
pub(crate) fn routes(traces: Arc<Traces>) -> Router {
    Router::new().route("/traces/{id}", get(find)).with_state(traces)
}

async fn find(Shared(traces): Shared<Arc<Traces>>, Id(id): Id<String>) -> Response {
    let outcome = tokio::task::spawn_blocking(move || traces.find(&id)).await;
    let unread = |error: &(dyn std::error::Error + 'static)| {
        let fault = Fault::because("cannot look for a trace", error);
        (StatusCode::INTERNAL_SERVER_ERROR, Json(fault)).into_response()
    };
    match outcome {
        Ok(Ok(spans)) => Json(spans).into_response(),
        Ok(Err(fault)) => unread(&fault),
        Err(error) => unread(&error),
    }
}

fn is_damage(fault: &DatabaseFault) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    match fault {
        DatabaseFault::Damaged { .. } => true,
        DatabaseFault::Sqlite { source, .. } => {
            matches!(source.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
        }
        _ => false,
    }
}
