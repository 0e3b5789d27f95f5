//! Requests to GitHub, each held against its published description, and a stand-in for GitHub that goes by it.

#![expect(clippy::unwrap_used, reason = "tests")]

mod description;
mod faults;
mod held;
mod secrets_written;
mod stand_in;
