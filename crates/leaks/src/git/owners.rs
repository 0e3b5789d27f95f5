//! Which commits have a file: asked only for the few files in which something was found.

use std::collections::HashMap;
use std::rc::Rc;

use gix_hash::ObjectId;

use super::history::History;
use super::{Objects, What};

/// The commits that have a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Owned {
    pub(crate) first: ObjectId,
    pub(crate) last: ObjectId,
    /// Their places in the order of the history.
    pub(crate) span: (usize, usize),
    /// Where it is in the last of them; in `HEAD` if that has it.
    pub(crate) path: Option<String>,
    pub(crate) in_head: bool,
}

/// For each of `blobs` the first and the last commit that has it. Each tree is looked at once.
pub(crate) fn of(
    objects: &mut Objects,
    history: &History,
    head: Option<ObjectId>,
    blobs: &[ObjectId],
) -> HashMap<ObjectId, Owned> {
    let wanted: HashMap<ObjectId, u32> = blobs.iter().copied().zip(0..).collect();
    let mut within: Within = HashMap::new();
    let mut owned: HashMap<ObjectId, Owned> = HashMap::new();
    let mut last_trees: HashMap<ObjectId, ObjectId> = HashMap::new();
    for (at, commit) in history.commits.iter().enumerate() {
        for &index in holds(objects, commit.tree, &wanted, &mut within).iter() {
            let blob = blobs[usize::try_from(index).expect("an index fits")];
            let fresh = Owned { first: commit.id, last: commit.id, span: (at, at), path: None, in_head: false };
            let known = owned.entry(blob).or_insert(fresh);
            (known.last, known.span.1) = (commit.id, at);
            last_trees.insert(blob, commit.tree);
        }
    }
    let head_tree =
        head.and_then(|head| history.commits.iter().find(|commit| commit.id == head)).map(|commit| commit.tree);
    for (blob, owned) in &mut owned {
        let index = wanted[blob];
        owned.in_head = head_tree.is_some_and(|tree| within.get(&tree).is_some_and(|held| held.contains(&index)));
        let tree = head_tree.filter(|_| owned.in_head).unwrap_or(last_trees[blob]);
        owned.path = path(objects, tree, *blob, index, &within);
    }
    owned
}

/// Which wanted blobs are below each tree that was looked at.
type Within = HashMap<ObjectId, Rc<[u32]>>;

/// Folders of a repository, one in another; a tree cannot hold itself, but a damaged object may claim to.
const DEEPEST: usize = 256;

fn holds(objects: &mut Objects, tree: ObjectId, wanted: &HashMap<ObjectId, u32>, within: &mut Within) -> Rc<[u32]> {
    fn look(
        objects: &mut Objects,
        tree: ObjectId,
        wanted: &HashMap<ObjectId, u32>,
        within: &mut Within,
        depth: usize,
    ) -> Rc<[u32]> {
        if let Some(known) = within.get(&tree) {
            return known.clone();
        }
        let mut held: Vec<u32> = Vec::new();
        for entry in objects.tree(&tree).unwrap_or_default() {
            match entry.what {
                What::File => held.extend(wanted.get(&entry.id)),
                What::Folder if depth < DEEPEST => {
                    held.extend(look(objects, entry.id, wanted, within, depth + 1).iter())
                }
                What::Folder => {}
            }
        }
        held.sort_unstable();
        held.dedup();
        let held: Rc<[u32]> = held.into();
        within.insert(tree, held.clone());
        held
    }
    look(objects, tree, wanted, within, 0)
}

fn path(objects: &mut Objects, root: ObjectId, blob: ObjectId, index: u32, within: &Within) -> Option<String> {
    let mut tree = root;
    let mut path = String::new();
    for _ in 0..DEEPEST {
        let next = objects.tree(&tree)?.into_iter().find(|entry| match entry.what {
            What::File => entry.id == blob,
            What::Folder => within.get(&entry.id).is_some_and(|held| held.contains(&index)),
        })?;
        path = if path.is_empty() { next.name } else { format!("{path}/{}", next.name) };
        match next.what {
            What::File => return Some(path),
            What::Folder => tree = next.id,
        }
    }
    None
}
