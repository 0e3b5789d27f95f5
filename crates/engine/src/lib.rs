//! Runs releases as processes: installs packages, builds what changed, starts instances and waits until they serve.
//!
//! ```text
//!   packages ──► build (inputs digested, output stamped) ──► site (static: copied, precompressed)
//!                                                       └──► instance (variables assembled, unit ensured, readiness awaited)
//! ```
//!
//! **Invariant:** an instance gets its own variables and nothing else; whatever of them is sensitive goes to the keeper in
//! memory and is in no plan, error, revision or file.

mod turn;
pub mod artifact;
pub mod packages;
pub mod inputs;
pub mod build;
pub mod site;
pub mod variables;
pub mod instance;
pub mod started;
pub mod probe;
pub mod resting;

pub use turn::Turn;

/// The tools that builds need from the user's environment (PATH, HOME, proxies, certificates), chosen by the caller.
pub type ToolEnv = std::collections::BTreeMap<String, String>;
