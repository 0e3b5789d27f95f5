//! UrbanCart itself, on real engines: this repository is the project, and each test has a root of its own.
//!
//! ```text
//!   first_hour   what a new user does and what scripts rely on
//!   backup_copies  a second repository that takes nothing away outlives the environment
//!   backups      saved by itself, rehearsed, restored to any second; damage is seen
//!   power        the power goes while a lost machine comes back
//!   recovery     a lost machine, by one command on an empty one that is killed in between; rehearsals that are overdue
//!   disaster     each command of the page about losses, typed as it stands
//!   browser      what somebody sees
//!   console      errors on a page, and who may change what
//!   storm        kill -9 of everybody in any order while visitors order
//!   rotation     new keys and passwords under visitors, and with everybody killed in between
//!   rotation_kinds  providers and webhooks, and an environment that rotates by itself
//!   drill        a check that is killed while it has taken something away
//!   canary       leaks that builds hand to browsers are found
//!   sabotage     each check of the gate, with the thing broken for real
//!   drift        what somebody changes by hand
//!   external     MongoDB and Redis of somebody else
//!   pushes       from a push to everybody: staging, a picture of what is broken, approval, production and back
//!   migrations   a change of data that comes with a release
//!   monitors     an app that is down is noticed, and whoever is to be told is told
//!   members      MongoDB with three members that die and lose what they have
//!   secrecy      the search for secrets with which every one of these tests ends
//!   lending      users that are lent to developers' commands
//!   confinement  an app that tries to get at what is not its own
//!   process_model  a cart that was begun at one instance is there at the other
//!   previews     a masked sample, an end by itself, and no trace
//!   environments local, staging, production and a preview at once
//!   dev          development servers behind the edge
//!   accessor     the typed module for apps, held to Roadbed's own rules
//!   pictures     a picture from the admin to the storefront, by object storage
//!   upstash      carts by Upstash's client and the gateway before Redis
//!   apps         the apps' own suites
//! ```
//!
//! Two at a time: see [`stage`]. What `./setup` installs is needed, a browser among it.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stderr,
    clippy::unwrap_used,
    reason = "these tests break the product from outside, and a storm tells how long healing took"
)]

mod accessor;
mod apps;
mod asleep;
mod backup_copies;
mod backups;
mod browser;
mod canary;
mod confinement;
mod console;
mod dev;
mod disaster;
mod drift;
mod drill;
mod environments;
mod external;
mod first_hour;
mod lending;
mod members;
mod migrations;
mod monitors;
mod pictures;
mod power;
mod previews;
mod pushes;
mod process_model;
#[path = "../../crates/stores/tests/it/provider.rs"]
#[expect(dead_code, reason = "what the stores' own tests try there is not tried again")]
mod provider;
mod recovery;
mod rotation;
mod rotation_kinds;
mod sabotage;
mod secrecy;
mod smoke;
mod stage;
mod storm;
mod upstash;
mod vault;
