//! The canary build: apps that browsers load are built with a value of its own for each variable that is not public, and
//! what browsers get is searched for those values.
//!
//! It happens in a copy of the project, so that neither what runs nor what a developer has built is touched.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use host::files::{self, Access, FileFault};
use ignore::WalkBuilder;
use manifest::{Environment, Manifest, RunsIn, ScannedApp, Severity, VarName};
use reconcile::{Fault, Progress};
use usage::canary::{Planted, Searcher, Sighting, plant};
use usage::{Finding, Id, Place, browser_files};

/// What to build and where.
#[derive(Debug)]
pub struct CanaryBuild<'a> {
    pub manifest: &'a Manifest,
    pub environment: &'a Environment,
    /// Folder of the manifest.
    pub project: &'a Path,
    /// Made for this, removed at the end by [`CanaryBuild::clear`].
    pub scratch: PathBuf,
    /// What build tools need of the user's environment.
    pub tools: &'a BTreeMap<String, String>,
    pub apps: Vec<ScannedApp>,
}

/// What was looked at and what was found.
#[derive(Debug, Default)]
pub struct Searched {
    pub findings: Vec<Finding>,
    pub apps: usize,
    pub canaries: usize,
    /// Variables for which there is no canary.
    pub left_out: Vec<VarName>,
    pub files: usize,
    pub bytes: u64,
}

impl CanaryBuild<'_> {
    /// Copies, builds, searches.
    ///
    /// # Errors
    /// Where that cannot be done; then nothing is proved.
    pub async fn run(&self, progress: &dyn Progress) -> Result<Searched, Fault> {
        let planted = plant(&manifest::matrix(self.manifest), || *uuid::Uuid::new_v4().as_bytes());
        let searcher = Searcher::new(&planted.canaries)
            .map_err(|error| Fault::because("cannot search for so many variables", &error))?;
        self.copy_project()
            .map_err(|fault| Fault::because("cannot copy the project", &fault).hint("see whether the disk is full"))?;
        let mut searched = Searched {
            apps: self.apps.len(),
            canaries: planted.canaries.len(),
            left_out: planted.left_out.clone(),
            ..Searched::default()
        };
        for scanned in &self.apps {
            let app = self
                .environment
                .app(&scanned.name)
                .ok_or_else(|| Fault::new(format!("{} is not in {}", scanned.name, self.environment.name)))?;
            engine::build::build_once(&self.scratch, app, &self.variables(&planted), progress).await?;
            let folder = self.scratch.join(&app.path);
            let cannot =
                |fault: FileFault| Fault::because(format!("cannot search what was built of {}", app.name), &fault);
            let files = browser_files(&folder, &app.build.output, scanned.runs_in).map_err(cannot)?;
            if files.is_empty() {
                return Err(Fault::new(format!("the build of {} left nothing that browsers load", app.name))
                    .hint(format!("correct `output` of [apps.{}.build] in roadbed.toml", app.name)));
            }
            for path in files {
                let bytes = files::read(&path).map_err(cannot)?;
                searched.files += 1;
                searched.bytes += bytes.len() as u64;
                let file = path.strip_prefix(&self.scratch).unwrap_or(&path).to_string_lossy().into_owned();
                let sightings = searcher.search(&file, &bytes).into_iter();
                searched.findings.extend(sightings.map(|sighting| finding(scanned, &file, &bytes, sighting)));
            }
        }
        Ok(searched)
    }

    /// Removes what was made.
    ///
    /// # Errors
    /// Where something cannot be removed.
    pub fn clear(&self) -> Result<(), Fault> {
        files::remove_dir(&self.scratch)
            .map_err(|fault| Fault::because("cannot remove the copy of the project", &fault))
    }

    /// As if somebody had leaked every variable of every app into the environment of the build.
    fn variables(&self, planted: &Planted) -> BTreeMap<String, String> {
        let mut variables = self.tools.clone();
        variables.extend(planted.canaries.iter().map(|canary| (canary.name.to_string(), canary.value.clone())));
        variables
    }

    /// Sources as they are, whatever is installed as second names of the same files.
    fn copy_project(&self) -> Result<(), FileFault> {
        files::create_dir(&self.scratch, Access::Owner)?;
        let scratch = self.scratch.clone();
        let walk = WalkBuilder::new(self.project)
            // `.npmrc` and `.gitignore` count.
            .hidden(false)
            .require_git(false)
            .git_global(false)
            .git_exclude(false)
            .filter_entry(move |entry| entry.file_name() != ".git" && entry.path() != scratch)
            .build();
        for entry in walk.flatten() {
            if entry.file_type().is_some_and(|kind| kind.is_file()) {
                self.copy_file(entry.path(), files::copy)?;
            }
        }
        let installed = self.apps.iter().map(|app| Path::new(&app.path).join("node_modules"));
        for folder in std::iter::once(PathBuf::from("node_modules")).chain(installed) {
            self.copy_packages(&self.project.join(folder))?;
        }
        Ok(())
    }

    fn copy_packages(&self, folder: &Path) -> Result<(), FileFault> {
        for path in files::list(folder)? {
            if let Some(target) = files::link_target(&path)? {
                self.copy_file(&path, |_, to| files::symlink(&target, to))?;
            } else if files::is_dir(&path) {
                // Caches belong to the place where they are.
                if !matches!(path.file_name().and_then(|name| name.to_str()), Some(".cache" | ".vite" | ".vite-temp")) {
                    self.copy_packages(&path)?;
                }
            } else {
                self.copy_file(&path, files::link_or_copy)?;
            }
        }
        Ok(())
    }

    fn copy_file(
        &self,
        path: &Path,
        copy: impl FnOnce(&Path, &Path) -> Result<(), FileFault>,
    ) -> Result<(), FileFault> {
        let target = self.scratch.join(path.strip_prefix(self.project).unwrap_or(path));
        files::create_dir(target.parent().unwrap_or(&self.scratch), Access::Everyone)?;
        copy(path, &target)
    }
}

/// Apps of which something runs in browsers.
pub fn apps_in_browsers(manifest: &Manifest, source: &manifest::Source) -> Vec<ScannedApp> {
    let apps = manifest::scan(manifest, source).apps;
    apps.into_iter().filter(|app| app.runs_in != RunsIn::Server).collect()
}

fn finding(app: &ScannedApp, file: &str, bytes: &[u8], sighting: Sighting) -> Finding {
    let Sighting { name, offset, form, wrapped } = sighting;
    let inside = wrapped.map(|how| format!(" of what {how} packed")).unwrap_or_default();
    let (line, column) = if wrapped.is_none() { position(bytes, offset) } else { (1, 1) };
    Finding {
        id: Id::CanaryInOutput,
        name: name.to_string(),
        app: Some(app.name.clone()),
        place: Place { file: file.to_owned(), line, column },
        severity: Severity::Error,
        message: format!(
            "browsers that load \"{}\" get the value of {name}: {form}, at byte {offset}{inside}",
            app.name
        ),
        hint:
            "see what the build's settings and the code hand on (`env` of next.config, `define` of vite.config, props of client components)".to_owned(),
    }
}

fn position(bytes: &[u8], offset: usize) -> (u32, u32) {
    let before = &bytes[..offset.min(bytes.len())];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
    let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
    (number(line), number(column))
}
