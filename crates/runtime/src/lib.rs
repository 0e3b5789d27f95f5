//! Where an app's instances run, when a container engine runs them: one trait, one driver per engine, and the images that they run.
//!
//! ```text
//!   artifact (a folder) ──► image: layers, configuration, manifest; the same bytes whoever assembles them
//!                             │
//!   environment, epoch ──► Runtime ──► docker   labels on the engine's own objects say what is whose
//!                             └──► ready: IP and port, where the edge sends requests
//! ```
//!
//! Whoever creates and starts does so under an *epoch*, which counts up with each control that starts. The engine keeps the highest one
//! that was claimed, and who comes with a lower one is refused: a control that lost its lease starts and stops nothing.
//!
//! Every call may be made again: after a crash the answer to "what is there" is the engine's, never a file of ours.
//!
//! **Invariant:** this crate never touches an object of the engine that does not bear the labels of its environment, and no secret is
//! in a label, an argument, the configuration of a container or an error.

pub mod instance;
pub mod port;
pub mod fault;
pub mod labels;
pub mod readiness;
pub mod image;
mod pieces;
pub mod docker;
pub mod foreground;
pub mod order;
pub mod registry;

pub use fault::RuntimeFault;
pub use instance::{Epoch, InstanceId, Name, Spec};
pub use port::Runtime;
