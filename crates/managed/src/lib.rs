//! Data services that are ordered at a provider: a Redis at Upstash, a MongoDB at Atlas.
//!
//! ```text
//!   manifest ─► wanted ─┐
//!   GET … ─► seen ──────┼─► plan: steps, each one effect ─► POST, PATCH …
//!   book: what was ordered ─┘                          └─► secret store: MONGODB/REDIS address with an administrator's login
//! ```
//!
//! What is inside of an ordered service, apps' users and collections, is made as at any other server that somebody else runs; but
//! users of Atlas, which no command of MongoDB makes there.
//!
//! Names follow from product and environment. The book is written before something is ordered, so that a run that was killed finds
//! by its name what it ordered and orders no second one. What bears the name and is in no book is not ours, and is not touched.
//!
//! **Invariant:** nothing is deleted that holds data, nothing is moved or made larger, no password is reset that something logs in
//! with, and no policy is set that its provider would let nobody take back. What opens an account goes to one origin, in a header.

pub mod atlas;
mod book;
pub mod exchange;
mod keeping;
mod said;
pub mod upstash;

pub use exchange::Way;
pub use keeping::Keeping;
