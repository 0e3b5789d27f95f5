//! A sample of an environment's documents that previews begin with: what is known of nobody.
//!
//! ```text
//!   documents ─► rules: only named fields ─► masks, by a key that is thrown away ─► searched for what came in ─► one file
//!                                                                                                                  │
//!   a preview's empty collections ◄── one transaction, with a mark ◄───────────────────────────────────────────────┘
//! ```
//!
//! **Invariant:** no file is written in which a value of a masked field is found again, nor an e-mail address, a card's or a
//! telephone number that came in.

pub mod rules;
mod mask;
pub mod proof;
pub mod masking;
pub mod file;
mod take;
mod seed;
mod replace;

pub use file::{Contents, Header, SampleFault};
pub use replace::{Replaced, replace};
pub use seed::{Marked, SampleState, Seeding, Seen, Step};
pub use take::{Origin, Told, take, take_restored};
