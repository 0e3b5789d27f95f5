//! The keeper, on real processes: it and its children are killed in every order, and nothing is lost or doubled.

#![allow(clippy::unwrap_used, reason = "a test may")]

mod environment;
mod stand_in;

mod adoption;
mod chaos;
mod confinement;
mod life;
mod output;
mod redaction;
mod secrets;
mod shutdown;
mod sockets;
mod succession;
