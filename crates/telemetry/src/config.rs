//! What the role is given when it starts.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use host::clock::Clock;
use reconcile::Root;

/// What [`crate::run`] needs. The rest is in [`crate::Settings`], which control writes before it starts the role.
pub struct TelemetryConfig {
    pub root: Root,
    pub clock: Arc<dyn Clock>,
    /// Ends when what was taken shall be kept and the role return.
    pub shutdown: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl TelemetryConfig {
    pub fn new(root: Root, clock: Arc<dyn Clock>, shutdown: impl Future<Output = ()> + Send + 'static) -> Self {
        Self { root, clock, shutdown: Box::pin(shutdown) }
    }
}

impl std::fmt::Debug for TelemetryConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TelemetryConfig").field("root", &self.root).finish_non_exhaustive()
    }
}
