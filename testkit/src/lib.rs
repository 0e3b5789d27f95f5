//! What tests of the whole product share: an environment of their own, a visitor of it, patience with a deadline.
//!
//! ```text
//!   test ──► Environment ──► the built `roadbed`, in a root and with variables of its own
//!     │           └── drop: `down`, then whatever is left of this root is killed, and nothing else
//!     ├────► Client          HTTPS from outside, trusting the environment's authority alone
//!     ├────► Browser         a page as somebody sees it
//!     └────► wait_until      a state, a deadline, and the last state if it passes
//! ```
//!
//! **Invariant:** only tests depend on this crate, and it never touches a process of another root.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "this crate is not the product: it watches and breaks it from outside, and fails a test by panicking"
)]

mod browser;
pub mod ci;
pub mod forgeries;
pub mod provider;
mod client;
mod command;
mod crowd;
mod docker_engine;
mod der;
mod environment;
mod events;
pub mod person;
pub mod power;
mod leftovers;
pub mod marker;
pub mod vault;
pub mod tools;
pub mod name_server;
mod abandoned;
mod authority;
mod project;
mod wait;
mod web_socket;

pub use authority::{Script, ScriptedAuthority};
pub use browser::Browser;
pub use client::{Answer, Client};
pub use command::{Ran, run, run_with};
pub use crowd::{Crowd, Kept, SendHomeOnDrop};
pub use docker_engine::DockerEngine;
pub use environment::{Environment, Unit};
pub use events::Events;
pub use leftovers::processes_of;
pub use name_server::NameServer;
pub use person::Person;
pub use project::{copy_folder, copy_repository, link_repository, repository};
pub use wait::wait_until;
pub use web_socket::WebSocket;
