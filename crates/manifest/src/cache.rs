//! What of an app's answers the edge keeps for others.

use crate::record::record;
use crate::scalars::Bytes;
use crate::source::At;

record! {
    /// Answers of an app that the edge keeps in memory and gives to others, as far as the app says that it may, in `Cache-Control` or
    /// `Expires`. Never kept, and never given what is kept, are requests with a cookie or a password.
    pub(crate) struct CacheTable {
        /// All answers together.
        memory: At<Bytes> = "64 MiB",
        /// The largest answer that is kept.
        largest: At<Bytes> = "1 MiB",
    }
}

/// The bounds of an app's cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cache {
    /// Bytes of all answers together.
    pub memory: u64,
    /// Bytes of the largest answer that is kept.
    pub largest: u64,
}

impl CacheTable {
    pub(crate) fn resolve(&self) -> Cache {
        Cache { memory: self.memory.value.0, largest: self.largest.value.0 }
    }
}
