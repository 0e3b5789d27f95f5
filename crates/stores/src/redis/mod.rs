//! Redis of one environment, a process for each purpose: the users exist in its ACL file before it is started for the first time.
//!
//! ```text
//!   redis.conf ──► another one: restart        users.acl ──► another one: ACL LOAD on the living server
//! certificate.pem ──► another one: CONFIG SET on the living server, which keeps its connections
//! ```
//!
//! **Invariant:** redis-server never runs with its `default` user on, and its files hold digests of passwords, never passwords.
//! It speaks TLS and nothing else.

pub(crate) mod acl;
mod apply;
mod certificate;
mod client;
pub(crate) mod configuration;
pub(crate) mod door;
pub(crate) mod observe;
mod place;
mod plan;
mod purpose;
mod url;

use std::path::PathBuf;
use std::sync::Arc;

use reconcile::{Begun, Fault, Progress, Resource, ResourceId, Root};

pub(crate) use client::{RedisFault, is_refusal};
pub use door::{Door, Identity};
pub use observe::{Observed, Server};
pub use plan::Step;
pub use purpose::{Purpose, Settings};
pub use url::redis_url;

use crate::Ground;
use crate::engines::Engine;
use place::Place;

/// Our own user: loads the ACL, looks at figures, and can read no key.
pub const ADMIN: &str = "roadbed";

/// Where an environment's Redis has, in PEM, the authorities by which its clients know it.
pub fn authorities_file(root: &Root) -> PathBuf {
    place::authorities_file(&root.conf().join(Purpose::Durable.unit()))
}

/// One Redis as a resource.
#[derive(Debug)]
pub struct Redis {
    id: ResourceId,
    needs: Vec<ResourceId>,
    place: Place,
    engine: Arc<Engine>,
    ground: Ground,
}

impl Redis {
    /// `port` is the loopback port to serve on, remembered by the caller.
    pub fn new(settings: Settings, port: u16, engine: Arc<Engine>, ground: Ground) -> Self {
        let needs = vec![engine.id().clone()];
        let id = ResourceId::new(settings.purpose.unit());
        let place = Place::new(&ground.root, port, settings, ground.require.clone());
        Self { id, needs, place, engine, ground }
    }

    /// Does a step. Public so that what needs no journal, a test, can do one.
    pub async fn perform(&self, step: &Step) -> Result<(), Fault> {
        apply::perform(self, step).await
    }
}

impl Resource for Redis {
    type Observed = Observed;
    type Step = Step;

    fn id(&self) -> &ResourceId {
        &self.id
    }

    fn needs(&self) -> &[ResourceId] {
        &self.needs
    }

    async fn observe(&self) -> Result<Observed, Fault> {
        observe::observe(self).await
    }

    fn plan(&self, seen: &Observed) -> Vec<Step> {
        plan::plan(seen)
    }

    async fn apply(&self, step: &Step, _begun: &Begun, _progress: &dyn Progress) -> Result<(), Fault> {
        self.perform(step).await
    }
}
