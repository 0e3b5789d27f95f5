//! Answers without an end of their own: streams of events, and connections that left HTTP.
//!
//! They are counted apart from requests, so that nobody who waits for requests waits for them. Before their instance is stopped the
//! edge ends them, one after the other over a while: clients that lost their streams at once would all come back at once.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use http::HeaderMap;
use http::header::CONTENT_TYPE;
use tokio::sync::watch;
use tokio::time::sleep;

/// Whether an answer is a stream of events, which ends when somebody has had enough.
pub fn is_of_events(fields: &HeaderMap) -> bool {
    let kind = fields.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("text/event-stream"))
}

/// The streams of one instance.
#[derive(Debug)]
pub struct Streams {
    open: AtomicUsize,
    ending: watch::Sender<Option<Arc<Ending>>>,
}

/// A call to end, for all streams that were open when it came.
#[derive(Debug)]
struct Ending {
    within: Duration,
    of: usize,
    turn: AtomicUsize,
}

impl Ending {
    /// How long the next one that hears of it goes on.
    fn next_turn(&self) -> Duration {
        let count = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        let of = count(self.of).max(1);
        self.within * count(self.turn.fetch_add(1, Ordering::Relaxed)).min(of) / of
    }
}

impl Default for Streams {
    fn default() -> Self {
        Self { open: AtomicUsize::new(0), ending: watch::Sender::new(None) }
    }
}

impl Streams {
    pub fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Ends all that are open, evenly spread over this time. One that has been told before keeps its turn. Says how many there are.
    pub fn end_within(&self, within: Duration) -> usize {
        let of = self.open();
        if of > 0 {
            self.ending.send_replace(Some(Arc::new(Ending { within, of, turn: AtomicUsize::new(0) })));
        }
        of
    }

    /// Counts one more.
    pub(crate) fn begin(&self) -> End {
        self.open.fetch_add(1, Ordering::Relaxed);
        let mut ending = self.ending.subscribe();
        End(Box::pin(async move {
            let told = told(&mut ending).await;
            sleep(told.next_turn()).await;
        }))
    }

    pub(crate) fn ended(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn told(ending: &mut watch::Receiver<Option<Arc<Ending>>>) -> Arc<Ending> {
    loop {
        if ending.changed().await.is_err() {
            // Nobody is left who could say it.
            std::future::pending::<()>().await;
        }
        if let Some(ending) = ending.borrow_and_update().clone() {
            return ending;
        }
    }
}

/// Comes when it is a stream's turn to end.
pub struct End(Pin<Box<dyn Future<Output = ()> + Send>>);

impl Future for End {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.0.as_mut().poll(cx)
    }
}

impl std::fmt::Debug for End {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("End")
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_stream_of_events_is_told_by_its_type_alone() {
        let of = |kind: &'static str| {
            is_of_events(&[(CONTENT_TYPE, HeaderValue::from_static(kind))].into_iter().collect::<HeaderMap>())
        };
        assert!(of("text/event-stream") && of("Text/Event-Stream; charset=utf-8"));
        assert!(!of("text/event-streams") && !of("application/json") && !is_of_events(&HeaderMap::new()));
    }

    #[test]
    fn those_that_are_open_end_one_after_the_other_and_none_after_the_time() {
        let ending = Ending { within: Duration::from_secs(8), of: 4, turn: AtomicUsize::new(0) };
        let turns: Vec<u64> = (0..6).map(|_| ending.next_turn().as_secs()).collect();
        assert_eq!(turns, [0, 2, 4, 6, 8, 8]);
    }

    #[tokio::test]
    async fn a_stream_that_begins_later_is_not_meant() {
        let streams = Streams::default();
        assert_eq!(streams.end_within(Duration::ZERO), 0);
        let first = streams.begin();
        assert_eq!(streams.end_within(Duration::ZERO), 1);
        let later = streams.begin();
        first.await;
        assert!(futures_pending(later));
        assert_eq!(streams.open(), 2, "who holds it says when it is closed");
    }

    fn futures_pending(mut end: End) -> bool {
        Pin::new(&mut end).poll(&mut Context::from_waker(std::task::Waker::noop())).is_pending()
    }
}
