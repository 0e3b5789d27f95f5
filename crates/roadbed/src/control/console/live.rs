//! What pages that are open are told: that something is another than before. What, they ask for themselves.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;
use http_body_util::StreamBody;
use hyper::body::Frame;
use reconcile::ports::Units;
use sha2::{Digest, Sha256};
use telemetry::TelemetryClient;
use tokio::time::{sleep, timeout};

use crate::control::Control;
use crate::control::api::gate_run;
use crate::control::backing_up::record::Record;
use crate::control::delivering;

/// Between two looks, however many pages are open.
const LOOK: Duration = Duration::from_secs(1);

/// Nothing that is asked here takes longer; who does is told nothing new.
const PATIENCE: Duration = Duration::from_millis(800);

/// A connection is ended and made anew after so long, so that whose session was ended meanwhile is not told for ever.
const LASTS: Duration = Duration::from_secs(60);

/// What was seen last, by whom it was asked first.
#[derive(Debug, Default)]
pub(super) struct Live {
    seen: Mutex<Option<(Instant, String)>>,
}

impl Live {
    fn fresh(&self, now: Instant) -> Option<String> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.as_ref().filter(|(at, _)| now.saturating_duration_since(*at) < LOOK).map(|(_, state)| state.clone())
    }

    fn note(&self, now: Instant, state: &str) {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some((now, state.to_owned()));
    }
}

/// A digest of what the pages that are live are made from.
async fn state(control: &Control) -> String {
    let now = control.clock.instant();
    if let Some(state) = control.console.live.fresh(now) {
        return state;
    }
    let mut digest = Sha256::new();
    let telemetry = TelemetryClient::new(control.root.clone());
    if let Ok(Ok(health)) = timeout(PATIENCE, telemetry.errors_health()).await {
        digest.update(format!("{} {};", health.events, health.issues));
    }
    for unit in control.keeper.list().await.unwrap_or_default() {
        digest.update(format!("{} {:?} {:?} {};", unit.name, unit.state, unit.pid, unit.restarts));
    }
    for deployment in delivering::list(control).unwrap_or_default() {
        digest.update(format!("{} {} {};", deployment.id, deployment.state, deployment.approvals.len()));
    }
    let (is_running, trouble) = gate_run::under_way(control);
    digest.update(format!("{:?} {is_running} {}", control.ledger.newest().ok().flatten(), trouble.is_some()));
    let backed_up = Record::read(&control.root).unwrap_or_default();
    digest.update(format!("{:?} {:?}", backed_up.base, backed_up.drill.map(|drill| drill.began)));
    digest.update(format!("{:?} {}", control.backing_up.trouble(), control.backing_up.under_way().is_some()));
    // The minute, so that charts and ages go on.
    digest.update((control.clock.now().unix_millis() / 60_000).to_string());
    let state: String = digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    control.console.live.note(now, &state);
    state
}

/// An event for each change, and a comment each ten seconds, by which who is gone is noticed.
pub(super) fn stream(control: &Arc<Control>) -> Body {
    struct Told {
        control: Arc<Control>,
        last: String,
        began: Instant,
        spoke: Instant,
    }
    const QUIET: Duration = Duration::from_secs(10);
    let now = control.clock.instant();
    let told = Told { control: control.clone(), last: String::new(), began: now, spoke: now };
    let frames = stream::unfold(told, |mut told| async move {
        loop {
            let now = told.control.clock.instant();
            if now.saturating_duration_since(told.began) >= LASTS {
                return None;
            }
            let state = state(&told.control).await;
            let line = if state != told.last {
                told.last.clone_from(&state);
                format!("retry: 2000\nevent: state\ndata: {state}\n\n")
            } else if now.saturating_duration_since(told.spoke) >= QUIET {
                ":\n\n".to_owned()
            } else {
                sleep(LOOK).await;
                continue;
            };
            told.spoke = now;
            return Some((Ok::<_, Infallible>(Frame::data(Bytes::from(line))), told));
        }
    });
    Body::new(StreamBody::new(frames))
}
