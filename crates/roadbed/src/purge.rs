//! An environment goes without trace: everything that there is of a root, and the order in which it goes.
//!
//! ```text
//!   note that it goes ─► packet filter, control groups, user ids ─► keys of its secrets ─► data, logs, all of the root
//!                                                                                            └─► the note, the folder itself
//! ```
//!
//! Whatever is killed in between leaves the note, which says what was to go: the same command goes on, and nothing else brings the
//! root up again.

use std::path::{Path, PathBuf};

use host::files::{self, Access, FileFault};
use reconcile::{Fault, Root};
use serde::{Deserialize, Serialize};

use crate::checkouts;
use crate::control::identity::{self, Identity};
use crate::keeper;
use crate::roots::Roots;
use crate::world::network;

/// Raised when a field changes its meaning.
const FORMAT: u32 = 1;

/// What is being purged: in the root until nothing else is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purging {
    format: u32,
    pub id: String,
    pub environment: String,
}

/// What a root leaves outside itself, and where.
#[derive(Clone, Debug)]
pub struct Places {
    pub roots: Roots,
    /// Where this user's logins are kept: `$XDG_RUNTIME_DIR`.
    pub runtime: Option<PathBuf>,
    /// Where this user's cache is, with the checkouts of previews.
    pub cache: Option<PathBuf>,
}

fn note_of(root: &Root) -> PathBuf {
    root.path().join("purging.json")
}

/// What there is to purge: a root, or what is left of one. `None`: it was never used.
pub fn whose(root: &Root) -> Result<Option<Purging>, Fault> {
    if let Some(begun) = begun(root)? {
        return Ok(Some(begun));
    }
    let of = |Identity { id, environment, .. }: Identity| Purging { format: FORMAT, id, environment };
    Ok(identity::read(root)?.map(of))
}

fn begun(root: &Root) -> Result<Option<Purging>, Fault> {
    let path = note_of(root);
    let cannot = |why: &dyn std::fmt::Display| {
        Fault::new(format!("cannot tell what is being purged: {} cannot be read", path.display()))
            .cause(why.to_string())
    };
    let Some(bytes) = files::read_if_exists(&path).map_err(|fault| cannot(&fault.source))? else { return Ok(None) };
    let note: Purging = serde_json::from_slice(&bytes).map_err(|error| cannot(&error))?;
    match note.format {
        FORMAT => Ok(Some(note)),
        other => Err(cannot(&format!("its format is {other}, this Roadbed knows {FORMAT}"))),
    }
}

/// Refuses to bring up what is left of a root that is being purged.
pub fn refuse_begun(root: &Root) -> Result<(), Fault> {
    let Some(Purging { environment, .. }) = begun(root)? else { return Ok(()) };
    Err(Fault::new(format!("cannot bring up {environment}: {} is being purged", root.path().display()))
        .cause("a purge was killed before its end, and part of the data is gone")
        .hint("run `roadbed down --purge` again, then `roadbed up`"))
}

/// Takes away everything that there is of a root whose processes have ended. Safe to do again after any crash.
pub async fn purge(root: &Root, whose: &Purging, places: &Places) -> Result<(), Fault> {
    let cannot = |fault: FileFault| {
        Fault::because(format!("cannot purge {}", whose.environment), &fault).hint("run the same command again")
    };
    let note = serde_json::to_vec(whose).expect("a note is plain data");
    files::write_durable(&note_of(root), &note, Access::Owner).map_err(cannot)?;
    network::lift(root).await?;
    keeper::confinement::forget(root).map_err(cannot)?;
    // Keys first: from here on nobody opens what is still there.
    for path in outside(&whose.id, places) {
        files::remove(&path).map_err(cannot)?;
    }
    if let Some(checkout) = places.cache.as_ref().map(|cache| checkouts::folder(cache, root)) {
        files::remove_dir(&checkout).map_err(cannot)?;
    }
    let note = note_of(root);
    // The lock is held by whoever calls: it goes with the folder.
    for path in files::list(root.path()).map_err(cannot)?.into_iter().filter(|path| *path != note) {
        match files::is_dir(&path) && !files::is_link(&path) {
            true => files::remove_dir(&path),
            false => files::remove(&path),
        }
        .map_err(cannot)?;
    }
    files::sync_dir(root.path()).map_err(cannot)?;
    files::remove_dir(root.path()).map_err(cannot)?;
    remove_empty_above(root).map_err(cannot)
}

/// What names a root outside of it: files of this user, by the root's id.
pub fn outside(id: &str, places: &Places) -> Vec<PathBuf> {
    let state = places.roots.keys().state;
    let of_state = |state: PathBuf| {
        [
            state.join("identities").join(id),
            state.join("heads").join(id),
            state.join("roots").join(format!("{id}.json")),
        ]
    };
    let login = places.runtime.iter().map(|runtime| runtime.join(format!("roadbed-login-{id}.json")));
    state.into_iter().flat_map(of_state).chain(login).collect()
}

/// The folders in which roots are kept beside each other, where this was the last.
fn remove_empty_above(root: &Root) -> files::Result<()> {
    let is_ours = |folder: &&Path| folder.components().any(|part| part.as_os_str() == crate::cli::place::OTHERS);
    for folder in root.path().ancestors().skip(1).take_while(is_ours) {
        if !files::remove_empty_dir(folder)? {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control::identity::Purpose;
    use host::clock::SystemClock;

    struct Bench {
        folder: tempfile::TempDir,
        root: Root,
        places: Places,
    }

    impl Bench {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let (state, config) = (folder.path().join("state/roadbed"), folder.path().join("config/roadbed"));
            let places = Places {
                roots: Roots::new(Some(state), Some(config)),
                runtime: Some(folder.path().join("run")),
                cache: Some(folder.path().join("cache")),
            };
            let root = Root::new(folder.path().join("shop/.roadbed-envs/preview/pr-7"));
            let purpose = Purpose { product: "shop", environment: "preview/pr-7" };
            let identity = identity::ensure(&root, purpose, &places.roots, &SystemClock).unwrap();
            for path in outside(&identity.id, &places) {
                files::create_dir(path.parent().unwrap(), Access::Owner).unwrap();
                files::write(&path, b"of this root", Access::Owner).unwrap();
            }
            files::create_dir(&root.data("mongodb"), Access::Owner).unwrap();
            files::write(&root.data("mongodb").join("documents"), b"anna@shop.example", Access::Owner).unwrap();
            files::symlink(folder.path(), &root.path().join("elsewhere")).unwrap();
            let checkout = checkouts::folder(places.cache.as_ref().unwrap(), &root);
            files::create_dir(&checkout, Access::Owner).unwrap();
            files::write(&folder.path().join("shop/roadbed.toml"), b"stays", Access::Owner).unwrap();
            Self { folder, root, places }
        }

        fn has_no_trace(&self, id: &str) {
            assert!(!files::exists(self.root.path()));
            assert!(files::list(&self.folder.path().join("cache/previews")).unwrap().is_empty());
            assert!(!files::exists(&self.folder.path().join("shop/.roadbed-envs")));
            assert_eq!(outside(id, &self.places).into_iter().filter(|path| files::exists(path)).count(), 0);
            assert!(files::exists(&self.folder.path().join("shop/roadbed.toml")));
        }
    }

    #[tokio::test]
    async fn nothing_is_left_of_a_root_and_nothing_else_is_touched() {
        let bench = Bench::new();
        let whose = whose(&bench.root).unwrap().unwrap();
        purge(&bench.root, &whose, &bench.places).await.unwrap();
        bench.has_no_trace(&whose.id);
        assert_eq!(super::whose(&bench.root).unwrap(), None);
    }

    #[tokio::test]
    async fn what_was_killed_in_the_middle_is_not_brought_up_and_goes_on() {
        let bench = Bench::new();
        let whose = whose(&bench.root).unwrap().unwrap();
        refuse_begun(&bench.root).unwrap();
        // As far as a kill may have let it come: the note, and the identity gone.
        let note = serde_json::to_vec(&whose).unwrap();
        files::write_durable(&note_of(&bench.root), &note, Access::Owner).unwrap();
        files::remove(&bench.root.identity()).unwrap();
        files::remove_dir(&bench.root.secrets()).unwrap();
        let refused = refuse_begun(&bench.root).unwrap_err();
        assert!(refused.hint.unwrap().contains("down --purge"), "{}", refused.message);
        let left = super::whose(&bench.root).unwrap().unwrap();
        assert_eq!(left, whose);
        purge(&bench.root, &left, &bench.places).await.unwrap();
        bench.has_no_trace(&whose.id);
    }

    #[tokio::test]
    async fn another_root_beside_it_stays() {
        let bench = Bench::new();
        let beside = bench.folder.path().join("shop/.roadbed-envs/preview/pr-8");
        files::create_dir(&beside, Access::Owner).unwrap();
        let whose = whose(&bench.root).unwrap().unwrap();
        purge(&bench.root, &whose, &bench.places).await.unwrap();
        assert!(files::exists(&beside) && !files::exists(bench.root.path()));
    }
}
