//! The door for apps and browsers. Everything that comes in here is a stranger's.

use std::sync::Arc;

use axum::Router;
use axum::http::StatusCode;
use reconcile::ports::TELEMETRY_PATH;

use crate::errors;
use crate::metrics::{self, Shown};
use crate::otlp;
use crate::run::Telemetry;

/// Browsers come with the prefix by which the edge knows us, apps without.
pub(crate) fn routes(telemetry: &Arc<Telemetry>) -> Router {
    let door = otlp::Door {
        apps: telemetry.settings.apps.clone().into(),
        logs: Arc::clone(&telemetry.logs),
        traces: Arc::clone(&telemetry.traces),
        metrics: Arc::clone(&telemetry.metrics),
        clock: Arc::clone(&telemetry.clock),
        redaction: Arc::clone(&telemetry.redaction),
    };
    let shown = Shown { metrics: Arc::clone(&telemetry.metrics), logs: Arc::clone(&telemetry.logs) };
    // Not for pages: what is below the prefix comes from strangers.
    let ours = otlp::routes(door)
        .merge(metrics::guarded(shown, telemetry.settings.metrics_token.clone()))
        .merge(errors::uploads(Arc::clone(&telemetry.errors)));
    let all = errors::routes(Arc::clone(&telemetry.errors));
    let heard = monitors::public_routes(Arc::clone(&telemetry.monitors));
    let of_public = all.clone().merge(monitors::heartbeats(Arc::clone(&telemetry.monitors)));
    let of_public = Router::new().nest(TELEMETRY_PATH.trim_end_matches('/'), of_public);
    of_public.merge(all).merge(heard).merge(ours).fallback(nothing_here)
}

async fn nothing_here() -> StatusCode {
    StatusCode::NOT_FOUND
}
