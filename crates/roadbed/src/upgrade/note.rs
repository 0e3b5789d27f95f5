//! What is under way, on disk before anything is done: whoever is killed is followed by somebody who knows where to go.

use std::path::PathBuf;

use host::files::{self, Access};
use reconcile::{Fault, Root};
use serde::{Deserialize, Serialize};

const VERSION: u32 = 1;

/// Where the environment is going.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    version: u32,
    /// Digest of the program that it is moved to; the root keeps it.
    pub to: String,
    /// Of the one that it goes back to.
    pub back: String,
    pub course: Course,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Course {
    Forward,
    /// The new one did not come up.
    Back,
}

impl Note {
    pub fn new(to: String, back: String) -> Self {
        Self { version: VERSION, to, back, course: Course::Forward }
    }
}

/// `None`: nothing is under way.
pub fn read(root: &Root) -> Result<Option<Note>, Fault> {
    let path = path(root);
    let Some(bytes) = files::read_if_exists(&path).map_err(|fault| cannot("read", &fault))? else { return Ok(None) };
    match serde_json::from_slice::<Note>(&bytes) {
        Ok(note) if note.version == VERSION => Ok(Some(note)),
        Ok(note) => Err(Fault::new(format!("cannot read {}: its format has version {}", path.display(), note.version))
            .hint("use the Roadbed that wrote it, or a later one")),
        Err(error) => Err(Fault::because(format!("cannot read {}", path.display()), &error)
            .hint("remove the file and run `roadbed upgrade` again")),
    }
}

pub fn write(root: &Root, note: &Note) -> Result<(), Fault> {
    let text = serde_json::to_vec_pretty(note).expect("a note is plain data");
    files::write_durable(&path(root), &text, Access::Owner).map_err(|fault| cannot("note", &fault))
}

pub fn remove(root: &Root) -> Result<(), Fault> {
    files::remove(&path(root)).map_err(|fault| cannot("strike", &fault))
}

fn cannot(what: &str, fault: &files::FileFault) -> Fault {
    Fault::because(format!("cannot {what} which upgrade is under way"), fault)
}

fn path(root: &Root) -> PathBuf {
    root.state().join("upgrade.json")
}
