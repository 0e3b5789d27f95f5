//! Certificate authorities of an environment's own, and what they sign.
//!
//! ```text
//!   Authority (key + certificate) ── issue ──► Leaf (chain + key): of the edge, a member of a database, a client
//! ```
//!
//! An environment has two authorities, so that whoever is told to trust one is not told to trust the other: one for its public
//! hosts, which a browser may be given, and one for its data services, which apps are given. Where keys lie is their users'
//! business; here are no files.
//!
//! What others sign for us is asked for by a [`Request`], and read as [`Issued`].
//!
//! **Invariant:** a leaf never outlives its authority.

mod authority;
mod leaf;
mod life;
mod issued;
mod proof;

pub use authority::Authority;
pub use issued::{Issued, NotACertificate, Request, common_name};
pub use leaf::{Leaf, Purpose, Subject};
pub use life::Life;
pub use proof::{ACME_PROTOCOL, proof};

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("cannot make a key or a certificate")]
    Generate(#[source] rcgen::Error),
    #[error("the key of the authority cannot be used")]
    Key(#[source] rcgen::Error),
}
