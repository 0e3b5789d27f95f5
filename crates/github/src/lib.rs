//! A repository on GitHub, held to what the manifest says: rules of branches, environments, variables, and which secrets are there.
//!
//! ```text
//!   wanted ──┐
//!            ├─► plan: what differs, as requests ─► shown (`--dry-run`), or sent
//!   GET … ───┘
//! ```
//!
//! What differs is found by asking, so a second `apply` sends nothing, and the same comparison reports drift.
//!
//! **Invariant:** the token goes to one origin, in a header, and nowhere else: no redirect is followed, and plain HTTP is for this
//! machine alone. Nothing is removed that the manifest does not speak of, but for rules and branches within what it does.

pub mod client;
mod answer;
pub mod wanted;
mod covers;
mod rules;
mod environments;
mod settings;
pub mod plan;

pub use client::{Client, Way};
pub use plan::{Change, Kind, apply, plan};
pub use wanted::{Reviewer, Wanted, WantedEnvironment};
