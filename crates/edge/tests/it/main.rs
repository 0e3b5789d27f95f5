//! The edge over real sockets: one running edge per test, apps that record what they were sent, visitors that send raw bytes.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test looks at the machine and fails by panicking"
)]

mod app;
mod frames;
mod recorder;
mod visitor;
mod witness;
mod world;

mod abuse;
mod access;
mod answers;
mod asleep;
mod broken_apps;
mod cache_suite;
mod caching;
mod candidate;
mod continuing;
mod crowds;
mod clients;
mod drain;
mod floods;
mod succession;
mod files;
mod forwarding;
mod h2c;
mod httpwg;
mod keys;
mod limits;
mod limits_shared;
mod many;
mod matrix;
mod proofs;
mod proxies;
mod protection;
mod publishing;
mod restart;
mod resting;
mod routing;
mod scanners;
mod slow;
mod slow_h2;
mod smuggling;
mod smuggling_h2;
mod streaming;
mod streams;
mod storm;
mod swap;
mod tls;
mod tunnel;
