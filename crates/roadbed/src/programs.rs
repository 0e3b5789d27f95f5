//! The programs of Roadbed that a root keeps, so that a checkout which is built anew or removed breaks nothing that runs, and so
//! that there is one to go back to.
//!
//! ```text
//!   programs/DIGEST/roadbed     never changed; made whole under another name first
//!   programs/current            leads to the one that the environment was moved to last: what a server starts at boot
//! ```

use std::path::{Path, PathBuf};

use host::files::{self, Access};
use reconcile::{Fault, Root};

use crate::own;

const NAME: &str = "roadbed";
const CURRENT: &str = "current";

/// Where a program of this digest lies, if it is there.
pub fn place(root: &Root, digest: &str) -> PathBuf {
    root.programs().join(digest).join(NAME)
}

/// What a server starts at boot.
pub fn current(root: &Root) -> PathBuf {
    root.programs().join(CURRENT).join(NAME)
}

/// Digest of the program that the environment was moved to last.
pub fn current_digest(root: &Root) -> Option<String> {
    let leads_to = files::link_target(&root.programs().join(CURRENT)).ok().flatten()?;
    Some(leads_to.file_name()?.to_string_lossy().into_owned())
}

/// Keeps a copy of a program and returns its digest. One that is kept already is looked at again: half a file is none.
pub fn keep(root: &Root, from: &Path) -> Result<String, Fault> {
    let cannot = |fault: files::FileFault| {
        Fault::because(format!("cannot keep the program {} in {}", from.display(), root.path().display()), &fault)
            .hint("see whether the disk is full")
    };
    files::create_dir(&root.programs(), Access::Owner).map_err(cannot)?;
    let fresh = root.programs().join(format!("new-{}", host::own::pid()));
    files::remove_dir(&fresh).map_err(cannot)?;
    files::create_dir(&fresh, Access::Owner).map_err(cannot)?;
    let file = fresh.join(NAME);
    files::copy(from, &file).map_err(cannot)?;
    files::set_executable(&file).map_err(cannot)?;
    files::sync_file(&file).map_err(cannot)?;
    // Of the copy: the file that it was made from may have changed meanwhile.
    let digest = own::digest_of(&file)?;
    let place = place(root, &digest);
    if files::exists(&place) && own::digest_of(&place)? == digest {
        files::remove_dir(&fresh).map_err(cannot)?;
        return Ok(digest);
    }
    let folder = root.programs().join(&digest);
    files::remove_dir(&folder).map_err(cannot)?;
    files::rename(&fresh, &folder).map_err(cannot)?;
    files::sync_dir(&root.programs()).map_err(cannot)?;
    Ok(digest)
}

/// Where a keeper leaves a copy of its own program, to be kept by whoever asked for it.
pub fn of_the_keeper(root: &Root) -> PathBuf {
    root.programs().join("of-the-keeper")
}

/// From here on a server starts this one at boot.
pub fn make_current(root: &Root, digest: &str) -> Result<(), Fault> {
    let cannot = |fault: files::FileFault| Fault::because("cannot note which program is the current one", &fault);
    let (link, fresh) = (root.programs().join(CURRENT), root.programs().join("current.new"));
    files::remove(&fresh).map_err(cannot)?;
    files::symlink(Path::new(digest), &fresh).map_err(cannot)?;
    files::rename(&fresh, &link).map_err(cannot)?;
    files::sync_dir(&root.programs()).map_err(cannot)
}

/// Removes one that is not to be run, unless it runs, or did before.
pub fn discard(root: &Root, digest: &str, running: &[&str]) -> Result<(), Fault> {
    if running.contains(&digest) || current_digest(root).as_deref() == Some(digest) {
        return Ok(());
    }
    files::remove_dir(&root.programs().join(digest))
        .map_err(|fault| Fault::because("cannot remove a program that is not to be run", &fault))
}

/// Removes all but these.
pub fn prune(root: &Root, needed: &[&str]) -> Result<(), Fault> {
    let cannot = |fault: files::FileFault| Fault::because("cannot remove programs that nobody runs any more", &fault);
    for folder in files::list(&root.programs()).map_err(cannot)? {
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name != CURRENT && !needed.contains(&name.as_str()) && !files::is_link(&folder) {
            let removed = if files::is_dir(&folder) { files::remove_dir(&folder) } else { files::remove(&folder) };
            removed.map_err(cannot)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kept_program_is_whole_and_what_nobody_runs_goes() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::new(folder.path().join("root"));
        files::create_dir(root.path(), Access::Owner).unwrap();
        let write = |text: &str| {
            let path = folder.path().join("program");
            files::write(&path, text.as_bytes(), Access::Owner).unwrap();
            keep(&root, &path).unwrap()
        };
        let (one, two) = (write("one"), write("two, and longer"));
        assert_ne!(one, two);
        assert_eq!(files::read_string(&place(&root, &one)).unwrap(), "one");
        // Half of it, as a full disk leaves it, is made whole.
        files::write(&place(&root, &one), b"on", Access::Owner).unwrap();
        assert_eq!(write("one"), one);
        assert_eq!(files::read_string(&place(&root, &one)).unwrap(), "one");

        assert_eq!(current_digest(&root), None);
        make_current(&root, &one).unwrap();
        make_current(&root, &two).unwrap();
        assert_eq!(current_digest(&root).as_deref(), Some(two.as_str()));
        assert_eq!(files::read_string(&current(&root)).unwrap(), "two, and longer");
        prune(&root, &[&two]).unwrap();
        assert!(!files::exists(&place(&root, &one)));
        assert!(files::exists(&current(&root)));
    }
}
