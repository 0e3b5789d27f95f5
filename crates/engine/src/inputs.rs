//! What goes into a build, as one digest: the same inputs need no second build.

use std::path::{Path, PathBuf};

use host::files::{self, FileFault};
use ignore::WalkBuilder;
use sha2::{Digest, Sha256};

/// Why inputs cannot be digested.
#[derive(Debug, thiserror::Error)]
pub enum InputsFault {
    #[error("cannot list the inputs below {}", path.display())]
    Walk {
        path: PathBuf,
        #[source]
        source: ignore::Error,
    },
    #[error(transparent)]
    File(#[from] FileFault),
}

/// Digest of files and folders (relative to `base`) and of `words` (command, versions). What `.gitignore` names is not an
/// input: outputs, caches, installed packages, and files that a build tool writes for itself.
pub fn digest(base: &Path, inputs: &[&str], words: &[&str]) -> Result<String, InputsFault> {
    let mut hash = Sha256::new();
    for word in words {
        add(&mut hash, word.as_bytes());
    }
    for input in inputs {
        for path in files_below(&base.join(input))? {
            let name = path.strip_prefix(base).unwrap_or(&path).to_string_lossy();
            add(&mut hash, name.as_bytes());
            add(&mut hash, &files::read(&path)?);
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// Length first, so that two neighbours can't shift bytes between them and hash the same.
fn add(hash: &mut Sha256, bytes: &[u8]) {
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

fn files_below(path: &Path) -> Result<Vec<PathBuf>, InputsFault> {
    let walk = WalkBuilder::new(path)
        // Hidden files are settings of editors and tools or examples for people, `.npmrc` aside, which the lock file covers.
        .hidden(true)
        .require_git(false)
        .git_global(false)
        .git_exclude(false)
        .sort_by_file_path(Path::cmp)
        .build();
    let mut found = Vec::new();
    for entry in walk {
        let entry = entry.map_err(|source| InputsFault::Walk { path: path.to_owned(), source })?;
        if entry.file_type().is_some_and(|kind| kind.is_file()) {
            found.push(entry.into_path());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use host::files::{Access, create_dir, write_durable};

    fn project() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        create_dir(&folder.path().join("app/src"), Access::Owner).unwrap();
        write(folder.path(), ".gitignore", "dist/\nmade-by-tool.ts\n");
        write(folder.path(), "app/src/main.ts", "one");
        folder
    }

    fn write(base: &Path, name: &str, text: &str) {
        write_durable(&base.join(name), text.as_bytes(), Access::Everyone).unwrap();
    }

    fn digest_of(folder: &tempfile::TempDir) -> String {
        digest(folder.path(), &["app"], &["npm run build"]).unwrap()
    }

    #[test]
    fn a_changed_source_changes_the_digest() {
        let folder = project();
        let before = digest_of(&folder);
        write(folder.path(), "app/src/main.ts", "two");
        assert_ne!(before, digest_of(&folder));
    }

    #[test]
    fn a_renamed_source_changes_the_digest() {
        let folder = project();
        let before = digest_of(&folder);
        files::rename(&folder.path().join("app/src/main.ts"), &folder.path().join("app/src/index.ts")).unwrap();
        assert_ne!(before, digest_of(&folder));
    }

    #[test]
    fn what_is_ignored_is_no_input() {
        let folder = project();
        let before = digest_of(&folder);
        create_dir(&folder.path().join("app/dist"), Access::Owner).unwrap();
        write(folder.path(), "app/dist/bundle.js", "made");
        write(folder.path(), "app/made-by-tool.ts", "made");
        assert_eq!(before, digest_of(&folder));
    }

    #[test]
    fn the_command_is_an_input() {
        let folder = project();
        let other = digest(folder.path(), &["app"], &["npm run build -- --fast"]).unwrap();
        assert_ne!(digest_of(&folder), other);
    }
}
