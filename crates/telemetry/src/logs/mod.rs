//! What units write, the edge's access log among it, kept by day and found again by id, level, text, field and time.
//!
//! ```text
//!   logs/*.log ─ tail ─► line ─► origins ─┐
//!   OTLP /v1/logs ────────────────────────┴─► writer (one thread) ─► day ─ cold ─► packed day
//!   telemetry.sock /logs ─► search ◄────────────────────────────────────┴────────────┘
//! ```
//!
//! The log files are the queue: an app never waits for us, and what we have not read yet lies there for as long as it is kept.
//! Their lines come without secrets, because the keeper takes them out before it writes. They go through the same needles here, once we are
//! told them: what somebody else put into a log file would be kept for a month otherwise.
//!
//! **Invariant:** a line and how far its file was read are one transaction.

pub(crate) mod cold;
pub(crate) mod day;
pub(crate) mod days;
pub(crate) mod fields;
mod filter;
pub(crate) mod line;
mod origins;
pub(crate) mod record;
mod search;
mod tail;
mod writer;

use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use host::clock::Clock;
use reconcile::{Fault, Root};
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;

use crate::fault::TelemetryFault;
use crate::metrics::Metrics;
use crate::redaction::Redaction;

pub(crate) use days::name_of;

pub use days::Keeping;
pub use filter::Filter;
pub use line::ACCESS;
pub use record::{Level, Record, Source};
pub use search::{Answer, Cursor, Question};

/// Batches that wait for the thread that writes. More are refused, and whoever sends keeps them.
const WAITING: usize = 64;

/// How it goes with the logs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Kept since the role started.
    pub lines: u64,
    /// More in one second than are kept.
    pub dropped: u64,
    /// Older than anything that is kept.
    pub late: u64,
    /// How often files came and went unread.
    pub gaps: u64,
    /// Lines that were longer than a line may be.
    pub cut: u64,
    /// Batches that came while too many waited.
    pub refused: u64,
    /// Why nothing is kept for now.
    pub paused: Option<String>,
    /// Days that were moved aside.
    pub damaged: Vec<String>,
    /// On disk.
    pub bytes: u64,
}

/// Why lines were not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Too many wait.
    Busy,
    /// They cannot be written.
    Unwritten(String),
}

/// The logs of an environment.
#[derive(Debug)]
pub(crate) struct Logs {
    orders: SyncSender<writer::Order>,
    thread: Mutex<Option<JoinHandle<()>>>,
    state: Arc<Mutex<State>>,
    days: days::Days,
    clock: Arc<dyn Clock>,
}

impl Logs {
    /// Opens the folder and begins to read.
    pub(crate) fn start(
        root: &Root,
        (keeping, apps): (Keeping, &[String]),
        clock: Arc<dyn Clock>,
        (metrics, redaction): (Arc<Metrics>, Arc<Redaction>),
    ) -> Result<Self, TelemetryFault> {
        let days = days::Days::new(root.telemetry().join("logs"), keeping)?;
        let state = Arc::new(Mutex::new(State::default()));
        let (orders, receiver) = sync_channel(WAITING);
        let shared = (Arc::clone(&state), metrics, redaction);
        let writer = writer::Writer::new((root.clone(), apps), days.clone(), Arc::clone(&clock), shared);
        let thread = std::thread::Builder::new()
            .name("logs".into())
            .spawn(move || writer.run(&receiver))
            .map_err(TelemetryFault::Thread)?;
        Ok(Self { orders, thread: Mutex::new(Some(thread)), state, days, clock })
    }

    /// Takes lines that came by another way; returns when they are on disk.
    pub(crate) async fn store(&self, lines: Vec<line::Read>) -> Result<(), Refused> {
        let (done, outcome) = oneshot::channel();
        match self.orders.try_send(writer::Order::Store(lines, done)) {
            Ok(()) => outcome.await.map_err(|_| Refused::Busy)?.map_err(Refused::Unwritten),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {
                self.state.lock().unwrap_or_else(PoisonError::into_inner).refused += 1;
                Err(Refused::Busy)
            }
        }
    }

    /// Where they are kept, for whoever reads on by himself.
    pub(crate) fn days(&self) -> days::Days {
        self.days.clone()
    }

    pub(crate) fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn search(&self, question: &Question) -> Result<Answer, TelemetryFault> {
        Ok(search::search(&self.days, question, &*self.clock)?)
    }

    /// Reads what is left and ends.
    pub(crate) async fn stop(&self) {
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return };
        let orders = self.orders.clone();
        let _ = tokio::task::spawn_blocking(move || {
            let _ = orders.send(writer::Order::Stop);
            thread.join()
        })
        .await;
    }
}

/// `GET /logs/state`, `POST /logs` with a [`Question`]: for our own alone.
pub(crate) fn routes(logs: Arc<Logs>) -> Router {
    Router::new().route("/logs", post(answer)).route("/logs/state", get(state)).with_state(logs)
}

async fn state(Shared(logs): Shared<Arc<Logs>>) -> Json<State> {
    Json(logs.state())
}

async fn answer(Shared(logs): Shared<Arc<Logs>>, Json(question): Json<Question>) -> Response {
    let outcome = tokio::task::spawn_blocking(move || logs.search(&question)).await;
    match outcome {
        Ok(Ok(answer)) => Json(answer).into_response(),
        Ok(Err(fault)) => unread(&fault),
        Err(error) => unread(&error),
    }
}

fn unread(error: &(dyn std::error::Error + 'static)) -> Response {
    let fault = Fault::because("cannot search the logs", error);
    (StatusCode::INTERNAL_SERVER_ERROR, Json(fault)).into_response()
}
