//! Secrets: values that never print, the sealed store in which they are kept, how they are made.
//!
//! ```text
//!   generate ─► Store ─► Secret ─► a process's environment or a 0600 file
//!                 │ seat       where it is, whose it is, who works with it
//!                 │ identity   keys of those who may open it; none is in the root
//!                 │ seal       what is sealed opens only where it belongs
//!                 └ audit      what was done is noted first; the end of the log is signed and kept elsewhere
//! ```
//!
//! **Invariant:** a [`Secret`] has no `Display`, `Serialize` or `Clone`; its `Debug` shows no value. Who needs the text says
//! [`Secret::expose`] and is found by a search for that word. No cipher is our own: values are sealed with XChaCha20-Poly1305, keys
//! with age, and the audit log is signed with Ed25519.

pub mod store;
pub mod seat;
pub mod fault;
pub mod identity;
pub mod payment;
pub mod audit;
mod fingerprint;
mod seal;
pub mod generate;
pub mod redact;
pub mod jwk;
pub mod secret;

pub use fault::StoreFault;
pub use fingerprint::{Fingerprint, Fingerprints};
pub use payment::Writing;
pub use seat::{Actor, EnvironmentKind, Neighbour, Seat, UserKeys, Via};
pub use secret::{Secret, SecretName};
pub use store::{Opening, Recipient, RecipientKind, Store, VersionRow, VersionState, Versioned};
