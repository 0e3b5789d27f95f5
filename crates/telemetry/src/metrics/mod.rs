//! Numbers: what the edge's access log says of requests, what apps say over OTLP, what control says of the environment, and how it goes
//! with telemetry itself. Shown in the text format of Prometheus, which keeps them for longer than we do.
//!
//! ```text
//!   access log ─► requests ─┬─► GET /metrics
//!   OTLP ───────► told ─────┤
//!   control ────► facts ────┘     requests ─► minutes ─► telemetry/minutes.json: three days, for burn rates and charts
//! ```
//!
//! **Invariant:** no number of a stranger's choosing makes more series than [`MOST_SERIES`].

mod exposition;
mod minutes;
mod requests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, put};
use axum::{Json, Router};
use host::clock::Timestamp;
use reconcile::Root;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::exports::{ExportState, Standings};
use crate::logs::Logs;
use crate::logs::line::Access;
use exposition::{Kind, Page, Sample};
use minutes::Minutes;
use requests::Requests;

pub(crate) use exposition::name as label_name;
pub use minutes::Minute;

/// Series of each origin.
pub(crate) const MOST_SERIES: usize = 2_000;

/// A number that control knows: the days that a certificate has left, whether a store answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fact {
    /// `roadbed_certificate_days_left`.
    pub name: String,
    pub help: String,
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    pub value: f64,
}

/// A name, and labels.
type Series = (String, Vec<(String, String)>);

/// All numbers of an environment.
#[derive(Debug)]
pub(crate) struct Metrics {
    requests: Mutex<Requests>,
    minutes: Mutex<Minutes>,
    told: Mutex<BTreeMap<Series, f64>>,
    refused: Mutex<u64>,
    facts: Mutex<Vec<Fact>>,
    exports: Arc<Standings>,
}

impl Metrics {
    /// With the minutes that were kept.
    pub(crate) fn open(root: &Root) -> Self {
        Self {
            requests: Mutex::default(),
            minutes: Mutex::new(Minutes::read(root.telemetry().join("minutes.json"))),
            told: Mutex::default(),
            refused: Mutex::default(),
            facts: Mutex::default(),
            exports: Arc::default(),
        }
    }

    /// A line of the access log.
    pub(crate) fn request(&self, access: &Access, time: Timestamp) {
        lock(&self.requests).count(access);
        lock(&self.minutes).count(access, time);
    }

    /// A number that an app has told. Returns whether there is room for it.
    pub(crate) fn told(&self, app: &str, name: &str, labels: Map<String, Value>, value: f64) -> bool {
        let mut labels: Vec<(String, String)> = labels
            .into_iter()
            .map(|(name, value)| match value {
                Value::String(text) => (name, text),
                other => (name, other.to_string()),
            })
            .map(|(name, value)| (name.chars().take(64).collect(), value.chars().take(128).collect()))
            .collect();
        labels.push(("app".to_owned(), app.to_owned()));
        labels.sort();
        labels.dedup_by(|one, other| exposition::name(&one.0) == exposition::name(&other.0));
        let mut told = lock(&self.told);
        let key = (format!("otlp_{}", exposition::name(&name.chars().take(100).collect::<String>())), labels);
        if told.len() >= MOST_SERIES && !told.contains_key(&key) {
            *lock(&self.refused) += 1;
            return false;
        }
        told.insert(key, value);
        true
    }

    /// Requests of each app by the minute.
    pub(crate) fn minutes(&self) -> Vec<Minute> {
        lock(&self.minutes).all()
    }

    /// On disk, where it changed. Called each minute and at the end.
    pub(crate) fn keep(&self) {
        lock(&self.minutes).write();
    }

    /// How it goes with what leaves, which the page shows too.
    pub(crate) fn exports(&self) -> Arc<Standings> {
        Arc::clone(&self.exports)
    }

    /// All that the page shows.
    pub(crate) fn samples(&self, logs: &Logs) -> Vec<Sample> {
        self.page(logs).samples()
    }

    fn page(&self, logs: &Logs) -> Page {
        let mut page = Page::default();
        lock(&self.requests).show(&mut page);
        let state = logs.state();
        let mut own = |name: &str, help: &str, value: u64| {
            #[expect(clippy::cast_precision_loss, reason = "a sample of Prometheus is a double")]
            page.family(name, help, Kind::of(name)).sample(&[], value as f64);
        };
        own("roadbed_telemetry_log_lines_total", "Lines that were kept.", state.lines);
        own("roadbed_telemetry_log_dropped_total", "Lines that were more in a second than are kept.", state.dropped);
        own("roadbed_telemetry_log_late_total", "Lines that were older than what is kept.", state.late);
        own("roadbed_telemetry_log_gaps_total", "How often log files came and went unread.", state.gaps);
        own("roadbed_telemetry_log_cut_total", "Lines that were longer than a line may be.", state.cut);
        own("roadbed_telemetry_refused_total", "Reports that were sent back, to come again.", state.refused);
        own("roadbed_telemetry_log_paused", "1 while nothing can be written.", u64::from(state.paused.is_some()));
        own("roadbed_telemetry_log_bytes", "What kept lines take on the disk.", state.bytes);
        own(
            "roadbed_telemetry_series_refused_total",
            "Numbers of apps for which there was no room.",
            *lock(&self.refused),
        );
        self.show_exports(&mut page);
        let mut facts = lock(&self.facts).clone();
        facts.sort_by(|one, other| one.name.cmp(&other.name));
        for of_one in facts.chunk_by(|one, other| one.name == other.name) {
            let mut family = page.family(&of_one[0].name, &of_one[0].help, Kind::of(&of_one[0].name));
            for Fact { labels, value, .. } in of_one {
                let labels: Vec<(&str, &str)> =
                    labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
                family.sample(&labels, *value);
            }
        }
        let told = lock(&self.told);
        let mut before = "";
        for ((name, labels), value) in told.iter() {
            let labels: Vec<(&str, &str)> =
                labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            if name == before {
                page.more(name, &labels, *value);
            } else {
                page.family(name, "As an app told it.", Kind::Unknown).sample(&labels, *value);
            }
            before = name;
        }
        page
    }

    fn show_exports(&self, page: &mut Page) {
        let all = self.exports.all();
        if all.is_empty() {
            return;
        }
        let mut of_each = |name: &str, help: &str, value: &dyn Fn(&ExportState) -> u64| {
            let mut family = page.family(name, help, Kind::of(name));
            for state in &all {
                #[expect(clippy::cast_precision_loss, reason = "a sample of Prometheus is a double")]
                family.sample(&[("export", &state.name)], value(state) as f64);
            }
        };
        of_each("roadbed_export_sent_total", "Events, lines or samples that were taken.", &|state| state.sent);
        of_each("roadbed_export_waiting", "Bytes of errors, lines or samples that wait.", &|state| state.waiting);
        of_each("roadbed_export_failing", "1 while the receiver takes nothing.", &|state| {
            u64::from(state.trouble.is_some())
        });
        let name = "roadbed_export_dropped_total";
        let help = "What will never arrive: refused by the receiver, or too much for the bound.";
        let mut family = page.family(name, help, Kind::of(name));
        for state in &all {
            for reason in ["refused", "bound"] {
                #[expect(clippy::cast_precision_loss, reason = "a sample of Prometheus is a double")]
                let dropped = state.dropped.get(reason).copied().unwrap_or(0) as f64;
                family.sample(&[("export", &state.name), ("reason", reason)], dropped);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the routes need.
#[derive(Clone, Debug)]
pub(crate) struct Shown {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) logs: Arc<Logs>,
}

/// `GET /metrics`, `GET /minutes`, `PUT /facts`: for our own alone.
pub(crate) fn routes(shown: Shown) -> Router {
    Router::new()
        .route("/metrics", get(page))
        .route("/minutes", get(minutes))
        .route("/facts", put(facts))
        .with_state(shown)
}

async fn page(State(shown): State<Shown>) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], shown.metrics.page(&shown.logs).text())
        .into_response()
}

/// The page on loopback, for a Prometheus that has the token. Others are told nothing, not even whether there is a page.
pub(crate) fn guarded(shown: Shown, token: Option<String>) -> Router {
    let Some(token) = token else { return Router::new() };
    let guard = move |headers: HeaderMap, state: State<Shown>| async move {
        let said = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
        let digest: String =
            Sha256::digest(said.unwrap_or_default()).iter().map(|byte| format!("{byte:02x}")).collect();
        // Of digests, so that the time that a comparison takes says nothing of the token.
        if digest == token { page(state).await } else { StatusCode::NOT_FOUND.into_response() }
    };
    Router::new().route("/metrics", get(guard)).with_state(shown)
}

/// All of them, or those of `?since=MINUTE` and later.
async fn minutes(State(shown): State<Shown>, uri: Uri) -> Json<Vec<Minute>> {
    let since = uri.query().and_then(|query| query.strip_prefix("since=")).and_then(|since| since.parse().ok());
    let mut all = lock(&shown.metrics.minutes).all();
    all.retain(|minute| since.is_none_or(|since: i64| minute.minute >= since));
    Json(all)
}

/// All of them at once: what is not named any more is not known any more.
async fn facts(State(shown): State<Shown>, Json(facts): Json<Vec<Fact>>) -> Json<()> {
    *lock(&shown.metrics.facts) = facts.into_iter().take(MOST_SERIES).collect();
    Json(())
}
