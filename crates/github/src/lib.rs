//! A repository on GitHub, held to what the manifest says: rules of branches, environments, variables and secrets.
//!
//! ```text
//!   wanted ──┐
//!            ├─► plan: what differs, as requests ─► shown (`--dry-run`), or sent
//!   GET … ───┘
//! ```
//!
//! GitHub shows no value of a secret. Those that are given are sealed for its public key when they are sent, and told apart later by a
//! keyed fingerprint of what was written and by the time that GitHub has it from.
//!
//! What differs is found by asking, so a second `apply` sends nothing, and the same comparison reports drift.
//!
//! **Invariant:** the token goes to one origin, in a header, and nowhere else: no redirect is followed, and plain HTTP is for this
//! machine alone. A value of a secret leaves sealed, or not at all, and is in no [`Change`]. Nothing is removed that the manifest does not speak of, but for rules and branches within what it does.

pub mod client;
mod answer;
pub mod wanted;
mod covers;
mod rules;
mod environments;
mod variables;
mod given;
mod secret;
mod sealed;
pub mod plan;

pub use client::{Client, Way};
pub use given::{Given, Place, Value, Written};
pub use plan::{Change, Kind, apply, plan};
pub use wanted::{Reviewer, Wanted, WantedEnvironment};
