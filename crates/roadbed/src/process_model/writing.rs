//! Whether instances write files where the next one would miss them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use gate::{Findings, Outcome};
use host::files;
use reconcile::ports::Confined;

use super::Pair;

/// More files than this are not looked through one by one; installed packages are not looked at.
const MOST_FILES: usize = 50_000;
const LEFT_OUT: &str = "node_modules";

/// What an attempt to write where it is forbidden looks like in the log of an instance.
const REFUSED: [&str; 3] = ["EROFS", "read-only file system", "EACCES: permission denied"];

/// What lay in the folder of the app before.
#[derive(Debug)]
pub(crate) struct Before(BTreeMap<PathBuf, Mark>);

/// A file that is written has another.
type Mark = (u64, Option<SystemTime>);

impl Before {
    pub(crate) fn of(folder: &Path) -> Self {
        Self(look(folder))
    }
}

/// Compares, and reads what the instances said about it. `confined`: what the kernel shows of them while they ran; `tail`: what
/// they wrote.
pub(crate) fn writing(pair: &Pair, before: &Before, confined: &BTreeMap<String, Confined>, tail: &[String]) -> Outcome {
    let mut findings = Findings::default();
    let after = look(&pair.folder);
    let changed: Vec<String> = after
        .iter()
        .filter(|(path, mark)| before.0.get(*path) != Some(mark))
        .map(|(path, _)| path.strip_prefix(&pair.folder).unwrap_or(path).display().to_string())
        .collect();
    match &changed[..] {
        [] => findings.good(format!("{} files in {} are as they were", after.len(), pair.folder.display())),
        some => {
            let first = some.iter().take(5).cloned().collect::<Vec<_>>().join(", ");
            findings.bad(format!("{} files were written in {}: {first}", some.len(), pair.folder.display()));
        }
    }
    for one in &pair.instances {
        if let Some(release) = confined.get(&one.name).map(|confined| &confined.read_only_release) {
            let force = if release.in_force { "in force" } else { "not in force" };
            findings.good(format!("{}: a release that is read-only is {force}: {}", one.name, release.detail));
        }
    }
    let tried = tail.iter().find(|line| REFUSED.iter().any(|word| line.contains(word)));
    if let Some(line) = tried {
        findings.bad(format!("it tried to write where it may not: {line}"));
    }
    findings.outcome()
}

fn look(folder: &Path) -> BTreeMap<PathBuf, Mark> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in files::list(&folder).unwrap_or_default() {
            if found.len() >= MOST_FILES {
                return found;
            }
            if files::is_link(&path) || path.file_name().is_some_and(|name| name == LEFT_OUT) {
                continue;
            }
            if files::is_dir(&path) {
                folders.push(path);
            } else if let Ok(metadata) = files::metadata(&path) {
                found.insert(path, (metadata.len(), metadata.modified().ok()));
            }
        }
    }
    found
}
