//! What is lent, on disk: one file below `state/`, replaced whole.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use host::clock::Moment;
use host::files::{self, Access};
use reconcile::{Fault, Root};
use serde::{Deserialize, Serialize};

use super::{Lease, State};

/// So many leases at once are enough for a team; more are a program that borrows in a circle, and each is a user of the servers.
pub const MOST: usize = 200;

/// Raised when a field changes its meaning.
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
struct OnDisk {
    version: u32,
    /// The root that it was written in: leases of a root that was copied are none of the copy's.
    root: PathBuf,
    leases: Vec<Lease>,
}

/// Held while users of a server change in a file, by convergence or by a lease: whoever wrote second would otherwise write what
/// it read first. Nothing is awaited meanwhile.
pub(crate) fn users_change() -> MutexGuard<'static, ()> {
    static CHANGING: Mutex<()> = Mutex::new(());
    // It guards files, which are replaced whole: a panic leaves nothing half done.
    CHANGING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where the book is.
pub fn path(root: &Root) -> PathBuf {
    root.state().join("leases.json")
}

/// Everything that is lent, as far as it is not struck from the book.
///
/// # Errors
/// Where the file cannot be read or is damaged.
pub fn read(root: &Root) -> Result<Vec<Lease>, Fault> {
    let path = path(root);
    let cannot = |why: &(dyn std::error::Error + 'static)| {
        Fault::because(format!("cannot tell which users are lent: {} cannot be read", path.display()), why)
            .hint("`roadbed up --forget-state` moves it aside; all lent users are then taken away")
    };
    let Some(bytes) = files::read_if_exists(&path).map_err(|fault| cannot(&fault))? else { return Ok(Vec::new()) };
    let disk: OnDisk = serde_json::from_slice(&bytes).map_err(|error| cannot(&error))?;
    if disk.version != VERSION {
        let newer = format!("its format has version {}, this program knows {VERSION}", disk.version);
        return Err(cannot(&std::io::Error::other(newer)));
    }
    Ok(if disk.root == root.path() { disk.leases } else { Vec::new() })
}

/// Whether the book is there and cannot be read.
pub fn is_damaged(root: &Root) -> bool {
    read(root).is_err()
}

/// Notes a lease, before any user of it is made.
///
/// # Errors
/// Where there are [`MOST`] already, or the book cannot be written.
pub fn note(root: &Root, lease: Lease) -> Result<(), Fault> {
    change(root, |leases| {
        if leases.len() >= MOST {
            return Err(Fault::new(format!("cannot lend another user: {MOST} are lent already"))
                .hint("end commands that hold one; whose process is gone is taken away within seconds"));
        }
        leases.push(lease);
        Ok(())
    })
}

/// Lets a lease last from `now` on. `None`: it is over, or never was.
pub fn renew(root: &Root, id: &str, now: &Moment) -> Result<Option<Lease>, Fault> {
    change(root, |leases| {
        let lease = leases.iter_mut().find(|lease| lease.id == id && lease.state == State::Live);
        Ok(lease.map(|lease| {
            lease.renew(now.clone());
            lease.clone()
        }))
    })
}

/// Marks a lease as ending: from now on no file of a server names its user. `None`: it is over already.
pub fn end(root: &Root, id: &str) -> Result<Option<Lease>, Fault> {
    change(root, |leases| {
        let lease = leases.iter_mut().find(|lease| lease.id == id);
        Ok(lease.map(|lease| {
            lease.state = State::Ending;
            lease.clone()
        }))
    })
}

/// Strikes a lease, after its users were taken away.
pub fn strike(root: &Root, id: &str) -> Result<(), Fault> {
    change(root, |leases| {
        leases.retain(|lease| lease.id != id);
        Ok(())
    })
}

/// Changes the book; on disk when this returns. Returns what `change` did.
fn change<T>(root: &Root, change: impl FnOnce(&mut Vec<Lease>) -> Result<T, Fault>) -> Result<T, Fault> {
    let _changing = users_change();
    let mut leases = read(root)?;
    let before = leases.clone();
    let result = change(&mut leases)?;
    if leases != before {
        write(root, leases)?;
    }
    Ok(result)
}

fn write(root: &Root, leases: Vec<Lease>) -> Result<(), Fault> {
    let path = path(root);
    let disk = OnDisk { version: VERSION, root: root.path().to_owned(), leases };
    let text = serde_json::to_vec_pretty(&disk).expect("leases are plain data");
    let folder = path.parent().unwrap_or(Path::new("/"));
    files::create_dir(folder, Access::Owner)
        .and_then(|()| files::write_durable(&path, &text, Access::Owner))
        .map_err(|fault| Fault::because("cannot note what is lent", &fault).hint("see whether the disk is full"))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use host::clock::Timestamp;

    use super::*;
    use crate::leases::tests::lease;

    fn root() -> (tempfile::TempDir, Root) {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().to_owned());
        (folder, root)
    }

    #[test]
    fn what_is_noted_is_read_again() {
        let (_folder, root) = root();
        assert_eq!(read(&root).unwrap(), []);
        note(&root, lease("dev-anna-1")).unwrap();
        note(&root, lease("dev-anna-2")).unwrap();
        assert_eq!(read(&root).unwrap(), [lease("dev-anna-1"), lease("dev-anna-2")]);
    }

    #[test]
    fn a_lease_goes_from_lent_to_ending_to_gone() {
        let (_folder, root) = root();
        note(&root, lease("dev-anna-1")).unwrap();
        let now = &Moment::new(Timestamp::from_unix_millis(500), "b", Duration::ZERO);
        assert_eq!(renew(&root, "dev-anna-1", now).unwrap().unwrap().until, Timestamp::from_unix_millis(1_000_500));
        assert_eq!(end(&root, "dev-anna-1").unwrap().unwrap().state, State::Ending);
        assert_eq!(renew(&root, "dev-anna-1", now).unwrap(), None, "what ends is not renewed");
        assert!(end(&root, "dev-anna-1").unwrap().is_some(), "asked again after a crash");
        strike(&root, "dev-anna-1").unwrap();
        assert_eq!(end(&root, "dev-anna-1").unwrap(), None);
        assert_eq!(read(&root).unwrap(), []);
    }

    #[test]
    fn there_is_an_end_to_lending() {
        let (_folder, root) = root();
        (0..MOST).for_each(|number| note(&root, lease(&format!("dev-anna-{number}"))).unwrap());
        let refused = note(&root, lease("dev-anna-more")).unwrap_err();
        assert!(refused.message.contains("200 are lent already"), "{}", refused.message);
        strike(&root, "dev-anna-7").unwrap();
        note(&root, lease("dev-anna-more")).unwrap();
    }

    #[test]
    fn a_damaged_book_is_not_an_empty_one() {
        let (_folder, root) = root();
        note(&root, lease("dev-anna-1")).unwrap();
        let good = files::read_string(&path(&root)).unwrap();
        for bad in [&good[..good.len() / 2], "", &good.replacen("\"version\": 1", "\"version\": 2", 1)] {
            files::write_durable(&path(&root), bad.as_bytes(), Access::Owner).unwrap();
            assert!(is_damaged(&root), "{bad}");
            let refused = change(&root, |leases| {
                leases.clear();
                Ok(())
            });
            assert!(refused.is_err());
            assert_eq!(files::read_string(&path(&root)).unwrap(), bad, "nobody writes over what they cannot read");
        }
    }

    #[test]
    fn the_leases_of_a_copied_root_are_not_the_copy_s() {
        let (_folder, original) = root();
        let (_other, copy) = root();
        note(&original, lease("dev-anna-1")).unwrap();
        let bytes = files::read(&path(&original)).unwrap();
        files::create_dir(&copy.state(), Access::Owner).unwrap();
        files::write_durable(&path(&copy), &bytes, Access::Owner).unwrap();
        assert_eq!(read(&copy).unwrap(), []);
    }
}
