//! Changes of data that come with a release: in two halves, so that the release before works on until nobody needs it.

use std::time::Duration;

use crate::id::MigrationName;
use crate::record::{choice, record};
use crate::scalars::Command;
use crate::source::At;

choice! {
    /// When a change of data is made.
    pub enum Half {
        /// Before the release starts, while the one before serves: it adds, and takes nothing away that the one before needs.
        Expand = "expand",
        /// When no release before it is kept ready any more: it takes away what only those needed. There is no way back across it.
        Contract = "contract",
    }
}

record! {
    /// A change of data, made once per environment by a program of the release. It may be cut off and run again, so it must not mind
    /// what it has done already.
    pub(crate) struct MigrationTable {
        /// Its name: what was run is known by it, so it never changes.
        name: At<MigrationName>,
        /// When it is made.
        half: Half = "expand",
        /// The program, run in the app's folder with the app's variables; no shell is involved. It ends with 0 when all is done.
        run: At<Command>,
        /// After this it is stopped, and has failed.
        deadline: Duration = "10m",
    }
}

/// A change of data, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Migration {
    pub name: MigrationName,
    pub half: Half,
    pub run: Vec<String>,
    pub deadline: Duration,
}

impl MigrationTable {
    pub(crate) fn resolve(&self) -> Migration {
        Migration { name: self.name.value.clone(), half: self.half, run: self.run.0.clone(), deadline: self.deadline }
    }
}
