//! Continuous integration: what changed, what that affects, and running it.
//!
//! ```text
//!   commit ─┐                                                          ┌─► plan: affected = hash differs, and why
//!   base ───┼─► trees ─► packages (npm, Cargo) + lock files ─► graph ──┤
//!   changes ┘   (git's objects)                       (Merkle hashes)  └─► run: tasks, by hash: cached or done ─► reports
//! ```
//!
//! A package's hash covers its files, the files that every package depends on, what the lock file resolves for it and the hashes of
//! the packages that it depends on. What differs from the base is affected, and the same hash is the key of the cache: the two
//! cannot disagree. Files that are not committed are laid over the commit's tree in memory, so the hash of a checkout is that of
//! the commit that it would become.
//!
//! **Invariant:** the value of a secret is in no hash, log, record or report. Nothing is read from the cache that was not complete
//! when it was written, and nothing that untrusted code made is read by a run that is trusted.

pub mod history;
pub mod trees;
pub mod changes;
mod globs;
pub mod workspace;
mod npm;
mod cargo;
pub mod graph;
pub mod plan;
mod reasons;
pub mod tasks;
pub mod cache;
mod outputs;
mod evidence;
pub mod jobs;
pub mod attempt;
pub mod run;
pub mod places;
pub mod report;
pub mod pipeline;
pub mod verdict;
pub mod workflows;

/// A digest, of 32 bytes.
pub type Hash = [u8; 32];

/// Digest of parts, each with its length before it: neighbours cannot shift bytes between them and hash the same.
pub(crate) fn hash_of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Hash {
    use sha2::{Digest, Sha256};
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// As it is shown and named.
pub fn hex(hash: &Hash) -> String {
    hash.iter().map(|byte| format!("{byte:02x}")).collect()
}
