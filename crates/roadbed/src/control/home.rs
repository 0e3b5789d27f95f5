//! Where a root is at home: the machine and the folder that it was made in.
//!
//! A root that is found elsewhere was moved, or copied. Two roots with one identity would fight over the same ports, names and
//! processes: the copy's keeper would take the first one's processes for its own. So a copy is refused until somebody says that
//! it is to be an environment of its own, or that the first one is no more: `roadbed up --adopt`.

use std::path::PathBuf;

use reconcile::{Fault, Root};
use serde::{Deserialize, Serialize};

use super::identity::Identity;
use crate::roots::{Roots, is_root, place_of};

/// Part of a root's identity.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Home {
    /// Digest of the machine's id.
    pub machine: String,
    pub path: PathBuf,
}

impl Home {
    /// The home of a root that is made here and now.
    pub fn here(root: &Root, roots: &Roots) -> Result<Self, Fault> {
        Ok(Self { machine: roots.machine()?, path: place_of(root) })
    }
}

/// Refuses a root that is not at home and was not merely moved.
pub fn refuse_copy(root: &Root, identity: &Identity, roots: &Roots) -> Result<(), Fault> {
    let Some(home) = &identity.home else { return Ok(()) };
    let here = Home::here(root, roots)?;
    let why = if home.machine != here.machine {
        format!("it was made on another machine, in {}", home.path.display())
    } else if home.path != here.path && is_root(&home.path, &identity.id) {
        format!("it is a copy of {}, which is still there", home.path.display())
    } else {
        return Ok(());
    };
    Err(Fault::new(format!("cannot use the root {}", root.path().display()))
        .cause(why)
        .cause("two roots with one identity would take each other's processes, ports and data for their own")
        .hint("to begin anew give another folder with --root; to go on with this one for good, `roadbed up --adopt`"))
}
