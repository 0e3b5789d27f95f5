//! The search for secrets where they must not be: files, history, logs, archives.
//!
//! ```text
//!   files, stdin ─┐                 ┌─ exact values of the store, in every form ─┐
//!   archives ─────┼─► contents ─────┤                                            ├─► hits ─► allow-list ─► findings
//!   git objects ──┘   (each once)   └─ keyword ─► pattern ─► entropy, doubts ────┘
//!                                      and both again in what base64, hex, … decode to
//! ```
//!
//! Two nets. The values of the store are known, so a copy of one is found wherever it stands and however it is written; what
//! people brought along is recognised by its form, and the rules for that are data (`rules/rules.toml`).
//!
//! The history is all of it: every ref, tag, note and stash, commit messages and what only the reflog still knows. A blob is
//! read once however many commits have it, and [`Clean`] remembers between runs which blobs held nothing.
//!
//! **Invariant:** this crate never shows, keeps or sends a value it found. A [`Finding`] has a masked line; the allow-list
//! and the cache know values by keyed hashes, and the cache only those that are clean.

pub mod rules;
pub mod exact;
pub mod scan;
mod decode;
mod doubt;
mod sight;
pub mod finding;
pub mod allow;
pub mod search;
mod stream;
mod archive;
mod tree;
mod git;
mod clean;

pub use allow::{AllowFault, AllowList, Stale, Why};
pub use clean::Clean;
pub use decode::Coding;
pub use exact::{Values, ValuesFault};
pub use finding::{Finding, STORE_VALUE, Source};
pub use git::{GitFault, Objects, Repository, hooks, work_tree};
pub use rules::{Confidence, Rule, Rules};
pub use scan::{Hit, How, Scanner};
pub use search::{Extent, Objectives, Report, Search, SearchFault, Step};
pub use tree::{Ignored, TreeFault};
