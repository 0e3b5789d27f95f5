//! The keeper: it owns the processes of one environment and keeps them alive. It decides nothing.
//!
//! ```text
//!   control ── keeper.sock ──►  server ──► units ──► unit (one task each) ── life (pure) decides, unit acts
//!   control, edge ── lifeline.sock ──► offers            │         │        │
//!                                                     record     output   sockets
//!                                                    (on disk)   (FIFO → log)
//! ```
//!
//! It may be killed at any time: its children live on, their output waits in named pipes, the listening sockets live in the
//! edge, and whoever holds the lifeline starts the next keeper, which finds all of them again by the records.
//!
//! **Invariant:** never two processes of one unit. A child is on record before its program begins; what carries our mark and is
//! on no record is stopped before anything is started.

pub mod client;
pub mod confinement;
mod fence;
mod house;
mod launch;
pub mod life;
pub mod lifeline;
mod log;
mod offers;
mod orphan;
mod output;
mod record;
mod redaction;
mod run;
mod server;
mod sockets;
mod successor;
mod unit;
mod units;
mod wire;

pub use confinement::users_of;
pub use launch::{Launched, is_running, launch, launch_program};
pub use run::{Ended, run_to_end};
pub use wire::{Health, KeeperState};

use std::path::PathBuf;

use reconcile::Root;

/// Every child has this in its environment: the root and the unit it belongs to.
pub const UNIT_MARK: &str = "ROADBED_UNIT";

/// And this: which start of the unit it comes from.
pub const SPAWN_MARK: &str = "ROADBED_SPAWN";

/// Present while the environment was stopped on purpose: nobody revives its keeper then.
pub fn down_marker(root: &Root) -> PathBuf {
    root.run().join("down")
}

fn records_folder(root: &Root) -> PathBuf {
    root.run().join("units")
}

fn fifo_folder(root: &Root) -> PathBuf {
    root.run().join("fifo")
}

fn sockets_file(root: &Root) -> PathBuf {
    root.run().join("sockets.json")
}

/// What the keeper itself has to say.
fn own_log(root: &Root) -> PathBuf {
    root.logs().join("keeper.log")
}
