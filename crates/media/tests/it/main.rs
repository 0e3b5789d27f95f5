//! The role with its workers, asked as browsers ask.

#![allow(clippy::unwrap_used, reason = "what cannot be set up has failed")]
#![allow(clippy::disallowed_methods, reason = "a test has files of its own, and a deadline by the machine's clock")]

mod pictures;
mod role;

mod caching;
mod delivery;
mod faults;
mod grammar;
mod images;
mod store;
