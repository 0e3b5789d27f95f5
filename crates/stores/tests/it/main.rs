//! The stores on real engines: found or fetched by this crate's own code, provisioned, attacked and killed.

#![allow(clippy::unwrap_used, reason = "what cannot be set up has failed")]
#![allow(
    clippy::disallowed_methods,
    reason = "tests start, damage and kill what production code only reaches by `host`"
)]

mod cells;
mod authority;
mod checks;
mod collections;
mod disk;
mod elsewhere;
mod engines;
mod leases;
mod chaos;
mod members;
mod mongo;
mod mongo_external;
mod provider;
mod mongo_tls;
mod redis;
mod redis_external;
mod redis_replication;
mod redis_upstash;
mod rotation;
mod sample;
mod shelf;
mod stand;
mod tools;
