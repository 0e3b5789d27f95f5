//! Objects in buckets: kept on this machine's disk, and asked for as clients of S3 ask.
//!
//! ```text
//!   request ─► who (SigV4) ─► may (grants) ─► operation ─┐
//!                                                        ├─► store ─► rows (SQLite): bucket, key, versions
//!   backup, `undo`, scrub, sweep ────────────────────────┘      └──► blobs: one file for each content, by its SHA-256
//! ```
//!
//! A key is a text in a row and never a path, so none leads anywhere. A content is written under a temporary name, brought down to the
//! disk, renamed, and only then named by a row: whatever dies in between leaves a file that nobody refers to, which the sweep takes
//! away, and never half an object. What is overwritten or deleted stays for as long as its bucket says, and can be put back.
//!
//! The protocol is a subset of our own. What is not in it is answered with 501, and what a request says that its signature does not
//! cover is refused: a signed upload cannot be turned into a copy of somebody else's object.
//!
//! **Invariant:** no byte is handed out that was not compared with the digest of what was put; a request that may not do a thing is
//! told the same whether or not the thing exists.

pub mod settings;
pub mod grants;
pub mod store;
pub mod s3;

pub use grants::{Grant, Grants, Rule, Verb};
pub use s3::{HEALTH, Limits, serve};
pub use settings::{Bucket, Settings};
pub use store::Store;
