//! Tokens that a CI signs for its jobs (OpenID Connect), read and judged: whoever shows one proves which run of which workflow of which
//! repository it is, and nobody keeps a key for that.
//!
//! ```text
//!   text ─► read (form, header) ─► keys of the issuer (asked over HTTPS, kept) ─► signature ─► judge (rules of the manifest) ─► Accepted
//!             └───────────────────────────── or one Refusal, that says why ─────────────────────────────┘
//! ```
//!
//! People who sign in ([`sign_in`]) bring such a token too, which a provider hands out for a code.
//!
//! The caller sees to it that an accepted token is accepted once.
//!
//! **Invariant:** this crate never believes what a token says of itself: neither where its key is, nor by what it is signed, nor any name.

mod refusal;
mod token;
mod claims;
mod judge;
mod keys;
mod cache;
mod issuer;
pub mod sign_in;
pub mod https;

pub use claims::Claims;
pub use issuer::Issuer;
pub use judge::{Accepted, LONGEST_LIFE, OLDEST, SKEW, judge};
pub use keys::{Keys, KeysFault};
pub use refusal::Refusal;
pub use token::{LONGEST, Unverified, read};
