//! Packages of an npm project, by `package.json`.

use std::collections::BTreeMap;
use std::rc::Rc;

use gix_hash::ObjectId;
use gix_object::tree::EntryKind;
use reconcile::Fault;
use serde::Deserialize;
use serde_json::Value;

use crate::globs;
use crate::trees::Trees;

/// What of a `package.json` matters. A project has thousands, and all of them are kept: what only the root's is asked for is one word.
#[derive(Clone, Debug)]
pub struct PackageJson {
    pub name: Option<Box<str>>,
    scripts: Names,
    workspaces: Option<Box<Workspaces>>,
    /// All that it depends on, of every kind.
    needs: Box<[Rc<str>]>,
    shared: Option<Box<str>>,
}

/// As it is written.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Written {
    name: Option<Box<str>>,
    scripts: Names,
    workspaces: Option<Box<Workspaces>>,
    dependencies: Names,
    dev_dependencies: Names,
    optional_dependencies: Names,
    peer_dependencies: Names,
    engines: Option<Value>,
    package_manager: Option<Value>,
    overrides: Option<Value>,
    resolutions: Option<Value>,
    allow_scripts: Option<Value>,
    #[serde(rename = "type")]
    module_type: Option<Value>,
}

impl From<Written> for PackageJson {
    fn from(written: Written) -> Self {
        let all =
            [written.dependencies, written.dev_dependencies, written.optional_dependencies, written.peer_dependencies];
        // What of the root's counts for every package: scripts and formatting do not, dependencies are looked up in the lock file.
        let settings = [
            written.engines,
            written.package_manager,
            written.overrides,
            written.resolutions,
            written.allow_scripts,
            written.module_type,
        ];
        let shared = settings
            .iter()
            .any(Option::is_some)
            .then(|| serde_json::to_string(&settings).expect("JSON can be written again").into());
        Self {
            name: written.name,
            scripts: written.scripts,
            workspaces: written.workspaces,
            needs: all.into_iter().flat_map(|names| names.0).collect(),
            shared,
        }
    }
}

/// The keys of a table: a project has thousands of these, and what they stand for is in the hash of the file.
#[derive(Clone, Debug, Default)]
struct Names(Box<[Rc<str>]>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = BTreeMap::<String, serde::de::IgnoredAny>::deserialize(deserializer)?;
        Ok(Self(table.into_keys().map(Rc::from).collect()))
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Workspaces {
    List(Vec<String>),
    Table { packages: Vec<String> },
}

impl PackageJson {
    pub(crate) fn parse(path: &str, text: &[u8]) -> Result<Self, Fault> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let written: Result<Written, _> = serde_json::from_slice(text);
        written.map(Self::from).map_err(|error| {
            Fault::because(format!("cannot understand {path}"), &error).hint("correct it, and commit it")
        })
    }

    pub(crate) fn has_workspaces(&self) -> bool {
        self.workspaces.is_some()
    }

    /// All that it depends on, of every kind.
    pub(crate) fn needs(&self) -> impl Iterator<Item = &Rc<str>> {
        self.needs.iter()
    }

    pub fn has_script(&self, name: &str) -> bool {
        self.scripts.0.iter().any(|script| **script == *name)
    }

    /// What of the root's counts for every package.
    pub(crate) fn shared(&self) -> String {
        self.shared.as_deref().unwrap_or_default().to_owned()
    }

    /// Folders of the packages that the root names.
    pub(crate) fn folders(&self, trees: &mut Trees, root: &ObjectId) -> Result<Vec<String>, Fault> {
        let patterns = match self.workspaces.as_deref() {
            Some(Workspaces::List(list) | Workspaces::Table { packages: list }) => list.as_slice(),
            None => &[],
        };
        let mut found: BTreeMap<String, ()> = BTreeMap::new();
        for pattern in patterns {
            let (is_without, pattern) = match pattern.strip_prefix('!') {
                Some(rest) => (true, rest),
                None => (false, pattern.as_str()),
            };
            let pattern = pattern.trim_start_matches("./").trim_end_matches('/');
            if is_without {
                let without = globs::matcher(pattern)?;
                found.retain(|path, ()| !without.is_match(path));
            } else {
                let parts: Vec<&str> = pattern.split('/').collect();
                expand(trees, root, "", &parts, &mut found)?;
            }
        }
        Ok(found.into_keys().collect())
    }
}

/// Folders with a `package.json` that a pattern names.
fn expand(
    trees: &mut Trees,
    folder: &ObjectId,
    path: &str,
    parts: &[&str],
    found: &mut BTreeMap<String, ()>,
) -> Result<(), Fault> {
    let entries = trees.folder(folder)?;
    let Some((part, rest)) = parts.split_first() else {
        if entries.iter().any(|entry| *entry.name == *b"package.json" && entry.kind != EntryKind::Tree) {
            found.insert(path.to_owned(), ());
        }
        return Ok(());
    };
    let matches = if *part == "**" { None } else { Some(globs::matcher(part)?) };
    if matches.is_none() {
        expand(trees, folder, path, rest, found)?;
    }
    for entry in entries.iter().filter(|entry| entry.kind == EntryKind::Tree) {
        // A name that is no text is in no lock file either.
        let Ok(name) = std::str::from_utf8(&entry.name) else { continue };
        if name == "node_modules" {
            continue;
        }
        let below = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        match &matches {
            Some(glob) if glob.is_match(name) => expand(trees, &entry.id, &below, rest, found)?,
            Some(_) => {}
            None => expand(trees, &entry.id, &below, parts, found)?,
        }
    }
    Ok(())
}
