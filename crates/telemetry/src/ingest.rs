//! The door for apps and browsers. Everything that comes in here is a stranger's.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use reconcile::ports::TELEMETRY_PATH;

use crate::errors;
use crate::run::Telemetry;

/// Browsers come with the prefix by which the edge knows us, apps without.
pub(crate) fn routes(telemetry: &Arc<Telemetry>) -> Router {
    let all = Router::new().merge(errors::routes(Arc::clone(&telemetry.errors)));
    Router::new().nest(TELEMETRY_PATH.trim_end_matches('/'), all.clone()).merge(all).fallback(nothing_here)
}

async fn nothing_here() -> StatusCode {
    StatusCode::NOT_FOUND
}
