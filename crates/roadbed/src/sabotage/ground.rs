//! The folder of a throw-away environment: how it is made, known again and removed.
//!
//! ```text
//!   /tmp/roadbed-sabotage-1a2b3c4d/
//!     throw-away     the mark; locked for as long as its command lives
//!     project/       roadbed.toml of its own, the rest is links into the checkout; a throw-away too
//!     programs/      links to what apps are started with
//!     state, config  where this user's keys would be
//!     root/          the environment
//! ```

use std::path::{Component, Path, PathBuf};

use host::files::{self, Access, FileFault};
use host::lock::{self, Held, Lock};
use manifest::Environment;
use manifest::environment::Runs;
use reconcile::{Fault, Root};

/// Its file says that everything beside it may be broken.
const MARK: &str = "throw-away";

const PREFIX: &str = "roadbed-sabotage-";

/// A throw-away folder, as long as the command that made it lives.
#[derive(Debug)]
pub struct Ground {
    folder: PathBuf,
    _held: Held,
}

impl Ground {
    /// In `place`, beside whatever is there.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub fn make(place: &Path) -> Result<Self, Fault> {
        let folder = place.join(format!("{PREFIX}{}", &uuid::Uuid::new_v4().simple().to_string()[..8]));
        // Made here and by nobody before: what is in it is ours to break.
        if files::exists(&folder) {
            return Err(Fault::new(format!("{} is there already", folder.display())));
        }
        mark(&folder)?;
        mark(&folder.join("project"))?;
        files::create_dir(&programs(&folder), Access::Owner).map_err(|fault| cannot(&fault))?;
        let folder = files::canonical(&folder).map_err(|fault| cannot(&fault))?;
        match lock::try_lock(&folder.join(MARK), "").map_err(|fault| cannot(&fault))? {
            Lock::Ours(held) => Ok(Self { folder, _held: held }),
            Lock::HeldBy(_) => Err(Fault::new(format!("{} is somebody else's", folder.display()))),
        }
    }

    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub fn project(&self) -> PathBuf {
        self.folder.join("project")
    }

    pub fn root(&self) -> Root {
        root(&self.folder)
    }

    /// The checkout's files, as links, but for the manifest and what environments have there. Apps' folders are links of their own.
    ///
    /// # Errors
    /// Where a link cannot be made.
    pub fn link(&self, checkout: &Path, manifest: &str, environment: &Environment) -> Result<(), Fault> {
        let project = self.project();
        let is_left_out =
            |name: &str| name == crate::cli::session::MANIFEST || name == ".git" || name.starts_with(".roadbed");
        let linked = || {
            for source in files::list(checkout)? {
                let name = source.file_name().unwrap_or_default();
                if !is_left_out(&name.to_string_lossy()) {
                    files::symlink(&source, &project.join(name))?;
                }
            }
            files::write(&project.join(crate::cli::session::MANIFEST), manifest.as_bytes(), Access::Owner)?;
            for app in &environment.apps {
                own_folder(&project, app.path.as_ref())?;
            }
            Ok(())
        };
        linked().map_err(|fault| cannot(&fault))
    }

    /// Links to the programs that apps are started with, found in `path`. What `PATH` is with them.
    ///
    /// # Errors
    /// Where a link cannot be made.
    pub fn link_programs(&self, environment: &Environment, path: &str) -> Result<String, Fault> {
        let programs = programs(&self.folder);
        for word in first_words(environment) {
            let Some(found) = host::process::find_in_path(word, path) else { continue };
            if !files::is_link(&programs.join(word)) {
                files::symlink(&found, &programs.join(word)).map_err(|fault| cannot(&fault))?;
            }
        }
        Ok(format!("{}:{path}", programs.display()))
    }
}

/// What its apps are started with, as far as it is looked up in `PATH`.
pub(super) fn first_words(environment: &Environment) -> impl Iterator<Item = &str> {
    let servers = environment.apps.iter().filter_map(|app| match &app.runs {
        Runs::Server(server) => server.start.first(),
        Runs::Static { .. } => None,
    });
    servers.map(String::as_str).filter(|word| !word.contains('/'))
}

pub(super) fn programs(folder: &Path) -> PathBuf {
    folder.join("programs")
}

/// Where keys and settings lie that would be this user's: `XDG_STATE_HOME`, `XDG_CONFIG_HOME`.
pub fn homes(folder: &Path) -> [PathBuf; 2] {
    ["state", "config"].map(|name| folder.join(name))
}

/// Takes the mark away: nobody sweeps the folder, and nobody breaks anything in it any more.
///
/// # Errors
/// Where it cannot be removed.
pub fn keep(folder: &Path) -> Result<(), Fault> {
    files::remove(&folder.join(MARK)).map_err(|fault| cannot(&fault))
}

/// Of a throw-away folder.
pub fn root(folder: &Path) -> Root {
    Root::new(folder.join("root"))
}

/// Declares a folder, made if it is not there, to be one whose content may be broken.
///
/// # Errors
/// Where the mark cannot be written.
pub fn mark(folder: &Path) -> Result<(), Fault> {
    let marked = || {
        files::create_dir(folder, Access::Owner)?;
        files::write(&folder.join(MARK), b"", Access::Owner)
    };
    marked().map_err(|fault| cannot(&fault))
}

/// Refuses to break what nobody has declared to be thrown away.
pub(super) fn refuse_unmarked(folder: &Path) -> Result<(), Fault> {
    if files::exists(&folder.join(MARK)) {
        return Ok(());
    }
    Err(Fault::new(format!("nothing is broken in {}: it is no throw-away", folder.display()))
        .hint("`roadbed ready --sabotage` brings up an environment of its own"))
}

/// What commands that were killed have left: the folders that nobody holds any more.
///
/// # Errors
/// Where `place` cannot be read.
pub fn sweep(place: &Path) -> Result<Vec<PathBuf>, Fault> {
    let listed = files::list(place).map_err(|fault| cannot(&fault))?;
    let is_ours = |folder: &PathBuf| {
        folder.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX))
            && files::exists(&folder.join(MARK))
            && matches!(lock::try_lock(&folder.join(MARK), ""), Ok(Lock::Ours(_)))
    };
    Ok(listed.into_iter().filter(is_ours).collect())
}

/// Makes `path` of the project a file of its own: links on the way become folders of links, the file a copy.
pub(super) fn own(project: &Path, path: &Path) -> files::Result<PathBuf> {
    own_folder(project, path)?;
    let file = project.join(path);
    if files::is_link(&file) {
        let content = files::read(&file)?;
        files::remove(&file)?;
        files::write(&file, &content, Access::Owner)?;
    }
    Ok(file)
}

/// Makes every folder above `path` one of the project's own, with links to what is in it.
fn own_folder(project: &Path, path: &Path) -> files::Result<()> {
    let mut folder = project.to_owned();
    let above = path.parent().unwrap_or(Path::new(""));
    for part in above.components().filter(|part| matches!(part, Component::Normal(_))) {
        folder.push(part);
        let Some(target) = files::link_target(&folder)? else { continue };
        files::remove(&folder)?;
        files::create_dir(&folder, Access::Everyone)?;
        for source in files::list(&target)? {
            files::symlink(&source, &folder.join(source.file_name().unwrap_or_default()))?;
        }
    }
    Ok(())
}

fn cannot(fault: &FileFault) -> Fault {
    Fault::because("cannot make a throw-away environment", fault).hint("see whether the disk is full")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_that_nobody_marked_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let fault = refuse_unmarked(folder.path()).unwrap_err();
        assert!(fault.to_string().contains("it is no throw-away"), "{fault}");
        mark(folder.path()).unwrap();
        refuse_unmarked(folder.path()).unwrap();
    }

    #[test]
    fn a_file_of_ones_own_leaves_the_checkout_as_it_was() {
        let (checkout, project) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        files::create_dir(&checkout.path().join("docs/infra"), Access::Everyone).unwrap();
        let page = checkout.path().join("docs/infra/runbook.md");
        files::write(&page, b"as it is", Access::Everyone).unwrap();
        files::symlink(&checkout.path().join("docs"), &project.path().join("docs")).unwrap();
        let own = own(project.path(), Path::new("docs/infra/runbook.md")).unwrap();
        assert_eq!(files::read(&own).unwrap(), b"as it is");
        files::write(&own, b"broken", Access::Everyone).unwrap();
        assert_eq!(files::read(&page).unwrap(), b"as it is");
    }

    #[test]
    fn what_somebody_holds_is_not_swept_and_what_nobody_holds_is() {
        let place = tempfile::tempdir().unwrap();
        let ground = Ground::make(place.path()).unwrap();
        assert!(sweep(place.path()).unwrap().is_empty());
        let folder = ground.folder().to_owned();
        drop(ground);
        assert_eq!(sweep(place.path()).unwrap(), [folder]);
    }
}
