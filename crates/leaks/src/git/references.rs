//! Where history begins: refs of every kind, and what their logs still know.
//!
//! `gix-ref` reads each file; which files there are is looked at here. Its own walk is made for refs that are in force: it
//! passes over links and names that git does not take, and shows no packed ref behind a loose one of its name. A secret may be
//! behind any of them.

use std::path::Path;

use gix_hash::{Kind, ObjectId};
use gix_ref::file::log::iter::forward;
use gix_ref::file::loose;
use gix_ref::{FullName, Target, packed};
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
    /// Files that are damaged, with the reason. What can be read of them is among `all` nevertheless.
    pub(crate) unread: Vec<String>,
}

/// What operations of git leave beside `HEAD`.
const HEADS: [&str; 8] =
    ["HEAD", "ORIG_HEAD", "FETCH_HEAD", "MERGE_HEAD", "CHERRY_PICK_HEAD", "REVERT_HEAD", "REBASE_HEAD", "AUTO_MERGE"];

pub(crate) fn read(repository: &Repository) -> Result<References, GitFault> {
    let mut found = References::default();
    let shared = &repository.shared;
    if let Some(packed) = files::read_if_exists(&shared.join("packed-refs"))? {
        found.packed(&packed);
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
            found.log(name, &text);
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
    fn push(&mut self, name: &str, target: ObjectId) {
        self.all.push(Reference { name: name.to_owned(), target });
    }

    fn packed(&mut self, text: &[u8]) {
        const FILE: &str = "packed-refs";
        let Ok(lines) = packed::Iter::new(text, Kind::Sha1) else {
            self.unread.push(format!("{FILE}: it does not begin like one of git's"));
            return;
        };
        let mut damaged = 0;
        for line in lines {
            let Ok(line) = line else {
                damaged += 1;
                continue;
            };
            let name = line.name.as_bstr().to_string();
            // A tag, and what it leads to.
            self.push(&name, line.target());
            if line.object.is_some() {
                self.push(&name, line.object());
            }
        }
        self.tell(FILE, damaged);
    }

    /// Both sides of each change.
    fn log(&mut self, name: &str, text: &[u8]) {
        let mut damaged = 0;
        for line in forward(text) {
            let Ok(line) = line else {
                damaged += 1;
                continue;
            };
            self.push(name, line.previous_oid());
            self.push(name, line.new_oid());
        }
        self.tell(name, damaged);
    }

    /// A ref in a file of its own. `FETCH_HEAD` and `MERGE_HEAD` have a line for each branch.
    fn loose(&mut self, name: &str, text: &[u8]) {
        let mut damaged = usize::from(text.is_empty() && !may_be_empty(name));
        for line in text.split_inclusive(|byte| *byte == b'\n') {
            match target(line) {
                Some(Target::Object(id)) => self.push(name, id),
                // It names another ref, which is read itself.
                Some(Target::Symbolic(_)) => {}
                None => damaged += 1,
            }
        }
        // What git takes for no ref (a lock that was left, a file of somebody's) may be anything.
        if FullName::try_from(name).is_ok() {
            self.tell(name, damaged);
        }
    }

    fn tell(&mut self, name: &str, damaged: usize) {
        if damaged > 0 {
            self.unread
                .push(format!("{name} of git: damaged in {damaged} places, so history may begin where nobody looked"));
        }
    }
}

/// `git fetch` empties it before it has anything to say.
fn may_be_empty(name: &str) -> bool {
    name == "FETCH_HEAD"
}

/// What a line of a loose ref stands for.
fn target(line: &[u8]) -> Option<Target> {
    // Which ref it is makes no difference to how it is read.
    let any = FullName::try_from("HEAD").expect("git names it so");
    loose::Reference::try_from_path(any, line, Kind::Sha1).ok().map(|read| read.target)
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
    Ok(match target(&text) {
        // Loose refs come after packed ones and win.
        Some(Target::Symbolic(name)) => {
            all.iter().rev().find(|reference| name.as_bstr() == reference.name).map(|reference| reference.target)
        }
        Some(Target::Object(id)) => Some(id),
        None => None,
    })
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: &str = "1111111111111111111111111111111111111111";
    const TWO: &str = "2222222222222222222222222222222222222222";

    fn read_by(read: impl FnOnce(&mut References)) -> (Vec<(String, String)>, usize) {
        let mut found = References::default();
        read(&mut found);
        (found.all.into_iter().map(|one| (one.name, one.target.to_string())).collect(), found.unread.len())
    }

    fn named(name: &str, ids: &[&str]) -> Vec<(String, String)> {
        ids.iter().map(|id| (name.to_owned(), (*id).to_owned())).collect()
    }

    #[test]
    fn a_packed_tag_and_what_it_leads_to_both_begin_a_history() {
        let text = format!("# pack-refs with: peeled fully-peeled sorted \n{ONE} refs/tags/v1\n^{TWO}\n");
        assert_eq!(read_by(|found| found.packed(text.as_bytes())), (named("refs/tags/v1", &[ONE, TWO]), 0));
    }

    #[test]
    fn a_damaged_line_is_told_and_hides_no_other() {
        let packed = format!("{ONE} refs/heads/a\nno line of git's\n{TWO} refs/heads/a\n");
        assert_eq!(read_by(|found| found.packed(packed.as_bytes())), (named("refs/heads/a", &[ONE, TWO]), 1));
        let cut = format!("{ONE} refs/heads/a");
        assert_eq!(read_by(|found| found.packed(cut.as_bytes())), (vec![], 1));
        let who = "Anna <anna@shop.example> 1790000000 +0000";
        let log = format!("{ONE} {TWO} {who}\tpull\n{ONE} {}\n", &TWO[..9]);
        assert_eq!(read_by(|found| found.log("logs/HEAD", log.as_bytes())), (named("logs/HEAD", &[ONE, TWO]), 1));
        for damaged in ["", &ONE[..12], "\0\0\0\0", &format!("{ONE}1")] {
            let found = read_by(|found| found.loose("refs/heads/a", damaged.as_bytes()));
            assert_eq!(found, (vec![], 1), "{damaged:?}");
        }
    }

    #[test]
    fn a_log_of_somebody_without_a_name_is_read() {
        let log = format!("{ONE} {TWO}  <> 1790000000 +0000\n{TWO} {ONE} A <> <b> 1790000000 +0000\tx\n");
        let found = read_by(|found| found.log("logs/HEAD", log.as_bytes()));
        assert_eq!(found, (named("logs/HEAD", &[ONE, TWO, TWO, ONE]), 0));
    }

    #[test]
    fn a_file_that_is_no_ref_is_read_as_far_as_it_is_like_one() {
        assert_eq!(read_by(|found| found.loose("refs/heads/a.lock", b"")), (vec![], 0));
        let found = read_by(|found| found.loose("refs/heads/a.lock", ONE.as_bytes()));
        assert_eq!(found, (named("refs/heads/a.lock", &[ONE]), 0));
        let fetched = format!("{ONE}\t\tbranch 'main' of shop.example:a\n{TWO}\tnot-for-merge\tbranch 'b'\n");
        assert_eq!(
            read_by(|found| found.loose("FETCH_HEAD", fetched.as_bytes())),
            (named("FETCH_HEAD", &[ONE, TWO]), 0)
        );
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(text in "[#^ a-f0-9/\\n\\r\t<>refs]{0,200}", bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for text in [text.as_bytes(), &bytes] {
                let _ = read_by(|found| found.packed(text));
                let _ = read_by(|found| found.log("logs/HEAD", text));
                let _ = read_by(|found| found.loose("HEAD", text));
            }
        }
    }
}
