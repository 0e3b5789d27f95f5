//! What telemetry's monitors cannot know: what opens the channels, which release visitors get, which promises do not hold, and that
//! somebody deploys.

use std::collections::BTreeMap;
use std::time::Duration;

use delivery::{Role, State};
use gate::ledger::LedgerFault;
use gate::{Standing, Verdict};
use host::clock::Timestamp;
use manifest::Incidents;
use monitors::{BrokenPromise, Certainty, ChannelSecret, Maintenance};
use reconcile::Fault;
use secrets::{SecretName, Store};
use telemetry::TelemetryClient;

use super::Control;
use crate::checks::catalogue;
use crate::wanted::{self, Wanted};

/// A deployment that is told of no more, as when control is gone, silences nothing for longer, in milliseconds. Several times the
/// period of telling.
const LEASE_MS: u64 = 30_000;

/// Which promises do not hold, by the evidence up to then.
#[derive(Debug, Default)]
pub(super) struct Promises {
    by: Option<Timestamp>,
    /// Each with when it was looked at last, and how long that is worth something.
    broken: Vec<(BrokenPromise, Timestamp, Duration)>,
}

/// What holds no more is looked at again within its period, and put on record once an hour at least. Where nothing was for several
/// times as long it is not promised any more.
fn worth(period: Option<Duration>) -> Duration {
    const HOUR: Duration = Duration::from_secs(3600);
    // What is looked at only when a person asks stays so until one does.
    const UNASKED: Duration = Duration::from_secs(7 * 24 * 3600);
    period.map_or(UNASKED, |period| 3 * period.max(HOUR))
}

impl Promises {
    /// Reads the ledger again where it has something new.
    fn broken(&mut self, control: &Control, want: &Wanted) -> Result<Vec<BrokenPromise>, Fault> {
        let unread = |fault: LedgerFault| Fault::because("cannot read the evidence", &fault);
        let newest = control.ledger.newest().map_err(unread)?;
        if newest != self.by {
            let incidents = wanted::manifest_as_wanted(want)?.incidents();
            let lately = control.ledger.standings_lately().map_err(unread)?;
            self.broken = lately.iter().filter_map(|standing| broken(standing, &incidents)).collect();
            self.by = newest;
        }
        let now = control.clock.now();
        let young = self.broken.iter().filter(|(_, last, worth)| now.since(*last) <= *worth);
        Ok(young.map(|(promise, ..)| promise.clone()).collect())
    }
}

/// `None`: it holds, or this version knows it no more.
fn broken(standing: &Standing, incidents: &Incidents) -> Option<(BrokenPromise, Timestamp, Duration)> {
    let certainty = match standing.verdict {
        Verdict::Holds => return None,
        Verdict::Fails => Certainty::Broken,
        Verdict::Inconclusive => Certainty::Unknown,
    };
    let Standing { task, id, claim, since, last_broken, .. } = standing;
    let period = catalogue::promise(id)?.period;
    let observed = last_broken.as_ref().map(|trouble| trouble.observed.as_slice()).unwrap_or_default();
    let bad: Vec<&str> = observed.iter().filter_map(|line| line.strip_prefix("BROKEN: ")).collect();
    let why = if bad.is_empty() { observed.join("; ") } else { bad.join("; ") };
    let owner = incidents.answers_for(task, id).map(|owner| owner.name.to_string()).unwrap_or_default();
    let (task, id, claim, since) = (task.clone(), id.clone(), claim.clone(), since.unix_millis());
    Some((BrokenPromise { task, id, claim, why, owner, since, certainty }, standing.last, worth(period)))
}

/// Tells it.
pub(super) async fn tell(
    control: &Control,
    promises: &mut Promises,
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
    let promises = Some(promises.broken(control, want)?);
    telemetry.tell_monitors(&Maintenance { secrets, releases, promises, deploying, lease_ms: LEASE_MS }).await
}
