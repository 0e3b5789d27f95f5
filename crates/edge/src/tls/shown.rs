//! Which certificate is shown to who asks for a host.

use std::sync::Arc;

use reconcile::Root;
use reconcile::ports::Certificates;
use rustls::sign::CertifiedKey;

use super::issued::Store;
use super::local_ca::{self, CaFault, Leaf};

/// What is there to show.
#[derive(Debug, Default)]
pub struct Shown {
    /// Of an authority that visitors trust by themselves.
    issued: Option<Leaf>,
    /// Of the environment's own: for hosts that the other does not name yet.
    local: Option<Leaf>,
}

impl Shown {
    /// Reads what is on disk. A damaged store of issued certificates is told, and closes no door.
    pub fn load(root: &Root, certificates: Certificates) -> Result<Self, CaFault> {
        let issued = match certificates {
            Certificates::Local => None,
            Certificates::Issued => Store::new(root).newest().unwrap_or_else(|fault| {
                tracing::error!(%fault, "cannot read the issued certificates: serving the environment's own");
                None
            }),
        };
        Ok(Self { issued: issued.map(|held| held.leaf()), local: local_ca::load(root)? })
    }

    pub fn names(&self, host: &str) -> bool {
        self.of(host).is_some()
    }

    /// The certificate for a host.
    pub fn of(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        let leaf = [&self.issued, &self.local].into_iter().flatten().find(|leaf| leaf.names(host))?;
        Some(Arc::clone(&leaf.certificate))
    }
}
