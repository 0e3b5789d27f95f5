//! The gateway before a real redis-server, asked as clients ask.

#![allow(clippy::unwrap_used, reason = "what cannot be set up has failed")]
#![allow(
    clippy::disallowed_methods,
    reason = "a test starts its own redis-server, with a deadline by the machine's clock"
)]

mod gateway;
mod protocol;
mod sdk;
