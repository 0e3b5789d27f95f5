//! What telemetry's monitors cannot know: what opens the channels, which release visitors get, and that somebody deploys.

use std::collections::BTreeMap;

use delivery::{Role, State};
use monitors::{ChannelSecret, Maintenance};
use reconcile::Fault;
use secrets::{SecretName, Store};
use telemetry::TelemetryClient;

use super::Control;
use crate::wanted::{self, Wanted};

/// A deployment that is told of no more, as when control is gone, silences nothing for longer, in milliseconds. Several times the
/// period of telling.
const LEASE_MS: u64 = 30_000;

/// Tells it.
pub(super) async fn tell(
    control: &Control,
    want: &Wanted,
    store: &Store,
    telemetry: &TelemetryClient,
) -> Result<(), Fault> {
    let environment = wanted::resolve(want)?;
    let mut secrets = Vec::new();
    for channel in &environment.monitoring.channels {
        let found = store.get(&SecretName::new(channel.secret()));
        let found = found.map_err(|fault| Fault::because("cannot read what opens a channel of alerts", &fault))?;
        if let Some(found) = found {
            secrets.push(ChannelSecret { channel: channel.name.to_string(), value: found.secret.expose().to_owned() });
        }
    }
    let delivered = control.delivering.delivered()?;
    let live = delivered.in_role(Role::Live).and_then(|(_, release)| release).map(delivery::Release::name);
    let releases: BTreeMap<String, String> = live
        .map(|live| environment.apps.iter().map(|app| (app.name.to_string(), live.clone())).collect())
        .unwrap_or_default();
    // What waits for somebody's word or for its turn touches nobody.
    let works = |state: State| !state.is_over() && !matches!(state, State::Queued | State::AwaitingApproval);
    let deploying = delivered.deployments.iter().find(|deployment| works(deployment.state));
    let deploying = deploying.map(|deployment| format!("{} of {}", deployment.id, deployment.release));
    telemetry.tell_monitors(&Maintenance { secrets, releases, deploying, lease_ms: LEASE_MS }).await
}
