//! Tells telemetry what it cannot know: which secrets must not be kept of what apps report, and how the units are.
//!
//! Over its socket and into its memory, as the edge is told where limits are counted: one that has just been started knows nothing,
//! takes no reports that could hold a secret, and is told within a second. No resource, on purpose: telemetry that is away must fail
//! no `up`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use host::files;
use reconcile::Fault;
use reconcile::ports::{UnitState, Units};
use secrets::{Secret, Store};
use telemetry::TelemetryClient;
use telemetry::metrics::Fact;
use tokio::time::{Instant, sleep};

use super::telling_monitors::{self, Promises};
use super::{Control, redacting};
use crate::{seats, wanted};

/// Between two looks: one question over a Unix socket.
const PERIOD: Duration = Duration::from_millis(500);

/// A rotation makes secrets without a convergence that we would see.
const FRESH: Duration = Duration::from_secs(10);

/// Between two reports on the units. Prometheus asks every fifteen seconds where nobody says otherwise.
const FACTS_EVERY: Duration = Duration::from_secs(5);

/// What the store held, and when.
struct Known {
    secrets: Vec<(String, Secret)>,
    after: u64,
    at: Instant,
}

/// Looks until the task is aborted.
pub(super) async fn carry_on(control: Arc<Control>) {
    let (mut known, mut told, mut reported, mut promises) = (None, None, None, Promises::default());
    loop {
        sleep(PERIOD).await;
        match look(&control, &mut known, &mut reported, &mut promises).await {
            Ok(()) => told = None,
            Err(fault) => {
                let text = fault.to_string();
                if told.as_ref() != Some(&text) {
                    tracing::warn!(causes = ?fault.causes, "cannot tell telemetry what it must not keep: {fault}");
                }
                told = Some(text);
            }
        }
    }
}

async fn look(
    control: &Control,
    known: &mut Option<Known>,
    reported: &mut Option<Instant>,
    promises: &mut Promises,
) -> Result<(), Fault> {
    let telemetry = TelemetryClient::new(control.root.clone());
    // One that is away is on its way back.
    let Ok(knows) = telemetry.secrets_told().await else { return Ok(()) };
    if knows.is_none() || reported.is_none_or(|at| at.elapsed() >= FACTS_EVERY) {
        *reported = Some(Instant::now());
        telemetry.tell(&facts(control).await?).await?;
        if let Some(want) = wanted::read(&control.root)? {
            let store = Store::new(seats::of_control(&control.root, &control.id, &control.clock, &want));
            telling_monitors::tell(control, promises, &want, &store, &telemetry).await?;
        }
    }
    let after = control.convergences.load(Ordering::Relaxed);
    let is_fresh = |known: &Known| known.after == after && known.at.elapsed() < FRESH;
    if !known.as_ref().is_some_and(is_fresh) {
        let Some(want) = wanted::read(&control.root)? else { return Ok(()) };
        let store = Store::new(seats::of_control(&control.root, &control.id, &control.clock, &want));
        *known = Some(Known { secrets: redacting::known(&store)?, after, at: Instant::now() });
    }
    match known {
        Some(known) if knows != Some(TelemetryClient::fingerprint(&known.secrets)) => {
            telemetry.look_for(&known.secrets).await
        }
        _ => Ok(()),
    }
}

/// What of the environment is a number.
async fn facts(control: &Control) -> Result<Vec<Fact>, Fault> {
    let mut facts = Vec::new();
    let mut add = |name: &str, help: &str, unit: Option<&str>, value: f64| {
        let labels: BTreeMap<String, String> =
            unit.map(|unit| ("unit".to_owned(), unit.to_owned())).into_iter().collect();
        facts.push(Fact { name: name.to_owned(), help: help.to_owned(), labels, value });
    };
    for unit in control.keeper.list().await? {
        let is_up = matches!(unit.state, UnitState::Running | UnitState::Adopted);
        add("roadbed_unit_up", "1 while a process of the unit runs.", Some(&unit.name), f64::from(u8::from(is_up)));
        let help = "How often the keeper started the unit again.";
        add("roadbed_unit_restarts_total", help, Some(&unit.name), f64::from(unit.restarts));
    }
    #[expect(clippy::cast_precision_loss, reason = "a sample of Prometheus is a double")]
    if let Ok(free) = files::free_bytes(control.root.path()) {
        add("roadbed_disk_free_bytes", "What the environment's disk has left.", None, free as f64);
    }
    let converged = control.convergences.load(Ordering::Relaxed);
    #[expect(clippy::cast_precision_loss, reason = "a sample of Prometheus is a double")]
    add("roadbed_convergences_total", "How often this control has converged.", None, converged as f64);
    Ok(facts)
}
