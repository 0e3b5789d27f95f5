//! Convergence: look at the world, plan purely, apply dully, look again.
//!
//! ```text
//!            observe            plan (pure)              apply (journalled)
//!   world ───────────► Observed ───────────► [Step, ..] ───────────► world     until the plan is empty
//! ```
//!
//! **Invariant:** this crate knows no MongoDB, no Redis, no process and no HTTP. What it needs from them are the traits in
//! [`ports`]; what it converges are [`Resource`]s.

pub mod resource;
pub mod graph;
pub mod converge;
pub mod progress;
pub mod fault;
pub mod ports;
pub mod loaded;
pub mod abuse;
pub mod rate_limits;
pub mod root;

pub use converge::{AnyResource, Converged, Drifted, Planned, StepsNow, Tools, converge, drifted, plan};
pub use fault::Fault;
pub use graph::Graph;
// Whoever applies a step needs to name it, and nobody below `roadbed` but this crate knows the journal.
pub use journal::Begun;
pub use progress::{Event, Progress};
pub use resource::{Resource, ResourceId};
pub use root::Root;
