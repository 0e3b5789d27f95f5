//! Processes that are started ahead of their turn: an app that needs another one boots while that one does.
//!
//! It calls the other by way of the edge, which waits for who is not there yet. Whether it is ready is asked later, when what it
//! needs is ready: until then a "no" would mean nothing.

use std::fmt;
use std::sync::Arc;

use manifest::environment::App;
use reconcile::{Begun, Fault, Progress, Resource, ResourceId};

use crate::instance::{Fleet, Instances};

/// The instances of an app as processes, whether they are ready or not.
#[derive(Debug)]
pub struct Started {
    id: ResourceId,
    needs: Vec<ResourceId>,
    instances: Arc<Instances>,
}

/// Start one that does not exist. What exists is left to [`Instances`], which replaces it in its turn.
#[derive(Debug)]
pub struct Start {
    instance: String,
}

impl fmt::Display for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "start {}", self.instance)
    }
}

impl Started {
    pub fn resource_id(app: &App, fleet: Fleet) -> ResourceId {
        ResourceId::new(format!("{}/started", Instances::resource_id(app, fleet)))
    }

    /// `needs` is less than the instances themselves need: all without which the process could not even begin.
    pub fn new(needs: Vec<ResourceId>, instances: Arc<Instances>) -> Self {
        Self { id: Self::resource_id(&instances.app, instances.fleet), needs, instances }
    }
}

impl Resource for Started {
    /// The instances that do not exist.
    type Observed = Vec<String>;
    type Step = Start;

    fn id(&self) -> &ResourceId {
        &self.id
    }

    fn needs(&self) -> &[ResourceId] {
        &self.needs
    }

    async fn observe(&self) -> Result<Vec<String>, Fault> {
        let units = self.instances.units.list().await?;
        let mut names = self.instances.names();
        names.retain(|name| units.iter().all(|unit| unit.name != *name));
        Ok(names)
    }

    fn plan(&self, missing: &Vec<String>) -> Vec<Start> {
        missing.iter().map(|instance| Start { instance: instance.clone() }).collect()
    }

    async fn apply(&self, step: &Start, _: &Begun, _: &dyn Progress) -> Result<(), Fault> {
        self.instances.start(&step.instance).await
    }
}
