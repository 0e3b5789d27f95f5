//! Who runs a data service.

use crate::managed::Provider;
use crate::record::choice;

choice! {
    /// Who runs a data service.
    pub(crate) enum Driver {
        /// Roadbed: a process on this machine, with certificates and users of its own.
        Process = "process",
        /// Somebody else, such as a provider. Roadbed logs in there as the administrator that `roadbed secrets set` was told, makes
        /// the apps' users and what they need, and checks the rest.
        External = "external",
        /// Upstash, for Redis alone: Roadbed orders the database by the table `upstash`, then goes on as with `external`.
        Upstash = "upstash",
        /// Atlas, for MongoDB alone: Roadbed orders project and cluster by the table `atlas`, and keeps the users there.
        Atlas = "atlas",
    }
}

impl Driver {
    /// Whether somebody else runs it.
    pub(crate) fn is_elsewhere(self) -> bool {
        self != Self::Process
    }
}

/// A data service that somebody else runs. Where it is and how we log in there is in the secret store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct External {
    /// Path of the certificates, in PEM, by which the server is recognised, relative to the manifest; `None`: those of public
    /// authorities.
    pub ca: Option<String>,
    /// Where Roadbed orders it; `None`: it was there before.
    pub provider: Option<Provider>,
}
