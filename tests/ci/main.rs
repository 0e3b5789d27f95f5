//! `roadbed ci` on small workspaces that are made for it: what is run, what is kept, and what goes wrong.

#![expect(clippy::disallowed_methods, clippy::unwrap_used, reason = "tests play user and machine")]

mod deploys;
mod faults;
mod runner;
mod github;
mod merge_gate;
mod previews;
mod runs;
mod stage;
mod tools;
mod workflows;
