//! The door for our own: a Unix socket that only the environment's user may open.
//!
//! ```text
//!   GET  /health        {"environment":"local","settings":"…"}
//!   POST /logs          lines that are such; GET /logs/state: how it goes with them
//!   GET  /traces/ID     spans
//!   GET  /metrics       for Prometheus; PUT /facts: what control knows
//!   PUT  /secrets       what must not be kept
//!   GET  /exports       how it goes with what leaves; PUT /exports/secrets
//!   …    /errors/       see there
//!   …    /monitors, /alerts, /objectives   see `monitors`
//! ```

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::errors;
use crate::metrics::{self, Shown};
use crate::run::Telemetry;
use crate::{exports, logs, redaction, traces};

/// What the role says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub environment: String,
    /// Digest of the settings that it read when it started, which may be others than those that are written by now.
    #[serde(default)]
    pub settings: String,
}

pub(crate) fn routes(telemetry: Arc<Telemetry>) -> Router {
    let shown = Shown { metrics: Arc::clone(&telemetry.metrics), logs: Arc::clone(&telemetry.logs) };
    Router::new()
        .merge(logs::routes(Arc::clone(&telemetry.logs)))
        .merge(traces::routes(Arc::clone(&telemetry.traces)))
        .merge(metrics::routes(shown))
        .merge(redaction::routes(Arc::clone(&telemetry.redaction)))
        .merge(errors::questions(Arc::clone(&telemetry.errors)))
        .merge(errors::keeping_of_maps(Arc::clone(&telemetry.errors)))
        .merge(exports::routes(Arc::clone(&telemetry.exports)))
        .merge(monitors::routes(Arc::clone(&telemetry.monitors)))
        .merge(Router::new().route("/health", get(health)).with_state(telemetry))
}

async fn health(State(telemetry): State<Arc<Telemetry>>) -> Json<Health> {
    let settings = &telemetry.settings;
    Json(Health { environment: settings.environment.clone(), settings: settings.digest() })
}
