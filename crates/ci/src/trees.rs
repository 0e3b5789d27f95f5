//! Folders and files as git's objects have them, and trees that no commit has yet.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;

use gix_hash::ObjectId;
use gix_object::tree::{EntryKind, EntryMode};
use gix_object::{Kind, TreeRefIter, WriteTo, compute_hash};
use leaks::Objects;
use reconcile::Fault;

/// Folders kept at most twice over.
const RECENT: usize = 128;

/// What stands in a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// As git has it, which may be no text.
    pub name: Box<[u8]>,
    pub kind: EntryKind,
    pub id: ObjectId,
}

/// Objects, and what was laid over them.
#[derive(Debug)]
pub struct Trees {
    objects: Objects,
    /// Folders that are in no object.
    made: HashMap<ObjectId, Rc<[Entry]>>,
    /// Folders read a moment ago, and those read before them: a project has thousands, and few are looked at twice.
    recent: HashMap<ObjectId, Rc<[Entry]>>,
    older: HashMap<ObjectId, Rc<[Entry]>>,
    /// Contents that are in no object.
    contents: HashMap<ObjectId, Rc<[u8]>>,
    links: HashMap<ObjectId, Rc<[Link]>>,
    /// Most folders have none, and there are many thousands.
    without_links: HashSet<ObjectId>,
    no_links: Rc<[Link]>,
}

/// A link somewhere below a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// From that folder.
    pub path: String,
    pub target: String,
}

/// A file and what is in it.
pub type Content = (ObjectId, Rc<[u8]>);

/// What stands at a path.
type Found = (EntryKind, ObjectId);

/// A path and what is there now.
type Change<'c> = (&'c [u8], Option<&'c Made>);

/// A file as it is now: `None` is gone.
pub type Changed = BTreeMap<Vec<u8>, Option<Made>>;

/// A file that is in no commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Made {
    pub kind: EntryKind,
    pub id: ObjectId,
    /// Kept where somebody will read it: manifests and lock files.
    pub content: Option<Rc<[u8]>>,
}

impl Trees {
    pub fn new(objects: Objects) -> Self {
        let empty = ObjectId::empty_tree(gix_hash::Kind::Sha1);
        let made = HashMap::from([(empty, Rc::from([]))]);
        let nothing = HashMap::new;
        Self {
            objects,
            made,
            recent: nothing(),
            older: nothing(),
            contents: HashMap::new(),
            links: HashMap::new(),
            without_links: HashSet::new(),
            no_links: Rc::from([]),
        }
    }

    /// The tree without anything.
    pub fn empty() -> ObjectId {
        ObjectId::empty_tree(gix_hash::Kind::Sha1)
    }

    /// What stands in a folder.
    pub fn folder(&mut self, id: &ObjectId) -> Result<Rc<[Entry]>, Fault> {
        if let Some(known) = self.made.get(id).or_else(|| self.recent.get(id)) {
            return Ok(known.clone());
        }
        if let Some(known) = self.older.remove(id) {
            return Ok(self.keep(*id, known));
        }
        let data = self.objects.read(id).filter(|data| data.kind == Kind::Tree).ok_or_else(|| missing(id))?;
        let mut entries = Vec::new();
        for entry in TreeRefIter::from_bytes(data.data, gix_hash::Kind::Sha1) {
            let entry = entry.map_err(|_| missing(id))?;
            entries.push(Entry {
                name: entry.filename.to_vec().into(),
                kind: entry.mode.kind(),
                id: entry.oid.to_owned(),
            });
        }
        Ok(self.keep(*id, entries.into()))
    }

    fn keep(&mut self, id: ObjectId, entries: Rc<[Entry]>) -> Rc<[Entry]> {
        if self.recent.len() >= RECENT {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(id, entries.clone());
        entries
    }

    pub fn content(&mut self, id: &ObjectId) -> Result<Rc<[u8]>, Fault> {
        if let Some(known) = self.contents.get(id) {
            return Ok(known.clone());
        }
        let data = self.objects.read(id).filter(|data| data.kind == Kind::Blob).ok_or_else(|| missing(id))?;
        Ok(data.data.into())
    }

    /// What is at a path below a folder.
    pub fn find(&mut self, root: &ObjectId, path: &str) -> Result<Option<(EntryKind, ObjectId)>, Fault> {
        let mut at = (EntryKind::Tree, *root);
        for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
            if at.0 != EntryKind::Tree {
                return Ok(None);
            }
            let folder = self.folder(&at.1)?;
            let Some(entry) = folder.iter().find(|entry| *entry.name == *part.as_bytes()) else { return Ok(None) };
            at = (entry.kind, entry.id);
        }
        Ok(Some(at))
    }

    /// The content of a file at a path below a folder.
    pub fn file(&mut self, root: &ObjectId, path: &str) -> Result<Option<Content>, Fault> {
        match self.find(root, path)? {
            Some((EntryKind::Blob | EntryKind::BlobExecutable, id)) => Ok(Some((id, self.content(&id)?))),
            _ => Ok(None),
        }
    }

    /// All links below a folder.
    pub fn links(&mut self, id: &ObjectId) -> Result<Rc<[Link]>, Fault> {
        if self.without_links.contains(id) {
            return Ok(self.no_links.clone());
        }
        if let Some(known) = self.links.get(id) {
            return Ok(known.clone());
        }
        let mut found = Vec::new();
        for entry in self.folder(id)?.iter() {
            let name = String::from_utf8_lossy(&entry.name);
            match entry.kind {
                EntryKind::Tree => {
                    let below = self.links(&entry.id)?;
                    found.extend(
                        below
                            .iter()
                            .map(|link| Link { path: format!("{name}/{}", link.path), target: link.target.clone() }),
                    );
                }
                EntryKind::Link => {
                    let target = String::from_utf8_lossy(&self.content(&entry.id)?).into_owned();
                    found.push(Link { path: name.into_owned(), target });
                }
                _ => {}
            }
        }
        if found.is_empty() {
            self.without_links.insert(*id);
            return Ok(self.no_links.clone());
        }
        let found: Rc<[Link]> = found.into();
        self.links.insert(*id, found.clone());
        Ok(found)
    }

    /// The tree that a folder would be with these changes, of the same id as if it were committed.
    pub fn with(&mut self, root: &ObjectId, changed: &Changed) -> Result<ObjectId, Fault> {
        let changes: Vec<Change<'_>> = changed.iter().map(|(path, made)| (path.as_slice(), made.as_ref())).collect();
        Ok(self.changed(Some(root), &changes)?.unwrap_or_else(Self::empty))
    }

    fn changed(&mut self, root: Option<&ObjectId>, changes: &[Change<'_>]) -> Result<Option<ObjectId>, Fault> {
        let mut entries: BTreeMap<Vec<u8>, (EntryKind, ObjectId)> = match root {
            Some(root) => {
                self.folder(root)?.iter().map(|entry| (entry.name.to_vec(), (entry.kind, entry.id))).collect()
            }
            None => BTreeMap::new(),
        };
        let mut below: BTreeMap<&[u8], Vec<Change<'_>>> = BTreeMap::new();
        for (path, made) in changes {
            match path.iter().position(|byte| *byte == b'/') {
                Some(at) => below.entry(&path[..at]).or_default().push((&path[at + 1..], *made)),
                None => match made {
                    Some(made) => {
                        if let Some(content) = &made.content {
                            self.contents.insert(made.id, content.clone());
                        }
                        entries.insert(path.to_vec(), (made.kind, made.id));
                    }
                    // A folder of this name may have come in its place.
                    None => {
                        if entries.get(*path).is_some_and(|(kind, _)| *kind != EntryKind::Tree) {
                            entries.remove(*path);
                        }
                    }
                },
            }
        }
        for (name, changes) in below {
            let before = entries.get(name).filter(|(kind, _)| *kind == EntryKind::Tree).map(|(_, id)| *id);
            match self.changed(before.as_ref(), &changes)? {
                Some(id) => drop(entries.insert(name.to_vec(), (EntryKind::Tree, id))),
                // Where it was a folder, nothing is left of it; where it was a file, that stays as it was said.
                None if before.is_some() => drop(entries.remove(name)),
                None => {}
            }
        }
        if entries.is_empty() {
            return Ok(None);
        }
        self.put(entries).map(Some)
    }

    fn put(&mut self, entries: BTreeMap<Vec<u8>, (EntryKind, ObjectId)>) -> Result<ObjectId, Fault> {
        let cannot = || Fault::new("cannot put together the tree of what is not committed");
        let mut tree = gix_object::Tree::empty();
        tree.entries = entries
            .into_iter()
            .map(|(name, (kind, oid))| gix_object::tree::Entry {
                mode: EntryMode::from(kind),
                filename: name.into(),
                oid,
            })
            .collect();
        tree.entries.sort();
        let mut bytes = Vec::new();
        tree.write_to(&mut bytes).map_err(|_| cannot())?;
        let id = compute_hash(gix_hash::Kind::Sha1, Kind::Tree, &bytes).map_err(|_| cannot())?;
        let folder = tree.entries.into_iter().map(|entry| Entry {
            name: entry.filename.to_vec().into(),
            kind: entry.mode.kind(),
            id: entry.oid,
        });
        self.made.insert(id, folder.collect());
        Ok(id)
    }

    /// Paths at which two folders differ, at most `most`, and how many there are.
    pub fn differences(
        &mut self,
        ours: Option<&ObjectId>,
        theirs: Option<&ObjectId>,
        most: usize,
    ) -> Result<(Vec<String>, usize), Fault> {
        let mut found = (Vec::new(), 0);
        self.differ(ours, theirs, "", most, &mut found)?;
        Ok(found)
    }

    fn differ(
        &mut self,
        ours: Option<&ObjectId>,
        theirs: Option<&ObjectId>,
        folder: &str,
        most: usize,
        found: &mut (Vec<String>, usize),
    ) -> Result<(), Fault> {
        if ours == theirs {
            return Ok(());
        }
        let mut names: BTreeMap<Box<[u8]>, [Option<Found>; 2]> = BTreeMap::new();
        for (side, id) in [ours, theirs].into_iter().enumerate() {
            let Some(id) = id else { continue };
            for entry in self.folder(id)?.iter() {
                names.entry(entry.name.clone()).or_default()[side] = Some((entry.kind, entry.id));
            }
        }
        for (name, [ours, theirs]) in names.into_iter().filter(|(_, [ours, theirs])| ours != theirs) {
            let path = format!("{folder}{}", String::from_utf8_lossy(&name));
            let tree = |side: Option<(EntryKind, ObjectId)>| {
                side.filter(|(kind, _)| *kind == EntryKind::Tree).map(|(_, id)| id)
            };
            let is_file = |side: Option<(EntryKind, ObjectId)>| side.is_some_and(|(kind, _)| kind != EntryKind::Tree);
            if is_file(ours) || is_file(theirs) {
                found.1 += 1;
                if found.0.len() < most {
                    found.0.push(path.clone());
                }
            }
            if tree(ours).is_some() || tree(theirs).is_some() {
                self.differ(tree(ours).as_ref(), tree(theirs).as_ref(), &format!("{path}/"), most, found)?;
            }
        }
        Ok(())
    }
}

fn missing(id: &ObjectId) -> Fault {
    Fault::new("cannot tell what changed: an object of git is missing or damaged")
        .cause(format!("{id} cannot be read"))
        .hint("a partial clone lacks files: clone without `--filter`; else `git fsck` says what is damaged")
}
