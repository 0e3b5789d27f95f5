//! Redis over HTTP, as clients of Upstash speak it: beside one Redis, for apps that have no connection to keep.
//!
//! ```text
//!   token ─► user and password ─► pool of this token ─┐
//!   path, body, query ─► request ─► denied? ─► RESP ──┴► one Redis ─► RESP ─► JSON, base64 or as it is
//!   /subscribe, /monitor ─► a connection of its own ─► server-sent events
//! ```
//!
//! It knows no secret. A token holds a user of Redis and its password; whether they are right, and what they may do, says Redis. So
//! rotation and least privilege are those of Redis's users, and a gateway that is read out tells nothing but who is there now.
//!
//! RESP is read and written here and not by a client of Redis: answers are handed on in the format in which they came, a reader of our
//! own bounds them, and a pipeline of a thousand commands is one packet whose answers are never looked at twice.
//!
//! **Invariant:** no request leaves anything behind on a connection that the next one gets. What changes a connection or waits on it is
//! refused, and a connection whose answers were not read to their end is closed.

pub mod request;
pub mod denied;
mod script;
pub mod token;
pub mod resp;
pub mod answer;
mod connection;
mod pool;
mod stream;
mod server;

pub use connection::{Tls, Way};
pub use server::{HEALTH, Limits, serve};
pub use token::{Login, Token};
