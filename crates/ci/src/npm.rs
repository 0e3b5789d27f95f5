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

/// What of a `package.json` matters.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PackageJson {
    pub name: Option<String>,
    scripts: Names,
    workspaces: Option<Workspaces>,
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
        serde_json::from_slice(text).map_err(|error| {
            Fault::because(format!("cannot understand {path}"), &error).hint("correct it, and commit it")
        })
    }

    pub(crate) fn has_workspaces(&self) -> bool {
        self.workspaces.is_some()
    }

    /// All that it depends on, of every kind.
    pub(crate) fn needs(&self) -> impl Iterator<Item = &Rc<str>> {
        let all = [&self.dependencies, &self.dev_dependencies, &self.optional_dependencies, &self.peer_dependencies];
        all.into_iter().flat_map(|names| names.0.iter())
    }

    pub fn has_script(&self, name: &str) -> bool {
        self.scripts.0.iter().any(|script| **script == *name)
    }

    /// What of the root's counts for every package: scripts and formatting do not, dependencies are looked up in the lock file.
    pub(crate) fn shared(&self) -> String {
        let parts = [
            &self.engines,
            &self.package_manager,
            &self.overrides,
            &self.resolutions,
            &self.allow_scripts,
            &self.module_type,
        ];
        serde_json::to_string(&parts).expect("JSON can be written again")
    }

    /// Folders of the packages that the root names.
    pub(crate) fn folders(&self, trees: &mut Trees, root: &ObjectId) -> Result<Vec<String>, Fault> {
        let patterns = match &self.workspaces {
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
