//! Roadbed, put together: one program, four roles.
//!
//! ```text
//!   cli ──► control ──► keeper ──► units: control, edge, stores, apps
//!              └── world (wires it all), checks (the gate)
//! ```
//!
//! **Invariant:** crates that must not know each other meet in [`world`] and nowhere else.

pub mod cli;
pub mod render;
pub mod wanted;
pub mod roots;
pub mod expiry;
pub mod domains;
pub mod purge;
pub mod sabotage;
pub mod recovery;
pub mod upgrade;
pub mod server;
pub mod checkouts;
pub mod words;
pub mod seats;
pub mod signing;
pub mod merge_gate;
pub mod control;
pub mod world;
pub mod rotation;
mod leak_search;
pub mod checks;
pub mod process_model;
pub mod canary;
mod footprint;
pub mod keeper;
pub mod own;
mod loopback;
mod object_requests;
pub mod programs;
