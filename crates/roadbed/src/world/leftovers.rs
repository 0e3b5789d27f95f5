//! Units that nothing in the manifest wants any more: stopped last, when what replaces them serves and nobody is sent to them.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use engine::resting::{self, Leave};
use futures_util::future::try_join_all;
use reconcile::ports::{Routes, UnitKind, Units};
use reconcile::{Begun, Fault, Progress, Resource, ResourceId};

/// Apps and stores that run and are not wanted.
#[derive(Debug)]
pub struct Leftovers {
    id: ResourceId,
    needs: Vec<ResourceId>,
    wanted: BTreeSet<String>,
    units: Arc<dyn Units>,
    routes: Arc<dyn Routes>,
    leave: Leave,
}

impl Leftovers {
    pub fn resource_id() -> ResourceId {
        ResourceId::new("leftovers")
    }

    /// `wanted` are the names of all units that stay. Apps among the others have that long to end what they have under way.
    pub fn new(
        needs: Vec<ResourceId>,
        wanted: BTreeSet<String>,
        units: Arc<dyn Units>,
        routes: Arc<dyn Routes>,
        leave: Leave,
    ) -> Self {
        Self { id: Self::resource_id(), needs, wanted, units, routes, leave }
    }
}

/// What is done with units that nobody wants. Their data stays.
#[derive(Debug)]
pub enum Step {
    /// All at the same time, once what they have under way has ended.
    StopApps {
        units: Vec<String>,
    },
    StopStore {
        unit: String,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::StopApps { units } if units.len() > 1 => {
                write!(f, "stop {}, which are no longer wanted", units.join(", "))
            }
            Self::StopApps { units } => write!(f, "stop {}, which is no longer wanted", units.concat()),
            Self::StopStore { unit } => write!(f, "stop {unit}, which is no longer wanted"),
        }
    }
}

impl Resource for Leftovers {
    /// Units that run and are not wanted.
    type Observed = Vec<(String, UnitKind)>;
    type Step = Step;

    fn id(&self) -> &ResourceId {
        &self.id
    }

    fn needs(&self) -> &[ResourceId] {
        &self.needs
    }

    async fn observe(&self) -> Result<Self::Observed, Fault> {
        let units = self.units.list().await?;
        let may_go = |kind| matches!(kind, UnitKind::App | UnitKind::Store);
        Ok(units
            .into_iter()
            .filter(|unit| may_go(unit.kind) && !self.wanted.contains(&unit.name))
            .map(|unit| (unit.name, unit.kind))
            .collect())
    }

    fn plan(&self, unwanted: &Self::Observed) -> Vec<Step> {
        let (apps, stores): (Vec<_>, Vec<_>) = unwanted.iter().partition(|(_, kind)| *kind == UnitKind::App);
        let units: Vec<String> = apps.into_iter().map(|(unit, _)| unit.clone()).collect();
        let apps = (!units.is_empty()).then_some(Step::StopApps { units });
        apps.into_iter().chain(stores.into_iter().map(|(unit, _)| Step::StopStore { unit: unit.clone() })).collect()
    }

    async fn apply(&self, step: &Step, _: &Begun, _: &dyn Progress) -> Result<(), Fault> {
        match step {
            Step::StopApps { units } => {
                resting::empty(self.routes.as_ref(), units, self.leave).await;
                try_join_all(units.iter().map(|unit| self.units.remove(unit))).await.map(drop)
            }
            Step::StopStore { unit } => self.units.remove(unit).await,
        }
    }
}
