//! Commits: what a revision means, and where two lines of history parted.

use std::collections::{BinaryHeap, HashMap, HashSet};
use std::path::Path;

use gix_hash::{ObjectId, Prefix};
use gix_object::{CommitRefIter, Kind, TagRefIter};
use host::files;
use leaks::{Objects, Repository};
use reconcile::Fault;

/// The commits of a repository.
#[derive(Debug)]
pub struct History {
    refs: gix_ref::file::Store,
    objects: Objects,
    /// Commits whose parents this clone does not have.
    cut: HashSet<ObjectId>,
}

/// What is told of a commit by who reached it.
const OURS: u8 = 1;
const THEIRS: u8 = 2;
const BOTH: u8 = OURS | THEIRS;
/// Below something that is common.
const STALE: u8 = 4;

struct Painted {
    paint: HashMap<ObjectId, u8>,
    /// What both reached, with its time, in seconds since 1970.
    common: Vec<(i64, ObjectId)>,
    /// Whether a line went on below what a shallow clone has.
    met_a_cut: bool,
}

/// Where two lines of history parted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parted {
    At(ObjectId),
    /// They never met: an orphan branch.
    Never,
}

/// What a shallow clone needs.
const DEEPEN: &str = "run `git fetch --unshallow`; on GitHub give actions/checkout `fetch-depth: 0`";

/// Refs to follow from one to the next. git itself stops at five.
const MOST_LINKS: usize = 8;

impl History {
    /// The history that a folder belongs to.
    pub fn of(folder: &Path) -> Result<Self, Fault> {
        Self::with_quarantine(folder, None)
    }

    /// As a hook sees it: objects of a push lie in a quarantine until it is taken in.
    pub fn with_quarantine(folder: &Path, quarantine: Option<&Path>) -> Result<Self, Fault> {
        let cannot = |fault: &(dyn std::error::Error + 'static)| Fault::because("cannot read the history", fault);
        let repository = Repository::of(folder).map_err(|fault| {
            cannot(&fault).hint("`roadbed ci` compares commits: run it in a checkout of a git repository")
        })?;
        let repository = repository.with_quarantine(quarantine);
        let refs = gix_ref::file::Store::for_linked_worktree(
            repository.own.clone(),
            repository.shared.clone(),
            gix_hash::Kind::Sha1,
        );
        let cut = files::read_if_exists(&repository.shared.join("shallow")).map_err(|fault| cannot(&fault))?;
        let cut = String::from_utf8_lossy(&cut.unwrap_or_default())
            .lines()
            .filter_map(|line| ObjectId::from_hex(line.trim().as_bytes()).ok())
            .collect();
        Ok(Self { refs, objects: repository.objects().map_err(|fault| cannot(&fault))?, cut })
    }

    /// Its objects, when commits are no more asked about.
    pub fn into_objects(self) -> Objects {
        self.objects
    }

    /// What a ref leads to, whatever that is.
    pub fn target(&self, name: &str) -> Option<ObjectId> {
        match self.refs.try_find(name).ok()??.target {
            gix_ref::Target::Object(id) => Some(id),
            gix_ref::Target::Symbolic(_) => None,
        }
    }

    /// The ref that a ref stands for, such as `HEAD` for a branch that may not be there yet.
    pub fn symbolic(&self, name: &str) -> Option<String> {
        match self.refs.try_find(name).ok()??.target {
            gix_ref::Target::Symbolic(name) => Some(name.as_bstr().to_string()),
            gix_ref::Target::Object(_) => None,
        }
    }

    /// The content of a file.
    pub fn blob(&mut self, id: &ObjectId) -> Option<Vec<u8>> {
        self.objects.read(id).filter(|data| data.kind == Kind::Blob).map(|data| data.data.to_vec())
    }

    /// Whether commits are missing on purpose.
    pub fn is_shallow(&self) -> bool {
        !self.cut.is_empty()
    }

    /// The commit that a revision means: a ref, an id or its beginning, with `^`, `^2` and `~3` behind it. `None` if there is none.
    pub fn commit(&mut self, revision: &str) -> Option<ObjectId> {
        let end = revision.find(['^', '~']).unwrap_or(revision.len());
        let (name, mut steps) = revision.split_at(end);
        let mut commit = self.named(if name == "@" { "HEAD" } else { name }).and_then(|id| self.peeled(id))?;
        while let Some(step) = steps.chars().next() {
            let digits = steps[1..].find(|c: char| !c.is_ascii_digit()).map_or(steps.len(), |at| at + 1);
            let number: usize = if digits == 1 { 1 } else { steps[1..digits].parse().ok()? };
            steps = &steps[digits..];
            match step {
                '^' if number == 0 => {}
                '^' => commit = *self.parents(&commit)?.get(number - 1)?,
                '~' => {
                    for _ in 0..number {
                        commit = *self.parents(&commit)?.first()?;
                    }
                }
                _ => return None,
            }
        }
        Some(commit)
    }

    fn named(&mut self, name: &str) -> Option<ObjectId> {
        let mut next = name.to_owned();
        for _ in 0..MOST_LINKS {
            match self.refs.try_find(next.as_str()).ok().flatten().map(|found| found.target) {
                Some(gix_ref::Target::Object(id)) => return Some(id),
                Some(gix_ref::Target::Symbolic(name)) => next = name.as_bstr().to_string(),
                None => break,
            }
        }
        if let Ok(id) = ObjectId::from_hex(name.as_bytes()) {
            return Some(id);
        }
        let prefix = Prefix::from_hex(name).ok()?;
        self.objects.store.lookup_prefix(prefix, None).ok()??.ok()
    }

    /// The commit that a tag leads to.
    fn peeled(&mut self, mut id: ObjectId) -> Option<ObjectId> {
        for _ in 0..MOST_LINKS {
            let data = self.objects.read(&id)?;
            match data.kind {
                Kind::Commit => return Some(id),
                Kind::Tag => id = TagRefIter::from_bytes(data.data, gix_hash::Kind::Sha1).target_id().ok()?,
                Kind::Tree | Kind::Blob => return None,
            }
        }
        None
    }

    /// The files of a commit.
    pub fn tree(&mut self, commit: &ObjectId) -> Result<ObjectId, Fault> {
        let data = self.objects.read(commit).filter(|data| data.kind == Kind::Commit);
        let tree = data.and_then(|data| CommitRefIter::from_bytes(data.data, gix_hash::Kind::Sha1).tree_id().ok());
        tree.ok_or_else(|| missing(commit))
    }

    /// Parents that this clone has; `None` if the commit itself is not there.
    fn parents(&mut self, commit: &ObjectId) -> Option<Vec<ObjectId>> {
        let is_cut = self.cut.contains(commit);
        let data = self.objects.read(commit).filter(|data| data.kind == Kind::Commit)?;
        if is_cut {
            return Some(Vec::new());
        }
        Some(CommitRefIter::from_bytes(data.data, gix_hash::Kind::Sha1).parent_ids().collect())
    }

    fn time(&mut self, commit: &ObjectId) -> Option<i64> {
        let data = self.objects.read(commit)?;
        let committer = CommitRefIter::from_bytes(data.data, gix_hash::Kind::Sha1).committer().ok()?;
        Some(committer.seconds())
    }

    /// The newest commit that both lines have, as `git merge-base` finds it.
    pub fn parted(&mut self, ours: ObjectId, theirs: ObjectId) -> Result<Parted, Fault> {
        let painted = self.painted(ours, theirs)?;
        match self.without_ancestors(painted.common)?.into_iter().max() {
            Some((_, commit)) => Ok(Parted::At(commit)),
            None if painted.met_a_cut => Err(Fault::new("cannot tell what changed: this clone is shallow")
                .cause("the commit at which this branch began is not in it")
                .hint(DEEPEN)),
            None => Ok(Parted::Never),
        }
    }

    /// Both lines are painted downwards, newest first, and what both colours have reached is common. Painting ends where all that is
    /// open is below something common. By then a commit that has an ancestor of its own second, or a later one, may have been
    /// taken for the newest beside it: see [`Self::without_ancestors`].
    fn painted(&mut self, ours: ObjectId, theirs: ObjectId) -> Result<Painted, Fault> {
        let mut paint: HashMap<ObjectId, u8> = HashMap::new();
        let mut open = BinaryHeap::new();
        let mut common: Vec<(i64, ObjectId)> = Vec::new();
        let mut met_a_cut = false;
        for (commit, colour) in [(ours, OURS), (theirs, THEIRS)] {
            *paint.entry(commit).or_default() |= colour;
            open.push((self.time(&commit).ok_or_else(|| missing(&commit))?, commit));
        }
        while open.iter().any(|(_, commit)| paint[commit] & STALE == 0) {
            let Some((time, commit)) = open.pop() else { break };
            let mut colour = paint[&commit];
            if colour & BOTH == BOTH && colour & STALE == 0 && !common.iter().any(|(_, known)| *known == commit) {
                common.push((time, commit));
            }
            if colour & BOTH == BOTH {
                colour |= STALE;
            }
            met_a_cut |= colour & STALE == 0 && self.cut.contains(&commit);
            for parent in self.parents(&commit).ok_or_else(|| missing(&commit))? {
                let known = paint.entry(parent).or_default();
                if *known & colour != colour {
                    *known |= colour;
                    open.push((self.time(&parent).ok_or_else(|| missing(&parent))?, parent));
                }
            }
        }
        common.retain(|(_, commit)| paint[commit] & STALE == 0);
        Ok(Painted { paint, common, met_a_cut })
    }

    /// Those that no other one of them descends from. On every way from a commit down to its ancestor nothing is common to both,
    /// so painting these two never ends before the ancestor has both colours, whatever the clocks said.
    fn without_ancestors(&mut self, common: Vec<(i64, ObjectId)>) -> Result<Vec<(i64, ObjectId)>, Fault> {
        let mut newest = common.clone();
        for (_, one) in &common {
            for (_, other) in &common {
                if one != other && self.painted(*other, *one)?.paint[one] & OURS != 0 {
                    newest.retain(|(_, commit)| commit != one);
                }
            }
        }
        Ok(newest)
    }

    /// What to say of a revision that is nowhere.
    pub fn unknown(&self, revision: &str) -> Fault {
        let fault = Fault::new(format!("cannot tell what changed: there is no commit \"{revision}\" in this clone"));
        if self.is_shallow() {
            return fault.cause("the clone is shallow").hint(DEEPEN);
        }
        fault.hint("run `git fetch`, or name another with `--base REV`")
    }
}

fn missing(commit: &ObjectId) -> Fault {
    Fault::new("cannot tell what changed: the history has a gap")
        .cause(format!("the commit {commit} is missing or damaged in this clone"))
        .hint("run `git fetch --unshallow`, or `git fsck` to see what is damaged")
}
