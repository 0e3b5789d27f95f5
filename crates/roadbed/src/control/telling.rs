//! Tells telemetry what it cannot know: which secrets must not be kept of what apps report, and how the units are.
//!
//! Over its socket and into its memory, as the edge is told where limits are counted: one that has just been started knows nothing,
//! takes no reports that could hold a secret, and is told within a second. No resource, on purpose: telemetry that is away must fail
//! no `up`.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use reconcile::Fault;
use secrets::{Secret, SecretName, Store};
use telemetry::{ExportSecret, TelemetryClient};
use tokio::time::{Instant, sleep};

use super::telling_facts;
use super::telling_monitors::{self, Promises};
use super::{Control, redacting};
use crate::wanted::Wanted;
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
    let is_new = knows.is_none();
    // First, since until then it takes no reports at all.
    let secrets = tell_secrets(control, &telemetry, knows.as_deref(), known).await;
    if !is_new && reported.is_some_and(|at| at.elapsed() < FACTS_EVERY) {
        return secrets;
    }
    *reported = Some(Instant::now());
    secrets.and(tell_the_rest(control, &telemetry, promises).await)
}

async fn tell_secrets(
    control: &Control,
    telemetry: &TelemetryClient,
    knows: Option<&str>,
    known: &mut Option<Known>,
) -> Result<(), Fault> {
    let after = control.convergences.load(Ordering::Relaxed);
    let is_fresh = |known: &Known| known.after == after && known.at.elapsed() < FRESH;
    if !known.as_ref().is_some_and(is_fresh) {
        let Some(want) = wanted::read(&control.root)? else { return Ok(()) };
        let store = Store::new(seats::of_control(&control.root, &control.id, &control.clock, &want));
        *known = Some(Known { secrets: redacting::known(&store)?, after, at: Instant::now() });
    }
    match known {
        Some(known) if knows != Some(TelemetryClient::fingerprint(&known.secrets).as_str()) => {
            telemetry.look_for(&known.secrets).await
        }
        _ => Ok(()),
    }
}

/// How the units are, what is watched, and what opens receivers.
async fn tell_the_rest(control: &Control, telemetry: &TelemetryClient, promises: &mut Promises) -> Result<(), Fault> {
    let want = wanted::read(&control.root)?;
    telemetry.tell(&telling_facts::facts(control, want.as_ref()).await?).await?;
    let Some(want) = want else { return Ok(()) };
    let store = Store::new(seats::of_control(&control.root, &control.id, &control.clock, &want));
    telling_monitors::tell(control, promises, &want, &store, telemetry).await?;
    tell_exports(&want, &store, telemetry).await
}

/// What opens the receivers of exports.
async fn tell_exports(want: &Wanted, store: &Store, telemetry: &TelemetryClient) -> Result<(), Fault> {
    let mut secrets = Vec::new();
    for export in wanted::resolve(want)?.exports {
        let found = store.get(&SecretName::new(export.secret()));
        let found =
            found.map_err(|fault| Fault::because("cannot read what opens the receiver of an export", &fault))?;
        if let Some(found) = found {
            secrets.push(ExportSecret { export: export.name.to_string(), value: found.secret.expose().to_owned() });
        }
    }
    telemetry.tell_exports(&secrets).await
}
