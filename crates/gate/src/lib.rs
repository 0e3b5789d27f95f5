//! The readiness gate: promises, the checks that prove them on the live system, and the evidence that is kept.
//!
//! ```text
//!   Check ── run ──► Evidence ──► Ledger (append-only, hash-chained) ──► Report ──► terminal, JSON, exit code
//! ```
//!
//! **Invariant:** nothing in here knows how to make a promise true; it only looks. A verdict is never stored as an opinion:
//! it always comes with what was observed.

pub mod check;
pub mod evidence;
pub mod history;
pub mod ledger;
pub mod report;
pub mod run;
pub mod schedule;

pub use check::{Check, CheckCx, Claim, Impact};
pub use evidence::{Evidence, Findings, Outcome, Verdict};
pub use history::{Standing, standings};
pub use ledger::{Ledger, Row};
pub use report::Report;
pub use run::{run, run_one};
pub use schedule::Schedule;
