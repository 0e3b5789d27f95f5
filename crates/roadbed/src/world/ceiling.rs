//! What all apps and data services of an environment may use together.

use std::fmt;

use manifest::Ceiling;
use reconcile::ports::Limits;
use reconcile::{Begun, Fault, Progress, Resource, ResourceId};

use crate::keeper::client::KeeperClient;

/// The limits of an environment as a whole, told to its keeper.
#[derive(Debug)]
pub(super) struct Together {
    id: ResourceId,
    limits: Limits,
    keeper: KeeperClient,
}

impl Together {
    pub(super) fn new(ceiling: Ceiling, keeper: KeeperClient) -> Self {
        let Ceiling { memory, processes, cpu } = ceiling;
        let limits = Limits { memory, processes, cpu, ..Limits::default() };
        Self { id: ResourceId::new("limits"), limits, keeper }
    }
}

/// Set them.
#[derive(Debug)]
pub(super) struct Cap(Limits);

impl fmt::Display for Cap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 == Limits::default() {
            true => f.write_str("let all units together use what there is"),
            false => f.write_str("cap what all units use together"),
        }
    }
}

impl Resource for Together {
    /// What the keeper was told.
    type Observed = Option<Limits>;
    type Step = Cap;

    fn id(&self) -> &ResourceId {
        &self.id
    }

    fn needs(&self) -> &[ResourceId] {
        &[]
    }

    async fn observe(&self) -> Result<Self::Observed, Fault> {
        Ok(self.keeper.together().await?.wanted)
    }

    fn plan(&self, known: &Self::Observed) -> Vec<Cap> {
        // A keeper that was told nothing caps nothing.
        if known.unwrap_or_default() == self.limits { Vec::new() } else { vec![Cap(self.limits)] }
    }

    async fn apply(&self, step: &Cap, _: &Begun, _: &dyn Progress) -> Result<(), Fault> {
        self.keeper.cap(&step.0).await
    }
}
