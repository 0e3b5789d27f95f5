//! The store, and its server asked as clients ask.

#![allow(clippy::unwrap_used, reason = "what cannot be set up has failed")]
#![allow(clippy::disallowed_methods, reason = "a test starts clients, damages files and kills processes of its own")]

mod stand;
mod store;
mod clients;
mod crash;
mod protocol;
