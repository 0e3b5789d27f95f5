//! MongoDB and Redis: found or fetched, provisioned with least privilege, and proven to keep strangers out.
//!
//! ```text
//!   engines ─► Located program ─┐
//!   secrets ─► credentials ─────┼─► mongo::Mongo, redis::Redis (reconcile::Resource) ─► Units ─► mongod, redis-server
//!   manifest ─► settings ───────┘                 checks (gate::Check) ─────────────── log in as strangers would ─┘
//! ```
//!
//! **Invariant:** this crate never deletes or re-creates data. A data folder whose credentials are gone, or that its server does
//! not open, is a fault with a hint. No secret is ever in an argument, a log line, a step or a fault.

pub mod access;
mod authority;
pub mod checks;
pub mod engines;
pub mod external;
mod ground;
pub mod mongo;
pub mod objects;
pub mod redis;
pub mod leases;
mod shown_certificate;
mod start;
pub mod statistics;
mod tls;

pub use authority::{authority_secret, fresh_authority_key};
pub use external::External;
pub use ground::{Ground, Slot, user_of};
