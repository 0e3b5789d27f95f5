//! How an edge gets at what it shares with others: told by control over the edge's socket, kept in memory alone.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// The way to Redis, and who we are there.
#[derive(Clone, Serialize, Deserialize)]
pub struct StoreAccess {
    /// On loopback. Where there are several, all but one are replicas, and which may change.
    pub ports: Vec<u16>,
    pub user: String,
    pub password: Zeroizing<String>,
    /// Whom to believe, in PEM; empty: it does not encrypt, as in a test.
    pub authorities: String,
    /// What all keys begin with.
    pub prefix: String,
}

impl fmt::Debug for StoreAccess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreAccess").field("ports", &self.ports).field("user", &self.user).finish_non_exhaustive()
    }
}

impl StoreAccess {
    /// By which control sees whether an edge knows this already.
    pub fn fingerprint(&self) -> String {
        let digest = self.digest("fingerprint");
        digest[..8].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// What names of buckets are made with. All edges of the environment have the same, and nobody else.
    pub(super) fn naming_key(&self) -> [u8; 32] {
        self.digest("names")
    }

    fn digest(&self, purpose: &str) -> [u8; 32] {
        let mut hash = Sha256::new();
        let ports = format!("{:?}", self.ports);
        let rest: &[&str] =
            if purpose == "names" { &[] } else { &[&ports, &self.user, &self.authorities, &self.prefix] };
        for part in [&[purpose, self.password.as_str()], rest].concat() {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        hash.finalize().into()
    }
}

/// What an edge says of it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreHealth {
    /// Of what it was told; `None`: it was told nothing.
    pub fingerprint: Option<String>,
    /// Whether limits are counted there now.
    pub is_used: bool,
    /// Decisions that should have been made there and were made here, since start.
    pub fallen_back: u64,
}
