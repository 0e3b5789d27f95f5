//! Whether what visitors use works, and who is told when it does not.
//!
//! ```text
//!   settings ─► watch: one task per monitor ─► probe ─► Seen ─┐
//!   heartbeats ──────────────────────────────────────────────┤
//!                                                            ▼ one transaction
//!               standing (pure) ─► conditions (pure) ─► alerts ─► deliveries ─► channels: webhook, Slack, SMTP, a program
//!               minutes ─► objectives (pure) ─────────────┘
//! ```
//!
//! The book (`telemetry/monitors.db`) is the only state. Whoever is killed in between goes on from there: what is to be told is worked
//! out again from what is in it, never remembered, so nothing is told twice because of a crash but what was on its way.
//!
//! **Invariant:** what we cannot find out is *unknown* and never *down*: neither a full disk of ours nor a socket that we do not get.

mod settings;
mod standing;
mod probe;
mod trust;
mod outbound;
mod alerts;
mod objective;
mod promises;
mod book;
mod watch;
mod shown;
mod drill;
mod page;
mod door;

pub use alerts::{Alert, Delivery, DeliveryState, SIGNATURE, Severity, signature};
pub use door::{Acknowledge, Change, ChannelSecret, Maintenance, MonitorDetails, Pause, Resume, routes};
pub use drill::DrillOrder;
pub use objective::{AppMinute, Burn, Objective, ObjectiveState};
pub use outbound::{Outbound, Reply};
pub use page::{heartbeats, public_routes};
pub use promises::{BrokenPromise, Certainty};
pub use settings::{
    Channel, ChannelKind, Mail, MailSecurity, Monitor, MonitorSettings, Probe, Quiet, Runbook, Service, Trusted,
};
pub use shown::{MonitorState, Shown};
pub use standing::{Health, Seen, Standing};
pub use watch::{Monitors, Surroundings, Watching};
