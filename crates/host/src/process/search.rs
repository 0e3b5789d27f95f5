//! Where a program is.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};

/// Finds a program as a shell would, in the folders of `path_var`. A name with a slash is looked at as it is.
/// Relative folders in `path_var` are passed over: what is run must not depend on where one stands.
pub fn find_in_path(program: &str, path_var: &str) -> Option<PathBuf> {
    if program.contains('/') {
        return is_executable(Path::new(program)).then(|| PathBuf::from(program));
    }
    path_var
        .split(':')
        .map(Path::new)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(program))
        .find(|candidate| is_executable(candidate))
}

fn is_executable(path: &Path) -> bool {
    path.is_file() && access(path, Access::EXEC_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files;

    #[test]
    fn programs_are_found_in_the_given_folders_only() {
        assert!(find_in_path("sh", "/nowhere:/bin:/usr/bin").is_some_and(|path| path.is_absolute()));
        assert_eq!(find_in_path("sh", "/nowhere"), None);
        assert_eq!(find_in_path("sh", ""), None);
        assert_eq!(find_in_path("/bin/sh", ""), Some(PathBuf::from("/bin/sh")));
    }

    #[test]
    fn a_file_that_nobody_may_run_is_no_program() {
        let folder = tempfile::tempdir().unwrap();
        let path_var = folder.path().to_str().unwrap();
        let file = folder.path().join("tool");
        files::write_durable(&file, b"", files::Access::Owner).unwrap();
        assert_eq!(find_in_path("tool", path_var), None);
        files::set_executable(&file).unwrap();
        assert_eq!(find_in_path("tool", path_var), Some(file));
    }
}
