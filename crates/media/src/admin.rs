//! For whoever runs the role, on a listener of its own that no visitor reaches.

use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Method, Response, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;

use crate::Media;
use crate::answer::words;
use crate::cache::Selector;
use crate::metrics::Beside;
use crate::worker::Job;

/// The routes; whoever serves them says who may ask, as by a socket that only its owner opens.
///
/// - `POST /-/purge` with `{"key": "BUCKET/KEY"}`, `{"prefix": "BUCKET/PR"}` or `{"tag": "WORD"}`: answers are taken back before it
///   answers `{"purged": N}`, and what was being made meanwhile is not kept.
/// - `POST /-/reencode` with a picture: answers with it encoded anew, 422 where it is none.
/// - `GET /-/metrics`: Prometheus's text. `GET /-/health`.
pub fn admin_routes(media: &Media) -> Router {
    let most = usize::try_from(media.0.settings.limits.bytes).unwrap_or(usize::MAX);
    Router::new()
        .route("/-/purge", post(purge))
        .route("/-/reencode", post(reencode).layer(DefaultBodyLimit::max(most)))
        .route("/-/metrics", get(metrics))
        .route(crate::HEALTH, get(|| async { "ready\n" }))
        .with_state(media.clone())
}

#[derive(Debug, Serialize)]
struct Purged {
    purged: usize,
}

async fn purge(State(Media(shared)): State<Media>, Json(selector): Json<Selector>) -> Json<Purged> {
    let purged = shared.cache.purge(&selector).await;
    // After the cache: who joins a flight that began before finds that it is not kept, and is the last one to do so.
    shared.flights.forget();
    shared.metrics.purged.add(purged as u64);
    tracing::info!(?selector, purged, "answers were taken back");
    Json(Purged { purged })
}

async fn reencode(State(Media(shared)): State<Media>, body: Bytes) -> Response<Body> {
    match shared.run(Job::Reencode(shared.bounds()), body).await {
        Ok(made) => {
            let mut response = Response::new(Body::from(made.bytes));
            let content_type = HeaderValue::from_static(made.format.content_type());
            response.headers_mut().insert(CONTENT_TYPE, content_type);
            response
        }
        Err(failure) => words(&Method::POST, failure.status, &failure.text),
    }
}

async fn metrics(State(Media(shared)): State<Media>) -> Response<Body> {
    let beside = Beside {
        worker_deaths: shared.pool.deaths() + shared.slow.pool.deaths(),
        memory_bytes: shared.cache.memory_bytes(),
        disk_bytes: shared.cache.disk_bytes(),
    };
    let mut response = words(&Method::GET, StatusCode::OK, "");
    *response.body_mut() = Body::from(shared.metrics.text(beside));
    response.headers_mut().remove(axum::http::header::CONTENT_LENGTH);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; version=0.0.4"));
    response
}
