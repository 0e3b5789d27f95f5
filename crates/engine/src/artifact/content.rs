//! Which files an artifact holds. They lie in it as they lie in the project, so that the same command starts them.

use std::path::{Path, PathBuf};

use host::files::{self, FileFault};
use ignore::WalkBuilder;
use manifest::environment::{App, Runs};

use super::lock::{Lock, LockFault, Package};
use crate::build;

/// One thing in an artifact.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Item {
    /// With `/`, relative, without `.` and `..`.
    pub name: String,
    pub kind: ItemKind,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ItemKind {
    File {
        source: PathBuf,
        executable: bool,
    },
    /// To another thing in the artifact.
    Link {
        target: String,
    },
}

/// All of an artifact, in order of name, and the packages among it.
#[derive(Debug)]
pub struct Content {
    pub items: Vec<Item>,
    pub packages: Vec<Package>,
}

/// Why an artifact cannot be put together.
#[derive(Debug, thiserror::Error)]
pub enum ContentFault {
    #[error(transparent)]
    File(#[from] FileFault),
    #[error(transparent)]
    Lock(#[from] LockFault),
    #[error("cannot list {}", path.display())]
    Walk {
        path: PathBuf,
        #[source]
        source: ignore::Error,
    },
    #[error("{} leads out of the artifact, to {}", path.display(), target.display())]
    LeadsOut { path: PathBuf, target: PathBuf },
    #[error("the name {} is not text", path.display())]
    Name { path: PathBuf },
    #[error("{} is not installed", .0)]
    NotInstalled(String),
}

/// What the artifact of a built app holds.
pub fn of(project: &Path, app: &App) -> Result<Content, ContentFault> {
    let mut content = Content { items: Vec::new(), packages: Vec::new() };
    let output = build::output(project, app);
    match &app.runs {
        // Hidden files are for whoever builds. Source maps go along for error tracking; what is made ready for visitors has none.
        Runs::Static { .. } => content.add_folder(project, &output, |_| true)?,
        Runs::Server(_) => {
            content.add_folder(project, &output, |_| true)?;
            // Next.js traces what its server needs and puts it into the output; others find it in `node_modules`.
            if !files::is_dir(&output.join("node_modules")) {
                content.add_packages(project, app)?;
            }
        }
    }
    content.items.sort();
    content.items.dedup();
    Ok(content)
}

impl Content {
    fn add_packages(&mut self, project: &Path, app: &App) -> Result<(), ContentFault> {
        let package = project.join(&app.path).join("package.json");
        if !files::exists(&package) {
            // Its modules are its own files and Node's.
            return Ok(());
        }
        // It says, among others, how Node reads the files beside it.
        self.add_file(project, &package)?;
        let lock = Lock::parse(&files::read(&project.join("package-lock.json"))?)?;
        for package in lock.closure(&app.path)? {
            let folder = project.join(&package.path);
            if !files::is_dir(&folder) {
                if package.optional {
                    continue;
                }
                return Err(ContentFault::NotInstalled(package.path));
            }
            if let Some(workspace) = &package.workspace {
                self.add_workspace(project, &folder, workspace)?;
                self.packages.push(package);
                continue;
            }
            // Packages within it have their own lines in the lock file.
            let nested = format!("{}/node_modules/", package.path);
            self.add_folder(project, &folder, |name| !name.starts_with(&nested))?;
            self.packages.push(package);
        }
        Ok(())
    }

    /// Another package of the project: the link by which Node finds it, and its folder. All of it, since what it built for itself
    /// is among what git ignores; but no hidden files, which are for whoever builds.
    fn add_workspace(&mut self, project: &Path, link: &Path, workspace: &str) -> Result<(), ContentFault> {
        if files::is_link(link) {
            self.add_link(project, project, link)?;
        }
        let within = |name: &str| name.strip_prefix(workspace).unwrap_or(name).to_owned();
        self.add_folder(project, &project.join(workspace), |name| {
            !within(name).split('/').any(|part| part == "node_modules" || part.starts_with('.'))
        })
    }

    fn add_folder(&mut self, project: &Path, folder: &Path, wanted: impl Fn(&str) -> bool) -> Result<(), ContentFault> {
        let walk = WalkBuilder::new(folder).standard_filters(false).build();
        for entry in walk {
            let entry = entry.map_err(|source| ContentFault::Walk { path: folder.to_owned(), source })?;
            let path = entry.path();
            let is_stamp = entry.depth() == 1 && entry.file_name() == build::STAMP;
            let name = name_in(project, path)?;
            match entry.file_type() {
                Some(kind) if kind.is_file() && !is_stamp && wanted(&name) => self.add_file(project, path)?,
                Some(kind) if kind.is_symlink() && wanted(&name) => self.add_link(project, folder, path)?,
                // Folders come with what is in them; sockets and pipes are no content.
                _ => {}
            }
        }
        Ok(())
    }

    fn add_file(&mut self, project: &Path, path: &Path) -> Result<(), ContentFault> {
        use std::os::unix::fs::PermissionsExt;
        let executable = files::metadata(path)?.permissions().mode() & 0o100 != 0;
        self.items
            .push(Item { name: name_in(project, path)?, kind: ItemKind::File { source: path.to_owned(), executable } });
        Ok(())
    }

    /// One that was found below `folder`. A checkout may be put together of links, so that what is in a folder of it lies elsewhere, and is in
    /// the artifact all the same.
    fn add_link(&mut self, project: &Path, folder: &Path, path: &Path) -> Result<(), ContentFault> {
        let Some(target) = files::link_target(path)? else { return Ok(()) };
        let leads_out = || ContentFault::LeadsOut { path: path.to_owned(), target: target.clone() };
        let lands = path.parent().unwrap_or(path).join(&target);
        let real = files::canonical(&lands).map_err(|_| leads_out())?;
        let stays = |within: &Path| files::canonical(within).map(|within| real.starts_with(within));
        if target.is_absolute() || !(stays(project)? || stays(folder)?) {
            return Err(leads_out());
        }
        let target = target.to_str().ok_or_else(|| ContentFault::Name { path: path.to_owned() })?.to_owned();
        self.items.push(Item { name: name_in(project, path)?, kind: ItemKind::Link { target } });
        Ok(())
    }
}

fn name_in(project: &Path, path: &Path) -> Result<String, ContentFault> {
    let relative = path.strip_prefix(project).unwrap_or(path);
    relative.to_str().map(str::to_owned).ok_or_else(|| ContentFault::Name { path: path.to_owned() })
}
