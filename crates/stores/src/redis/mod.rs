//! Redis of one environment: the users exist in its ACL file before it is started for the first time.
//!
//! ```text
//!   redis.conf ──► another one: restart        users.acl ──► another one: ACL LOAD on the living server
//! ```
//!
//! **Invariant:** redis-server never runs with its `default` user on, and its files hold digests of passwords, never passwords.

pub(crate) mod acl;
mod apply;
mod client;
mod configuration;
pub(crate) mod observe;
mod place;
mod plan;
mod url;

use std::sync::Arc;

use manifest::environment;
use manifest::id::AppName;
use reconcile::{Begun, Fault, Progress, Resource, ResourceId};
use secrets::SecretName;

pub(crate) use client::{Identity, RedisFault, connect, is_refusal};
pub use observe::{Observed, Server};
pub use plan::Step;
pub use url::redis_url;

use crate::Ground;
use crate::engines::Engine;
use place::Place;

/// Name of the unit, the resource and the log.
pub const UNIT: &str = "redis";
/// Our own user: loads the ACL, looks at figures, and can read no key.
pub const ADMIN: &str = "roadbed";

pub fn admin_secret() -> SecretName {
    SecretName::new("redis/admin")
}

/// An app's password.
pub fn app_secret(app: &AppName) -> SecretName {
    SecretName::new(format!("redis/app-{app}"))
}

/// Redis as a resource.
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
    pub fn new(settings: environment::Redis, port: u16, engine: Arc<Engine>, ground: Ground) -> Self {
        let needs = vec![engine.id().clone()];
        let place = Place::new(&ground.root, port, settings, ground.require.clone());
        Self { id: ResourceId::new(UNIT), needs, place, engine, ground }
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

    fn can_drift(&self) -> bool {
        true
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
