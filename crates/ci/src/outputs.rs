//! What a task makes in its package's folder: gathered for the cache, and put back from there.

use std::path::{Path, PathBuf};

use engine::artifact::content::{Item, ItemKind};
use globset::GlobSet;
use host::files::{self, Access, FileFault};
use reconcile::Fault;

use crate::globs;

/// The output files of one task.
#[derive(Clone, Debug)]
pub(crate) struct Outputs {
    /// The package's folder.
    folder: PathBuf,
    globs: Vec<String>,
    set: GlobSet,
}

/// The note of `roadbed up` in what it built, which is not of this build.
const STAMP: &str = ".roadbed-inputs";

impl Outputs {
    pub(crate) fn new(folder: PathBuf, globs: Vec<String>) -> Result<Self, Fault> {
        Ok(Self { folder, set: globs::set(&globs)?, globs })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.globs.is_empty()
    }

    /// All that is there, in order of name.
    pub(crate) fn items(&self) -> Result<Vec<Item>, Fault> {
        let cannot = |fault: FileFault| Fault::because("cannot gather what was made", &fault);
        let mut items = Vec::new();
        for glob in &self.globs {
            let from = self.folder.join(globs::fixed_part(glob));
            if files::exists(&from) {
                self.gather(&from, &mut items).map_err(cannot)?;
            }
        }
        items.sort();
        items.dedup();
        // A link out of it would lead elsewhere where it is put back.
        let leads_out = |item: &&Item| match &item.kind {
            ItemKind::Link { target } => !stays_within(&item.name, target),
            ItemKind::File { .. } => false,
        };
        match items.iter().find(leads_out) {
            Some(item) => {
                Err(Fault::new(format!("cannot keep what was made: {} is a link out of the package", item.name))
                    .hint("leave it out of `outputs` of the task in roadbed.toml"))
            }
            None => Ok(items),
        }
    }

    fn gather(&self, path: &Path, items: &mut Vec<Item>) -> Result<(), FileFault> {
        use std::os::unix::fs::PermissionsExt;
        let name = path.strip_prefix(&self.folder).unwrap_or(path).to_string_lossy().into_owned();
        if let Some(target) = files::link_target(path)? {
            if self.set.is_match(&name) {
                items.push(Item { name, kind: ItemKind::Link { target: target.to_string_lossy().into_owned() } });
            }
            return Ok(());
        }
        if files::is_dir(path) {
            return files::list(path)?.iter().try_for_each(|below| self.gather(below, items));
        }
        let meta = files::metadata(path)?;
        if meta.is_file() && self.set.is_match(&name) && path.file_name().is_none_or(|name| name != STAMP) {
            let executable = meta.permissions().mode() & 0o100 != 0;
            items.push(Item { name, kind: ItemKind::File { source: path.to_owned(), executable } });
        }
        Ok(())
    }

    /// Takes away what an earlier run made: it would be kept as if this one had made it.
    pub(crate) fn clear(&self) -> Result<(), Fault> {
        let cannot = |fault: FileFault| Fault::because("cannot take away what was made before", &fault);
        for glob in &self.globs {
            let whole = glob.strip_suffix("/**").unwrap_or(glob);
            if !whole.contains('*') {
                let path = self.folder.join(whole);
                let gone = if files::is_dir(&path) && !files::is_link(&path) {
                    files::remove_dir(&path)
                } else {
                    files::remove(&path)
                };
                gone.map_err(cannot)?;
                continue;
            }
            let mut items = Vec::new();
            let from = self.folder.join(globs::fixed_part(glob));
            if files::exists(&from) {
                self.gather(&from, &mut items).map_err(cannot)?;
            }
            items.iter().try_for_each(|item| files::remove(&self.folder.join(&item.name))).map_err(cannot)?;
        }
        Ok(())
    }

    /// Moves what was unpacked beside it into its place.
    pub(crate) fn place(&self, unpacked: &Path) -> Result<(), Fault> {
        self.clear()?;
        let cannot = |fault: FileFault| Fault::because("cannot put back what was made", &fault);
        self.move_below(unpacked, unpacked).map_err(cannot)
    }

    fn move_below(&self, top: &Path, from: &Path) -> Result<(), FileFault> {
        let name = from.strip_prefix(top).unwrap_or(from);
        let to = self.folder.join(name);
        if files::is_dir(from) && !files::is_link(from) {
            // A whole folder at once where nothing is in its place.
            if from != top && !files::exists(&to) {
                return files::rename(from, &to);
            }
            files::create_dir(&to, Access::Everyone)?;
            return files::list(from)?.iter().try_for_each(|below| self.move_below(top, below));
        }
        files::rename(from, &to)
    }
}

/// Whether a link by this name leads to something in the same folder tree.
fn stays_within(name: &str, target: &str) -> bool {
    let mut depth = name.split('/').count() - 1;
    if target.starts_with('/') {
        return false;
    }
    for part in target.split('/').filter(|part| !part.is_empty() && *part != ".") {
        match (part, depth) {
            ("..", 0) => return false,
            ("..", _) => depth -= 1,
            _ => depth += 1,
        }
    }
    true
}
