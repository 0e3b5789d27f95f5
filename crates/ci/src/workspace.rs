//! The packages of a project at one commit, what each is made of, and the graph of them.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use engine::artifact::lock::Lock;
use gix_hash::ObjectId;
use gix_object::tree::EntryKind;
use manifest::Ci;
use reconcile::Fault;

use crate::cargo::{CargoLock, CargoToml};
use crate::globs;
use crate::graph::{Graph, Node};
use crate::npm::PackageJson;
use crate::tasks;
use crate::trees::Trees;
use crate::{Hash, hash_of};

/// Changes what every hash means.
const FORMAT: &[u8] = b"roadbed ci 1";

/// Files at the root that every package depends on without being named, where they are there.
const SHARED: [&str; 8] = [
    ".github",
    ".ci",
    ".gitlab-ci.yml",
    ".gitattributes",
    ".tool-versions",
    "mise.toml",
    "Dockerfile",
    ".dockerignore",
];
const SHARED_BY_NPM: [&str; 16] = [
    ".npmrc",
    ".nvmrc",
    ".node-version",
    "tsconfig*.json",
    "biome.json",
    "biome.jsonc",
    ".eslintrc*",
    "eslint.config.*",
    ".prettierrc*",
    "prettier.config.*",
    "vitest.config.*",
    "vitest.workspace.*",
    "yarn.lock",
    "pnpm-lock.yaml",
    "bun.lock",
    "npm-shrinkwrap.json",
];
const SHARED_BY_CARGO: [&str; 7] =
    [".cargo", "rust-toolchain", "rust-toolchain.toml", "clippy.toml", ".clippy.toml", "rustfmt.toml", ".rustfmt.toml"];

/// A package, or an app that is none.
#[derive(Clone, Debug)]
pub struct Package {
    /// Its folder; empty is the root.
    pub path: Rc<str>,
    /// The name of the app, else its own.
    pub name: Rc<str>,
    /// By which others depend on it.
    pub own_name: Rc<str>,
    pub npm: Option<Rc<PackageJson>>,
    pub cargo: Option<Rc<CargoToml>>,
    /// Number of the app in the manifest.
    pub app: Option<usize>,
    pub tree: ObjectId,
    pub facts: Facts,
    pub(crate) node: usize,
}

/// What a package is by itself, in the parts that a reason names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Its files, without those of packages within it.
    pub files: Hash,
    /// Files elsewhere that it has links to, or that the manifest says go into its build.
    pub inputs: BTreeMap<String, ObjectId>,
    /// What the manifest says of its tasks.
    pub tasks: Hash,
}

/// What a node stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Thing {
    /// A package, by its folder.
    Package(Rc<str>),
    /// What a lock file resolves: where, name and version.
    Outside { place: String, name: String, version: String },
    /// Files, or settings of the root, that many depend on.
    Shared { by: &'static str, files: BTreeMap<String, ObjectId>, settings: String },
}

/// All packages of one commit.
#[derive(Debug)]
pub struct Workspace {
    /// By folder.
    pub packages: BTreeMap<Rc<str>, Package>,
    pub graph: Graph,
    pub(crate) things: Vec<Thing>,
    /// The folder of the project.
    pub root: ObjectId,
}

/// Files that were read before, by what is in them: two commits have most of them in common.
#[derive(Debug, Default)]
pub struct Known {
    npm: HashMap<ObjectId, Rc<PackageJson>>,
    cargo: HashMap<ObjectId, Rc<CargoToml>>,
    npm_lock: HashMap<ObjectId, Rc<Lock>>,
    cargo_lock: HashMap<ObjectId, Rc<CargoLock>>,
}

impl Known {
    fn npm(&mut self, trees: &mut Trees, root: &ObjectId, path: &str) -> Result<Option<Rc<PackageJson>>, Fault> {
        let Some((_, id)) = trees.find(root, path)?.filter(|(kind, _)| is_file(*kind)) else { return Ok(None) };
        if let Some(known) = self.npm.get(&id) {
            return Ok(Some(known.clone()));
        }
        let read = Rc::new(PackageJson::parse(path, &trees.content(&id)?)?);
        self.npm.insert(id, read.clone());
        Ok(Some(read))
    }

    fn cargo(&mut self, trees: &mut Trees, root: &ObjectId, path: &str) -> Result<Option<Rc<CargoToml>>, Fault> {
        let Some((_, id)) = trees.find(root, path)?.filter(|(kind, _)| is_file(*kind)) else { return Ok(None) };
        if let Some(known) = self.cargo.get(&id) {
            return Ok(Some(known.clone()));
        }
        let read = Rc::new(CargoToml::parse(path, &trees.content(&id)?)?);
        self.cargo.insert(id, read.clone());
        Ok(Some(read))
    }

    fn npm_lock(&mut self, trees: &mut Trees, root: &ObjectId) -> Result<Option<Rc<Lock>>, Fault> {
        let Some((_, id)) = trees.find(root, "package-lock.json")?.filter(|(kind, _)| is_file(*kind)) else {
            return Ok(None);
        };
        if let Some(known) = self.npm_lock.get(&id) {
            return Ok(Some(known.clone()));
        }
        let lock = Lock::parse(&trees.content(&id)?)
            .map_err(|fault| Fault::because("cannot tell what packages depend on", &fault).hint(fault.hint()))?;
        Ok(Some(self.npm_lock.entry(id).or_insert(Rc::new(lock)).clone()))
    }

    fn cargo_lock(&mut self, trees: &mut Trees, root: &ObjectId) -> Result<Option<Rc<CargoLock>>, Fault> {
        let Some((_, id)) = trees.find(root, "Cargo.lock")?.filter(|(kind, _)| is_file(*kind)) else { return Ok(None) };
        if let Some(known) = self.cargo_lock.get(&id) {
            return Ok(Some(known.clone()));
        }
        let lock = CargoLock::parse(&trees.content(&id)?)?;
        Ok(Some(self.cargo_lock.entry(id).or_insert(Rc::new(lock)).clone()))
    }
}

fn is_file(kind: EntryKind) -> bool {
    matches!(kind, EntryKind::Blob | EntryKind::BlobExecutable)
}

fn at(folder: &str, name: &str) -> String {
    if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") }
}

impl Workspace {
    /// The packages below a folder, which is the project's, and their graph.
    pub fn read(trees: &mut Trees, known: &mut Known, root: ObjectId, ci: &Ci) -> Result<Self, Fault> {
        let npm = known.npm(trees, &root, "package.json")?;
        let cargo =
            known.cargo(trees, &root, "Cargo.toml")?.filter(|cargo| cargo.is_workspace() || cargo.name.is_some());
        let mut folders: BTreeMap<String, ()> = ci.apps.iter().map(|app| (app.path.clone(), ())).collect();
        if let Some(npm) = &npm {
            folders.extend(npm.folders(trees, &root)?.into_iter().map(|folder| (folder, ())));
            if !npm.has_workspaces() && ci.apps.is_empty() {
                folders.insert(String::new(), ());
            }
        }
        if let Some(cargo) = &cargo {
            folders.extend(cargo.folders(trees, &root)?.into_iter().map(|folder| (folder, ())));
        }
        let mut things = Vec::new();
        let mut nodes = Vec::new();
        let shared = put_shared(trees, &root, &mut things, &mut nodes, "package", &ci.global, &SHARED, String::new())?;
        let settings = npm.as_ref().map(|npm| npm.shared()).unwrap_or_default();
        let for_npm = put_shared(trees, &root, &mut things, &mut nodes, "npm package", &[], &SHARED_BY_NPM, settings)?;
        let settings = cargo.as_ref().map(|cargo| cargo.shared()).unwrap_or_default();
        let for_cargo = put_shared(trees, &root, &mut things, &mut nodes, "crate", &[], &SHARED_BY_CARGO, settings)?;

        let every: [Rc<str>; 3] = ["every package", "every npm package", "every crate"].map(Rc::from);
        let all: Vec<String> = folders.into_keys().collect();
        // Made of a list that is in order, the tree has no room to spare.
        let mut packages = Vec::with_capacity(all.len());
        for (place, path) in all.iter().enumerate() {
            let Some((EntryKind::Tree, tree)) = trees.find(&root, path)? else { continue };
            let own_npm = known.npm(trees, &root, &at(path, "package.json"))?;
            let own_cargo = known.cargo(trees, &root, &at(path, "Cargo.toml"))?.filter(|_| cargo.is_some());
            let app = ci.apps.iter().position(|app| app.path == *path);
            let key: Rc<str> = path.as_str().into();
            let own_name = own_npm.as_ref().and_then(|npm| npm.name.as_deref());
            let own_name = own_name.or_else(|| own_cargo.as_ref().and_then(|cargo| cargo.name.as_deref()));
            let own_name: Rc<str> = match own_name {
                Some(name) => name.into(),
                None if path.is_empty() => ".".into(),
                None => key.clone(),
            };
            let within: Vec<&str> = all[place + 1..]
                .iter()
                .take_while(|other| path.is_empty() || other.as_str() < &*format!("{path}0"))
                .filter(|other| path.is_empty() || other.starts_with(&format!("{path}/")))
                .map(|other| other[path.len()..].trim_start_matches('/'))
                .collect();
            let facts = facts(trees, &root, path, &tree, &within, ci, app)?;
            let node = nodes.len();
            let own = facts.hash(path, &own_name);
            // Thousands of lists, so none has room to spare.
            let mut edges = Vec::with_capacity(2 + own_npm.as_ref().map_or(0, |npm| npm.needs().count()));
            edges.push((every[0].clone(), shared));
            edges.extend(own_npm.as_ref().map(|_| (every[1].clone(), for_npm)));
            edges.extend(own_cargo.as_ref().map(|_| (every[2].clone(), for_cargo)));
            nodes.push(Node { own, edges });
            things.push(Thing::Package(key.clone()));
            let name = app.map_or_else(|| own_name.clone(), |app| ci.apps[app].name.as_str().into());
            let package =
                Package { path: key.clone(), name, own_name, npm: own_npm, cargo: own_cargo, app, tree, facts, node };
            packages.push((key, package));
        }
        let packages: BTreeMap<Rc<str>, Package> = packages.into_iter().collect();
        let mut made = Making { packages: &packages, things: &mut things, nodes: &mut nodes };
        if npm.is_some() {
            let lock = known.npm_lock(trees, &root)?;
            made.npm_edges(lock.as_deref(), npm.as_deref().map(|npm| (for_npm, npm)));
        }
        if cargo.is_some() {
            let lock = known.cargo_lock(trees, &root)?;
            made.cargo_edges(lock.as_deref());
        }
        Ok(Self { packages, graph: Graph::new(nodes), things, root })
    }

    pub fn hash(&self, package: &Package) -> &Hash {
        self.graph.hash_at(package.node)
    }

    /// A package by the name of its app, its own name or its folder.
    pub fn named(&self, name: &str) -> Option<&Package> {
        let folder = name.trim_end_matches('/').trim_start_matches("./");
        let by = |is: &dyn Fn(&&Package) -> bool| self.packages.values().find(|package| is(package));
        by(&|package| *package.name == *name)
            .or_else(|| by(&|package| *package.own_name == *name))
            .or_else(|| self.packages.get(folder))
    }

    /// Other packages of the project that a package depends on itself.
    pub fn needs<'w>(&'w self, package: &'w Package) -> impl Iterator<Item = &'w Package> {
        self.graph.nodes[package.node].edges.iter().filter_map(|(_, to)| match &self.things[*to] {
            Thing::Package(path) => self.packages.get(path),
            _ => None,
        })
    }
}

#[expect(clippy::too_many_arguments, reason = "one node of three, each said in a line")]
fn put_shared(
    trees: &mut Trees,
    root: &ObjectId,
    things: &mut Vec<Thing>,
    nodes: &mut Vec<Node>,
    by: &'static str,
    named: &[String],
    always: &[&str],
    settings: String,
) -> Result<usize, Fault> {
    let mut files = BTreeMap::new();
    for glob in named.iter().map(String::as_str).chain(always.iter().copied()) {
        matching(trees, root, glob, &mut files)?;
    }
    let listed = files.iter().flat_map(|(path, id): (&String, &ObjectId)| [path.as_bytes(), id.as_bytes()]);
    let own = hash_of([FORMAT, by.as_bytes(), settings.as_bytes()].into_iter().chain(listed));
    nodes.push(Node { own, edges: Vec::new() });
    things.push(Thing::Shared { by, files, settings });
    Ok(nodes.len() - 1)
}

/// Files and whole folders that a glob names.
fn matching(
    trees: &mut Trees,
    root: &ObjectId,
    glob: &str,
    found: &mut BTreeMap<String, ObjectId>,
) -> Result<(), Fault> {
    let fixed = globs::fixed_part(glob);
    let Some((kind, id)) = trees.find(root, fixed)? else { return Ok(()) };
    if fixed == glob {
        found.insert(glob.to_owned(), id);
    } else if kind == EntryKind::Tree {
        let depth = if glob.contains("**") {
            usize::MAX
        } else {
            glob.split('/').count() - fixed.split('/').filter(|part| !part.is_empty()).count()
        };
        below(trees, &id, fixed, &globs::matcher(glob)?, depth, found)?;
    }
    Ok(())
}

fn below(
    trees: &mut Trees,
    folder: &ObjectId,
    path: &str,
    glob: &globset::GlobMatcher,
    depth: usize,
    found: &mut BTreeMap<String, ObjectId>,
) -> Result<(), Fault> {
    for entry in trees.folder(folder)?.iter() {
        let here = at(path, &String::from_utf8_lossy(&entry.name));
        if glob.is_match(&here) {
            found.insert(here, entry.id);
        } else if entry.kind == EntryKind::Tree && depth > 1 {
            below(trees, &entry.id, &here, glob, depth - 1, found)?;
        }
    }
    Ok(())
}

impl Facts {
    fn hash(&self, path: &str, name: &str) -> Hash {
        let inputs = self.inputs.iter().flat_map(|(path, id)| [path.as_bytes(), id.as_bytes()]);
        let own = [FORMAT, path.as_bytes(), name.as_bytes(), self.files.as_slice(), self.tasks.as_slice()];
        hash_of(own.into_iter().chain(inputs))
    }
}

fn facts(
    trees: &mut Trees,
    root: &ObjectId,
    path: &str,
    tree: &ObjectId,
    within: &[&str],
    ci: &Ci,
    app: Option<usize>,
) -> Result<Facts, Fault> {
    let mut inputs = BTreeMap::new();
    for link in trees
        .links(tree)?
        .iter()
        .filter(|link| !within.iter().any(|folder| link.path.starts_with(&format!("{folder}/"))))
    {
        if let Some(target) = lands(path, &link.path, &link.target)
            && let Some((_, id)) = trees.find(root, &target)?
        {
            inputs.insert(target, id);
        }
    }
    for input in app.into_iter().flat_map(|app| &ci.apps[app].inputs) {
        if let Some((_, id)) = trees.find(root, input)? {
            inputs.insert(input.clone(), id);
        }
    }
    let files = if within.is_empty() { hash_of([tree.as_bytes()]) } else { files_without(trees, tree, within)? };
    Ok(Facts { files, inputs, tasks: tasks::written(ci, path)? })
}

/// Where a link leads in the project, if that is outside of its package.
fn lands(package: &str, link: &str, target: &str) -> Option<String> {
    if target.starts_with('/') {
        return None;
    }
    let from = at(package, link);
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            parts.pop()?;
        } else {
            parts.push(part);
        }
    }
    let lands = parts.join("/");
    let is_inside = package.is_empty() || lands == package || lands.starts_with(&format!("{package}/"));
    (!is_inside && !lands.is_empty()).then_some(lands)
}

/// A folder without the packages in it, which are looked at themselves.
fn files_without(trees: &mut Trees, tree: &ObjectId, within: &[&str]) -> Result<Hash, Fault> {
    let mut parts = Vec::new();
    for entry in trees.folder(tree)?.iter() {
        let name = String::from_utf8_lossy(&entry.name).into_owned();
        if within.contains(&name.as_str()) {
            continue;
        }
        let start = format!("{name}/");
        let deeper: Vec<&str> = within.iter().filter_map(|path| path.strip_prefix(&start)).collect();
        parts.push(entry.name.to_vec());
        parts.push(format!("{:?}", entry.kind).into_bytes());
        parts.push(match deeper.is_empty() {
            true => entry.id.as_bytes().to_vec(),
            false => files_without(trees, &entry.id, &deeper)?.to_vec(),
        });
    }
    Ok(hash_of(parts.iter().map(Vec::as_slice)))
}

/// A graph whose edges are being found.
struct Making<'m> {
    packages: &'m BTreeMap<Rc<str>, Package>,
    things: &'m mut Vec<Thing>,
    nodes: &'m mut Vec<Node>,
}

impl Making<'_> {
    fn put(&mut self, thing: Thing, own: Hash) -> usize {
        self.things.push(thing);
        self.nodes.push(Node { own, edges: Vec::new() });
        self.nodes.len() - 1
    }

    /// Dependencies by the names in `package.json`: a package of the project, else what the lock file finds from there.
    fn npm_edges(&mut self, lock: Option<&Lock>, root: Option<(usize, &PackageJson)>) {
        let packages = self.packages;
        let by_name: HashMap<&str, usize> = packages
            .values()
            .filter_map(|package| Some((package.npm.as_ref()?.name.as_deref()?, package.node)))
            .collect();
        let by_path: HashMap<&str, usize> = packages.values().map(|package| (&*package.path, package.node)).collect();
        let mut places: HashMap<String, usize> = HashMap::new();
        for place in lock.into_iter().flat_map(Lock::places) {
            if let Some(folder) = place.workspace {
                places.extend(by_path.get(folder).map(|node| (place.path.to_owned(), *node)));
                continue;
            }
            let own = hash_of([
                b"npm".as_slice(),
                place.name.as_bytes(),
                place.version.as_bytes(),
                place.integrity.as_bytes(),
            ]);
            let (name, version) = (place.name.to_owned(), place.version.to_owned());
            let node = self.put(Thing::Outside { place: place.path.to_owned(), name, version }, own);
            places.insert(place.path.to_owned(), node);
        }
        let found = |name: &str, from: &str| {
            lock.and_then(|lock| lock.place_of(name, from)).and_then(|place| places.get(&place).copied())
        };
        for (path, node) in &places {
            let Some(lock) = lock.filter(|_| !matches!(self.things[*node], Thing::Package(_))) else { continue };
            let edges = lock.needs_at(path).filter_map(|name| Some((Rc::from(name), found(name, path)?)));
            self.nodes[*node].edges.extend(edges.collect::<Vec<_>>());
        }
        for package in packages.values() {
            let Some(npm) = &package.npm else { continue };
            let edges = npm.needs().filter_map(|name| {
                let node = by_name.get(&**name).copied().or_else(|| found(name, &package.path))?;
                Some((name.clone(), node))
            });
            self.nodes[package.node].edges.extend(edges.collect::<Vec<_>>());
        }
        if let Some((node, npm)) = root {
            let edges = npm
                .needs()
                .filter_map(|name| Some((name.clone(), by_name.get(&**name).copied().or_else(|| found(name, ""))?)));
            self.nodes[node].edges.extend(edges.collect::<Vec<_>>());
        }
    }

    /// Dependencies by the lock file, and by `Cargo.toml` where that is newer.
    fn cargo_edges(&mut self, lock: Option<&CargoLock>) {
        let packages = self.packages;
        let by_name: HashMap<&str, &Package> =
            packages.values().filter_map(|package| Some((package.cargo.as_ref()?.name.as_deref()?, package))).collect();
        for package in by_name.values() {
            let needs = package.cargo.as_ref().map(|cargo| cargo.needs()).unwrap_or_default();
            let edges = needs.into_iter().filter_map(|name| Some((Rc::from(name), by_name.get(name)?.node)));
            self.nodes[package.node].edges.extend(edges.collect::<Vec<_>>());
        }
        let Some(lock) = lock else { return };
        let mut versions: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        let mut node_of = Vec::new();
        for (at, locked) in lock.package.iter().enumerate() {
            versions.entry(locked.name.clone()).or_default().push(at);
            let ours = by_name.get(locked.name.as_str()).filter(|_| locked.source.is_none());
            let node = ours.map(|package| package.node).unwrap_or_else(|| {
                let source = locked.source.as_deref().unwrap_or_default();
                let checksum = locked.checksum.as_deref().unwrap_or_default();
                let own = hash_of(["cargo", &locked.name, &locked.version, source, checksum].map(str::as_bytes));
                let place = format!("{} {} {source}", locked.name, locked.version);
                self.put(Thing::Outside { place, name: locked.name.clone(), version: locked.version.clone() }, own)
            });
            node_of.push(node);
        }
        for (at, locked) in lock.package.iter().enumerate() {
            let edges: Vec<(Rc<str>, usize)> = locked
                .dependencies
                .iter()
                .filter_map(|line| Some((Rc::from(line.split(' ').next()?), node_of[lock.meant(&versions, line)?])))
                .collect();
            self.nodes[node_of[at]].edges.extend(edges);
        }
        // Both may say the same.
        for package in by_name.values() {
            let edges = &mut self.nodes[package.node].edges;
            edges.sort_unstable();
            edges.dedup();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_followed_out_of_a_package_and_not_out_of_the_project() {
        assert_eq!(lands("apps/a", "src/x", "../../../packages/b/y").as_deref(), Some("packages/b/y"));
        assert_eq!(lands("apps/a", "x", "src/y"), None, "within it, its files are hashed anyway");
        assert_eq!(lands("apps/a", "x", "../../../outside"), None);
        assert_eq!(lands("apps/a", "x", "/etc/passwd"), None);
    }
}
