//! Delivery: a release goes live, or nothing happened.
//!
//! ```text
//!   queued ─► preparing ─► awaiting-approval ─► starting ─► smoking ─┬─► switching ─► verifying ─► draining ─► live
//!     │           └───────────────┴────────────────┴───────────┘     │       └────────────┘
//!     ▼                           ▼ visitors saw nothing             │            ▼ visitors go back
//!  superseded             aborting ─► aborted, cancelled             │   reverting ─► rolled-back
//!                                                                    │        └─► frozen: a person is needed
//! ```
//!
//! `machine` decides what follows on what, and sees no clock, file or process. `book` keeps releases, deployments and slots: a
//! state is on disk before anything is done for it, in one transaction with the slots that it changes. Whoever drives a
//! deployment may be killed at any point: it reads the state, and does again what belongs to it.
//!
//! A **slot** holds all apps of one release, side by side with those of another. Which slot visitors reach is one word in the
//! book; the route table is made from it. So a deployment is a change of slots, and convergence does the rest.

pub mod book;
pub mod deployment;
pub mod instances;
pub mod lost_machine;
pub mod machine;
pub mod migrations;
pub mod policy;
pub mod release;
pub mod slot;

pub use book::{Book, BookFault};
pub use deployment::{Deployment, DeploymentId, Kind, State};
pub use policy::Policy;
pub use release::{Artifact, Release, ReleaseId};
pub use slot::{Place, Role, Slot};
