//! A whole project: its files read and judged.

use std::path::{Path, PathBuf};

use host::files::{self, FileFault};
use ignore::WalkBuilder;
use manifest::{AppName, Manifest, Scan, ScannedApp, Source};

use crate::finding::Finding;
use crate::judge::{Rules, judge};
use crate::project_code::{AppCode, ProjectCode};
use crate::suppression::{suppress, suppressions};
use crate::walk::WalkFault;
use crate::{Place, Use, compose, dockerfile, html, rust, scripts, shell, workflow};

/// Why a project cannot be looked at.
#[derive(Debug, thiserror::Error)]
pub enum ProjectFault {
    #[error("cannot list the files below {}", path.display())]
    Walk {
        path: PathBuf,
        #[source]
        source: ignore::Error,
    },
    #[error(transparent)]
    File(#[from] FileFault),
    #[error(transparent)]
    Code(#[from] WalkFault),
}

/// A project, looked at.
#[derive(Clone, Debug)]
pub struct Checked {
    pub findings: Vec<Finding>,
    pub files: usize,
    pub uses: usize,
}

/// Looks at the code of all apps of a manifest that lies in `folder`, and holds it against the matrix.
///
/// # Errors
/// Where a folder or a file cannot be read.
pub fn check(folder: &Path, manifest: &Manifest, source: &Source) -> Result<Checked, ProjectFault> {
    let scan = manifest::scan(manifest, source);
    let mut code = read(folder, &scan)?;
    let name = source.file.rsplit('/').next().unwrap_or(&source.file).to_owned();
    code.suppressions.extend(suppressions(&name, &source.text));
    let uses = code.apps.iter().map(|app| app.uses.len()).sum::<usize>() + code.shared.len();
    let rules = Rules::new(manifest::matrix(manifest), scan, name);
    let findings = suppress(&rules, judge(&rules, &code), &code.suppressions);
    Ok(Checked { findings, files: code.files, uses })
}

/// Reads the code of every app, and what lies beside the apps and hands variables to them.
fn read(folder: &Path, scan: &Scan) -> Result<ProjectCode, ProjectFault> {
    let mut code = ProjectCode::default();
    for app in &scan.apps {
        let mut found = AppCode::new(app.name.clone());
        scripts::read(folder, scan, app, &mut found, &mut code)?;
        for path in files_below(&folder.join(&app.path))? {
            let file = relative(folder, &path);
            if belongs_to_another(&file, app, &scan.apps) || is_test(&file) {
                continue;
            }
            if let Some(kind) = kind_of(&file) {
                read_file(&path, &file, kind, Some(&app.name), &mut code, &mut found.uses)?;
            }
        }
        code.apps.push(found);
    }
    let mut shared = Vec::new();
    for path in files_below(folder)? {
        let file = relative(folder, &path);
        let is_of_an_app = scan.apps.iter().any(|app| is_below(&file, &app.path));
        // Programs beside the apps are nobody's app; what hands variables to apps may lie anywhere.
        let hands_on = matches!(kind_of(&file), Some(Kind::Dockerfile | Kind::Compose | Kind::Workflow));
        if let Some(kind) = kind_of(&file).filter(|_| hands_on && !is_of_an_app && !is_test(&file)) {
            read_file(&path, &file, kind, None, &mut code, &mut shared)?;
        }
    }
    code.shared = shared;
    Ok(code)
}

fn read_file(
    path: &Path,
    file: &str,
    kind: Kind,
    app: Option<&AppName>,
    code: &mut ProjectCode,
    uses: &mut Vec<Use>,
) -> Result<(), ProjectFault> {
    let text = text_of(path, file, code)?;
    let mut unreadable = |place: Place, why: &str| code.unreadable.push((app.cloned(), place, why.to_owned()));
    match kind {
        Kind::Shell => uses.extend(shell::uses(file, &text)),
        Kind::Dockerfile => uses.extend(dockerfile::uses(file, &text)),
        Kind::Html => uses.extend(html::uses(file, &text)),
        Kind::Rust => match rust::uses(file, &text) {
            Ok(found) => uses.extend(found),
            Err(place) => unreadable(place, "it is not Rust"),
        },
        Kind::Compose => match compose::uses(file, &text) {
            Ok(found) => uses.extend(found),
            Err(place) => unreadable(place, "it is not YAML"),
        },
        Kind::Workflow => match workflow::uses(file, &text) {
            Ok(found) => uses.extend(found),
            Err(place) => unreadable(place, "it is not YAML"),
        },
    }
    Ok(())
}

/// Reads a file, and the suppressions in it.
fn text_of(path: &Path, file: &str, code: &mut ProjectCode) -> Result<String, ProjectFault> {
    let bytes = files::read(path)?;
    let text = String::from_utf8_lossy(&bytes).into_owned();
    code.files += 1;
    code.bytes += bytes.len() as u64;
    code.suppressions.extend(suppressions(file, &text));
    Ok(text)
}

/// What reads a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Shell,
    Dockerfile,
    Html,
    Rust,
    Compose,
    Workflow,
}

fn kind_of(file: &str) -> Option<Kind> {
    let name = file.rsplit('/').next().unwrap_or(file);
    let stem = name.split('.').next().unwrap_or(name);
    let is_yaml = name.ends_with(".yml") || name.ends_with(".yaml");
    if matches!(stem, "Dockerfile" | "Containerfile") || name.ends_with(".Dockerfile") || name.ends_with(".dockerfile")
    {
        return Some(Kind::Dockerfile);
    }
    if is_yaml && (file.starts_with(".github/workflows/") || file.contains("/.github/workflows/")) {
        return Some(Kind::Workflow);
    }
    if is_yaml && (stem.starts_with("compose") || stem.starts_with("docker-compose")) {
        return Some(Kind::Compose);
    }
    match name.rsplit_once('.')?.1 {
        "sh" | "bash" => Some(Kind::Shell),
        "html" => Some(Kind::Html),
        "rs" => Some(Kind::Rust),
        _ => None,
    }
}

/// Tests run in an environment of their own making.
fn is_test(file: &str) -> bool {
    let (folders, name) = file.rsplit_once('/').unwrap_or(("", file));
    let in_folder = folders.split('/').any(|part| matches!(part, "test" | "tests" | "__tests__" | "__mocks__" | "e2e"));
    in_folder || [".test.", ".spec.", ".stories."].iter().any(|mark| name.contains(mark))
}

/// Installed or made, whatever `.gitignore` says.
const LEFT_OUT: [&str; 5] = [".git", "node_modules", ".next", ".roadbed", "target"];

fn files_below(path: &Path) -> Result<Vec<PathBuf>, ProjectFault> {
    let walk = WalkBuilder::new(path)
        // `.github` counts.
        .hidden(false)
        .require_git(false)
        .git_global(false)
        .git_exclude(false)
        .filter_entry(|entry| entry.depth() == 0 || !LEFT_OUT.iter().any(|name| entry.file_name() == *name))
        .sort_by_file_path(Path::cmp)
        .build();
    let mut found = Vec::new();
    for entry in walk {
        let entry = entry.map_err(|source| ProjectFault::Walk { path: path.to_owned(), source })?;
        if entry.file_type().is_some_and(|kind| kind.is_file()) {
            found.push(entry.into_path());
        }
    }
    Ok(found)
}

fn relative(folder: &Path, path: &Path) -> String {
    path.strip_prefix(folder).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

fn is_below(file: &str, folder: &str) -> bool {
    folder.is_empty() || file.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

/// Where one app's folder lies in another's, a file belongs to the inner one.
fn belongs_to_another(file: &str, app: &ScannedApp, apps: &[ScannedApp]) -> bool {
    apps.iter().any(|other| other.path.len() > app.path.len() && is_below(file, &other.path))
}
