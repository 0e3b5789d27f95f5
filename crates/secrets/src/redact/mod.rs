//! Takes secrets out of what is written: logs, output of builds and commands, errors, evidence.
//!
//! ```text
//!   Secret ─► encodings (raw, base64, percent, JSON, hex, …) ─► Needles, one automaton for all ─┬─► whole texts
//!                                                                                               └─► Redactor, chunk by chunk
//! ```
//!
//! What is found is replaced by the secret's name and version, `‹JWT_SECRET@3›`: who reads the log learns which it was and
//! not what. Ranges that overlap are replaced as one, so that no end of a longer secret is left behind a shorter one.
//!
//! It cannot find a secret that the writer itself cut, reversed, hashed, encrypted or spread over fields.
//!
//! **Invariant:** whatever the chunks, the output is that of the whole text at once.

mod encodings;
mod guesses;
mod needles;
mod stream;

pub use encodings::{SHORTEST, encodings};
pub use needles::{Needles, Sighting, TooManyNeedles};
pub use stream::Redactor;
