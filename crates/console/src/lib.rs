//! The console: pages about one environment, for people. What is known comes in, HTML goes out.
//!
//! ```text
//!   control ── what it knows, who looks ──► a page of ours ──► frame ──► HTML
//!                                             assets: one file of styles, one of script, named by their digests
//! ```
//!
//! Every page works without its script, which makes it live and gives it keys. Whatever is told comes through `maud`, which escapes
//! it: apps and strangers wrote much of it. Nothing is styled or scripted in a page itself, so the policy of each page allows
//! neither.
//!
//! **Invariant:** this crate never asks, reads or changes anything. Links that change something are forms with a token.

mod context;
mod words;
mod marks;
mod frame;
pub mod assets;
mod charts;
mod overview;
mod errors;
mod issue;
mod waterfall;
mod request;
mod lines;
mod logs;
mod gate;
mod deliveries;
mod services;
mod backups;
mod secrets;
mod audit;
mod told;

pub use audit::{Noted, audit};
pub use backups::{
    BackedUp, Backups, CopyState, Counted, InBackup, Promised, Proof, Rehearsal, Standing, Told as BackupsTold, backup,
    backups,
};
pub use context::{Context, Place, Role};
pub use deliveries::{Delivered, Released, Way, deliveries, deployment, way_back};
pub use errors::{Asked as AskedErrors, Errors, errors};
pub use frame::POLICY;
pub use gate::{Gate, gate};
pub use issue::issue;
pub use logs::{Asked as AskedLogs, Logs, logs};
pub use overview::{AppState, Elsewhere, Overview, UnitState, overview};
pub use request::{Request, request};
pub use secrets::{SecretState, secrets};
pub use services::{Figures, ServiceState, services};
pub use told::told;
