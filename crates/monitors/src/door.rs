//! What our own ask, and order.
//!
//! ```text
//!   GET  /monitors                    all, as they stand;  POST /monitors/one: one, with its changes
//!   POST /monitors/pause | /resume    by a person
//!   PUT  /monitors/told               what control knows: secrets of channels, releases, promises that do not hold, who is being deployed
//!   POST /monitors/drill              something fails, to see that it is noticed
//!   GET  /objectives                  what was promised
//!   GET  /alerts, POST /alerts/ack, POST /alerts/test, GET /alerts/deliveries
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Json, Router};
use reconcile::Fault;
use secrets::Secret;
use serde::{Deserialize, Serialize};
use zeroize::Zeroize;

use crate::alerts::{Alert, Delivery, record};
use crate::book::{self, Window};
use crate::drill::DrillOrder;
use crate::objective::ObjectiveState;
use crate::promises::BrokenPromise;
use crate::shown::MonitorState;
use crate::standing::Health;
use crate::watch::Monitors;

/// Nobody reads more.
const MOST: u32 = 500;

/// What opens a channel. Over the role's own socket and into its memory alone.
#[derive(Serialize, Deserialize)]
pub struct ChannelSecret {
    pub channel: String,
    pub value: String,
}

impl Drop for ChannelSecret {
    fn drop(&mut self) {
        self.value.zeroize();
    }
}

impl std::fmt::Debug for ChannelSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ChannelSecret").field("channel", &self.channel).finish_non_exhaustive()
    }
}

/// What control knows. It is told again and again: what is not in it any more is over.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Maintenance {
    pub secrets: Vec<ChannelSecret>,
    /// Which release visitors get, by app.
    pub releases: BTreeMap<String, String>,
    /// Promises of the gate that do not hold, or of which it cannot be told; `None` where it is not known which.
    #[serde(default)]
    pub promises: Option<Vec<BrokenPromise>>,
    /// Why nobody is to be told of apps that are down, if that is so.
    pub deploying: Option<String>,
    /// That holds for so long, whatever becomes of control, in milliseconds.
    pub lease_ms: u64,
}

/// Nobody is told that these are down.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Pause {
    /// Empty: all.
    pub monitors: Vec<String>,
    /// In milliseconds; `None`: until somebody says otherwise.
    pub lasts_ms: Option<u64>,
    pub reason: String,
    pub who: String,
}

/// They are told of again.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Resume {
    /// Empty: all.
    pub monitors: Vec<String>,
}

/// Somebody sees to an alert.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Acknowledge {
    pub alert: i64,
    pub who: String,
}

/// When a monitor came or went, in milliseconds since 1970.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub at: i64,
    pub health: Health,
    pub why: Option<String>,
}

/// One monitor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MonitorDetails {
    #[serde(flatten)]
    pub state: MonitorState,
    /// The latest first.
    pub changes: Vec<Change>,
}

type Answer<T> = Result<Json<T>, Response>;

fn told(status: StatusCode, fault: Fault) -> Response {
    (status, Json(fault)).into_response()
}

fn failed(fault: Fault) -> Response {
    told(StatusCode::SERVICE_UNAVAILABLE, fault)
}

fn absent(fault: Fault) -> Response {
    told(StatusCode::NOT_FOUND, fault)
}

/// For the role's own socket.
pub fn routes(monitors: Arc<Monitors>) -> Router {
    Router::new()
        .route("/monitors", get(list))
        .route("/monitors/one", post(one))
        .route("/monitors/pause", post(pause))
        .route("/monitors/resume", post(resume))
        .route("/monitors/told", put(know))
        .route("/monitors/drill", post(drill))
        .route("/objectives", get(objectives))
        .route("/alerts", get(alerts))
        .route("/alerts/ack", post(acknowledge))
        .route("/alerts/test", post(test))
        .route("/alerts/deliveries", get(deliveries))
        .route("/alerts/deliveries/{id}", get(delivery))
        .with_state(monitors)
}

async fn list(State(monitors): State<Arc<Monitors>>) -> Answer<Vec<MonitorState>> {
    monitors.states().await.map(Json).map_err(failed)
}

fn no_such(name: &str) -> Response {
    absent(Fault::new(format!("there is no monitor {name:?}")).hint("`roadbed monitors` lists them"))
}

async fn one(State(monitors): State<Arc<Monitors>>, Json(name): Json<String>) -> Answer<MonitorDetails> {
    let states = monitors.states().await.map_err(failed)?;
    let state = states.into_iter().find(|state| state.name == name).ok_or_else(|| no_such(&name))?;
    let changes = monitors.book.on(move |book| book::changes(book, &name, 50)).await.map_err(failed)?;
    let change = |(at, health, why): (i64, String, Option<String>)| {
        let health = match health.as_str() {
            "up" => Health::Up,
            "down" => Health::Down,
            _ => Health::New,
        };
        Change { at, health, why }
    };
    Ok(Json(MonitorDetails { state, changes: changes.into_iter().map(change).collect() }))
}

/// Every named one, or all as one.
///
/// # Errors
/// The name that nobody watches by.
fn meant<'a>(monitors: &Monitors, names: &'a [String]) -> Result<Vec<Option<String>>, &'a str> {
    if let Some(unknown) = names.iter().find(|name| monitors.settings.monitor(name).is_none()) {
        return Err(unknown);
    }
    let all: Vec<Option<String>> = names.iter().cloned().map(Some).collect();
    Ok(if all.is_empty() { vec![None] } else { all })
}

async fn pause(State(monitors): State<Arc<Monitors>>, Json(pause): Json<Pause>) -> Answer<()> {
    let meant = meant(&monitors, &pause.monitors).map_err(no_such)?;
    let now = monitors.now();
    let until = pause.lasts_ms.map(|lasts| now.saturating_add(i64::try_from(lasts).unwrap_or(i64::MAX)));
    let paused = monitors.book.on(move |book| {
        meant.into_iter().try_for_each(|monitor| {
            let (reason, who) = (pause.reason.clone(), pause.who.clone());
            book::open_window(book, &Window { kind: "pause".to_owned(), monitor, reason, who, until }, now)
        })
    });
    paused.await.map(Json).map_err(failed)
}

async fn resume(State(monitors): State<Arc<Monitors>>, Json(resume): Json<Resume>) -> Answer<usize> {
    let meant = meant(&monitors, &resume.monitors).map_err(no_such)?;
    let all = monitors.settings.monitors.iter().map(|monitor| Some(monitor.name.clone()));
    // Who resumes all resumes also those that were paused by name.
    let meant: Vec<Option<String>> =
        if resume.monitors.is_empty() { meant.into_iter().chain(all).collect() } else { meant };
    let resumed = monitors.book.on(move |book| {
        let mut closed = 0;
        for monitor in &meant {
            closed += book::close_windows(book, "pause", monitor.as_deref())?;
        }
        Ok(closed)
    });
    resumed.await.map(Json).map_err(failed)
}

async fn know(State(monitors): State<Arc<Monitors>>, Json(mut known): Json<Maintenance>) -> Answer<()> {
    let secret = |mut one: ChannelSecret| {
        let value = std::mem::take(&mut one.value);
        (one.channel.clone(), Arc::new(Secret::new(value)))
    };
    monitors.told_secrets(known.secrets.drain(..).map(secret).collect());
    monitors.told_releases(std::mem::take(&mut known.releases));
    monitors.told_promises(known.promises.take());
    let Some(reason) = known.deploying else { return Ok(Json(())) };
    let now = monitors.now();
    let until = Some(now.saturating_add(i64::try_from(known.lease_ms).unwrap_or(i64::MAX)));
    let of_apps: Vec<String> = monitors
        .settings
        .monitors
        .iter()
        .filter(|monitor| monitor.app.is_some())
        .map(|monitor| monitor.name.clone())
        .collect();
    let opened = monitors.book.on(move |book| {
        of_apps.into_iter().try_for_each(|monitor| {
            let (kind, who) = ("deploy".to_owned(), "roadbed".to_owned());
            book::open_window(book, &Window { kind, monitor: Some(monitor), reason: reason.clone(), who, until }, now)
        })
    });
    opened.await.map(Json).map_err(failed)
}

async fn drill(State(monitors): State<Arc<Monitors>>, Json(order): Json<DrillOrder>) -> Answer<String> {
    monitors.drill(&order).map(Json).map_err(|fault| told(StatusCode::BAD_REQUEST, fault))
}

async fn objectives(State(monitors): State<Arc<Monitors>>) -> Answer<Vec<ObjectiveState>> {
    monitors.objectives().await.map(Json).map_err(failed)
}

async fn alerts(State(monitors): State<Arc<Monitors>>) -> Answer<Vec<Alert>> {
    let found = monitors.book.on(|book| record::alerts(book, MOST)).await.map_err(failed)?;
    Ok(Json(found))
}

async fn acknowledge(State(monitors): State<Arc<Monitors>>, Json(asked): Json<Acknowledge>) -> Answer<()> {
    let (now, id) = (monitors.now(), asked.alert);
    let done = monitors.book.on(move |book| record::acknowledge(book, id, &asked.who, now)).await.map_err(failed)?;
    if done {
        return Ok(Json(()));
    }
    Err(absent(Fault::new(format!("there is no open alert {id}")).hint("`roadbed alerts` lists them")))
}

/// Says a word that nothing is behind. Returns the number of its delivery.
async fn test(State(monitors): State<Arc<Monitors>>, Json(named): Json<String>) -> Answer<i64> {
    if !monitors.settings.channels.iter().any(|channel| channel.name == named) {
        let known: Vec<&str> = monitors.settings.channels.iter().map(|channel| channel.name.as_str()).collect();
        let hint = if known.is_empty() {
            "[alerts.NAME] in roadbed.toml makes one".to_owned()
        } else {
            format!("there are {}", known.join(", "))
        };
        return Err(absent(Fault::new(format!("there is no channel {named:?}")).hint(hint)));
    }
    let now = monitors.now();
    let said = monitors.book.on(move |book| {
        book.execute("DELETE FROM deliveries WHERE alert = 0 AND channel = ?1 AND about = 'test'", [&named])?;
        record::say(book, 0, &named, "test", (now, now))
    });
    said.await.map(Json).map_err(failed)
}

async fn deliveries(State(monitors): State<Arc<Monitors>>) -> Answer<Vec<Delivery>> {
    monitors.book.on(|book| record::deliveries(book, MOST)).await.map(Json).map_err(failed)
}

async fn delivery(State(monitors): State<Arc<Monitors>>, Path(id): Path<i64>) -> Answer<Delivery> {
    let found = monitors.book.on(move |book| record::delivery_of(book, id)).await.map_err(failed)?;
    found.map(Json).ok_or_else(|| absent(Fault::new(format!("there is no delivery {}", id))))
}
