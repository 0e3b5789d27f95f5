//! The machine, and the only room that touches it: clock, durable files, child processes and what confines them, sockets, locks.
//!
//! ```text
//!   every other crate ──► host ──► kernel
//! ```
//!
//! Elsewhere `std::fs`, `std::process`, `Instant::now` and `SystemTime::now` are refused by clippy, so whoever wants to know
//! what Roadbed can do to a machine reads this crate alone.
//!
//! **Invariant:** this crate decides nothing. It has no policy, no retry and no knowledge of what a unit is for.

#![allow(clippy::disallowed_methods, reason = "this is the room that touches the machine")]

pub mod beneath;
pub mod clock;
pub mod confine;
pub mod database;
pub mod fifo;
pub mod files;
pub mod handover;
pub mod inherit;
pub mod lock;
pub mod machine;
pub mod network_namespace;
pub mod process;
mod readiness;
pub mod resident;
pub mod sealed_file;
pub mod socket;
pub mod successor;
pub mod drill;
pub mod intruder;
pub mod own;
