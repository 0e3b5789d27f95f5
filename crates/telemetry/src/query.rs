//! The door for our own: a Unix socket that only the environment's user may open.
//!
//! ```text
//!   GET /health   {"environment":"local"}
//!   …   /errors/  see there
//! ```

use std::sync::Arc;

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::{Deserialize, Serialize};

use crate::errors;
use crate::run::Telemetry;

/// What the role says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    pub environment: String,
}

pub(crate) fn routes(telemetry: Arc<Telemetry>) -> Router {
    let errors = errors::questions(Arc::clone(&telemetry.errors));
    Router::new().route("/health", get(health)).with_state(telemetry).merge(errors)
}

async fn health(State(telemetry): State<Arc<Telemetry>>) -> Json<Health> {
    Json(Health { environment: telemetry.settings.environment.clone() })
}
