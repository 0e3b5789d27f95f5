//! A first manifest for a product that has none: what is in its folder, written down as `roadbed.toml`.
//!
//! ```text
//!   package.json, Dockerfile, sources ──► survey ──► [FoundApp], data services, notes ──► draft ──► text ──► usage: which variables
//!                                                                                             ▲                  does the code read?
//!                                                                                             └──────────────────────┘
//! ```
//!
//! What is found is what files say; what they do not say is a note for a person, never a guess that looks like knowledge. The text is
//! held against the manifest's own rules before anybody gets it.
//!
//! **Invariant:** this crate runs nothing that it finds, and writes nothing.

mod survey;
mod package;
mod sources;
mod server;
mod naming;
mod draft;
mod variables;
mod ignored;

pub use draft::{Answers, Draft, DraftFault, draft};
pub use ignored::missing_lines;
pub use naming::product_name;
pub use survey::{FoundApp, Kind, Service, Survey, SurveyFault, survey};
