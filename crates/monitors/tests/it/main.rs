//! Monitors against real servers: what answers, what takes alerts, and mail.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test looks at the machine and fails by panicking"
)]

mod alerts;
mod mail;
mod scene;
mod trouble;
