//! What happens in an environment while it runs: what apps and visitors' browsers report, kept and found again.
//!
//! ```text
//!   apps ───── telemetry-internal ──► edge ─┐
//!   browsers ─ /.roadbed/telemetry/ ► edge ─┴► TCP on loopback ─► ingest ─► kept below telemetry/ of the root
//!   CLI, control, gate ─────────────────────► telemetry.sock ──► query ◄──────────────┘
//! ```
//!
//! A role of its own, so that nothing that strangers send, and no store that is full or damaged, holds up visitors or control. It
//! decides nothing. What was answered with 200 is on disk.

mod body;
mod client;
mod watched;
mod config;
mod envelope;
mod errors;
mod exports;
mod fault;
mod ingest;
pub mod logs;
pub mod metrics;
mod otlp;
pub mod traces;
mod query;
mod redaction;
mod run;
mod settings;

pub use client::TelemetryClient;
pub use config::TelemetryConfig;
pub use envelope::{Broken, Envelope, Header, Item};
pub use errors::{
    Behind, Change, ErrorEvent, ErrorLimits, ErrorSettings, ErrorsHealth, Issue, IssueDetails, IssueFilter,
    IssueRelease, IssueStatus, KeyOf, MapsOfRelease, NotKept, Project, ProjectKey, ReleaseHealth,
};
pub use exports::{Export, ExportKind, ExportSecret, ExportState};
pub use fault::TelemetryFault;
pub use query::Health;
pub use run::run;
pub use settings::Settings;
