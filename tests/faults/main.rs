//! Bad input and faults: what goes wrong in practice, done on purpose to the real program in an environment of its own.
//!
//! `project/` is the smallest product there is. A test copies it, breaks its copy or what runs of it, and says what the person
//! at the keyboard must then see: what could not be done, to which thing, why, and one hint.
//!
//! `SHOW=1 cargo test -p roadbed --test faults NAME -- --nocapture` prints all that the commands said.

#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "the tests play the person at the keyboard, and what goes wrong around the program"
)]

mod command;
mod lanes;
mod stage;

mod apps;
mod work;
mod artifacts;
mod ports;
mod roots;
mod disk;
mod offline;
mod damage;
mod hosts;
mod networks;
mod interrupts;
mod crashes;
mod deployments;
mod console;
mod h2c;
mod authority;
mod certificates;
mod limits;
mod kept_out;
mod migrations;
mod upgrade;
mod fencing;
mod server;
mod access;
mod api;
mod oidc;
mod streams;
mod wall_clock;
mod scaling;
mod process_model;
mod matrix;
mod misbehaviour;
mod pushes;
mod previews;
mod running;
mod redaction;
mod smoke;
mod found_again;
mod exports;
mod runbook;
mod beginnings;
