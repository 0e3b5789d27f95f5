//! Redis of one environment on a server that somebody else runs: users whose names and keys begin as the environment's, and
//! nothing else.
//!
//! ```text
//!   secret store ─► address ─► door: there? TLS? believed? ─► login ─► version, role, rights of ours ─► users, one by one
//!                                                                        └─► memory, eviction, persistence: compared and told
//! ```
//!
//! A server keeps no notes about users. So there is one as whom nobody can log in, and its digest is that of our authority: two
//! roots of one environment find each other by it instead of taking turns with the passwords.
//!
//! **Invariant:** no user is put or taken away whose name does not begin as the environment's keys do, and no parameter is set.

mod address;
mod apply;
mod look;
mod plan;
mod upstash;

use ::redis::aio::MultiplexedConnection;
use manifest::id::AppName;
use reconcile::{Begun, Event, Fault, Progress, Resource, ResourceId};
use secrets::{Secret, Versioned};
use serde::{Deserialize, Serialize};

pub(crate) use address::Address;
pub use address::WrongAddress;
pub use look::Observed;
pub(crate) use look::{Figures, told};
pub use plan::Step;

use super::door::{Door, Identity};
use super::{RedisFault, Settings, acl};
use crate::Ground;
use crate::external::{self, Dialect, External, Place};
use crate::ground::{Slot, user_of};

/// Somebody else's Redis as a resource.
#[derive(Debug)]
pub struct ExternalRedis {
    id: ResourceId,
    needs: Vec<ResourceId>,
    settings: Settings,
    external: External,
    ground: Ground,
}

impl ExternalRedis {
    pub fn new(settings: Settings, external: External, ground: Ground) -> Self {
        Self { id: ResourceId::new(settings.unit()), needs: Vec::new(), settings, external, ground }
    }

    /// After what orders it.
    #[must_use]
    pub fn after(self, ordered: ResourceId) -> Self {
        Self { needs: vec![ordered], ..self }
    }

    /// Whether users can be lent there, of whose passwords only a digest is written down.
    pub(crate) fn takes_digests(&self) -> bool {
        self.external.dialect != Dialect::Upstash
    }

    /// Our administrator; the inner result is what the server said.
    pub(crate) async fn enter(&self) -> Result<Result<MultiplexedConnection, RedisFault>, Fault> {
        let address = read(&self.ground, &self.settings.unit())?;
        let door = Door::elsewhere(&address, &self.external, &self.ground)?;
        Ok(door.enter(Identity::User { name: &address.user, password: &address.password }).await)
    }

    /// As [`Self::enter`], where whatever goes wrong is a fault.
    pub(crate) async fn admin(&self) -> Result<MultiplexedConnection, Fault> {
        match self.enter().await? {
            Ok(connection) => Ok(connection),
            Err(fault) => Err(look::why_not(self, &fault).await),
        }
    }

    /// Where a client on this machine finds by whom the server is recognised; `None`: by public authorities.
    pub fn authorities_file(&self) -> Option<std::path::PathBuf> {
        self.external.ca.clone()
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Does a step. Public so that what needs no journal, a test, can do one.
    ///
    /// # Errors
    /// Where the server does not let us.
    pub async fn perform(&self, step: &Step) -> Result<(), Fault> {
        apply::perform(self, step).await.map(drop)
    }
}

impl Resource for ExternalRedis {
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
        match self.external.dialect {
            Dialect::Upstash => upstash::observe(self).await,
            Dialect::Plain | Dialect::Atlas => look::observe(self).await,
        }
    }

    fn plan(&self, seen: &Observed) -> Vec<Step> {
        plan::plan(seen)
    }

    fn drift(&self, seen: &Observed) -> Vec<String> {
        seen.otherwise.iter().map(|what| format!("{what}; only its provider can change that")).collect()
    }

    async fn apply(&self, step: &Step, _begun: &Begun, progress: &dyn Progress) -> Result<(), Fault> {
        if apply::perform(self, step).await? == apply::Kept::UntilItStarts {
            let unit = self.settings.unit();
            let note = format!(
                "the external {unit} keeps users in memory alone: when it starts again, `roadbed up` has to make them anew"
            );
            progress.emit(Event::Noted { note });
        }
        Ok(())
    }
}

/// What is wrong with an address that somebody wants to set; `None` if it can be used.
pub fn wrong(address: &str) -> Option<WrongAddress> {
    Address::read(address).err()
}

/// The address of a service that was set, `redis` or `redis-cache`.
pub(crate) fn read(ground: &Ground, service: &str) -> Result<Address, Fault> {
    Address::read(external::address(ground, service)?.expose()).map_err(|wrong| {
        Fault::new(format!("cannot use the address of {service}, {}", external::address_secret(service)))
            .cause(wrong.to_string())
            .hint(format!("`{}` sets another, read from stdin", external::set(ground, service)))
    })
}

/// The connection string of an app's own user.
///
/// # Errors
/// Where the address is missing or wrong.
pub fn app_url(settings: &Settings, app: &AppName, password: &Versioned, ground: &Ground) -> Result<Secret, Fault> {
    url(settings, &user_of(app, Slot::of(password.version)), &password.secret, ground)
}

/// As [`app_url`], of any user, by the name that it would have at a server of ours.
pub(crate) fn url(settings: &Settings, name: &str, password: &Secret, ground: &Ground) -> Result<Secret, Fault> {
    Ok(read(ground, &settings.unit())?.of_user(&acl::name_elsewhere(settings, name), password))
}

/// Where a service is, for people and for who compares.
///
/// # Errors
/// Where the address is missing or wrong.
pub fn shown(settings: &Settings, ground: &Ground) -> Result<String, Fault> {
    Ok(read(ground, &settings.unit())?.shown())
}

/// Where somebody without a login knocks.
///
/// # Errors
/// Where the address is missing or wrong.
pub fn place(settings: &Settings, external: &External, ground: &Ground) -> Result<Place, Fault> {
    let address = read(ground, &settings.unit())?;
    let (servers, ca) = (vec![address.shown()], external.ca.clone());
    Ok(Place { servers, srv: None, is_encrypted: address.is_encrypted, ca })
}

/// Where a Redis at Upstash speaks its REST.
///
/// # Errors
/// Where the address is missing or wrong.
pub fn rest_url(ground: &Ground) -> Result<String, Fault> {
    Ok(format!("https://{}", read(ground, "redis")?.host))
}

/// The token by which an app speaks it, or one that reads alone.
///
/// # Errors
/// Where there is none yet.
pub fn rest_token(app: &AppName, password: &Versioned, reads: bool, ground: &Ground) -> Result<Secret, Fault> {
    upstash::token(app, password, reads, ground)
}

/// How somebody with a client of his own gets in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entrance {
    pub host: String,
    pub port: u16,
    pub is_encrypted: bool,
    pub user: String,
}

/// The entrance of a lent user.
///
/// # Errors
/// Where the address is missing or wrong.
pub fn entrance(settings: &Settings, lease: &str, ground: &Ground) -> Result<Entrance, Fault> {
    let Address { host, port, is_encrypted, .. } = read(ground, &settings.unit())?;
    Ok(Entrance { host, port, is_encrypted, user: acl::name_elsewhere(settings, lease) })
}
