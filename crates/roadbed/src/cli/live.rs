//! The environment that really runs: keeper and control of one root.

use std::collections::BTreeMap;
use std::time::Duration;

use edge::client::EdgeClient;
use engine::instance::app_of;
use engine::resting;
use host::files;
use reconcile::fault::Retry;
use reconcile::ports::Units;
use reconcile::{Fault, Root};
use tokio::time::{Instant, sleep, timeout};

use crate::cli::conductor::{Conductor, OnMessage};
use crate::control::client::ControlClient;
use crate::control::wire::{ReadyRequest, RotateRequest, SmokeRequest, Status, Unit};
use crate::control::{identity, launch, sleeping};
use crate::expiry;
use crate::keeper;
use crate::keeper::client::KeeperClient;
use crate::wanted::{self, Wanted};
use crate::world::network;

/// A control that was killed is back within this; until then its keeper alone knows less.
const CONTROL_PATIENCE: Duration = Duration::from_secs(3);

/// Between two attempts to reach a control that is coming back.
const PAUSE: Duration = Duration::from_millis(50);

/// Control answers a look within milliseconds; one that is stuck must not hold up `roadbed status`.
const LOOK_DEADLINE: Duration = Duration::from_secs(5);

/// Keeper and control of one root.
#[derive(Debug)]
pub struct Live {
    root: Root,
    keeper: KeeperClient,
    control: ControlClient,
}

impl Live {
    pub fn new(root: Root) -> Self {
        Self { keeper: KeeperClient::new(root.clone()), control: ControlClient::new(root.clone()), root }
    }

    async fn control_status(&self) -> Result<Status, Fault> {
        timeout(LOOK_DEADLINE, self.control.status()).await.unwrap_or_else(|_| {
            Err(Fault::new("control does not answer").hint("`roadbed restart control` starts it again"))
        })
    }

    /// What the keeper knows: the processes, and no address.
    async fn keeper_status(&self) -> Result<Status, Fault> {
        let units = self.keeper.list().await?;
        let identity = identity::read(&self.root)?;
        Ok(Status {
            environment: identity.map(|identity| identity.environment).unwrap_or_default(),
            root: self.root.path().to_owned(),
            urls: BTreeMap::new(),
            console: None,
            ca_file: self.root.ca_certificate(),
            // Who is primary is control's to know.
            units: Unit::all(units, self.keeper.confined().await?, &BTreeMap::new()),
            network: None,
            together: None,
            mongodb: Vec::new(),
            certificate: None,
            ends: expiry::of_root(&self.root).unwrap_or_default(),
            sleep: sleeping::read(&self.root),
            overdue: Vec::new(),
            drift: Vec::new(),
            api: None,
            scaled: Vec::new(),
            trouble: None,
        })
    }
}

impl Conductor for Live {
    async fn is_up(&self) -> bool {
        // Waits for a keeper that is being revived; answers at once where none is.
        self.keeper.list().await.is_ok()
    }

    fn is_meant_to_be_up(&self) -> bool {
        files::exists(&self.root.keeper_socket()) && !files::exists(&self.root.run().join("down"))
    }

    async fn ensure_running(&self, wanted: &Wanted) -> Result<(), Fault> {
        launch::ensure_running(&self.root, wanted).await
    }

    async fn status(&self) -> Result<Status, Fault> {
        let deadline = Instant::now() + CONTROL_PATIENCE;
        loop {
            let fault = match self.control_status().await {
                Ok(status) => return Ok(status),
                Err(fault) => fault,
            };
            let known_to_keeper = self.keeper_status().await?;
            let has_control = known_to_keeper.units.iter().any(|unit| unit.name == launch::UNIT);
            // A control that answers that it cannot tell will not know better in a moment.
            let is_final = fault.retry == Retry::Useless || Instant::now() >= deadline;
            if !has_control || is_final {
                return Ok(Status { trouble: has_control.then_some(fault), ..known_to_keeper });
            }
            sleep(PAUSE).await;
        }
    }

    async fn converge(&self, wanted: &Wanted, on: OnMessage<'_>) -> Result<(), Fault> {
        // A refusal comes as a message. What fails here is the way to control, and asking twice for the same is asking once.
        self.control.converge(wanted, on).await.map_err(Fault::retry_safe)
    }

    async fn plan(&self, wanted: &Wanted, on: OnMessage<'_>) -> Result<(), Fault> {
        self.control.plan(wanted, on).await
    }

    async fn ready(&self, request: &ReadyRequest, on: OnMessage<'_>) -> Result<(), Fault> {
        self.control.ready(request, on).await
    }

    async fn rotate(&self, request: &RotateRequest, on: OnMessage<'_>) -> Result<(), Fault> {
        self.control.rotate(request, on).await
    }

    async fn smoke(&self, request: &SmokeRequest, on: OnMessage<'_>) -> Result<(), Fault> {
        self.control.smoke(request, on).await
    }

    async fn restart(&self, unit: &str) -> Result<(), Fault> {
        // Only apps have visitors; of what the edge does not know it has nothing under way.
        let Some(app) = app_of(unit) else { return self.keeper.restart(unit).await };
        let others = self.keeper.list().await?.iter().filter(|other| app_of(&other.name) == Some(app)).count();
        let spread = match wanted::read(&self.root)? {
            Some(want) => wanted::resolve(&want)?.rollout.stream_spread(),
            None => Duration::ZERO,
        };
        let spread = resting::spread_of_one(spread, others.saturating_sub(1));
        let edge = EdgeClient::new(self.root.clone());
        resting::during(&edge, unit, spread, self.keeper.restart(unit)).await
    }

    async fn stop(&self) -> Result<(), Fault> {
        // If everybody was killed who could revive the keeper, its apps and stores live on: a new keeper finds them.
        if self.is_meant_to_be_up() && !keeper::is_running(&self.root).await {
            keeper::launch(&self.root).await?;
        }
        self.keeper.shutdown().await?;
        network::lift(&self.root).await
    }

    async fn kill(&self) -> Result<(), Fault> {
        self.keeper.kill().await?;
        network::lift(&self.root).await
    }
}
