//! Which packages an app needs to run, by npm's lock file: its dependencies and theirs, found the way Node finds them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::Deserialize;

/// The parts of `package-lock.json` that say what is installed where. Versions 2 and 3 have them.
#[derive(Debug, Deserialize)]
pub struct Lock {
    #[serde(rename = "lockfileVersion")]
    version: u32,
    #[serde(default)]
    packages: Entries,
}

/// Everything by its path, in order: a project has thousands of these, and half of the room in a tree is to spare.
#[derive(Debug, Default)]
struct Entries(Box<[(Box<str>, Entry)]>);

impl Entries {
    fn get(&self, path: &str) -> Option<&Entry> {
        let at = self.0.binary_search_by(|(known, _)| (**known).cmp(path)).ok()?;
        Some(&self.0[at].1)
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &Entry)> {
        self.0.iter().map(|(path, entry)| (&**path, entry))
    }
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Table;
        impl<'de> serde::de::Visitor<'de> for Table {
            type Value = Vec<(Box<str>, Entry)>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a table of packages by path")
            }

            fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    all.push(entry);
                }
                Ok(all)
            }
        }
        let mut all = deserializer.deserialize_map(Table)?;
        all.sort_by(|(one, _), (other, _)| one.cmp(other));
        // Of a path that is said twice the last counts, as everywhere in JSON.
        all.dedup_by(|later, earlier| {
            let is_same = later.0 == earlier.0;
            if is_same {
                std::mem::swap(later, earlier);
            }
            is_same
        });
        Ok(Self(all.into()))
    }
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Entry {
    version: Option<Box<str>>,
    resolved: Option<Box<str>>,
    integrity: Option<Box<str>>,
    license: Option<License>,
    link: bool,
    optional: bool,
    dependencies: Names,
    dev_dependencies: Names,
    optional_dependencies: Names,
    peer_dependencies: Names,
}

/// The names of a table, in order: there are thousands of these tables, and the ranges in them are resolved already.
#[derive(Clone, Debug, Default)]
struct Names(Box<[Box<str>]>);

impl Names {
    fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|name| &**name)
    }

    fn contains(&self, name: &str) -> bool {
        self.0.binary_search_by(|known| (**known).cmp(name)).is_ok()
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let table = BTreeMap::<Box<str>, serde::de::IgnoredAny>::deserialize(deserializer)?;
        Ok(Self(table.into_keys().collect()))
    }
}

/// npm's own field is an SPDX expression; packages from before that have objects.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum License {
    Expression(Box<str>),
    Other(serde::de::IgnoredAny),
}

/// A package that an app needs to run.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Package {
    /// Where it is installed, relative to the lock file: `node_modules/mongodb`.
    pub path: String,
    pub name: String,
    pub version: String,
    /// Of the package as the registry has it: `sha512-…`.
    pub integrity: Option<String>,
    /// An SPDX expression.
    pub license: Option<String>,
    /// It may be missing where it was not made for this system.
    pub optional: bool,
    /// The folder of the project that it is a link to: another workspace.
    pub workspace: Option<String>,
}

/// Something installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place<'l> {
    /// Relative to the lock file: `node_modules/mongodb`.
    pub path: &'l str,
    /// By which it is asked for.
    pub name: &'l str,
    pub version: &'l str,
    /// What it must be, or where it is from.
    pub integrity: &'l str,
    /// The folder of the project that it is a link to.
    pub workspace: Option<&'l str>,
}

/// Why the packages of an app are not known.
#[derive(Debug, thiserror::Error)]
pub enum LockFault {
    #[error("package-lock.json cannot be understood")]
    Malformed(#[source] serde_json::Error),
    #[error("package-lock.json is of version {0}; this program reads 2 and 3")]
    Version(u32),
    #[error("package-lock.json does not know the workspace {0}")]
    NoWorkspace(String),
    #[error("package-lock.json does not say where {needs} finds {name}")]
    NotInstalled { name: String, needs: String },
    #[error("package-lock.json does not say in which folder the workspace {name} lies, which {needs} needs")]
    NoFolder { name: String, needs: String },
}

impl LockFault {
    pub fn hint(&self) -> &'static str {
        "run `npm install` and commit package-lock.json"
    }
}

impl Lock {
    pub fn parse(text: &[u8]) -> Result<Self, LockFault> {
        let lock: Self = serde_json::from_slice(text).map_err(LockFault::Malformed)?;
        if (2..=3).contains(&lock.version) { Ok(lock) } else { Err(LockFault::Version(lock.version)) }
    }

    /// What the app in this folder needs to run, in order of path: dependencies, optional ones and peers, not those of development.
    pub fn closure(&self, folder: &str) -> Result<Vec<Package>, LockFault> {
        let folder = folder.trim_end_matches('/');
        let workspace = self.packages.get(folder).ok_or_else(|| LockFault::NoWorkspace(folder.to_owned()))?;
        let mut open: VecDeque<(String, &Entry)> = VecDeque::from([(folder.to_owned(), workspace)]);
        let mut seen: BTreeSet<String> = BTreeSet::new();
        let mut found = Vec::new();
        while let Some((from, entry)) = open.pop_front() {
            let required = entry.dependencies.iter().map(|name| (name, true));
            // Peers are installed unless they are optional or nobody wanted them.
            let others = entry.optional_dependencies.iter().chain(entry.peer_dependencies.iter());
            for (name, is_required) in required.chain(others.map(|name| (name, false))) {
                let Some((path, package)) = self.resolve(&from, name) else {
                    if is_required && !entry.optional_dependencies.contains(name) {
                        return Err(LockFault::NotInstalled { name: name.to_owned(), needs: from });
                    }
                    continue;
                };
                if !seen.insert(path.clone()) {
                    continue;
                }
                if !package.link {
                    found.push(package.as_package(&path));
                    open.push_back((path, package));
                    continue;
                }
                // Node follows the link and looks for what the workspace needs from there.
                let folder = package.resolved.as_deref().map(str::to_owned);
                let target = folder.as_ref().and_then(|folder| self.packages.get(folder));
                let (Some(folder), Some(target)) = (folder, target) else {
                    return Err(LockFault::NoFolder { name: name.to_owned(), needs: from });
                };
                let own = target.as_package(&path);
                found.push(Package { workspace: Some(folder.clone()), ..own });
                open.push_back((folder, target));
            }
        }
        found.sort();
        Ok(found)
    }

    /// Folders of other workspaces that an app needs to be built or to run: they are inputs of its build.
    pub fn workspaces(&self, folder: &str) -> Vec<String> {
        let folder = folder.trim_end_matches('/');
        let mut found: BTreeSet<String> = BTreeSet::new();
        let mut open = vec![folder.to_owned()];
        while let Some(from) = open.pop() {
            let Some(entry) = self.packages.get(&from) else { continue };
            let all =
                [&entry.dependencies, &entry.dev_dependencies, &entry.optional_dependencies, &entry.peer_dependencies];
            let linked = all.into_iter().flat_map(Names::iter).filter_map(|name| self.resolve(&from, name));
            for folder in linked
                .filter(|(_, package)| package.link)
                .filter_map(|(_, package)| package.resolved.as_deref().map(str::to_owned))
            {
                if found.insert(folder.clone()) {
                    open.push(folder);
                }
            }
        }
        found.remove(folder);
        found.into_iter().collect()
    }

    /// Every place where something is installed, with what is there; folders of the project are not among them.
    pub fn places(&self) -> impl Iterator<Item = Place<'_>> {
        let installed = self.packages.iter().filter(|(path, _)| path.contains("node_modules/"));
        installed.map(|(path, entry)| Place {
            path,
            name: path.rsplit_once("node_modules/").map_or(path, |(_, name)| name),
            version: entry.version.as_deref().unwrap_or_default(),
            integrity: entry.integrity.as_deref().or(entry.resolved.as_deref()).unwrap_or_default(),
            workspace: entry.resolved.as_deref().filter(|_| entry.link),
        })
    }

    /// What the package at a place depends on, by name: all of it but what it is developed with.
    pub fn needs_at(&self, path: &str) -> impl Iterator<Item = &str> {
        let entry = self.packages.get(path).into_iter();
        entry
            .flat_map(|entry| [&entry.dependencies, &entry.optional_dependencies, &entry.peer_dependencies])
            .flat_map(Names::iter)
    }

    /// Where a folder or an installed package finds another.
    pub fn place_of(&self, name: &str, from: &str) -> Option<String> {
        self.resolve(from, name).map(|(path, _)| path)
    }

    /// The nearest `node_modules` on the way up that has it.
    fn resolve(&self, from: &str, name: &str) -> Option<(String, &Entry)> {
        let mut folder = Some(from);
        while let Some(here) = folder {
            // `node_modules` itself is no place to look in.
            if here != "node_modules" && !here.ends_with("/node_modules") {
                let path = if here.is_empty() {
                    format!("node_modules/{name}")
                } else {
                    format!("{here}/node_modules/{name}")
                };
                if let Some(entry) = self.packages.get(&path) {
                    return Some((path, entry));
                }
            }
            folder = match here {
                "" => None,
                _ => Some(here.rsplit_once('/').map_or("", |(above, _)| above)),
            };
        }
        None
    }
}

impl Entry {
    fn as_package(&self, path: &str) -> Package {
        let after = path.rsplit_once("node_modules/").map_or(path, |(_, name)| name);
        Package {
            path: path.to_owned(),
            // An alias is installed under another name than its own; the address in the registry has the real one.
            name: self.resolved.as_deref().and_then(real_name).unwrap_or(after).to_owned(),
            version: self.version.as_deref().unwrap_or_default().to_owned(),
            integrity: self.integrity.as_deref().map(str::to_owned),
            license: match &self.license {
                Some(License::Expression(text)) => Some(text.to_string()),
                Some(License::Other(_)) | None => None,
            },
            optional: self.optional,
            workspace: None,
        }
    }
}

/// `…/@scope/name/-/name-1.2.3.tgz` → `@scope/name`.
fn real_name(resolved: &str) -> Option<&str> {
    let (before, _) = resolved.split_once("/-/")?;
    let path = before.split_once("://")?.1.split_once('/')?.1;
    let start = path.rfind("/@").map(|at| at + 1).or_else(|| if path.starts_with('@') { Some(0) } else { None });
    Some(match start {
        Some(scope) => &path[scope..],
        None => path.rsplit_once('/').map_or(path, |(_, name)| name),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"{
        "lockfileVersion": 3,
        "packages": {
            "": { "workspaces": ["apps/*"], "devDependencies": { "typescript": "6" } },
            "apps/api": { "dependencies": { "db": "^1" }, "devDependencies": { "tsx": "4" }, "optionalDependencies": { "fast": "1" } },
            "apps/web": { "dependencies": { "@shop/shared": "*" } },
            "apps/lost": { "dependencies": { "@shop/lost": "*" } },
            "packages/shared": { "name": "@shop/shared", "version": "0.1.0", "dependencies": { "bytes": "2", "@shop/deep": "*" } },
            "packages/deep": { "version": "0.2.0", "dependencies": { "@shop/shared": "*" } },
            "node_modules/@shop/shared": { "link": true, "resolved": "packages/shared" },
            "node_modules/@shop/deep": { "link": true, "resolved": "packages/deep" },
            "node_modules/@shop/lost": { "link": true, "resolved": "packages/lost" },
            "node_modules/db": { "version": "1.2.3", "resolved": "https://registry.example/real-db/-/real-db-1.2.3.tgz", "license": "MIT",
                "integrity": "sha512-abc", "dependencies": { "bytes": "1" }, "peerDependencies": { "tls": "*", "absent": "*" } },
            "node_modules/db/node_modules/bytes": { "version": "1.0.0", "license": { "type": "MIT" }, "dependencies": { "base": "1" } },
            "node_modules/bytes": { "version": "2.0.0" },
            "node_modules/base": { "version": "1.1.0", "dependencies": { "db": "1" } },
            "node_modules/tls": { "version": "3.0.0" },
            "node_modules/tsx": { "version": "4.0.0", "dev": true },
            "node_modules/typescript": { "version": "6.0.0", "dev": true }
        }
    }"#;

    #[test]
    fn an_app_has_its_dependencies_and_theirs_and_no_others() {
        let lock = Lock::parse(LOCK.as_bytes()).unwrap();
        let found = lock.closure("apps/api").unwrap();
        let told: Vec<String> =
            found.iter().map(|package| format!("{} {} {}", package.path, package.name, package.version)).collect();
        assert_eq!(
            told,
            [
                "node_modules/base base 1.1.0",
                "node_modules/db real-db 1.2.3",
                "node_modules/db/node_modules/bytes bytes 1.0.0",
                "node_modules/tls tls 3.0.0",
            ]
        );
        assert_eq!(found[1].license.as_deref(), Some("MIT"));
        assert_eq!(found[2].license, None, "no expression, no claim");
    }

    #[test]
    fn of_a_path_that_is_said_twice_the_last_counts() {
        let text = r#"{"lockfileVersion": 3, "packages": {"node_modules/b": {"version": "1"}, "node_modules/a": {"version": "1"}, "node_modules/b": {"version": "2"}}}"#;
        let lock = Lock::parse(text.as_bytes()).unwrap();
        let told: Vec<String> = lock.places().map(|place| format!("{} {}", place.path, place.version)).collect();
        assert_eq!(told, ["node_modules/a 1", "node_modules/b 2"]);
    }

    #[test]
    fn other_workspaces_come_with_what_they_need_and_are_inputs_of_the_build() {
        let lock = Lock::parse(LOCK.as_bytes()).unwrap();
        let found = lock.closure("apps/web").unwrap();
        let told: Vec<(&str, &str, Option<&str>)> = found
            .iter()
            .map(|package| (package.path.as_str(), package.version.as_str(), package.workspace.as_deref()))
            .collect();
        assert_eq!(
            told,
            [
                ("node_modules/@shop/deep", "0.2.0", Some("packages/deep")),
                ("node_modules/@shop/shared", "0.1.0", Some("packages/shared")),
                ("node_modules/bytes", "2.0.0", None),
            ]
        );
        assert_eq!(lock.workspaces("apps/web"), ["packages/deep", "packages/shared"]);
        assert_eq!(lock.workspaces("apps/api"), [""; 0]);
    }

    #[test]
    fn what_the_lock_file_does_not_say_is_a_fault() {
        let lock = Lock::parse(LOCK.as_bytes()).unwrap();
        assert!(matches!(lock.closure("apps/other"), Err(LockFault::NoWorkspace(_))));
        assert!(matches!(lock.closure("apps/lost"), Err(LockFault::NoFolder { .. })));
        let without = LOCK.replace("node_modules/base", "node_modules/other");
        let fault = Lock::parse(without.as_bytes()).unwrap().closure("apps/api").unwrap_err();
        assert_eq!(
            fault.to_string(),
            "package-lock.json does not say where node_modules/db/node_modules/bytes finds base"
        );
        assert!(matches!(Lock::parse(br#"{"lockfileVersion": 1}"#), Err(LockFault::Version(1))));
        assert!(matches!(Lock::parse(b"[]"), Err(LockFault::Malformed(_))));
    }

    #[test]
    fn the_real_name_of_a_package_is_in_its_address() {
        assert_eq!(real_name("https://registry.example/a/-/a-1.tgz"), Some("a"));
        assert_eq!(real_name("https://registry.example/npm/@x/a/-/a-1.tgz"), Some("@x/a"));
        assert_eq!(real_name("https://registry.example/@x/a/-/a-1.tgz"), Some("@x/a"));
        assert_eq!(real_name("file:../a"), None);
    }
}
