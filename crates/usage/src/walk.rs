//! Which files are an app's own code.
//!
//! An app's folder as `.gitignore` says, without `node_modules` and folders that begin with a dot. Where another package
//! begins (a `package.json` with a name), the app ends: a package that it imports counts as its own all the same, whole.

use std::collections::BTreeMap;
use std::path::Path;

use host::files::{self, FileFault};
use ignore::{DirEntry, WalkBuilder};
use serde_json::Value;

use crate::javascript::{Dialect, Tool};

/// Why files cannot be listed.
#[derive(Debug, thiserror::Error)]
pub enum WalkFault {
    #[error("cannot list the code below {folder}")]
    List {
        folder: String,
        #[source]
        source: ignore::Error,
    },
    #[error(transparent)]
    File(#[from] FileFault),
}

/// What a file is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Of what runs.
    Source,
    /// A test, by its name or its folder: what it reads, its runner gives. Not the app's, but marked and not dropped, for a
    /// secret may stand in it.
    Test,
    /// The settings of a tool: they are read while the app is built or tested.
    Settings,
}

/// A file of code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeFile {
    /// Relative to the root, joined by `/`.
    pub path: String,
    pub dialect: Dialect,
    pub part: Part,
}

/// A package of the repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    pub name: String,
    /// Relative to the root, joined by `/`; empty for the root itself.
    pub folder: String,
    /// Where it says its code begins, most telling first, relative to its folder: `src/index.ts`, `dist/index.js`.
    pub entries: Vec<(String, String)>,
}

/// Folders that tools fill at the top of a package; within the code the words mean something else.
const OUTPUTS: [&str; 3] = ["dist", "out", "coverage"];

/// The code of one package.
pub fn files(root: &Path, folder: &str) -> Result<Vec<CodeFile>, WalkFault> {
    let top = root.join(folder);
    let own = top.clone();
    let mut found = Vec::new();
    for entry in walk(&top).filter_entry(move |entry| is_own(entry, &own)).build() {
        let entry = entry.map_err(|source| WalkFault::List { folder: folder.to_owned(), source })?;
        let Some(path) = relative(root, entry.path()) else { continue };
        if let Some(dialect) = Dialect::of(&path)
            && entry.file_type().is_some_and(|kind| kind.is_file())
        {
            let within = path.strip_prefix(folder).unwrap_or(&path);
            found.push(CodeFile { part: part(within), path, dialect });
        }
    }
    Ok(found)
}

/// Every package of a repository that has a name, by that name.
pub fn packages(root: &Path) -> Result<BTreeMap<String, Package>, WalkFault> {
    let mut found = BTreeMap::new();
    for entry in walk(root).filter_entry(|entry| entry.file_name() != "node_modules").build() {
        let entry = entry.map_err(|source| WalkFault::List { folder: ".".to_owned(), source })?;
        if entry.file_name() != "package.json" {
            continue;
        }
        let Some(folder) = entry.path().parent().and_then(|folder| relative(root, folder)) else { continue };
        if let Some(package) = package(entry.path(), folder)? {
            found.entry(package.name.clone()).or_insert(package);
        }
    }
    Ok(found)
}

fn walk(top: &Path) -> WalkBuilder {
    let mut walk = WalkBuilder::new(top);
    walk.hidden(true).require_git(false).git_global(false).git_exclude(false).sort_by_file_path(Path::cmp);
    walk
}

fn relative(root: &Path, path: &Path) -> Option<String> {
    let parts = path.strip_prefix(root).ok()?.components();
    let parts: Option<Vec<&str>> =
        parts.map(|part| part.as_os_str().to_str()).filter(|part| *part != Some(".")).collect();
    Some(parts?.join("/"))
}

fn is_own(entry: &DirEntry, top: &Path) -> bool {
    if !entry.file_type().is_some_and(|kind| kind.is_dir()) || entry.path() == top {
        return true;
    }
    let is_output = entry.path().parent() == Some(top) && OUTPUTS.iter().any(|name| entry.file_name() == *name);
    if entry.file_name() == "node_modules" || is_output {
        return false;
    }
    // One without a name says how files are read (`"type": "module"`), and begins no package. One that cannot be read is not
    // taken for a border either: too much is read rather than too little.
    !matches!(package(&entry.path().join("package.json"), String::new()), Ok(Some(_)))
}

fn package(path: &Path, folder: String) -> Result<Option<Package>, WalkFault> {
    let Some(bytes) = files::read_if_exists(path)? else { return Ok(None) };
    // A broken one is its package manager's to tell.
    let Ok(value) = serde_json::from_slice::<Value>(&bytes) else { return Ok(None) };
    let Some(name) = value.get("name").and_then(Value::as_str) else { return Ok(None) };
    let mut entries = Vec::new();
    if let Some(exports) = value.get("exports") {
        exported(exports, ".", &mut entries);
    }
    for key in ["source", "module", "main", "types"] {
        if let Some(file) = value.get(key).and_then(Value::as_str) {
            entries.push((".".to_owned(), plain(file)));
        }
    }
    Ok(Some(Package { name: name.to_owned(), folder, entries }))
}

/// `exports` of a package: by subpath, whatever the condition.
fn exported(value: &Value, subpath: &str, entries: &mut Vec<(String, String)>) {
    match value {
        Value::String(file) => entries.push((subpath.to_owned(), plain(file))),
        Value::Array(choices) => choices.iter().for_each(|choice| exported(choice, subpath, entries)),
        Value::Object(table) => {
            for (key, value) in table {
                exported(value, if key.starts_with('.') { key } else { subpath }, entries);
            }
        }
        _ => {}
    }
}

fn plain(file: &str) -> String {
    file.trim_start_matches("./").to_owned()
}

/// What a file is for, by its path within the package.
fn part(path: &str) -> Part {
    let (folders, name) = path.rsplit_once('/').unwrap_or(("", path));
    let in_tests = folders.split('/').any(|folder| {
        matches!(
            folder,
            "test" | "tests" | "__tests__" | "__mocks__" | "__fixtures__" | "e2e" | "cypress" | "playwright"
        )
    });
    let words: Vec<&str> = name.split('.').collect();
    let says = |word: &str| words.iter().skip(1).any(|part| *part == word);
    let is_setup = ["jest.setup", "vitest.setup", "setupTests"].iter().any(|stem| name.starts_with(stem));
    if in_tests || is_setup || ["test", "spec", "e2e", "bench", "stories"].into_iter().any(says) {
        Part::Test
    } else if says("config") || Tool::of(name).is_some() {
        Part::Settings
    } else {
        Part::Source
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use host::files::{Access, create_dir, write_durable};

    fn write(root: &Path, name: &str, text: &str) {
        let path = root.join(name);
        create_dir(path.parent().unwrap(), Access::Owner).unwrap();
        write_durable(&path, text.as_bytes(), Access::Everyone).unwrap();
    }

    fn paths(root: &Path, folder: &str) -> Vec<String> {
        files(root, folder).unwrap().into_iter().map(|file| file.path).collect()
    }

    #[test]
    fn an_app_ends_where_another_package_begins() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        write(root, "apps/shop/package.json", r#"{ "name": "shop" }"#);
        write(root, "apps/shop/src/main.ts", "");
        write(root, "apps/shop/src/types.d.ts", "");
        write(root, "apps/shop/esm/package.json", r#"{ "type": "module" }"#);
        write(root, "apps/shop/esm/index.js", "");
        write(root, "apps/shop/plugin/package.json", r#"{ "name": "plugin" }"#);
        write(root, "apps/shop/plugin/index.ts", "");
        write(root, "apps/shop/broken/package.json", "{");
        write(root, "apps/shop/broken/index.ts", "");
        assert_eq!(
            paths(root, "apps/shop"),
            ["apps/shop/broken/index.ts", "apps/shop/esm/index.js", "apps/shop/src/main.ts"]
        );
        let names: Vec<String> = packages(root).unwrap().into_keys().collect();
        assert_eq!(names, ["plugin", "shop"]);
    }

    #[test]
    fn what_git_ignores_is_no_code() {
        let root = tempfile::tempdir().unwrap();
        let root = root.path();
        write(root, ".gitignore", "build/\ngenerated.ts\n");
        for name in
            ["build/a.js", "src/generated.ts", "node_modules/x/a.js", ".next/a.js", "dist/a.js", "src/dist/a.ts"]
        {
            write(root, &format!("app/{name}"), "");
        }
        assert_eq!(paths(root, "app"), ["app/src/dist/a.ts"]);
    }

    #[test]
    fn tests_and_settings_are_told_from_what_runs() {
        let cases = [
            ("src/main.ts", Part::Source),
            ("src/testing.ts", Part::Source),
            ("src/latest/a.ts", Part::Source),
            ("test/a.ts", Part::Test),
            ("src/__tests__/a.ts", Part::Test),
            ("src/a.test.tsx", Part::Test),
            ("src/a.e2e-spec.spec.ts", Part::Test),
            ("e2e/a.ts", Part::Test),
            ("jest.setup.js", Part::Test),
            ("next.config.mjs", Part::Settings),
            ("src/config.ts", Part::Source),
            ("tailwind.config.ts", Part::Settings),
            ("vitest.config.test.ts", Part::Test),
        ];
        for (path, expected) in cases {
            assert_eq!(part(path), expected, "{path}");
        }
    }
}
