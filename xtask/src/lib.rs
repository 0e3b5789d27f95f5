//! House rules as code. The tests of this crate read the repository and fail where it breaks one.
//!
//! **Invariant:** nothing of the product depends on this crate.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of the repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository").to_owned()
}

/// Every file that is part of the repository, or would be with the next `git add`: relative paths, sorted.
#[expect(clippy::disallowed_methods, reason = "git is what knows the files, and this crate is not the product")]
pub fn files() -> Vec<String> {
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(repository())
        .output()
        .expect("git lists the files of a checkout");
    assert!(listed.status.success(), "git ls-files failed: {}", String::from_utf8_lossy(&listed.stderr));
    let mut files: Vec<String> = listed
        .stdout
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty())
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .filter(|name| repository().join(name).is_file())
        .collect();
    files.sort();
    files
}

/// The text of a file of the repository; `None` if it is not text.
#[expect(clippy::disallowed_methods, reason = "this crate is not the product")]
pub fn text(file: &str) -> Option<String> {
    String::from_utf8(std::fs::read(repository().join(file)).expect("a listed file can be read")).ok()
}
