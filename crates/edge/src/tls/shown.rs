//! Which certificate is shown to who asks for a host.

use std::sync::Arc;

use reconcile::Root;
use reconcile::ports::Certificates;
use rustls::sign::CertifiedKey;

use super::issued::Store;
use super::local_ca::{self, CaFault, Leaf};
use super::shelf::Shelf;

/// What is there to show.
#[derive(Debug, Default)]
pub struct Shown {
    /// Of an authority that visitors trust by themselves.
    issued: Option<Leaf>,
    /// The same, of hosts that have one each.
    shelf: Shelf,
    /// Of the environment's own: for hosts that no other names yet.
    local: Option<Leaf>,
}

impl Shown {
    /// Reads what is on disk, but for what was read `before`. A damaged store of issued certificates is told, and closes no door.
    pub fn load(root: &Root, certificates: Certificates, before: Option<&Self>) -> Result<Self, CaFault> {
        let issued = match certificates {
            Certificates::Local => None,
            Certificates::Issued => Store::new(root).newest().unwrap_or_else(|fault| {
                tracing::error!(%fault, "cannot read the issued certificates: serving the environment's own");
                None
            }),
        };
        let before = before.map(|before| &before.shelf);
        let shelf = match certificates {
            Certificates::Local => Shelf::default(),
            Certificates::Issued => Shelf::load(root, before).unwrap_or_else(|fault| {
                tracing::error!(%fault, "cannot read the certificates of single hosts: serving those that are known");
                before.cloned().unwrap_or_default()
            }),
        };
        Ok(Self { issued: issued.map(|held| held.leaf()), shelf, local: local_ca::load(root)? })
    }

    /// Whether a host has a certificate of its own.
    pub fn has_own(&self, host: &str) -> bool {
        self.shelf.names(host)
    }

    pub fn names(&self, host: &str) -> bool {
        self.of(host).is_some()
    }

    /// The certificate for a host.
    pub fn of(&self, host: &str) -> Option<Arc<CertifiedKey>> {
        let of = |leaf: &Option<Leaf>| {
            leaf.as_ref().filter(|leaf| leaf.names(host)).map(|leaf| Arc::clone(&leaf.certificate))
        };
        of(&self.issued).or_else(|| self.shelf.of(host)).or_else(|| of(&self.local))
    }
}
