//! What a change affects: every package whose hash is another than at the base.

use std::collections::HashMap;
use std::rc::Rc;

use gix_hash::ObjectId;
use host::resident::give_back;
use manifest::{Ci, Source};
use reconcile::Fault;
use serde::Serialize;

use crate::changes::Checkout;
use crate::history::{History, Parted};
use crate::reasons;
use crate::trees::{Changed, Trees};
use crate::workspace::{Known, Package, Workspace};
use crate::{hash_of, hex};

/// What is compared with what.
#[derive(Debug)]
pub struct Request<'r> {
    pub checkout: &'r Checkout,
    /// What is changed and not committed.
    pub changed: &'r Changed,
    /// The revision whose history is left; `None`: the usual names are tried.
    pub base: Option<&'r str>,
    /// The manifest as it is now, and its name beside the project.
    pub ci: &'r Ci,
    pub manifest: &'r str,
}

/// What is affected. Its JSON is a contract.
#[derive(Debug, Serialize)]
pub struct Plan {
    /// In order of folder.
    pub affected: Vec<Affected>,
    /// Of all packages together.
    pub hash: String,
    /// The commit that it is compared with; `None` if nothing is common with the base.
    pub base: Option<String>,
    pub head: String,
    /// Whether files that are not committed are part of it.
    pub uncommitted: bool,
    pub packages: usize,
    /// Packages that are gone.
    pub deleted: Vec<Deleted>,
    #[serde(skip)]
    pub workspace: Workspace,
    #[serde(skip)]
    pub(crate) before: Workspace,
    #[serde(skip)]
    pub(crate) trees: Trees,
    /// Of what many depend on: the same for all of them.
    #[serde(skip)]
    pub(crate) told_of_shared: HashMap<usize, Vec<String>>,
}

/// A package whose hash differs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Affected {
    /// Of the app, else of the package.
    pub name: String,
    pub path: String,
    pub why: Vec<String>,
    pub hash: String,
}

/// A package that is no more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deleted {
    pub name: String,
    pub path: String,
}

/// Where main lines of history usually are.
const USUAL: [&str; 5] = ["origin/HEAD", "origin/main", "main", "origin/master", "master"];

/// A folder as people write it.
pub fn shown(path: &str) -> String {
    if path.is_empty() { ".".to_owned() } else { path.to_owned() }
}

/// Compares.
pub fn plan(request: &Request<'_>) -> Result<Plan, Fault> {
    let mut history = History::of(&request.checkout.top)?;
    let head = history.commit("HEAD").ok_or_else(|| {
        Fault::new("cannot tell what changed: there is no commit yet")
            .hint("commit what is there, then change something")
    })?;
    let base = base(&mut history, request.base, head)?;
    let head_tree = history.tree(&head)?;
    let base_tree = base.map(|base| history.tree(&base)).transpose()?;
    let mut trees = Trees::new(history.into_objects());
    let mut known = Known::default();

    let now = match request.changed.is_empty() {
        true => head_tree,
        false => trees.with(&head_tree, request.changed)?,
    };
    let (now, then) =
        (part(&mut trees, &now, request)?, base_tree.map(|tree| part(&mut trees, &tree, request)).transpose()?);
    let then = then.unwrap_or_else(Trees::empty);
    let workspace = Workspace::read(&mut trees, &mut known, now, request.ci)?;
    // More of the memory is code than data, and each step runs another part of it.
    give_back();
    let ci_then = manifest_at(&mut trees, &now, &then, request)?;
    // What cannot be understood at the base was not built from there either: everything is new.
    let before = match Workspace::read(&mut trees, &mut known, then, &ci_then) {
        Ok(before) => before,
        Err(_) => Workspace::read(&mut trees, &mut known, Trees::empty(), &Ci::default())?,
    };
    // What was read of files is in both workspaces now; the lock file would only lie there.
    drop(known);
    give_back();
    let deleted = before.packages.values().filter(|package| !workspace.packages.contains_key(&package.path));
    let deleted =
        deleted.map(|package| Deleted { name: package.name.to_string(), path: shown(&package.path) }).collect();
    let mut plan = Plan {
        affected: Vec::new(),
        hash: overall(&workspace),
        base: base.map(|id| id.to_string()),
        head: head.to_string(),
        uncommitted: !request.changed.is_empty(),
        packages: workspace.packages.len(),
        deleted,
        workspace,
        before,
        trees,
        told_of_shared: HashMap::new(),
    };
    let paths: Vec<Rc<str>> = plan
        .workspace
        .packages
        .values()
        .filter(|package| plan.is_affected(package))
        .map(|package| package.path.clone())
        .collect();
    let mut affected = Vec::with_capacity(paths.len());
    for path in paths {
        let why = reasons::why(&mut plan, &path)?;
        let package = &plan.workspace.packages[&*path];
        let hash = hex(plan.workspace.hash(package));
        affected.push(Affected { name: package.name.to_string(), path: shown(&path), why, hash });
    }
    plan.affected = affected;
    Ok(plan)
}

impl Plan {
    pub fn is_affected(&self, package: &Package) -> bool {
        let before = self.before.packages.get(&package.path);
        before.is_none_or(|before| self.before.hash(before) != self.workspace.hash(package))
    }

    /// All that is known of why a package is affected, or is not.
    pub fn explain(&mut self, name: &str) -> Result<Vec<String>, Fault> {
        reasons::explain(self, name)
    }
}

/// The commit at which this line of history left that of the base.
fn base(history: &mut History, asked: Option<&str>, head: ObjectId) -> Result<Option<ObjectId>, Fault> {
    // GitHub says so of a branch that is pushed for the first time.
    if asked.is_some_and(|asked| asked.len() == 40 && asked.bytes().all(|byte| byte == b'0')) {
        return Ok(None);
    }
    let theirs = match asked {
        Some(asked) => history.commit(asked).ok_or_else(|| history.unknown(asked))?,
        None => match USUAL.iter().find_map(|name| history.commit(name)) {
            Some(found) => found,
            None if history.is_shallow() => return Err(history.unknown("origin/main")),
            None => {
                return Err(Fault::new("cannot tell what changed: there is no branch main or master to compare with")
                    .hint("name the revision to compare with: `--base REV`"));
            }
        },
    };
    Ok(match history.parted(head, theirs)? {
        Parted::At(commit) => Some(commit),
        Parted::Never => None,
    })
}

/// The project's folder in a whole tree; what is not there is empty.
fn part(trees: &mut Trees, tree: &ObjectId, request: &Request<'_>) -> Result<ObjectId, Fault> {
    Ok(trees.find(tree, &request.checkout.prefix)?.map_or_else(Trees::empty, |(_, id)| id))
}

/// What the manifest said at the base.
fn manifest_at(trees: &mut Trees, now: &ObjectId, then: &ObjectId, request: &Request<'_>) -> Result<Ci, Fault> {
    let (new, old) = (trees.find(now, request.manifest)?, trees.file(then, request.manifest)?);
    match old {
        Some((id, _)) if new.is_some_and(|(_, new)| new == id) => Ok(request.ci.clone()),
        Some((_, text)) => {
            let source = Source::new(request.manifest.to_owned(), String::from_utf8_lossy(&text).into_owned());
            Ok(manifest::parse(&source).0.map(|manifest| manifest.ci()).unwrap_or_default())
        }
        // It lies elsewhere, or nowhere: then it says the same of both.
        None if new.is_none() => Ok(request.ci.clone()),
        None => Ok(Ci::default()),
    }
}

fn overall(workspace: &Workspace) -> String {
    let all =
        workspace.packages.values().flat_map(|package| [package.path.as_bytes(), workspace.hash(package).as_slice()]);
    hex(&hash_of(all))
}
