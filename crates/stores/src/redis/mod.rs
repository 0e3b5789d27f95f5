//! Redis of one environment, a process for each purpose: the users exist in its ACL file before it is started for the first time.
//!
//! ```text
//!   redis.conf ──► another one: restart        users.acl ──► another one: ACL LOAD on the living server
//! certificate.pem ──► another one: CONFIG SET on the living server, which keeps its connections
//! ```
//!
//! **Invariant:** redis-server never runs with its `default` user on, and its files hold digests of passwords, never passwords:
//! but for the one by which members of a group know each other, which Redis wants to read.
//! It speaks TLS and nothing else.

pub(crate) mod acl;
mod apply;
mod certificate;
mod client;
pub(crate) mod configuration;
pub(crate) mod door;
pub mod external;
pub(crate) mod observe;
mod membership;
mod place;
mod plan;
mod purpose;
pub(crate) mod replication;
pub mod rest;
mod restoring;
mod url;

use std::path::PathBuf;
use std::sync::Arc;

use reconcile::{Begun, Fault, Progress, Resource, ResourceId, Root};
use secrets::SecretName;

pub(crate) use client::{RedisFault, is_refusal};
pub use door::{Door, Identity};
pub use external::ExternalRedis;
pub(crate) use membership::GROUP;
pub use membership::primary;
pub use observe::{Observed, Server};
pub use plan::Step;
pub use purpose::{Purpose, Settings};
pub use replication::Replication;
pub use restoring::Restorer;
pub use url::redis_url;

use crate::Ground;
use crate::engines::Engine;
use place::Place;

/// Our own user: loads the ACL, looks at figures, and can read no key.
pub const ADMIN: &str = "roadbed";

/// The password by which members and sentinels know each other.
pub(crate) fn member_secret() -> SecretName {
    SecretName::new("redis/member")
}

/// Who the edges are, where they count limits together.
pub const EDGE: &str = "edge";

/// Their password.
pub fn edge_secret() -> SecretName {
    SecretName::new("redis/edge")
}

/// What their keys begin with: beside those of the apps, which may touch none of them.
pub fn prefix_of_edge(key_prefix: &str) -> String {
    format!("edge:{key_prefix}")
}

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
    /// Ports of all that hold the same, by number.
    members: Vec<u16>,
    engine: Arc<Engine>,
    ground: Ground,
}

impl Redis {
    /// `port` is the loopback port to serve on, remembered by the caller.
    pub fn new(settings: Settings, port: u16, engine: Arc<Engine>, ground: Ground) -> Self {
        let needs = vec![engine.id().clone()];
        let id = ResourceId::new(settings.unit());
        let place = Place::new(&ground.root, port, settings, ground.require.clone());
        Self { id, needs, place, members: vec![port], engine, ground }
    }

    /// One of several. `all` is every Redis of the environment, with its port.
    #[must_use]
    pub fn among(mut self, all: &[(Settings, u16)]) -> Self {
        let durable = all.iter().filter(|(settings, _)| settings.purpose == Purpose::Durable);
        self.members = durable.clone().map(|(_, port)| *port).collect();
        if self.purpose() == Purpose::Sentinel {
            self.needs.extend(durable.map(|(settings, _)| ResourceId::new(settings.unit())));
        }
        self
    }

    pub(crate) fn purpose(&self) -> Purpose {
        self.place.settings.purpose
    }

    /// The loopback port that it serves on.
    pub fn port(&self) -> u16 {
        self.place.port
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

    fn is_due(&self, seen: &Observed) -> bool {
        !seen.certificate && seen.configuration && seen.users && seen.runs
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
