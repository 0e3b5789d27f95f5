//! The store, asked as clients of S3 ask.

pub mod operation;
pub mod chunked;
pub mod checksum;
pub mod conditions;
pub mod xml;
mod authenticate;
mod intake;
mod headers;
mod cors;
mod fault;
mod object;
mod multipart;
mod lists;
mod connection;
mod server;

use std::time::Duration;

pub use authenticate::LONGEST_ADDRESS;
pub use fault::Refusal;
pub use server::serve;

/// The one path that needs no key. No bucket can have its name.
pub const HEALTH: &str = "/-/health";

/// Bounds of one server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of a request's line and headers.
    pub head: usize,
    /// How long the head of a request may take to come.
    pub head_time: Duration,
    /// How long a connection may be without a byte in either direction.
    pub idle: Duration,
    /// Bytes of an object that comes as one, and of a part.
    pub object: u64,
    /// Bytes of an object that comes in parts.
    pub multipart: u64,
    /// Connections at a time.
    pub connections: usize,
    /// Requests at a time that read or write contents: each holds 256 KiB and a bit.
    pub transfers: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head: 32 << 10,
            head_time: Duration::from_secs(10),
            idle: Duration::from_secs(60),
            object: 5 << 30,
            multipart: 50 << 30,
            connections: 1024,
            transfers: 128,
        }
    }
}
