//! The bare repository as a hook sees it: refs as they are, and objects of the push that lie in a quarantine until it is taken.

use std::path::{Path, PathBuf};

use ::ci::history::{History, Parted};
use ::ci::trees::Trees;
use gix_hash::ObjectId;
use manifest::Manifest;
use reconcile::Fault;

use crate::cli::session::MANIFEST;

/// Read and never written.
#[derive(Debug)]
pub(super) struct Bare {
    folder: PathBuf,
    quarantine: Option<PathBuf>,
    history: History,
}

/// The manifest of a commit.
#[derive(Debug)]
pub(super) enum Told {
    Manifest(Box<Manifest>),
    None,
    /// Why it cannot be understood.
    Faulty(String),
}

impl Bare {
    pub(super) fn open(folder: &Path, quarantine: Option<&Path>) -> Result<Self, Fault> {
        let history = History::with_quarantine(folder, quarantine)?;
        Ok(Self { folder: folder.to_owned(), quarantine: quarantine.map(Path::to_owned), history })
    }

    /// The commit of a branch.
    pub(super) fn tip(&mut self, branch: &str) -> Option<ObjectId> {
        self.history.commit(&format!("refs/heads/{branch}"))
    }

    /// The branch that `HEAD` names, whether it is there or not.
    pub(super) fn trunk(&self) -> Option<String> {
        Some(self.history.symbolic("HEAD")?.strip_prefix("refs/heads/")?.to_owned())
    }

    /// The ref that moves when this one is pushed to: another one where it only stands for that.
    pub(super) fn meant(&self, reference: &str) -> String {
        self.history.symbolic(reference).unwrap_or_else(|| reference.to_owned())
    }

    /// What a ref leads to.
    pub(super) fn target(&self, reference: &str) -> Option<ObjectId> {
        self.history.target(reference)
    }

    pub(super) fn blob(&mut self, id: &ObjectId, most: usize) -> Option<Vec<u8>> {
        self.history.blob(id).filter(|bytes| bytes.len() <= most)
    }

    /// Whether it is a commit that is there.
    pub(super) fn commit(&mut self, id: &ObjectId) -> Option<ObjectId> {
        self.history.commit(&id.to_string()).filter(|commit| commit == id)
    }

    pub(super) fn tree(&mut self, commit: &ObjectId) -> Result<ObjectId, Fault> {
        self.history.tree(commit)
    }

    /// Whether `old` is in the history of `new`.
    pub(super) fn contains(&mut self, new: ObjectId, old: ObjectId) -> Result<bool, Fault> {
        Ok(self.history.parted(new, old)? == Parted::At(old))
    }

    /// The manifest at the top of a commit.
    pub(super) fn manifest(&mut self, commit: &ObjectId) -> Result<Told, Fault> {
        let tree = self.history.tree(commit)?;
        let objects = History::with_quarantine(&self.folder, self.quarantine.as_deref())?.into_objects();
        let Some((_, text)) = Trees::new(objects).file(&tree, MANIFEST)? else { return Ok(Told::None) };
        let source = manifest::Source::new(MANIFEST, String::from_utf8_lossy(&text).into_owned());
        let (manifest, diagnostics) = manifest::parse(&source);
        let fault = diagnostics.iter().find(|diagnostic| diagnostic.is_error());
        Ok(match (manifest, fault) {
            (Some(manifest), None) => Told::Manifest(Box::new(manifest)),
            (_, fault) => {
                Told::Faulty(fault.map_or_else(|| "it cannot be read".to_owned(), |fault| fault.message.clone()))
            }
        })
    }
}
