//! MongoDB of one environment, from an empty folder to a replica set of one where each app has its own small user.
//!
//! ```text
//!   no data ─► first boot: no port, only a socket file in a 0700 folder ─► admin exists, noted ─► boot on the loopback port
//!              (mongod lets anybody who reaches it create the first                               TLS, replica set, roles,
//!               user: here, only we can reach it)                                                 users
//! ```
//!
//! After that it is looking and comparing: files, certificate, process, replica set, roles, users, and whether each password
//! still logs in. Apps have passwords; our own users show certificates, whose keys are in memory.
//!
//! **Invariant:** mongod never listens on a port before its administrator exists, nor ever without TLS, and data whose users no
//! authority of ours has made is left alone.

mod place;
mod configuration;
pub(crate) mod certificate;
pub(crate) mod observe;
mod whose;
mod users;
mod plan;
mod apply;
pub(crate) mod own_users;
pub(crate) mod roles;
pub(crate) mod rights;
pub(crate) mod client;
pub(crate) mod handshake;
pub mod sample;
pub(crate) mod url;
pub mod collections;

use std::sync::Arc;

use manifest::environment;
use manifest::id::AppName;
use mongodb::Client;
use reconcile::Begun;
use reconcile::{Fault, Progress, Resource, ResourceId};
use secrets::SecretName;

pub use certificate::Certificate;
pub(crate) use client::{Address, Trust, code, command, connect, hello, is_refusal};
pub use client::{Identity, MongoFault};
pub use observe::{Files, Observed, Server, Serving};
pub use own_users::OwnUser;
pub use place::Mode;
pub use plan::Step;
pub use rights::RoleKey;
pub use roles::UserKey;
pub use url::mongo_url;
pub use users::{Users, WrongUser};
pub use whose::Guard;

use crate::Ground;
use crate::engines::Engine;
use client::KeptClient;
use place::Place;

/// Name of the unit, the resource and the log.
pub const UNIT: &str = "mongodb";
/// The replica set: change streams and transactions need one, even of one.
pub const REPLICA_SET: &str = "roadbed";
/// An app's password.
pub fn app_secret(app: &AppName) -> SecretName {
    SecretName::new(format!("mongodb/app-{app}"))
}

/// Takes back that the administrator is known to exist, where there is no data that could know it: the next start is a first
/// boot again, which opens no port before there is an administrator.
pub fn expect_no_data(root: &reconcile::Root) -> host::files::Result<()> {
    host::files::remove(&place::guarded_mark(root))
}

/// What members of a replica set know each other by. There is one member, and mongod insists.
fn key_secret() -> SecretName {
    SecretName::new("mongodb/keyfile")
}

/// MongoDB as a resource.
#[derive(Debug)]
pub struct Mongo {
    id: ResourceId,
    needs: Vec<ResourceId>,
    place: Place,
    engine: Arc<Engine>,
    ground: Ground,
    admin: KeptClient,
}

impl Mongo {
    /// `port` is the loopback port to serve on, remembered by the caller.
    pub fn new(settings: environment::MongoDb, port: u16, engine: Arc<Engine>, ground: Ground) -> Self {
        let needs = vec![engine.id().clone()];
        let place = Place::new(&ground.root, port, settings, ground.require.clone());
        Self { id: ResourceId::new(UNIT), needs, place, engine, ground, admin: KeptClient::default() }
    }

    /// Where the server listens, and by what we recognise it.
    fn address(&self) -> Result<Address, Fault> {
        let trust = Trust::Authorities(self.ground.trusted()?.unwrap_or_default());
        Ok(Address::Port { port: self.place.port, trust })
    }

    /// Our administrator on the server's port: one connection for all that is asked.
    fn admin(&self) -> Result<Client, Fault> {
        let log_in = || OwnUser::Administrator.client(&self.ground, self.place.port);
        self.admin.get(self.ground.clock.now(), log_in)
    }

    /// The next time it logs in anew.
    fn forget_admin(&self) {
        self.admin.forget();
    }

    /// Does a step. Public so that what needs no journal, a test, can do one.
    pub async fn perform(&self, step: &Step) -> Result<(), Fault> {
        apply::perform(self, step).await
    }
}

impl Resource for Mongo {
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
        seen.certificate == certificate::Certificate::Due
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
