//! What people do when something is wrong: the runbook that they follow, the messages that they send, the book of what happened.
//!
//! ```text
//!   manifest ──► runbook  docs/infra/runbook.md: who is called, what to look at, how to go back, what to write
//!                   └──► commands   each of them, as it is typed
//!   incident open ──► book ──┐
//!   deployments, promises,   ├──► timeline ──► postmortem
//!   errors, audit ───────────┘
//! ```
//!
//! **Invariant:** this crate asks no running environment. An incident can be opened, noted and closed while everything is down.

pub mod runbook;
pub mod commands;
pub mod messages;
pub mod book;
pub mod timeline;
pub mod postmortem;

pub use book::{Book, BookFault, Entry, Incident, IncidentId, Role, Severity, Stage, What};
pub use commands::{Command, commands};
pub use timeline::{Event, Origin, timeline};
