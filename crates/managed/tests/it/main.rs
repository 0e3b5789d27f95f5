//! Providers that are stand-ins: real HTTP, held to the published descriptions.

#![allow(clippy::unwrap_used, reason = "what cannot be set up has failed")]

mod atlas;
mod atlas_held;
mod described;
mod faults;
mod served;
mod upstash;
mod upstash_held;
