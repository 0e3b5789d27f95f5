//! Another environment of the product, as it is found on this machine.

use std::collections::BTreeMap;
use std::time::Duration;

use host::network_namespace::{self, Network};
use manifest::Environment;
use reconcile::ports::{UnitKind, UnitState, UnitStatus, Units};
use reconcile::{Fault, Root};
use tokio::time::timeout;

use super::Ours;
use crate::control::identity::Identity;
use crate::keeper::client::KeeperClient;
use crate::roots::Other;
use crate::wanted::{self, Wanted};

/// A keeper answers within milliseconds; one that is stuck must not hold up our gate.
const LOOK_DEADLINE: Duration = Duration::from_secs(5);

/// What listens where, by name.
pub(crate) type Ports = BTreeMap<String, u16>;

/// One of them.
pub(super) struct Neighbour {
    /// With its folder, where it is called like ours.
    pub(super) name: String,
    pub(super) root: Root,
    pub(super) identity: Identity,
    /// As its own manifest or ours says.
    pub(super) environment: Option<Environment>,
    /// What runs, and where it listens; `None`: it is down.
    pub(super) up: Option<Up>,
    /// Why nothing is known of it, though it is up.
    pub(super) fault: Option<Fault>,
}

/// A neighbour that is up.
pub(super) struct Up {
    pub(super) ports: Ports,
    pub(super) units: Vec<UnitStatus>,
}

impl Neighbour {
    pub(super) async fn see(ours: &Ours<'_>, other: Other) -> Self {
        let Other { root, identity } = other;
        let name = match identity.environment == ours.identity.environment {
            true => format!("{} in {}", identity.environment, root.path().display()),
            false => identity.environment.clone(),
        };
        let units = timeout(LOOK_DEADLINE, KeeperClient::new(root.clone()).list()).await.ok().and_then(Result::ok);
        let as_ours_says = Wanted { environment: identity.environment.clone(), ..ours.wanted.clone() };
        let (environment, up, fault) = match units {
            None => (wanted::resolve(&as_ours_says).ok(), None, None),
            Some(units) => match Self::look(&root, units) {
                Ok((environment, up)) => (Some(environment), Some(up), None),
                Err(fault) => (None, None, Some(fault)),
            },
        };
        Self { name, root, identity, environment, up, fault }
    }

    fn look(root: &Root, units: Vec<UnitStatus>) -> Result<(Environment, Up), Fault> {
        let want = wanted::read(root)?.ok_or_else(|| Fault::new("it is just being brought up or stopped"))?;
        let environment = wanted::resolve(&want)?;
        let ports = crate::world::ports_in_use(root, &want, &units)?;
        Ok((environment, Up { ports, units }))
    }
}

impl Up {
    /// A process of it that is in another network than ours: a network namespace, such as that of a container.
    pub(super) fn elsewhere(&self) -> Option<u32> {
        let of_stores = self.units.iter().filter(|unit| unit.kind == UnitKind::Store);
        let pids = of_stores.chain(&self.units).filter_map(|unit| unit.pid);
        pids.take(1).find(|pid| matches!(network_namespace::of(*pid), Ok(Network::Another)))
    }

    /// The port of a unit that runs.
    pub(super) fn port_of(&self, unit: &str) -> Option<u16> {
        let runs = |status: &&UnitStatus| matches!(status.state, UnitState::Running | UnitState::Adopted);
        self.units.iter().filter(runs).find(|status| status.name == unit)?;
        self.ports.get(unit).copied()
    }
}

/// The app instances among units, with their processes.
pub(super) fn apps(units: &[UnitStatus]) -> Vec<(String, u32)> {
    units
        .iter()
        .filter(|unit| unit.kind == UnitKind::App)
        .filter_map(|unit| Some((unit.name.clone(), unit.pid?)))
        .collect()
}
