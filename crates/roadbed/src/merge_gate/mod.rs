//! The merge gate: a protected branch of a bare repository takes only commits whose required checks passed, without a vendor.
//!
//! ```text
//!   roadbed ci run --sign KEY ─► refs/checks/COMMIT/CHECK (a signed result) ─┐ pushed
//!   commit ─────────────────────────────────────────────────────────────────┴─► pre-receive ─► judge ─► taken, or refused with words
//! ```
//!
//! What is protected, which checks are required and whose signatures count is read from the branch as it is, never from what is pushed.
//!
//! **Invariant:** whatever cannot be read or told is refused. The hook writes nothing, so it can be killed at any point.

pub mod result;
pub mod push;
mod repository;
mod judge;

pub use judge::{Judged, Verdict, judge};
