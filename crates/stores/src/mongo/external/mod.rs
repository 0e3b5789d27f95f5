//! MongoDB of one environment on a server that somebody else runs: its database, the apps' users and their role, and nothing else.
//!
//! ```text
//!   secret store ─► address ─► door: there? TLS? believed? ─► login ─► set, version, rights of ours ─► role, users ─► collections
//!                     what cannot be is said, with what to do: nothing here is ours to start or to set
//! ```
//!
//! We are the administrator whom the address names. Users of ours carry the mark of our authority: two roots of one environment
//! find each other there instead of taking turns with the passwords.
//!
//! **Invariant:** nothing outside the environment's own database is looked at or changed, and in it no user and no role that does
//! not carry our mark or our name.

mod address;
mod apply;
pub(crate) mod look;
mod plan;

use manifest::environment;
use manifest::id::AppName;
use mongodb::Client;
use mongodb::options::{ClientOptions, ServerAddress};
use reconcile::{Begun, Fault, Progress, Resource, ResourceId};

pub(crate) use address::Address;
pub use address::WrongAddress;
pub use look::Observed;
pub(crate) use look::servers_met;
pub use plan::Step;

use super::client::{Identity, KeptClient, MongoFault, Trust, connect};
use super::observe::asking;
use super::roles::UserKey;
use super::{UNIT, client};
use crate::Ground;
use crate::external::{self, External, Place};
use crate::ground::Slot;

/// Somebody else's MongoDB as a resource.
#[derive(Debug)]
pub struct ExternalMongo {
    id: ResourceId,
    settings: environment::MongoDb,
    external: External,
    ground: Ground,
    admin: KeptClient,
}

/// Who an app is there with odd versions of its password, and with even ones.
pub fn names_of_app(settings: &environment::MongoDb, app: &AppName) -> [String; 2] {
    Slot::ALL.map(|slot| UserKey::app(settings, app, slot).name)
}

/// How a server is reached that is not ours: as its address says, without the login.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    pub(super) options: ClientOptions,
    /// By what it is recognised; `None`: in the clear, which is for this machine alone.
    pub(super) trust: Option<Trust>,
}

impl ExternalMongo {
    pub fn new(settings: environment::MongoDb, external: External, ground: Ground) -> Self {
        Self { id: ResourceId::new(UNIT), settings, external, ground, admin: KeptClient::default() }
    }

    async fn admin(&self) -> Result<Client, Fault> {
        let now = self.ground.clock.now();
        if let Some(kept) = self.admin.kept(0, now) {
            return Ok(kept);
        }
        let elsewhere = client::Address::Elsewhere(Box::new(elsewhere(&self.ground, &self.external).await?));
        let client = connect(&elsewhere, Identity::OfAddress).map_err(|fault| explain(asking(&fault)))?;
        self.admin.keep(0, now, &client);
        Ok(client)
    }

    /// Does a step. Public so that what needs no journal, a test, can do one.
    ///
    /// # Errors
    /// Where the server does not let us.
    pub async fn perform(&self, step: &Step) -> Result<(), Fault> {
        apply::perform(self, step).await.map_err(explain)
    }
}

impl Resource for ExternalMongo {
    type Observed = Observed;
    type Step = Step;

    fn id(&self) -> &ResourceId {
        &self.id
    }

    fn needs(&self) -> &[ResourceId] {
        &[]
    }

    fn can_drift(&self) -> bool {
        true
    }

    async fn observe(&self) -> Result<Observed, Fault> {
        look::observe(self).await
    }

    fn plan(&self, seen: &Observed) -> Vec<Step> {
        plan::plan(seen)
    }

    fn drift(&self, seen: &Observed) -> Vec<String> {
        plan::drift(seen)
    }

    async fn apply(&self, step: &Step, _begun: &Begun, _progress: &dyn Progress) -> Result<(), Fault> {
        self.perform(step).await
    }
}

/// What is wrong with an address that somebody wants to set; `None` if it can be used.
pub fn wrong(address: &str) -> Option<WrongAddress> {
    Address::read(address).err()
}

/// Where somebody without a login knocks.
///
/// # Errors
/// Where the address is missing or wrong.
pub fn place(external: &External, ground: &Ground) -> Result<Place, Fault> {
    let address = read(ground)?;
    let (servers, srv) = match address.is_looked_up() {
        true => (Vec::new(), Some(address.hosts().to_owned())),
        false => (address.hosts().split(',').map(with_port).collect(), None),
    };
    Ok(Place { servers, srv, is_encrypted: address.is_encrypted, ca: external.ca.clone() })
}

fn with_port(host: &str) -> String {
    let names_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    if names_port { host.to_owned() } else { format!("{host}:27017") }
}

/// The address that was set, without its login.
pub(crate) fn read(ground: &Ground) -> Result<Address, Fault> {
    Address::read(external::address(ground, UNIT)?.expose()).map_err(|wrong| unusable(ground, wrong.to_string()))
}

fn unusable(ground: &Ground, why: String) -> Fault {
    Fault::new(format!("cannot use the address of mongodb, {}", external::address_secret(UNIT)))
        .cause(why)
        .hint(format!("`{}` sets another, read from stdin", external::set(ground, UNIT)))
}

/// How the server is reached. Asks the name service where the address is a name for several servers.
pub(crate) async fn elsewhere(ground: &Ground, external: &External) -> Result<Elsewhere, Fault> {
    let address = read(ground)?;
    let authorities = external.authorities()?;
    let mut options = Address::resolve(&external::address(ground, UNIT)?).await.map_err(|error| {
        // The text was read already; only what the name service says is new.
        Fault::because(format!("cannot find the servers of mongodb at {}", address.hosts()), &MongoFault::from(error))
            .hint(format!("see whether the name is right; `{}` sets another", external::set(ground, UNIT)))
            .retry_safe()
    })?;
    options.app_name = Some("roadbed".to_owned());
    options.connect_timeout = Some(external::TIMEOUT);
    options.server_selection_timeout = Some(external::TIMEOUT);
    options.max_pool_size = Some(4);
    options.min_pool_size = None;
    let trust = authorities.map_or(Trust::PublicAuthorities, Trust::Authorities);
    Ok(Elsewhere { options, trust: address.is_encrypted.then_some(trust) })
}

impl Elsewhere {
    /// Every server of it that is known before the first answer.
    pub(crate) fn servers(&self) -> Vec<(String, u16)> {
        let server = |server: &ServerAddress| match server {
            ServerAddress::Tcp { host, port } => Some((host.clone(), port.unwrap_or(27017))),
            _ => None,
        };
        self.options.hosts.iter().filter_map(server).collect()
    }
}

/// The same with a hint that holds where the log is somebody else's.
pub(crate) fn explain(mut fault: Fault) -> Fault {
    if fault.hint.as_deref() == Some("see `roadbed logs mongodb`") {
        fault.hint = Some("it is somebody else's server: see what its provider shows of it".to_owned());
    }
    fault
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_has_the_usual_port_where_it_names_none() {
        for (host, expected) in [
            ("db.example", "db.example:27017"),
            ("db.example:27018", "db.example:27018"),
            ("[::1]", "[::1]:27017"),
            ("[::1]:27018", "[::1]:27018"),
        ] {
            assert_eq!(with_port(host), expected);
        }
    }
}
