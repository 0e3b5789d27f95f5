//! Certificates from authorities that speak ACME (RFC 8555): when one is ordered, where, and the order itself.
//!
//! ```text
//!   Book (what was tried, what was advised) ─┐
//!   certificate that is served ──────────────┼──► next: order there now, or wait until then      (pure)
//!   manifest: authorities, hosts ────────────┘            │
//!                                                         ▼
//!                      account ──► order ──► proofs at the edge ──► certificate with a key of its own
//! ```
//!
//! Start with [`renewal`]: what the limits of public authorities make of a loop is there. The protocol is `instant-acme`'s; [`wire`]
//! is its way out. Nothing here decides what visitors are shown.
//!
//! **Invariant:** an order is begun only after it was written down, so that no crash makes us ask in a circle.

pub mod renewal;
pub mod book;
pub mod order;
pub mod account;
pub mod dns;
pub mod directory;
pub mod trust;
pub mod wire;

pub use book::Book;
pub use order::{Failure, Proof, issue};
pub use renewal::{Next, Situation, next};
pub use trust::Trust;
