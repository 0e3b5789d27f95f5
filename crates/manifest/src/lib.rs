//! The manifest: text in, meaning out.
//!
//! ```text
//!   roadbed.toml ── parse ──► Manifest + every fault at once ── resolve(environment) ──► Environment (nothing left to default)
//! ```
//!
//! **Invariant:** pure. No clock, no file, no network, no randomness, no process: the same text means the same thing
//! everywhere.

pub mod environment;
pub mod id;

pub use environment::Environment;
pub use id::{AppName, EnvName, ProductName, VarName};
