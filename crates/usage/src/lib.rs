//! Which environment variables code really reads, held against the matrix of the manifest.
//!
//! ```text
//!   files ──► extract (JavaScript, Rust, Dockerfile, …) ──► [Use] ──┐
//!                                                                   ├──► findings ──► terminal, JSON, SARIF
//!   roadbed.toml ──► matrix ────────────────────────────────────────┘
//! ```
//!
//! **Invariant:** this crate runs no code that it reads, and writes nothing.

mod found;

pub use found::{Fallback, How, Language, Name, Place, Use};
