//! A shared HTTP cache (RFC 9111): which answers of an app may be given to others, for how long, and to whom.
//!
//! ```text
//!   Request::read ─► Cache::look ─► fresh: Answer::to
//!        │               ├──────► stale: the app is asked with the validators ─► Cache::freshen (304) or Cache::keep
//!        │               └──────► nothing: Cache::board ─► first: the app is asked ─► Cache::keep
//!        │                                              └► others wait for that one, for a while
//!        └► Bypass: nothing is given from here and nothing is kept
//! ```
//!
//! It knows no sockets and no clock: whoever uses it passes [`Now`] and asks the app. Nothing is guessed: what an app does not
//! explicitly say may be kept is not kept.
//!
//! **Invariant:** this crate never keeps an answer to a request that says who asks (`Authorization`, `Cookie`), or one that gives
//! somebody a cookie, and never gives a kept one to such a request. Where two readings of a field are possible, the one that keeps
//! less is taken.

mod request;
mod directives;
mod key;
mod storable;
mod freshness;
mod vary;
mod answer;
mod conditional;
pub mod range;
mod store;
mod collection;
mod flight;
mod counters;
mod told;

pub use answer::{Answer, Reply};
pub use collection::Collection;
pub use counters::{Counted, Counters, Hit};
pub use directives::Directives;
pub use flight::{Boarded, Landed, Ticket, Waiting};
pub use freshness::{Now, State};
pub use key::{Key, Selector};
pub use request::{Bypass, Request};
pub use storable::Refused;
pub use store::{Begun, Cache, Found, Rules};
pub use told::{Forward, Told};
