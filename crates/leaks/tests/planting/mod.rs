//! Secrets and look-alikes to plant: made when a test runs, so that none stands in the repository.

#![allow(dead_code, unreachable_pub, clippy::unwrap_used, reason = "each test uses a part")]

pub mod example;
pub mod lookalikes;
pub mod placements;
