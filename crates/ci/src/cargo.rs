//! Packages of a Cargo workspace, by `Cargo.toml` and `Cargo.lock`.

use std::collections::BTreeMap;

use gix_hash::ObjectId;
use gix_object::tree::EntryKind;
use reconcile::Fault;
use serde::Deserialize;
use toml::{Table, Value};

use crate::globs;
use crate::trees::Trees;

/// What of a `Cargo.toml` matters.
#[derive(Clone, Debug)]
pub struct CargoToml {
    pub name: Option<String>,
    table: Table,
}

impl CargoToml {
    pub(crate) fn parse(path: &str, text: &[u8]) -> Result<Self, Fault> {
        let cannot = |error: &(dyn std::error::Error + 'static)| {
            Fault::because(format!("cannot understand {path}"), error).hint("correct it, and commit it")
        };
        let text = std::str::from_utf8(text).map_err(|error| cannot(&error))?;
        let table: Table = text.parse().map_err(|error: toml::de::Error| cannot(&error))?;
        let name = table.get("package").and_then(|package| package.get("name")).and_then(Value::as_str);
        Ok(Self { name: name.map(str::to_owned), table })
    }

    fn workspace(&self) -> Option<&Table> {
        self.table.get("workspace")?.as_table()
    }

    pub(crate) fn is_workspace(&self) -> bool {
        self.workspace().is_some()
    }

    /// What of the root's counts for every package: all but who is a member.
    pub(crate) fn shared(&self) -> String {
        let mut shared = self.table.clone();
        if let Some(workspace) = shared.get_mut("workspace").and_then(Value::as_table_mut) {
            ["members", "exclude", "default-members"].iter().for_each(|key| drop(workspace.remove(*key)));
        }
        ["package", "lib", "bin", "dependencies", "dev-dependencies", "build-dependencies"]
            .iter()
            .for_each(|key| drop(shared.remove(*key)));
        serde_json::to_string(&shared).unwrap_or_default()
    }

    /// The names of packages that it depends on, of every kind and for every platform.
    pub(crate) fn needs(&self) -> Vec<&str> {
        let platforms = self.table.get("target").and_then(Value::as_table).into_iter().flat_map(Table::values);
        let tables = std::iter::once(&self.table).chain(platforms.filter_map(Value::as_table));
        let kinds = ["dependencies", "dev-dependencies", "build-dependencies"];
        tables
            .flat_map(|table| kinds.into_iter().filter_map(|kind| table.get(kind)?.as_table()))
            .flatten()
            .map(|(name, value)| value.get("package").and_then(Value::as_str).unwrap_or(name))
            .collect()
    }

    /// Folders of its members, itself among them if it is a package.
    pub(crate) fn folders(&self, trees: &mut Trees, root: &ObjectId) -> Result<Vec<String>, Fault> {
        let list = |key: &str| -> Vec<&str> {
            let list = self.workspace().and_then(|workspace| workspace.get(key)).and_then(Value::as_array);
            list.into_iter().flatten().filter_map(Value::as_str).map(|path| path.trim_end_matches('/')).collect()
        };
        let mut found = BTreeMap::new();
        for member in list("members") {
            let parts: Vec<&str> = member.split('/').filter(|part| *part != ".").collect();
            expand(trees, root, "", &parts, &mut found)?;
        }
        let excluded = list("exclude");
        found.retain(|path: &String, ()| {
            !excluded.iter().any(|folder| path == folder || path.starts_with(&format!("{folder}/")))
        });
        if self.name.is_some() {
            found.insert(String::new(), ());
        }
        Ok(found.into_keys().collect())
    }
}

fn expand(
    trees: &mut Trees,
    folder: &ObjectId,
    path: &str,
    parts: &[&str],
    found: &mut BTreeMap<String, ()>,
) -> Result<(), Fault> {
    let entries = trees.folder(folder)?;
    let Some((part, rest)) = parts.split_first() else {
        if entries.iter().any(|entry| *entry.name == *b"Cargo.toml") {
            found.insert(path.to_owned(), ());
        }
        return Ok(());
    };
    let glob = globs::matcher(part)?;
    for entry in entries.iter().filter(|entry| entry.kind == EntryKind::Tree) {
        let Ok(name) = std::str::from_utf8(&entry.name) else { continue };
        if glob.is_match(name) {
            let below = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
            expand(trees, &entry.id, &below, rest, found)?;
        }
    }
    Ok(())
}

/// `Cargo.lock`.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct CargoLock {
    #[serde(default)]
    pub(crate) package: Vec<Locked>,
}

/// A package of it.
#[derive(Debug, Deserialize)]
pub(crate) struct Locked {
    pub(crate) name: String,
    pub(crate) version: String,
    /// None for what lies in the workspace.
    pub(crate) source: Option<String>,
    pub(crate) checksum: Option<String>,
    #[serde(default)]
    pub(crate) dependencies: Vec<String>,
}

impl CargoLock {
    pub(crate) fn parse(text: &[u8]) -> Result<Self, Fault> {
        toml::from_slice(text).map_err(|error| {
            Fault::because("cannot understand Cargo.lock", &error).hint("`cargo generate-lockfile` makes it anew")
        })
    }

    /// Which package a line of `dependencies` means: `name`, `name version` or `name version (source)`.
    pub(crate) fn meant(&self, by_name: &BTreeMap<String, Vec<usize>>, line: &str) -> Option<usize> {
        let mut words = line.split(' ');
        let known = by_name.get(words.next()?)?;
        let version = words.next();
        known.iter().copied().find(|at| version.is_none_or(|version| self.package[*at].version == version))
    }
}
