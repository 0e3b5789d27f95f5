//! The files below a path.

use std::path::Path;

use ignore::WalkBuilder;

/// Why files cannot be listed.
#[derive(Debug, thiserror::Error)]
#[error("cannot list the files of {folder}")]
pub struct TreeFault {
    folder: String,
    #[source]
    source: ignore::Error,
}

/// Whether what git ignores is searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// Only what could be committed.
    LeftOut,
    /// Everything: logs, builds, artifacts.
    Searched,
}

/// Calls `each` for every file at or below `path`, in order. Links are not followed; git's own folder is left to the history.
pub(crate) fn each<F: From<TreeFault>>(
    path: &Path,
    ignored: Ignored,
    each: &mut dyn FnMut(&Path) -> Result<(), F>,
) -> Result<(), F> {
    let mut walk = WalkBuilder::new(path);
    walk.standard_filters(false).hidden(false).follow_links(false).sort_by_file_name(std::ffi::OsStr::cmp);
    if ignored == Ignored::LeftOut {
        walk.git_ignore(true).git_exclude(true).parents(true).require_git(false);
    }
    walk.filter_entry(|entry| entry.file_name() != ".git" || entry.depth() == 0);
    for entry in walk.build() {
        let entry = entry.map_err(|source| TreeFault { folder: path.display().to_string(), source })?;
        if entry.file_type().is_some_and(|kind| kind.is_file()) {
            each(entry.path())?;
        }
    }
    Ok(())
}
