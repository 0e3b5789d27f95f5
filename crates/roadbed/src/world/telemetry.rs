//! The role that keeps what apps and browsers report: its process, and how it is reached.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use ::telemetry::{Settings, TelemetryClient, TelemetryFault};
use reconcile::ports::{
    Ensured, Limits, Protocol, RestartPolicy, Site, SiteAccess, StopPolicy, Target, UnitKind, UnitSpec, UnitState,
    Units, Upstream,
};
use reconcile::{Begun, Fault, Progress, Resource, ResourceId, Root};
use secrets::{SecretName, Store};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};

use super::EDGE_IDLE;
use crate::own;

/// Name of the unit, and of its port in the port book.
pub const TELEMETRY: &str = "telemetry";

/// The keeper's socket by which apps report, on loopback. It is the edge's: while the role is replaced, reports wait.
pub const TELEMETRY_SOCKET: &str = "telemetry-internal";

/// It opens what is there already and listens.
const START: Duration = Duration::from_secs(15);

/// As large as an envelope may be before it is unpacked, in bytes: what Sentry's own servers take.
const LARGEST_REPORT: u64 = 20 * 1024 * 1024;

/// Where the edge finds it.
pub(super) fn upstream(port: u16) -> Upstream {
    Upstream { instance: TELEMETRY.to_owned(), port }
}

/// What apps reach by [`TELEMETRY_SOCKET`].
pub(super) fn site(port: u16) -> Site {
    let millis = u64::try_from(EDGE_IDLE.as_millis()).unwrap_or(u64::MAX);
    Site {
        app: TELEMETRY.to_owned(),
        hosts: Vec::new(),
        target: Target::Instances {
            upstreams: vec![upstream(port)],
            first_byte_ms: millis,
            idle_ms: millis,
            // The role has bounds of its own, by what a body holds once it is unpacked.
            longest_body: Some(LARGEST_REPORT),
            protocol: Protocol::default(),
            wake_ms: None,
        },
        access: SiteAccess::Public,
        client_authorities: None,
        cache: None,
        config: None,
        key_set: None,
        internal_socket: Some(TELEMETRY_SOCKET.to_owned()),
        release: None,
        kept: Vec::new(),
        headers: BTreeMap::new(),
    }
}

/// The secret with which a Prometheus reads the page of metrics on loopback. There is no such page until somebody sets it.
pub fn metrics_secret() -> SecretName {
    SecretName::new("telemetry/metrics")
}

/// What the role is told of it: its digest.
pub(super) fn metrics_token(secrets: &Store) -> Option<String> {
    // A store that does not open is told elsewhere, and costs a page.
    let token = secrets.get(&metrics_secret()).ok().flatten()?;
    Some(Sha256::digest(token.secret.expose()).iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The process, with its settings.
#[derive(Debug)]
pub struct Telemetry {
    id: ResourceId,
    root: Root,
    /// Or why they cannot be told: who only looks at the environment need not know them.
    settings: Result<Settings, Fault>,
    program_revision: String,
    units: Arc<dyn Units>,
}

impl Telemetry {
    pub fn new(root: Root, settings: Result<Settings, Fault>, units: Arc<dyn Units>) -> Result<Self, Fault> {
        let program_revision = own::revision()?;
        Ok(Self { id: ResourceId::new(TELEMETRY), root, settings, program_revision, units })
    }

    fn settings(&self) -> Result<&Settings, Fault> {
        self.settings.as_ref().map_err(Fault::clone)
    }

    /// Other settings mean another start: they are read once.
    fn revision(&self) -> Result<String, Fault> {
        Ok(format!("{} {}", self.program_revision, self.settings()?.digest()))
    }

    fn spec(&self) -> Result<UnitSpec, Fault> {
        Ok(UnitSpec {
            name: TELEMETRY.to_owned(),
            kind: UnitKind::Telemetry,
            program: own::program_of(&self.root)?,
            args: vec![TELEMETRY.into(), "--root".into(), self.root.path().to_string_lossy().into_owned()],
            cwd: self.root.path().to_owned(),
            env: BTreeMap::new(),
            revision: self.revision()?,
            in_files: Vec::new(),
            loaded: reconcile::loaded::Loaded::new(),
            sockets: Vec::new(),
            restart: RestartPolicy {
                first_delay: Duration::ZERO,
                max_delay: Duration::from_secs(5),
                ..RestartPolicy::default()
            },
            stop: StopPolicy { grace: Duration::from_secs(5) },
            limits: Limits { open_files: Some(16_384), ..Limits::default() },
            confinement: None,
        })
    }
}

/// What there is to do for telemetry.
#[derive(Debug)]
pub enum TelemetryStep {
    Settle,
    Start,
    AwaitAnswer,
}

impl fmt::Display for TelemetryStep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Settle => "write the settings of telemetry",
            Self::Start => "start telemetry",
            Self::AwaitAnswer => "wait until telemetry answers",
        })
    }
}

/// What there is of telemetry.
#[derive(Debug)]
pub struct TelemetrySeen {
    settled: bool,
    /// Runs as specified.
    current: bool,
    answers: bool,
    /// Read others when it started, which somebody else wrote.
    astray: bool,
}

impl Resource for Telemetry {
    type Observed = TelemetrySeen;
    type Step = TelemetryStep;

    fn id(&self) -> &ResourceId {
        &self.id
    }

    fn needs(&self) -> &[ResourceId] {
        &[]
    }

    async fn observe(&self) -> Result<TelemetrySeen, Fault> {
        let revision = self.revision()?;
        let settings = self.settings()?;
        let settled = settings.are_written(&self.root).map_err(|fault| told("cannot look at telemetry", &fault))?;
        let unit = self.units.list().await?.into_iter().find(|unit| unit.name == TELEMETRY);
        let current = unit
            .is_some_and(|unit| unit.revision == revision && !matches!(unit.state, UnitState::Held | UnitState::Lost));
        let health = if current { TelemetryClient::new(self.root.clone()).health().await.ok() } else { None };
        let astray = health.as_ref().is_some_and(|health| health.settings != settings.digest());
        Ok(TelemetrySeen { settled, current, answers: health.is_some(), astray })
    }

    fn plan(&self, seen: &TelemetrySeen) -> Vec<TelemetryStep> {
        let settle = (!seen.settled).then_some(TelemetryStep::Settle);
        let start = (!seen.current || seen.astray).then_some(TelemetryStep::Start);
        let wait = (start.is_some() || !seen.answers).then_some(TelemetryStep::AwaitAnswer);
        settle.into_iter().chain(start).chain(wait).collect()
    }

    async fn apply(&self, step: &TelemetryStep, _: &Begun, _: &dyn Progress) -> Result<(), Fault> {
        match step {
            TelemetryStep::Settle => {
                self.settings()?.write(&self.root).map_err(|fault| told("cannot tell telemetry its settings", &fault))
            }
            TelemetryStep::Start => match self.units.ensure(self.spec()?).await? {
                // Started as specified, and astray all the same: settings are read once.
                Ensured::Unchanged => self.units.restart(TELEMETRY).await,
                Ensured::Started | Ensured::Replaced => Ok(()),
            },
            TelemetryStep::AwaitAnswer => {
                let client = TelemetryClient::new(self.root.clone());
                let deadline = Instant::now() + START;
                while let Err(fault) = client.health().await {
                    if Instant::now() >= deadline {
                        let lines = self.units.tail(TELEMETRY, 20).await.unwrap_or_default();
                        return Err(Fault::because("cannot start telemetry", &fault).output(lines));
                    }
                    sleep(Duration::from_millis(20)).await;
                }
                Ok(())
            }
        }
    }
}

fn told(headline: &str, fault: &TelemetryFault) -> Fault {
    Fault { hint: fault.hint().map(str::to_owned), ..Fault::because(headline, fault) }
}
