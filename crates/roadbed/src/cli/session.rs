//! What every verb works with: where the environment lies, which one is meant, and how to talk.

use std::path::{Path, PathBuf};

use host::clock::{Clock, SystemClock};
use host::files;
use manifest::{EnvRef, NotAnEnvironment};
use reconcile::{Fault, Root};

use crate::cli::args::Global;
use crate::cli::failure::Failure;
use crate::cli::output::Output;
use crate::cli::place;
use crate::cli::surroundings::Surroundings;
use crate::control::{home, identity};
use crate::roots::Roots;

/// File name of the manifest.
pub const MANIFEST: &str = "roadbed.toml";

/// Says where the root is, unless `--root` does.
const ROOT: &str = "ROADBED_ROOT";

/// One run of one command.
#[derive(Debug)]
pub struct Session {
    pub output: Output,
    pub surroundings: Surroundings,
    pub root: Root,
    /// `--env`, if given.
    pub asked_environment: Option<EnvRef>,
    pub clock: &'static dyn Clock,
    manifest: Result<PathBuf, Missing>,
}

/// A manifest that is not where it should be.
#[derive(Clone, Debug)]
enum Missing {
    /// `--manifest` names no file.
    Named(PathBuf),
    /// Neither here nor above.
    Anywhere(PathBuf),
}

impl Session {
    pub fn new(global: &Global, surroundings: Surroundings) -> Result<Self, Failure> {
        let asked: Option<EnvRef> = global.env.as_deref().map(asked).transpose()?;
        let here = &surroundings.folder;
        let manifest = match &global.manifest {
            Some(named) if files::exists(&here.join(named)) => Ok(here.join(named)),
            Some(named) => Err(Missing::Named(named.clone())),
            None => find_above(here).ok_or_else(|| Missing::Anywhere(here.clone())),
        };
        // Beside the manifest, so that the same environment is meant from every folder below it.
        let project = manifest.as_ref().ok().and_then(|path| path.parent()).unwrap_or(here);
        // Set and empty is what many a script calls unset.
        let by_variable = || surroundings.variable(ROOT).filter(|root| !root.is_empty()).map(PathBuf::from);
        let root = match global.root.clone().or_else(by_variable) {
            Some(root) => here.join(root),
            None => place::root_of(project, asked.as_ref()),
        };
        Ok(Self {
            output: Output::new(global, |name| surroundings.variable(name)),
            root: Root::new(without_dots(&root)),
            asked_environment: asked,
            clock: &SystemClock,
            manifest: manifest.map(|path| without_dots(&path)),
            surroundings,
        })
    }

    /// The same command about another environment, of another checkout: whatever `--root` and its variable say.
    pub fn at(&self, manifest: PathBuf, root: Root, environment: EnvRef) -> Self {
        let folder = manifest.parent().unwrap_or(&self.surroundings.folder).to_owned();
        Self {
            output: self.output,
            surroundings: self.surroundings.clone().without(ROOT).at(folder),
            root,
            asked_environment: Some(environment),
            clock: self.clock,
            manifest: Ok(manifest),
        }
    }

    /// The environment that is meant: the one asked for, else the one that the root belongs to.
    pub fn environment(&self) -> Result<String, Failure> {
        if let Some(asked) = &self.asked_environment {
            return Ok(asked.to_string());
        }
        let identity = identity::read(&self.root)?;
        Ok(identity.map_or_else(|| place::DEFAULT_ENVIRONMENT.to_owned(), |identity| identity.environment))
    }

    /// The roots of this user.
    pub fn roots(&self) -> Roots {
        Roots::new(self.surroundings.state(), self.surroundings.config())
    }

    /// Refuses a root that is a copy of another. One whose identity cannot be read is left to the verb: it may still have to be
    /// stopped.
    pub fn refuse_copied_root(&self) -> Result<(), Failure> {
        match identity::read(&self.root) {
            Ok(Some(identity)) => Ok(home::refuse_copy(&self.root, &identity, &self.roots())?),
            _ => Ok(()),
        }
    }

    /// A command of Roadbed about the same environment, for hints.
    pub fn command(&self, verb: &str) -> String {
        match &self.asked_environment {
            Some(asked) => format!("roadbed {verb} --env {asked}"),
            None => format!("roadbed {verb}"),
        }
    }

    /// Whether there is a manifest, or one was named that is not there: whoever can do without one asks first.
    pub fn has_manifest(&self) -> bool {
        !matches!(self.manifest, Err(Missing::Anywhere(_)))
    }

    /// Absolute path of the manifest.
    pub fn manifest(&self) -> Result<&Path, Failure> {
        self.manifest.as_deref().map_err(|missing| {
            Failure::Usage(match missing {
                Missing::Named(path) => Fault::new(format!("there is no manifest {}", path.display()))
                    .hint("give the path of a `roadbed.toml` with --manifest"),
                Missing::Anywhere(here) => {
                    Fault::new(format!("there is no {MANIFEST} in {} or a folder above", here.display()))
                        .hint("go to the folder of the product, or name the manifest with --manifest; `roadbed init` writes a first one")
                }
            })
        })
    }
}

/// Before anything else is done with it: part of it becomes part of a path.
fn asked(text: &str) -> Result<EnvRef, Failure> {
    text.parse().map_err(|error: NotAnEnvironment| {
        Failure::Usage(
            Fault::new(error.to_string()).hint("`roadbed env matrix` shows the environments of the manifest"),
        )
    })
}

fn find_above(folder: &Path) -> Option<PathBuf> {
    folder.ancestors().map(|folder| folder.join(MANIFEST)).find(|path| files::exists(path))
}

/// Takes `.` and `..` out of an absolute path by its text alone: `a/../b` is `b` also where `a` is a link.
fn without_dots(path: &Path) -> PathBuf {
    use std::path::Component;
    path.components().fold(PathBuf::new(), |mut clean, part| {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                clean.pop();
            }
            part => clean.push(part),
        }
        clean
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned() {
        assert_eq!(without_dots(Path::new("/a/./b/../c")), Path::new("/a/c"));
        assert_eq!(without_dots(Path::new("/../a")), Path::new("/a"));
    }
}
