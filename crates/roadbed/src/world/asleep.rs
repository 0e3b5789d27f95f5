//! An environment that is asleep: its door is kept, and nothing behind it runs.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use manifest::environment::{App, Need};
use reconcile::ports::{Routes, UnitKind, Units};
use reconcile::{Begun, Fault, Progress, Resource, ResourceId};

/// Longer than an instance takes to end in order. A request that comes meanwhile waits at the edge; should control be killed now, it
/// ends by itself.
const AWAY: Duration = Duration::from_secs(20);

/// How long a visitor waits at the edge for an environment that is asleep. Data services and apps of UrbanCart are up within 5 s, on a
/// machine that is busy elsewhere within 20.
pub(super) const WAKE: Duration = Duration::from_secs(60);

/// Nothing but the door.
#[derive(Debug)]
pub(super) struct Asleep {
    id: ResourceId,
    needs: Vec<ResourceId>,
    /// How many other apps stand on whom, by the beginning of an instance's name: who stands on others goes first.
    depths: BTreeMap<String, usize>,
    units: Arc<dyn Units>,
    routes: Arc<dyn Routes>,
}

impl Asleep {
    pub(super) fn new(needs: Vec<ResourceId>, apps: &[App], units: Arc<dyn Units>, routes: Arc<dyn Routes>) -> Self {
        let depths = apps.iter().map(|app| (app.name.to_string(), depth(app, apps))).collect();
        Self { id: ResourceId::new("asleep"), needs, depths, units, routes }
    }

    fn depth_of(&self, unit: &str) -> usize {
        // `api-1`, `api-blue-1`; the longest name is the app's.
        let of = self
            .depths
            .iter()
            .filter(|(app, _)| unit.strip_prefix(app.as_str()).is_some_and(|rest| rest.starts_with('-')));
        of.max_by_key(|(app, _)| app.len()).map_or(0, |(_, depth)| *depth)
    }
}

/// On how many apps, one behind the other, an app stands. The manifest has no circles.
fn depth(app: &App, apps: &[App]) -> usize {
    let others = app.needs.iter().filter_map(|need| match need {
        Need::App(name) => apps.iter().find(|other| other.name == *name),
        Need::Service(_) => None,
    });
    others.map(|other| depth(other, apps) + 1).max().unwrap_or(0)
}

/// Stop a unit. Its data stays.
#[derive(Debug)]
pub(super) struct PutToSleep {
    unit: String,
    kind: UnitKind,
}

impl fmt::Display for PutToSleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stop {}, since nobody comes", self.unit)
    }
}

impl Resource for Asleep {
    /// What runs, in the order in which it is stopped.
    type Observed = Vec<(UnitKind, String)>;
    type Step = PutToSleep;

    fn id(&self) -> &ResourceId {
        &self.id
    }

    fn needs(&self) -> &[ResourceId] {
        &self.needs
    }

    async fn observe(&self) -> Result<Self::Observed, Fault> {
        let units = self.units.list().await?.into_iter();
        let mut units: Vec<_> = units
            .filter(|unit| matches!(unit.kind, UnitKind::App | UnitKind::Store))
            .map(|unit| (unit.kind, unit.name))
            .collect();
        units.sort_by_key(|(kind, name)| (*kind, std::cmp::Reverse(self.depth_of(name))));
        Ok(units)
    }

    fn plan(&self, running: &Self::Observed) -> Vec<PutToSleep> {
        running.iter().map(|(kind, unit)| PutToSleep { unit: unit.clone(), kind: *kind }).collect()
    }

    async fn apply(&self, step: &PutToSleep, _: &Begun, _: &dyn Progress) -> Result<(), Fault> {
        if step.kind != UnitKind::App {
            return self.units.remove(&step.unit).await;
        }
        // Whoever comes now is not sent to a process that is about to go: such a request could not be repeated.
        let _ = self.routes.rest(&step.unit, AWAY).await;
        self.units.remove(&step.unit).await?;
        // From now on it is refused by the port itself, and tried again.
        let _ = self.routes.wake(&step.unit).await;
        Ok(())
    }
}
