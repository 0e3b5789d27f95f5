//! Units that nothing in the manifest wants any more: stopped last, when what replaces them serves.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use reconcile::ports::{UnitKind, Units};
use reconcile::{Begun, Fault, Progress, Resource, ResourceId};

/// Apps and stores that run and are not wanted.
#[derive(Debug)]
pub struct Leftovers {
    id: ResourceId,
    needs: Vec<ResourceId>,
    wanted: BTreeSet<String>,
    units: Arc<dyn Units>,
}

impl Leftovers {
    pub fn resource_id() -> ResourceId {
        ResourceId::new("leftovers")
    }

    /// `wanted` are the names of all units that stay.
    pub fn new(needs: Vec<ResourceId>, wanted: BTreeSet<String>, units: Arc<dyn Units>) -> Self {
        Self { id: Self::resource_id(), needs, wanted, units }
    }
}

/// Stop a unit. Its data stays.
#[derive(Debug)]
pub struct Stop {
    unit: String,
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stop {}, which is no longer wanted", self.unit)
    }
}

impl Resource for Leftovers {
    /// Units that run and are not wanted.
    type Observed = Vec<String>;
    type Step = Stop;

    fn id(&self) -> &ResourceId {
        &self.id
    }

    fn needs(&self) -> &[ResourceId] {
        &self.needs
    }

    async fn observe(&self) -> Result<Vec<String>, Fault> {
        let units = self.units.list().await?;
        let may_go = |kind| matches!(kind, UnitKind::App | UnitKind::Store);
        Ok(units
            .into_iter()
            .filter(|unit| may_go(unit.kind) && !self.wanted.contains(&unit.name))
            .map(|unit| unit.name)
            .collect())
    }

    fn plan(&self, unwanted: &Vec<String>) -> Vec<Stop> {
        unwanted.iter().map(|unit| Stop { unit: unit.clone() }).collect()
    }

    async fn apply(&self, step: &Stop, _: &Begun, _: &dyn Progress) -> Result<(), Fault> {
        self.units.remove(&step.unit).await
    }
}
