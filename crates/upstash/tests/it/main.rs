#![allow(
    clippy::disallowed_methods,
    reason = "a test starts its own redis-server, with a deadline by the machine's clock"
)]

//! The gateway before a real redis-server, asked as clients ask.

mod gateway;
mod protocol;
mod sdk;
