//! The role against its doors: a root of its own, real sockets, no keeper.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test looks at the machine and fails by panicking"
)]

mod clients;
mod disk;
mod doors;
mod durability;
mod errors;
mod exports;
mod hostile;
mod issues;
mod logs;
mod maps;
mod otlp;
mod prometheus;
mod place;
mod receiver;
mod role;
mod sender;
