//! The edge: the one process that visitors talk to. It ends TLS, refuses what has two meanings, finds the site, and answers
//! from files or from an app.
//!
//! ```text
//!   keeper's sockets ──► listen ──► connection (tls/, wire, head) ──► pipeline ──► files
//!                                                                       │  │
//!   control ──► api ──► publish (disk) ──► Arc<Snapshot> ───────────────┘  └────► forward ──► app instances
//! ```
//!
//! Start with [`pipeline`]: the life of a request is that file, top to bottom. One `Arc<Snapshot>` is taken per request, so a
//! request sees one world even while routes change.
//!
//! **Invariant:** the request path holds no lock over an await and asks nobody but the snapshot. Whatever control does, the
//! edge serves the last table it was given; a damaged table is said aloud and never taken for an empty one.

pub mod pipeline;

pub mod admission;
pub mod access;
pub mod abuse;
pub mod forward;
pub mod cache;
pub mod console;
pub mod guard;
pub mod headers;
pub mod pages;
pub mod refusal;
pub mod rate_limit;
pub mod request_id;
pub mod trace;
pub mod route;

pub mod balance;
pub mod multiplex;
pub mod repeats;
pub mod stream;
pub mod tunnel;
pub mod web_socket;
pub mod upload;
pub mod upstream;

pub mod files;

pub mod body;
pub mod compress;
pub mod log;

pub mod announcement;
pub mod arrivals;
pub mod connection;
pub mod crowd;
pub mod drain;
pub mod head;
pub mod listen;
pub mod proxies;
pub mod tls;
pub mod unread;
pub mod wire;

mod asking;
pub mod api;
pub mod client;
pub mod publish;
pub mod snapshot;

pub mod config;
pub mod edge;
pub mod fault;
pub mod run;

pub use admission::Admission;
pub use api::{AskedTop, Purge};
pub use arrivals::Arrived;
pub use client::EdgeClient;
pub use config::{EdgeConfig, Limits};
pub use fault::EdgeFault;
pub use rate_limit::access::{StoreAccess, StoreHealth};
pub use response_cache::{Counted, Selector};
pub use run::run;
