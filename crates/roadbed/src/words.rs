//! Somebody's word that a commit of a stranger may be built: what a pull request brings is run by nobody before.
//!
//! ```text
//!   PROJECT/.roadbed-envs/allowed.jsonl     one line a word, never taken away: who, which commit, of which pull request, when
//! ```
//!
//! A word is signed by an SSH key that the manifest gives to a person, and looked at anew each time: a line that somebody wrote by hand
//! counts for nothing, and neither does one of a person who may not allow any more. It is for one commit of one pull request.

use std::path::{Path, PathBuf};

use host::clock::Timestamp;
use host::files::{self, Access};
use manifest::{Manifest, PersonName};
use reconcile::Fault;
use serde::{Deserialize, Serialize};

use crate::cli::place;
use crate::control::login::signature::{NotSigned, signer};

/// No signature that was made for anything else will do.
pub const NAMESPACE: &str = "roadbed-preview-allow";

/// Raised when what is signed changes its meaning.
const FORMAT: u32 = 1;

/// A commit of a pull request of a product.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    pub product: String,
    pub pull_request: u32,
    /// All of its digits.
    pub commit: String,
}

/// Somebody's word, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Word {
    pub format: u32,
    #[serde(flatten)]
    pub about: Subject,
    /// As it was when the word was given; who counts is who signed.
    pub by: PersonName,
    pub at: Timestamp,
    /// As `ssh-keygen -Y sign` writes it.
    pub signature: String,
}

/// Who may give one.
#[derive(Clone, Debug)]
pub struct Builders(Vec<(PersonName, Vec<String>)>);

/// What is signed.
pub fn message(about: &Subject, at: Timestamp) -> String {
    let Subject { product, pull_request, commit } = about;
    format!("{FORMAT}\n{product}\npull request {pull_request}\n{commit}\n{}\n", at.unix_millis())
}

impl Word {
    pub fn new(about: Subject, by: PersonName, at: Timestamp, signature: String) -> Self {
        Self { format: FORMAT, about, by, at, signature }
    }
}

impl Builders {
    /// Those of the environment of pull requests that may allow one.
    pub fn of(manifest: &Manifest, builders: &[PersonName]) -> Self {
        Self(manifest.people().into_iter().filter(|(name, _)| builders.contains(name)).collect())
    }

    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(person, _)| person.as_str() == name)
    }

    pub fn names(&self) -> Vec<&str> {
        self.0.iter().map(|(person, _)| person.as_str()).collect()
    }

    /// All keys of theirs.
    pub fn keys(&self) -> Vec<String> {
        self.0.iter().flat_map(|(_, keys)| keys.clone()).collect()
    }

    /// Which of them signed that; `None`: nobody who may.
    pub(crate) fn who_signed(
        &self,
        about: &Subject,
        at: Timestamp,
        signature: &str,
    ) -> Result<Option<PersonName>, NotSigned> {
        let signer = signer(signature, NAMESPACE, message(about, at).as_bytes())?;
        let owner = self.0.iter().find(|(_, keys)| keys.iter().any(|key| signer.is(key)));
        Ok(owner.map(|(person, _)| person.clone()))
    }
}

fn path(project: &Path) -> PathBuf {
    project.join(place::OTHERS).join("allowed.jsonl")
}

/// Who gave a word that holds for this, if somebody did.
pub fn given_for(project: &Path, about: &Subject, builders: &Builders) -> Result<Option<PersonName>, Fault> {
    let words = read(project)?.filter(|word| word.format == FORMAT && word.about == *about);
    Ok(words.rev().find_map(|word| builders.who_signed(about, word.at, &word.signature).ok().flatten()))
}

/// Every word that was ever given, the oldest first. A line that cannot be read is none.
pub fn read(project: &Path) -> Result<std::vec::IntoIter<Word>, Fault> {
    let cannot = |fault: files::FileFault| Fault::because("cannot tell what may be built", &fault);
    let text = files::read_if_exists(&path(project)).map_err(cannot)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let words: Vec<Word> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    Ok(words.into_iter())
}

/// Keeps a word. Whoever calls lets nobody else do it at the same time.
pub fn keep(project: &Path, word: &Word) -> Result<(), Fault> {
    let path = path(project);
    let cannot = |fault: files::FileFault| {
        Fault::because("cannot keep the word", &fault).hint("see whether the disk is full and the folder is yours")
    };
    let mut text = files::read_if_exists(&path).map_err(cannot)?.unwrap_or_default();
    text.extend(serde_json::to_vec(word).expect("a word is plain data"));
    text.push(b'\n');
    files::create_dir(path.parent().unwrap_or(project), Access::Owner).map_err(cannot)?;
    files::write_durable(&path, &text, Access::Owner).map_err(cannot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_nobody_signed_is_no_word() {
        let folder = tempfile::tempdir().unwrap();
        let about = Subject { product: "shop".to_owned(), pull_request: 7, commit: "a".repeat(40) };
        let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGQ1hmOHVBa7bZAEBGTvYHSXjVh6gGdGGPjbdHvaGSbc ann".to_owned();
        let ann = PersonName::new("ann").unwrap();
        let builders = Builders(vec![(ann.clone(), vec![key])]);
        assert_eq!(given_for(folder.path(), &about, &builders).unwrap(), None);
        let word = Word::new(about.clone(), ann, Timestamp::from_unix_millis(1), "-----BEGIN".to_owned());
        keep(folder.path(), &word).unwrap();
        assert_eq!(read(folder.path()).unwrap().len(), 1);
        assert_eq!(given_for(folder.path(), &about, &builders).unwrap(), None);
    }
}
