//! Orders and proofs against real servers.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test looks at the machine and fails by panicking"
)]

mod dns;
