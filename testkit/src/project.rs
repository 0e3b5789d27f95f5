//! Projects to run: this repository, copies of it, fixtures.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The root of this repository.
pub fn repository() -> PathBuf {
    fs::canonicalize(Path::new(env!("CARGO_MANIFEST_DIR")).join("..")).unwrap()
}

/// Caches that belong to the place where they are.
const LEFT_OUT: [&str; 3] = [".vite", ".cache", ".vite-temp"];

/// Copies this repository's files, and its installed packages if there are any, to a folder that a test may edit.
///
/// Packages are linked file by file where the file system allows it: a link to the folder would not do, since development
/// servers refuse what lies outside their project.
pub fn copy_repository(into: &Path) {
    let from = repository();
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(&from)
        .output()
        .expect("git lists the files of a checkout");
    assert!(listed.status.success(), "git ls-files failed: {}", String::from_utf8_lossy(&listed.stderr));
    for name in listed.stdout.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let name = String::from_utf8_lossy(name).into_owned();
        let source = from.join(&name);
        if source.is_file() {
            let target = into.join(&name);
            fs::create_dir_all(target.parent().unwrap()).unwrap();
            fs::copy(&source, &target).unwrap();
        }
    }
    let packages = ["node_modules".into()].into_iter().chain(children(&from.join("apps")).into_iter().map(|app| {
        let name = app.file_name().unwrap().display().to_string();
        format!("apps/{name}/node_modules")
    }));
    for folder in packages {
        if from.join(&folder).is_dir() {
            walk(&from.join(&folder), &into.join(&folder), &|source, target| {
                if fs::hard_link(source, target).is_err() {
                    fs::copy(source, target).unwrap();
                }
            });
        }
    }
    bring_commit(&from, into);
}

/// The files of this checkout's commit, as the only commit of a repository of the copy's own: what a change affects is told from commits.
/// Without what came before it, and not as a shallow clone: a search of that one's history would not be whole.
fn bring_commit(from: &Path, into: &Path) {
    if !from.join(".git").exists() {
        return;
    }
    let git = |words: &[&str]| {
        let identity = ["-c", "user.name=test", "-c", "user.email=test@roadbed.example"];
        let done = Command::new("git").args(identity).args(words).current_dir(into).output().expect("git is there");
        assert!(done.status.success(), "git {words:?} failed: {}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    };
    git(&["init", "--quiet", "--initial-branch=main"]);
    git(&["fetch", "--quiet", "--depth", "1", "--no-tags", &from.display().to_string(), "+HEAD:refs/import"]);
    let commit = git(&["commit-tree", "refs/import^{tree}", "-m", "As it is"]);
    git(&["update-ref", "-d", "refs/import"]);
    for file in ["shallow", "FETCH_HEAD"] {
        fs::remove_file(into.join(".git").join(file)).unwrap();
    }
    git(&["update-ref", "refs/heads/main", &commit]);
    git(&["reset", "--quiet"]);
}

/// Copies a folder with everything in it.
pub fn copy_folder(from: &Path, into: &Path) {
    walk(from, into, &|source, target| {
        fs::copy(source, target).unwrap();
    });
}

fn walk(from: &Path, into: &Path, file: &dyn Fn(&Path, &Path)) {
    fs::create_dir_all(into).unwrap();
    for source in children(from) {
        let name = source.file_name().unwrap();
        let target = into.join(name);
        let kind = fs::symlink_metadata(&source).unwrap().file_type();
        if kind.is_symlink() {
            symlink(fs::read_link(&source).unwrap(), &target).unwrap();
        } else if kind.is_dir() {
            if !LEFT_OUT.iter().any(|left_out| name == *left_out) {
                walk(&source, &target, file);
            }
        } else {
            file(&source, &target);
        }
    }
}

fn children(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect()
}

/// A project in `into` that shares this checkout's sources, packages and builds by links, and has a manifest and a folder of
/// apps of its own: both may be changed, what the links lead to may not.
pub fn link_repository(into: &Path) {
    let from = repository();
    for source in children(&from) {
        let name = source.file_name().unwrap().display().to_string();
        match name.as_str() {
            "roadbed.toml" => drop(fs::copy(&source, into.join(&name)).unwrap()),
            "apps" => {
                fs::create_dir_all(into.join("apps")).unwrap();
                for app in children(&source) {
                    symlink(&app, into.join("apps").join(app.file_name().unwrap())).unwrap();
                }
            }
            "target" | ".git" | ".roadbed" => {}
            _ => symlink(&source, into.join(&name)).unwrap(),
        }
    }
    bring_commit(&from, into);
}

/// Where builds of a project's apps are made.
const BUILT: [&str; 4] = [".next", "dist", "build", "out"];

/// The folders in which a project's builds lie, of those that there are.
pub(crate) fn built(project: &Path) -> Vec<PathBuf> {
    let apps = fs::read_dir(project.join("apps")).into_iter().flatten().flatten();
    let folders = apps.flat_map(|app| BUILT.map(|name| app.path().join(name)));
    folders.filter(|folder| folder.is_dir()).collect()
}
