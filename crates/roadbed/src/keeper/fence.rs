//! Of which control orders are taken: of the newest that was ever heard of. One that lost its lease and comes to life again stops
//! and starts nothing.
//!
//! ```text
//!   run/epoch     the highest number that any control named
//! ```
//!
//! The number is the book's of deployments. Who names none is no control: a person with the keeper's socket, or what brings
//! control itself to life.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};

use host::files::{self, Access};
use reconcile::{Fault, Root};

/// The epoch of the control that asks.
pub(super) const EPOCH_HEADER: &str = "roadbed-epoch";

/// What was heard so far.
#[derive(Debug)]
pub(super) struct Fence {
    path: PathBuf,
    highest: Mutex<u64>,
}

impl Fence {
    /// Reads what an earlier keeper heard. Damage is told by the second value, and stands until a control is heard again, which is
    /// within half a second of its start.
    pub(super) fn load(root: &Root) -> Result<(Self, Option<String>), files::FileFault> {
        let path = root.run().join("epoch");
        let (highest, fault) = match files::read_if_exists(&path)? {
            None => (0, None),
            Some(bytes) => match String::from_utf8_lossy(&bytes).trim().parse() {
                Ok(highest) => (highest, None),
                Err(_) => (0, Some(format!("{} does not say which control was the last", path.display()))),
            },
        };
        Ok((Self { path, highest: Mutex::new(highest) }, fault))
    }

    /// Lets a control through that is not older than any that was heard of.
    pub(super) fn pass(&self, epoch: u64) -> Result<(), Fault> {
        let mut highest = self.highest.lock().unwrap_or_else(PoisonError::into_inner);
        if epoch < *highest {
            return Err(Fault::new("the keeper takes no orders of this control")
                .cause(format!("it is number {epoch}, and number {highest} has taken over", highest = *highest))
                .hint("`roadbed restart control` starts one that is the newest"));
        }
        if epoch > *highest {
            *highest = epoch;
            // A full disk must not keep the one control that there is from its work.
            if let Err(fault) = files::write_durable(&self.path, epoch.to_string().as_bytes(), Access::Owner) {
                tracing::error!(error = %fault.source, "cannot note which control is the newest: {fault}");
            }
        }
        Ok(())
    }

    /// A book that was given up begins to count anew: so does this, with the environment.
    pub(super) fn forget(&self) -> Result<(), files::FileFault> {
        *self.highest.lock().unwrap_or_else(PoisonError::into_inner) = 0;
        files::remove(&self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_counts_also_for_the_next_keeper() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().to_owned());
        files::create_dir(&root.run(), Access::Owner).unwrap();
        let (fence, fault) = Fence::load(&root).unwrap();
        assert_eq!(fault, None);
        fence.pass(3).unwrap();
        fence.pass(3).unwrap();
        fence.pass(5).unwrap();
        assert!(fence.pass(4).unwrap_err().causes[0].contains("number 5 has taken over"));
        let (next, _) = Fence::load(&root).unwrap();
        assert!(next.pass(4).is_err());
        next.forget().unwrap();
        next.pass(1).unwrap();
        files::write(&root.run().join("epoch"), b"\xff", Access::Owner).unwrap();
        assert!(Fence::load(&root).unwrap().1.unwrap().contains("epoch"));
    }
}
