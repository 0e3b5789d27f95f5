//! Whose MongoDB it is: a process of ours, or somebody else's. What differs between the two is here: the way in, and who we are
//! there.

use std::path::PathBuf;

use manifest::environment;
use manifest::id::AppName;
use mongodb::Client;
use reconcile::{Fault, Root};
use secrets::{Secret, Versioned};

use super::client::{Address, Identity, Trust, connect};
use super::observe::asking;
use super::{Members, OwnUser, UserKey, certificate, external, roles, url};
use crate::external::External;
use crate::ground::{Ground, Slot};

/// Who runs an environment's MongoDB.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provider {
    /// We do, on these ports of loopback.
    Ours(Members),
    /// Somebody else. Its address is in the secret store.
    External(External),
}

impl Provider {
    /// Our own servers.
    pub fn members(&self) -> Option<&Members> {
        match self {
            Self::Ours(members) => Some(members),
            Self::External(_) => None,
        }
    }

    /// Where changes are made.
    pub(crate) async fn address(&self, ground: &Ground) -> Result<Address, Fault> {
        match self {
            Self::Ours(members) => {
                Ok(Address::Port { port: members.primary(ground).await?, trust: Trust::of(ground)? })
            }
            Self::External(external) => Ok(Address::Elsewhere(Box::new(external::elsewhere(ground, external).await?))),
        }
    }

    /// As one of our users; at somebody else's server there is the administrator alone, who does what all of them do.
    ///
    /// # Errors
    /// Where no primary is found, or there is no authority yet that signs for the user.
    pub async fn client(&self, user: OwnUser, ground: &Ground) -> Result<Client, Fault> {
        match self {
            Self::Ours(members) => user.client(ground, members.primary(ground).await?),
            Self::External(_) => {
                connect(&self.address(ground).await?, Identity::OfAddress).map_err(|fault| self.explain(asking(&fault)))
            }
        }
    }

    /// The connection string of an app's own user.
    ///
    /// # Errors
    /// Where the address of somebody else's server is missing or wrong.
    pub fn app_url(
        &self,
        settings: &environment::MongoDb,
        app: &AppName,
        password: &Versioned,
        ground: &Ground,
    ) -> Result<Secret, Fault> {
        let user = UserKey::app(settings, app, Slot::of(password.version)).name;
        self.url(settings, &user, &password.secret, ground)
    }

    /// As [`Self::app_url`], of any user of the apps' database.
    pub(crate) fn url(
        &self,
        settings: &environment::MongoDb,
        user: &str,
        password: &Secret,
        ground: &Ground,
    ) -> Result<Secret, Fault> {
        match self {
            Self::Ours(members) => Ok(url::of_user(settings, user, members, password)),
            Self::External(_) => {
                let login = (user, roles::users_database(settings));
                Ok(external::read(ground)?.of_user(login, &settings.database, password, settings.pool))
            }
        }
    }

    /// Where a client on this machine finds by whom the server is recognised; `None`: by public authorities.
    pub(crate) fn authorities_file(&self, root: &Root) -> Option<PathBuf> {
        match self {
            Self::Ours(_) => Some(certificate::ca_file(root)),
            Self::External(external) => external.ca.clone(),
        }
    }

    /// Where it is, for people and for who compares: ports, or hosts.
    ///
    /// # Errors
    /// Where the address of somebody else's server is missing or wrong.
    pub fn shown(&self, ground: &Ground) -> Result<String, Fault> {
        match self {
            Self::Ours(members) => Ok(members.ports().iter().map(ToString::to_string).collect::<Vec<_>>().join(",")),
            Self::External(_) => Ok(external::read(ground)?.hosts().to_owned()),
        }
    }

    /// A fault, with a hint that holds for whoever runs the server.
    pub(crate) fn explain(&self, fault: Fault) -> Fault {
        match self {
            Self::Ours(_) => fault,
            Self::External(_) => external::explain(fault),
        }
    }
}

impl From<Members> for Provider {
    fn from(members: Members) -> Self {
        Self::Ours(members)
    }
}

impl From<u16> for Provider {
    fn from(port: u16) -> Self {
        Self::Ours(port.into())
    }
}

impl From<Vec<u16>> for Provider {
    fn from(ports: Vec<u16>) -> Self {
        Self::Ours(ports.into())
    }
}

impl From<&Members> for Provider {
    fn from(members: &Members) -> Self {
        Self::Ours(members.clone())
    }
}

impl From<&Self> for Provider {
    fn from(provider: &Self) -> Self {
        provider.clone()
    }
}
