//! Where history begins: refs of every kind, and what their logs still know.

use std::path::Path;

use gix_hash::ObjectId;
use host::files;

use super::{GitFault, Repository};

/// A name and the object that it stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) name: String,
    pub(crate) target: ObjectId,
}

/// A text that git keeps on this machine: the log of a ref, its configuration. Addresses with passwords stand in them
/// (`clone: from https://…`, `url = https://…`).
#[derive(Debug)]
pub(crate) struct Log {
    /// Relative to the git folder, for example `logs/refs/stash`.
    pub(crate) name: String,
    pub(crate) text: Vec<u8>,
}

/// What all begins with, and the logs.
#[derive(Debug, Default)]
pub(crate) struct References {
    pub(crate) all: Vec<Reference>,
    pub(crate) logs: Vec<Log>,
    pub(crate) head: Option<ObjectId>,
}

/// What operations of git leave beside `HEAD`.
const HEADS: [&str; 8] =
    ["HEAD", "ORIG_HEAD", "FETCH_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD", "AUTO_MERGE"];

pub(crate) fn read(repository: &Repository) -> Result<References, GitFault> {
    let mut found = References::default();
    let shared = &repository.shared;
    if let Some(packed) = files::read_if_exists(&shared.join("packed-refs"))? {
        for line in String::from_utf8_lossy(&packed).lines() {
            // `^` stands before what the tag of the line above leads to.
            let (id, name) = line.trim_start_matches('^').split_once(' ').unwrap_or((line.trim_start_matches('^'), ""));
            if let Some(target) = object(id) {
                found.all.push(Reference { name: name.to_owned(), target });
            }
        }
    }
    each_file(&shared.join("refs"), "refs", &mut |name, text| found.loose(name, &text))?;
    for folder in folders_with_heads(repository)? {
        for head in HEADS {
            if let Some(text) = files::read_if_exists(&folder.join(head))? {
                found.loose(head, &text);
                // It says from where.
                if head == "FETCH_HEAD" {
                    found.logs.push(Log { name: head.to_owned(), text });
                }
            }
        }
        each_file(&folder.join("logs"), "logs", &mut |name, text| {
            for line in String::from_utf8_lossy(&text).lines() {
                for target in line.split(' ').take(2).filter_map(object) {
                    found.all.push(Reference { name: name.to_owned(), target });
                }
            }
            found.logs.push(Log { name: name.to_owned(), text });
        })?;
    }
    if let Some(text) = files::read_if_exists(&shared.join("config"))? {
        found.logs.push(Log { name: "config".to_owned(), text });
    }
    found.head = head(repository, &found.all)?;
    found.all.retain(|reference| !reference.target.is_null());
    Ok(found)
}

impl References {
    fn loose(&mut self, name: &str, text: &[u8]) {
        // FETCH_HEAD has a line for each branch; a symbolic ref names another ref, which is read itself.
        for line in String::from_utf8_lossy(text).lines() {
            if let Some(target) = line.split_whitespace().next().and_then(object) {
                self.all.push(Reference { name: name.to_owned(), target });
            }
        }
    }
}

fn folders_with_heads(repository: &Repository) -> Result<Vec<std::path::PathBuf>, GitFault> {
    let mut folders = vec![repository.own.clone()];
    if repository.shared != repository.own {
        folders.push(repository.shared.clone());
    }
    let linked = repository.shared.join("worktrees");
    if files::is_dir(&linked) {
        folders.extend(files::list(&linked)?);
    }
    Ok(folders)
}

fn head(repository: &Repository, all: &[Reference]) -> Result<Option<ObjectId>, GitFault> {
    let Some(text) = files::read_if_exists(&repository.own.join("HEAD"))? else { return Ok(None) };
    let text = String::from_utf8_lossy(&text).trim().to_owned();
    Ok(match text.strip_prefix("ref:").map(str::trim) {
        // Loose refs come after packed ones and win.
        Some(name) => all.iter().rev().find(|reference| reference.name == name).map(|reference| reference.target),
        None => object(&text),
    })
}

fn object(text: &str) -> Option<ObjectId> {
    ObjectId::from_hex(text.as_bytes()).ok()
}

/// A repository's refs are a few folders deep; a link back up would have no end.
const DEEPEST: usize = 32;

fn each_file(folder: &Path, name: &str, each: &mut dyn FnMut(&str, Vec<u8>)) -> Result<(), GitFault> {
    if name.split('/').count() > DEEPEST || !files::is_dir(folder) {
        return Ok(());
    }
    for path in files::list(folder)? {
        let Some(file) = path.file_name().and_then(|name| name.to_str()) else { continue };
        let name = format!("{name}/{file}");
        if files::is_dir(&path) {
            each_file(&path, &name, each)?;
        } else if let Some(text) = files::read_if_exists(&path)? {
            each(&name, text);
        }
    }
    Ok(())
}
