//! The role, from its first line to its last.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use host::clock::Clock;
use host::files::{self, Access};
use host::socket;
use monitors::{AppMinute, Monitors, Surroundings};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::watch;

use crate::config::TelemetryConfig;
use crate::errors::Errors;
use crate::exports::{self, Exports};
use crate::fault::TelemetryFault;
use crate::logs::Logs;
use crate::metrics::{Metrics, Minute};
use crate::redaction::Redaction;
use crate::settings::Settings;
use crate::traces::Traces;
use crate::{ingest, query};

/// A crash loses no more of a chart than this.
const KEEP_EVERY: Duration = Duration::from_mins(1);

/// What both doors share.
#[derive(Debug)]
pub(crate) struct Telemetry {
    pub(crate) settings: Settings,
    pub(crate) logs: Arc<Logs>,
    pub(crate) traces: Arc<Traces>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) redaction: Arc<Redaction>,
    pub(crate) errors: Arc<Errors>,
    pub(crate) monitors: Arc<Monitors>,
    pub(crate) exports: Arc<Exports>,
}

/// Takes and answers until `shutdown` ends; what was taken is kept before this returns.
///
/// # Errors
/// Where the role cannot start: a port that is taken, settings that are missing.
pub async fn run(config: TelemetryConfig) -> Result<(), TelemetryFault> {
    let TelemetryConfig { root, clock, shutdown } = config;
    let settings = Settings::read(&root)?;
    files::create_dir(&root.run(), Access::Owner)?;
    files::create_dir(&root.telemetry(), Access::Owner)?;
    // Loopback alone: visitors come by way of the edge.
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, settings.port));
    let reports = from_std(address.to_string(), || {
        let listener = socket::listen(address)?;
        listener.set_nonblocking(true)?;
        TcpListener::from_std(listener)
    })?;
    let path = root.telemetry_socket();
    let listener = socket::listen_unix(&path)?;
    let questions = from_std(path.display().to_string(), || {
        listener.set_nonblocking(true)?;
        UnixListener::from_std(listener)
    })?;

    let folder = root.telemetry().join("exports");
    let held = exports::cursors_of_errors(&settings.exports, &folder);
    let errors = Errors::open(&root, &settings.environment, &settings.errors, &clock, &held)?;
    let metrics = Arc::new(Metrics::open(&root));
    let redaction = Arc::<Redaction>::default();
    let keeping = (settings.logs.clone(), settings.apps.as_slice());
    let logs =
        Arc::new(Logs::start(&root, keeping, Arc::clone(&clock), (Arc::clone(&metrics), Arc::clone(&redaction)))?);
    let traces = Arc::new(Traces::open(&root, settings.logs.clone())?);
    let keeper = tokio::spawn(keep(Arc::clone(&metrics)));
    let of_requests = Arc::clone(&metrics);
    let (monitors, watching) = Monitors::start(
        settings.monitors.clone(),
        Surroundings {
            folder: root.telemetry(),
            environment: settings.environment.clone(),
            clock: Arc::clone(&clock),
            minutes: Arc::new(move || of_requests.minutes().into_iter().map(requests).collect()),
        },
    );
    let exports = Exports::start(
        &settings.exports,
        &exports::Kept {
            folder,
            environment: &settings.environment,
            trusted: &settings.monitors.trusted,
            errors: &errors,
            logs: &logs,
            metrics: &metrics,
            clock: &clock,
        },
    );
    let leaving = Arc::clone(&exports);
    let (of_logs, of_metrics) = (Arc::clone(&logs), Arc::clone(&metrics));
    let telemetry = Arc::new(Telemetry {
        settings,
        logs,
        traces,
        metrics,
        clock,
        redaction,
        errors: Arc::clone(&errors),
        monitors,
        exports,
    });
    let (stop, stopped) = watch::channel(false);
    let until = |mut stopped: watch::Receiver<bool>| async move {
        let _ = stopped.wait_for(|stopped| *stopped).await;
    };
    let ingest = axum::serve(reports, ingest::routes(&telemetry));
    let ingest = tokio::spawn(ingest.with_graceful_shutdown(until(stopped.clone())).into_future());
    let query = axum::serve(questions, query::routes(Arc::clone(&telemetry)));
    let query = tokio::spawn(query.with_graceful_shutdown(until(stopped)).into_future());
    tracing::info!("taking reports");
    shutdown.await;
    let _ = stop.send(true);
    drop(watching);
    // Both end when their last answer is out; the keeper's patience bounds that.
    let _ = tokio::join!(ingest, query);
    leaving.stop().await;
    let _ = tokio::task::spawn_blocking(move || errors.close()).await;
    of_logs.stop().await;
    keeper.abort();
    of_metrics.keep();
    Ok(())
}

fn requests(minute: Minute) -> AppMinute {
    AppMinute { app: minute.app, minute: minute.minute, requests: minute.requests, failed: minute.failed }
}

/// Writes down what is in memory alone.
async fn keep(metrics: Arc<Metrics>) {
    loop {
        tokio::time::sleep(KEEP_EVERY).await;
        metrics.keep();
    }
}

fn from_std<T>(place: String, listen: impl FnOnce() -> std::io::Result<T>) -> Result<T, TelemetryFault> {
    listen().map_err(|source| TelemetryFault::Listen { place, source })
}
