//! What leaves for services elsewhere: errors to another place of Sentry's protocol, lines to Loki or by OTLP, numbers by Prometheus'
//! remote-write.
//!
//! ```text
//!   spool of errors ─ errors ─┐
//!   days of lines ─── lines ──┼─► parcel ─► POST ─► answer ─► done: the cursor moves   (taken, or never)
//!   page of metrics ─ numbers ┘      ▲                  └───► wait, with jitter, then the same again   (later)
//! ```
//!
//! What is sent is read from where it is kept anyway, each export with a cursor of its own on the disk. So a receiver that is away holds
//! up nobody; what it missed comes when it is back, and what is too much for the bound is dropped and counted. Whoever is killed in
//! between sends the parcels since its last cursor again: nothing is lost, and no more than [`errors::UNKEPT`] events or one parcel of
//! lines or numbers arrive twice.
//!
//! What opens a receiver is told by control, over our socket and into memory alone. Until it is, nothing is sent.
//!
//! **Invariant:** no ingest, app or query ever waits for an export.

mod settings;
mod standing;
mod answer;
mod cursor;
mod carrier;
mod errors;
mod lines;
mod loki;
mod otlp;
mod numbers;
mod remote_write;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use axum::extract::State;
use axum::routing::{get, put};
use axum::{Json, Router};
use bytes::Bytes;
use host::clock::Clock;
use hyper::HeaderMap;
use monitors::{Outbound, Trusted};
use secrets::Secret;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use tokio::task::JoinSet;
use url::Url;
use zeroize::Zeroize;

use crate::errors::Errors;
use crate::logs::Logs;
use crate::metrics::Metrics;
use carrier::Carrier;

pub(crate) use errors::cursors as cursors_of_errors;
pub use settings::{Export, ExportKind};
pub use standing::ExportState;
pub(crate) use standing::Standings;

/// What opens a receiver: a DSN, a password, a token. Over the role's own socket and into its memory alone.
#[derive(Serialize, Deserialize)]
pub struct ExportSecret {
    pub export: String,
    pub value: String,
}

impl Drop for ExportSecret {
    fn drop(&mut self) {
        self.value.zeroize();
    }
}

impl fmt::Debug for ExportSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ExportSecret").field("export", &self.export).finish_non_exhaustive()
    }
}

/// By export; `None` until control has told.
type Told = Option<Arc<BTreeMap<String, Arc<Secret>>>>;

/// A request that is to be made, and how many things are in it.
#[derive(Debug)]
struct Parcel {
    url: Url,
    headers: HeaderMap,
    body: Bytes,
    items: u64,
}

/// Where parcels come from. It may block: it is asked in a thread that may wait.
trait Source: Send {
    /// What is to be sent now. The same again, or a later one, until [`Self::done`].
    fn next(&mut self, secret: Option<&Secret>) -> Result<Option<Parcel>, String>;

    /// The last parcel was taken, or never will be.
    fn done(&mut self) -> Result<(), String>;

    /// The last parcel is too large. Whether the next one can be smaller.
    fn shrink(&mut self) -> bool {
        false
    }

    /// Looks after what waits. What is above the bound goes, the oldest first; returns how many things went.
    fn look_after(&mut self) -> Result<u64, String>;

    /// Things, or bytes of them, that wait.
    fn waiting(&self) -> u64;

    /// The role ends: what the cursor on the disk does not say yet.
    fn close(&mut self) -> Result<(), String> {
        Ok(())
    }
}

/// All exports of an environment.
#[derive(Debug)]
pub(crate) struct Exports {
    told: watch::Sender<Told>,
    standings: Arc<Standings>,
    stop: watch::Sender<bool>,
    running: tokio::sync::Mutex<JoinSet<()>>,
}

/// Where what is exported is kept.
pub(crate) struct Kept<'k> {
    /// `telemetry/exports` of the root.
    pub(crate) folder: PathBuf,
    pub(crate) environment: &'k str,
    pub(crate) trusted: &'k Trusted,
    pub(crate) errors: &'k Arc<Errors>,
    pub(crate) logs: &'k Arc<Logs>,
    pub(crate) metrics: &'k Arc<Metrics>,
    pub(crate) clock: &'k Arc<dyn Clock>,
}

impl Exports {
    pub(crate) fn start(all: &[Export], from: &Kept<'_>) -> Arc<Self> {
        let standings = from.metrics.exports();
        let (told, hears) = watch::channel(None);
        let (stop, stopped) = watch::channel(false);
        let mut running = JoinSet::new();
        for export in all {
            standings.know(&export.name, export.kind);
            match source(export, from) {
                Ok(source) => {
                    let carrier = Carrier {
                        name: export.name.clone(),
                        kind: export.kind,
                        told: hears.clone(),
                        stopped: stopped.clone(),
                        standings: Arc::clone(&standings),
                        outbound: Outbound::new(from.trusted.clone()),
                    };
                    running.spawn(carrier.carry_on(source));
                }
                Err(why) => {
                    tracing::error!(export = export.name, why, "nothing is sent by this export");
                    standings.trouble(&export.name, &why);
                }
            }
        }
        Arc::new(Self { told, standings, stop, running: tokio::sync::Mutex::new(running) })
    }

    /// Ends what is on its way, and notes how far it came.
    pub(crate) async fn stop(&self) {
        let _ = self.stop.send(true);
        let mut running = self.running.lock().await;
        while running.join_next().await.is_some() {}
    }

    fn hear(&self, secrets: &[ExportSecret]) {
        let all: BTreeMap<String, Arc<Secret>> =
            secrets.iter().map(|one| (one.export.clone(), Arc::new(Secret::new(one.value.clone())))).collect();
        self.told.send_if_modified(|told| {
            let is_same = told.as_ref().is_some_and(|known| {
                known.len() == all.len()
                    && known.iter().zip(&all).all(|(one, other)| one.0 == other.0 && one.1.expose() == other.1.expose())
            });
            if !is_same {
                *told = Some(Arc::new(all));
            }
            !is_same
        });
    }
}

fn source(export: &Export, from: &Kept<'_>) -> Result<Box<dyn Source>, String> {
    let folder = from.folder.join(&export.name);
    Ok(match export.kind {
        ExportKind::Sentry => Box::new(errors::Forwarded::new(export, from.environment, folder, from.errors)?),
        ExportKind::Loki => Box::new(lines::Lines::new(export, from.environment, folder, from.logs, loki::parcel)?),
        ExportKind::Otlp => Box::new(lines::Lines::new(export, from.environment, folder, from.logs, otlp::parcel)?),
        ExportKind::RemoteWrite => {
            let page = (Arc::clone(from.metrics), Arc::clone(from.logs));
            Box::new(numbers::Numbers::new(export, from.environment, folder, page, Arc::clone(from.clock))?)
        }
    })
}

/// `GET /exports`: how it goes; `PUT /exports/secrets`: what opens the receivers. For our own alone.
pub(crate) fn routes(exports: Arc<Exports>) -> Router {
    Router::new().route("/exports", get(list)).route("/exports/secrets", put(hear)).with_state(exports)
}

async fn list(State(exports): State<Arc<Exports>>) -> Json<Vec<ExportState>> {
    Json(exports.standings.all())
}

async fn hear(State(exports): State<Arc<Exports>>, Json(secrets): Json<Vec<ExportSecret>>) -> Json<()> {
    exports.hear(&secrets);
    Json(())
}
