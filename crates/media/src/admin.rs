//! For whoever runs the role, on a listener of its own that no visitor reaches.

use axum::Router;

use crate::Media;

/// `POST /-/purge`, `POST /-/reencode`, `GET /-/metrics`, `GET /-/health`. Whoever serves them says who may ask: a socket that only its
/// owner opens.
pub fn admin_routes(_media: &Media) -> Router {
    Router::new()
}
