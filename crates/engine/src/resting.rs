//! An instance that is being replaced gets no request.
//!
//! A request that is written just as a process closes its connections is lost, if it may not be repeated. So from before the
//! process is told to go until the next one is ready, none is sent there.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, select};
use reconcile::Fault;
use reconcile::ports::Routes;
use tokio::time::sleep;

/// How long the edge sends nothing to an instance, unless it is told again: shorter than a request waits there for an instance to
/// come back (`edge::Limits::restart_patience`), should whoever replaces it be killed.
const RESTS_FOR: Duration = Duration::from_secs(5);

/// Does `work` while the instance rests. If that fails, the rest ends by itself.
pub(crate) async fn during(
    routes: &dyn Routes,
    instance: &str,
    work: impl Future<Output = Result<(), Fault>>,
) -> Result<(), Fault> {
    keep_away(routes, instance).await;
    let again = async {
        loop {
            sleep(RESTS_FOR / 4).await;
            keep_away(routes, instance).await;
        }
    };
    let (work, again) = (pin!(work), pin!(again));
    match select(work, again).await {
        Either::Left((done, _)) => done?,
        Either::Right(((), _)) => {}
    }
    if let Err(fault) = routes.wake(instance).await {
        tracing::debug!(instance, %fault, "the edge was not told that an instance is ready");
    }
    Ok(())
}

/// Without an edge there is nobody who could send a request.
async fn keep_away(routes: &dyn Routes, instance: &str) {
    if let Err(fault) = routes.rest(instance, RESTS_FOR).await {
        tracing::debug!(instance, %fault, "the edge was not told that an instance goes");
    }
}
