//! Secrets: values that never print, where they are kept, how they are made.
//!
//! ```text
//!   generate ─► Store (FileStore now, the sealed store later) ─► Secret ─► a process's environment or a 0600 file
//! ```
//!
//! **Invariant:** a [`Secret`] has no `Display`, `Serialize` or `Clone`; its `Debug` shows no value. Who needs the text says
//! [`Secret::expose`] and is found by a search for that word.

pub mod file_store;
pub mod generate;
pub mod redact;
pub mod jwk;
pub mod secret;

pub use file_store::{FileStore, VersionRow, VersionState, Versioned};
pub use secret::{Secret, SecretName};
