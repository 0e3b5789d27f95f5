//! MongoDB of one environment, from an empty folder to a replica set where each app has its own small user.
//!
//! ```text
//!   no data ─► boot on the loopback port, with TLS: ─► replica set ─► administrator, ─► our users, roles, users of apps
//!              nobody local may make the first user     by the server's own user,
//!                                                       who has the key of the set
//! ```
//!
//! Where the manifest wants more than one, `members` makes the set grow and keeps it.
//!
//! After that it is looking and comparing: files, process, replica set, role, users, and whether each password still logs in.
//!
//! **Invariant:** mongod never listens where somebody without a certificate, a password or the key of its set may do anything, nor
//! ever without TLS; and data whose users no authority of ours has made is left alone.

mod place;
mod version;
mod configuration;
pub(crate) mod certificate;
pub(crate) mod observe;
mod whose;
mod users;
mod plan;
pub(crate) mod app_users;
mod apply;
pub mod members;
mod provider;
pub mod external;
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
use reconcile::{Event, Fault, Progress, Resource, ResourceId};
use secrets::SecretName;

pub(crate) use certificate::fingerprints;
pub use certificate::{Certificate, Shows};
pub(crate) use client::{Address, Trust, code, command, connect, hello, is_refusal};
pub use client::{Identity, MongoFault};
pub use external::ExternalMongo;
pub use members::Members;
pub use observe::{Files, Observed, Server, Serving};
pub use own_users::OwnUser;
pub use plan::Step;
pub use provider::Provider;
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

/// Takes back that the administrator is known to exist, where there is no data that could know it.
pub fn expect_no_data(root: &reconcile::Root) -> host::files::Result<()> {
    host::files::remove(&place::guarded_mark(root))
}

/// What members of a replica set know each other by. Where there is one member, mongod insists all the same.
pub(crate) fn key_secret() -> SecretName {
    SecretName::new("mongodb/keyfile")
}

/// MongoDB as a resource.
#[derive(Debug)]
pub struct Mongo {
    id: ResourceId,
    needs: Vec<ResourceId>,
    place: Place,
    /// The further members of its replica set.
    others: Vec<Place>,
    members: Members,
    engine: Arc<Engine>,
    ground: Ground,
    admin: KeptClient,
}

impl Mongo {
    /// `members` are the loopback ports to serve on, remembered by the caller.
    pub fn new(
        settings: environment::MongoDb,
        members: impl Into<Members>,
        engine: Arc<Engine>,
        ground: Ground,
    ) -> Self {
        let (needs, members) = (vec![engine.id().clone()], members.into());
        let place = |(number, port)| Place::new(&ground.root, number, port, settings.clone(), ground.require.clone());
        let place_of_first = place((1, members.first()));
        let others = (2..).zip(members.ports().iter().skip(1).copied()).map(place).collect();
        let admin = KeptClient::default();
        Self { id: ResourceId::new(UNIT), needs, place: place_of_first, others, members, engine, ground, admin }
    }

    /// Where a member listens, and by what we recognise it.
    fn address_of(&self, port: u16) -> Result<Address, Fault> {
        Ok(Address::Port { port, trust: Trust::of(&self.ground)? })
    }

    /// Our administrator where it can change something: one connection for all that is asked, for as long as nobody else becomes
    /// primary.
    async fn admin(&self) -> Result<Client, Fault> {
        self.admin_at(self.members.primary(&self.ground).await?)
    }

    /// Our administrator at one member.
    fn admin_at(&self, port: u16) -> Result<Client, Fault> {
        let log_in = || OwnUser::Administrator.client(&self.ground, port);
        self.admin.get(port, self.ground.clock.now(), log_in)
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

    fn drift(&self, seen: &Observed) -> Vec<String> {
        let folder = |number| self.place_of(number, 0).data.display().to_string();
        seen.set.as_ref().map(|set| members::drift(set, folder)).unwrap_or_default()
    }

    async fn apply(&self, step: &Step, _begun: &Begun, progress: &dyn Progress) -> Result<(), Fault> {
        self.perform(step).await?;
        if let Step::Member(members::Step::Remove { number, port }) = step {
            let place = self.place_of(*number, *port);
            let folder = place.data.display();
            let note =
                format!("{} has left the replica set; what it held stays in {folder} until you remove it", place.name);
            progress.emit(Event::Noted { note });
        }
        Ok(())
    }
}
