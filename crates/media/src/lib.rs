//! Pictures from a store of objects, in the sizes and formats that pages ask for.
//!
//! ```text
//!   edge ──HTTP/1.1──► server ─► variant   which picture, and whether one may ask for it
//!                        │
//!                        ▼
//!                      cache   memory, disk; one maker per picture, however many ask
//!                        │ not there
//!                        ▼
//!                      origin ──bytes──► worker ═pipe═► a process of its own: decode, turn, resize, encode
//! ```
//!
//! Whoever uploads a picture chooses its bytes, and decoders are C. So they run where they can open no file, no socket and start no
//! process, for a bounded time in bounded memory, one picture at a time; where one dies, one request has an error.
//!
//! **Invariant:** this crate never decodes in the process that answers, and what it answers with is never what was uploaded unless it
//! says `attachment`: a picture is always encoded anew, without metadata.

mod settings;
pub mod variant;
pub mod accept;
pub mod image;
pub mod worker;
pub mod origin;
mod cache;
mod answer;
mod flight;
mod lane;
mod making;
mod server;
mod admin;
mod metrics;

pub use admin::admin_routes;
pub use server::{HEALTH, Media, NotOpened, serve};
pub use settings::{Limits, Settings, SettingsFault, SvgPolicy};
pub use variant::{Fit, Format, SigningKey};
