//! All commits from the oldest on, and every file they ever had, each once.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, HashSet};

use gix_hash::ObjectId;
use gix_object::Kind;

use super::references::Reference;
use super::{Objects, What};

/// One commit.
#[derive(Debug)]
pub(crate) struct Commit {
    pub(crate) id: ObjectId,
    pub(crate) tree: ObjectId,
    parents: Vec<ObjectId>,
    /// Seconds since 1970, as its committer said.
    time: i64,
}

/// A text of git's own: the message of a commit or of a tag.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) of: ObjectId,
    pub(crate) kind: MessageKind,
    pub(crate) text: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MessageKind {
    Commit,
    Tag,
}

/// Where a file was first met.
#[derive(Debug)]
pub(crate) struct Met {
    pub(crate) path: String,
}

/// The history that refs and logs lead to.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// Parents before children.
    pub(crate) commits: Vec<Commit>,
    pub(crate) blobs: HashMap<ObjectId, Met>,
    /// What a shallow or partial clone does not have, or what is damaged.
    pub(crate) missing: usize,
}

/// A walk through commits and then through their files.
#[derive(Debug, Default)]
pub(crate) struct Walk {
    open: Vec<(ObjectId, String)>,
    /// Objects that were met, or that are not to be entered.
    seen: HashSet<ObjectId>,
    commits: HashMap<ObjectId, Commit>,
    /// Trees to which a ref or a tag leads without a commit.
    lone: Vec<ObjectId>,
    trees: HashSet<ObjectId>,
    /// What was there before, of a walk that goes only beyond it.
    before: HashMap<ObjectId, Commit>,
    history: History,
}

impl Walk {
    /// From all of these on.
    pub(crate) fn from(starts: &[Reference]) -> Self {
        // What comes last is taken first, and all that it leads to: refs before logs.
        let (logs, refs): (Vec<_>, Vec<_>) = starts.iter().partition(|start| start.name.starts_with(LOGS));
        let open = logs.into_iter().chain(refs).map(|start| (start.target, start.name.clone())).collect();
        Self { open, ..Self::default() }
    }

    /// From these on, as far as `before` did not come.
    pub(crate) fn beyond(before: Self, starts: &[Reference]) -> Self {
        Self { seen: before.seen, before: before.commits, ..Self::from(starts) }
    }

    /// Meets every commit; hands each message to `message` and the count of commits to `progress`.
    pub(crate) fn commits(
        &mut self,
        objects: &mut Objects,
        message: &mut dyn FnMut(Message),
        progress: &dyn Fn(usize),
    ) {
        while let Some((id, name)) = self.open.pop() {
            if !self.seen.insert(id) {
                continue;
            }
            let Some(data) = objects.read(&id) else {
                // A log remembers what was collected as garbage long ago: that is no gap in the clone.
                self.history.missing += usize::from(!name.starts_with(LOGS));
                continue;
            };
            match data.kind {
                Kind::Commit => {
                    if self.commits.len().is_multiple_of(1000) {
                        progress(self.commits.len());
                    }
                    let Some((commit, text)) = commit(id, data.data) else {
                        self.history.missing += 1;
                        continue;
                    };
                    message(Message { of: id, kind: MessageKind::Commit, text });
                    self.open.extend(commit.parents.iter().map(|parent| (*parent, name.clone())));
                    self.commits.insert(id, commit);
                }
                Kind::Tag => {
                    let (target, text) = tag(data.data);
                    message(Message { of: id, kind: MessageKind::Tag, text });
                    self.open.extend(target.map(|target| (target, name)));
                }
                Kind::Tree => self.lone.push(id),
                Kind::Blob => {
                    self.history.blobs.insert(id, Met { path: name });
                }
            }
        }
    }

    /// Meets every file of the commits.
    pub(crate) fn files(mut self, objects: &mut Objects) -> History {
        let edges: HashSet<ObjectId> = self
            .commits
            .values()
            .flat_map(|commit| &commit.parents)
            .filter_map(|id| Some(self.before.get(id)?.tree))
            .collect();
        let mut known = HashMap::new();
        for tree in edges {
            self.below(objects, tree, &mut known);
        }
        self.history.commits = in_order(std::mem::take(&mut self.commits));
        let trees = self.history.commits.iter().map(|commit| commit.tree);
        let roots: Vec<ObjectId> = trees.chain(std::mem::take(&mut self.lone)).collect();
        let mut met = std::mem::take(&mut self.history.blobs);
        for root in roots {
            self.below(objects, root, &mut met);
        }
        met.retain(|id, _| !known.contains_key(id));
        self.history.blobs = met;
        self.history
    }

    /// The files below a tree that were not met before.
    fn below(&mut self, objects: &mut Objects, root: ObjectId, met: &mut HashMap<ObjectId, Met>) {
        let mut open = vec![(root, String::new())];
        while let Some((id, folder)) = open.pop() {
            if !self.trees.insert(id) {
                continue;
            }
            let Some(entries) = objects.tree(&id) else {
                self.history.missing += 1;
                continue;
            };
            for entry in entries {
                let path = if folder.is_empty() { entry.name } else { format!("{folder}/{}", entry.name) };
                match entry.what {
                    What::Folder => open.push((entry.id, path)),
                    What::File => {
                        met.entry(entry.id).or_insert(Met { path });
                    }
                }
            }
        }
    }
}

/// Names of logs begin so.
const LOGS: &str = "logs/";

/// Reads the header of a commit: `tree`, `parent`s, `committer … TIME ZONE`, then the message.
fn commit(id: ObjectId, data: &[u8]) -> Option<(Commit, Vec<u8>)> {
    let end = memchr::memmem::find(data, b"\n\n").unwrap_or(data.len());
    let mut tree = None;
    let mut parents = Vec::new();
    let mut time = 0;
    for line in data[..end].split(|byte| *byte == b'\n') {
        if let Some(id) = line.strip_prefix(b"tree ") {
            tree = ObjectId::from_hex(id).ok();
        } else if let Some(id) = line.strip_prefix(b"parent ") {
            parents.extend(ObjectId::from_hex(id).ok());
        } else if let Some(who) = line.strip_prefix(b"committer ") {
            let seconds = who.rsplit(|byte| *byte == b' ').nth(1).and_then(|text| std::str::from_utf8(text).ok());
            time = seconds.and_then(|text| text.parse().ok()).unwrap_or(0);
        }
    }
    let message = data.get(end + 2..).unwrap_or_default().to_vec();
    Some((Commit { id, tree: tree?, parents, time }, message))
}

/// The tree of a commit.
pub(crate) fn tree_of(data: &[u8]) -> Option<ObjectId> {
    data.split(|byte| *byte == b'\n').next()?.strip_prefix(b"tree ").and_then(|id| ObjectId::from_hex(id).ok())
}

fn tag(data: &[u8]) -> (Option<ObjectId>, Vec<u8>) {
    let end = memchr::memmem::find(data, b"\n\n").unwrap_or(data.len());
    let target = data[..end].split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"object "));
    (target.and_then(|id| ObjectId::from_hex(id).ok()), data.get(end + 2..).unwrap_or_default().to_vec())
}

/// Parents before children, and of those that could come next the oldest.
fn in_order(mut commits: HashMap<ObjectId, Commit>) -> Vec<Commit> {
    let mut waits: HashMap<ObjectId, usize> = HashMap::new();
    let mut children: HashMap<ObjectId, Vec<ObjectId>> = HashMap::new();
    for commit in commits.values() {
        let known: Vec<ObjectId> =
            commit.parents.iter().filter(|parent| commits.contains_key(*parent)).copied().collect();
        waits.insert(commit.id, known.len());
        for parent in known {
            children.entry(parent).or_default().push(commit.id);
        }
    }
    let mut ready: BinaryHeap<Reverse<(i64, ObjectId)>> =
        waits.iter().filter(|(_, parents)| **parents == 0).map(|(id, _)| Reverse((commits[id].time, *id))).collect();
    let mut ordered = Vec::with_capacity(commits.len());
    while let Some(Reverse((_, id))) = ready.pop() {
        for child in children.remove(&id).unwrap_or_default() {
            let left = waits.get_mut(&child).expect("each commit waits");
            *left -= 1;
            if *left == 0 {
                ready.push(Reverse((commits[&child].time, child)));
            }
        }
        ordered.push(commits.remove(&id).expect("each commit is ready once"));
    }
    ordered
}
