//! An instance that is about to go gets no request, and loses none.
//!
//! A request that is written just as a process closes its connections is lost, if it may not be repeated. So before the process is
//! told to go none is sent there any more, those under way come to their end, and streams, which have none, are ended by the edge
//! one after the other. An instance that is replaced rests until the next one is ready.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::{Either, join_all, select};
use reconcile::Fault;
use reconcile::ports::{Routes, Traffic};
use tokio::time::{Instant, sleep};

/// How long the edge sends nothing to an instance, unless it is told again: shorter than a request waits there for an instance to
/// come back (`edge::Limits::restart_patience`), should whoever replaces it be killed.
const RESTS_FOR: Duration = Duration::from_secs(5);

/// Between two looks whether something is still under way.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// A stream whose turn has come is gone when its visitor has read what was sent before; who reads nothing is not waited for.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// Where one instance is all there is, visitors wait while it is replaced, and its streams are not waited for long.
const STREAMS_OF_THE_ONLY_ONE: Duration = Duration::from_secs(1);

/// How long what instances have under way may take.
#[derive(Clone, Copy, Debug)]
pub struct Leave {
    /// Longest time for requests; beside the two seconds that resting itself waits.
    pub requests: Duration,
    /// Over how long the ends of streams are spread.
    pub streams: Duration,
}

/// Brings what instances have under way to its end, as far as there is time. They get nothing new meanwhile.
pub async fn empty(routes: &dyn Routes, instances: &[String], leave: Leave) {
    join_all(instances.iter().map(|instance| keep_away(routes, instance))).await;
    let (mut requests, mut streams) = under_way(routes, instances).await;
    if streams > 0 {
        let ended = join_all(instances.iter().map(|instance| routes.end_streams(instance, leave.streams))).await;
        for fault in ended.into_iter().filter_map(Result::err) {
            tracing::debug!(%fault, "the edge was not told to end streams");
        }
    }
    let began = Instant::now();
    let mut told_again = began;
    while (requests > 0 && began.elapsed() < leave.requests)
        || (streams > 0 && began.elapsed() < leave.streams + LAST_WORDS)
    {
        sleep(BETWEEN_LOOKS).await;
        if told_again.elapsed() > RESTS_FOR / 4 {
            told_again = Instant::now();
            join_all(instances.iter().map(|instance| keep_away(routes, instance))).await;
        }
        (requests, streams) = under_way(routes, instances).await;
    }
}

/// Over how long the streams of an instance end that is replaced where it is, beside so many others of its app.
pub fn spread_of_one(spread: Duration, others: usize) -> Duration {
    if others == 0 { spread.min(STREAMS_OF_THE_ONLY_ONE) } else { spread }
}

/// Requests and streams. Without an edge there are none.
async fn under_way(routes: &dyn Routes, instances: &[String]) -> (usize, usize) {
    let all = routes.traffic().await.unwrap_or_default();
    let of_these = || all.iter().filter(|traffic| instances.contains(&traffic.instance));
    let sum = |count: fn(&Traffic) -> usize| of_these().map(count).sum();
    (sum(|traffic| traffic.in_flight), sum(|traffic| traffic.streams))
}

/// Does `work` while the instance rests, once its streams have ended. If that fails, the rest ends by itself.
pub async fn during(
    routes: &dyn Routes,
    instance: &str,
    streams: Duration,
    work: impl Future<Output = Result<(), Fault>>,
) -> Result<(), Fault> {
    empty(routes, &[instance.to_owned()], Leave { requests: Duration::ZERO, streams }).await;
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
