//! The stores on real engines: found or fetched by this crate's own code, provisioned, attacked and killed.

#![allow(
    clippy::disallowed_methods,
    reason = "tests start, damage and kill what production code only goes to through `host`"
)]

mod checks;
mod engines;
mod mongo;
mod redis;
mod stand;
