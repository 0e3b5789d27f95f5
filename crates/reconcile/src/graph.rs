//! Which resource needs which.

use std::collections::BTreeSet;

use crate::converge::AnyResource;
use crate::{Fault, ResourceId};

/// Resources in an order in which each comes after what it needs.
#[derive(Debug, Default)]
pub struct Graph {
    ordered: Vec<Box<dyn AnyResource>>,
}

impl Graph {
    /// Orders the resources; refuses two of one name, a need that nobody meets, and a circle.
    pub fn new(resources: Vec<Box<dyn AnyResource>>) -> Result<Self, Fault> {
        let mut names = BTreeSet::new();
        for resource in &resources {
            if !names.insert(resource.id().clone()) {
                return Err(Fault::new(format!("two resources are called {}", resource.id())));
            }
        }
        for resource in &resources {
            if let Some(need) = resource.needs().iter().find(|need| !names.contains(need)) {
                return Err(Fault::new(format!("{} needs {need}, which does not exist", resource.id())));
            }
        }
        let mut ordered: Vec<Box<dyn AnyResource>> = Vec::with_capacity(resources.len());
        let mut placed: BTreeSet<ResourceId> = BTreeSet::new();
        let mut rest = resources;
        while !rest.is_empty() {
            let (ready, waiting): (Vec<_>, Vec<_>) =
                rest.into_iter().partition(|resource| resource.needs().iter().all(|need| placed.contains(need)));
            if ready.is_empty() {
                let circle: Vec<_> = waiting.iter().map(|resource| resource.id().as_str()).collect();
                return Err(Fault::new(format!("these resources need each other in a circle: {}", circle.join(", "))));
            }
            placed.extend(ready.iter().map(|resource| resource.id().clone()));
            ordered.extend(ready);
            rest = waiting;
        }
        Ok(Self { ordered })
    }

    pub fn in_order(&self) -> impl Iterator<Item = &dyn AnyResource> {
        self.ordered.iter().map(Box::as_ref)
    }
}
