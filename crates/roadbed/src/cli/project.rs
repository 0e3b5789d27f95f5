//! The manifest on this disk: read, checked, and one environment of it.

use std::path::{Path, PathBuf};

use host::files;
use manifest::{AppName, Diagnostic, EnvName, EnvRef, Environment, Manifest, Source};
use reconcile::Fault;

use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// Everything that was found in a manifest.
#[derive(Debug)]
pub struct Checked {
    pub source: Source,
    pub manifest: Option<Manifest>,
    pub diagnostics: Vec<Diagnostic>,
}

/// A manifest without errors.
#[derive(Debug)]
pub struct Project {
    /// Absolute path.
    pub path: PathBuf,
    pub manifest: Manifest,
    /// Warnings: the manifest means something, though hardly what was wanted.
    pub warnings: Vec<Diagnostic>,
    pub source: Source,
}

/// Refuses an environment that is nowhere: neither in the manifest nor on this disk. A root whose environment has left the
/// manifest can still be looked at and stopped, and so can one whose manifest has faults.
pub fn refuse_unknown_environment(session: &Session) -> Result<(), Failure> {
    let Some(asked) = session.asked_environment.as_ref().filter(|_| !files::exists(session.root.path())) else {
        return Ok(());
    };
    match Project::load(session) {
        Ok(project) => project.environment(&asked.to_string()).map(drop),
        Err(_) => Ok(()),
    }
}

/// Reads the manifest and finds all of its faults, those included that only the disk can tell.
pub fn check(session: &Session) -> Result<Checked, Failure> {
    let path = session.manifest()?;
    let text = files::read_string(path).map_err(|fault| {
        let cause = fault.source.to_string();
        Failure::Usage(
            Fault::new(fault.to_string()).cause(cause).hint("the manifest is a text in UTF-8 that you may read"),
        )
    })?;
    let source = Source::new(session.surroundings.shown(path), text);
    let (manifest, mut diagnostics) = manifest::parse(&source);
    if let Some(manifest) = &manifest {
        let folder = path.parent().unwrap_or(Path::new("/"));
        let absent =
            manifest.declared_paths().into_iter().filter(|declared| !files::exists(&folder.join(&declared.path)));
        diagnostics.extend(absent.map(|declared| declared.missing(&source)));
        let read = |schema: &str| files::read_string(&folder.join(schema)).ok();
        diagnostics.extend(manifest.check_samples(&source, read));
        diagnostics.sort_by_key(|diagnostic| (diagnostic.line, diagnostic.column));
    }
    Ok(Checked { source, manifest, diagnostics })
}

impl Project {
    pub fn load(session: &Session) -> Result<Self, Failure> {
        let Checked { source, manifest, diagnostics } = check(session)?;
        let path = session.manifest()?.to_owned();
        match manifest {
            Some(manifest) if !diagnostics.iter().any(Diagnostic::is_error) => {
                Ok(Self { path, manifest, warnings: diagnostics, source })
            }
            _ => Err(Failure::Manifest { source, diagnostics }),
        }
    }

    /// The environment that is asked for, with everything in it resolved.
    pub fn environment(&self, name: &str) -> Result<(EnvRef, Environment), Failure> {
        let usage = |error: &dyn std::error::Error| {
            Failure::Usage(self.hint_at_environment(name, Fault::new(error.to_string())))
        };
        let env_ref: EnvRef = name.parse().map_err(|error: manifest::NotAnEnvironment| usage(&error))?;
        let environment = self.manifest.resolve(&env_ref).map_err(|error| usage(&error))?;
        Ok((env_ref, environment))
    }

    /// The name of one of the manifest's environments, for verbs that look at the manifest alone.
    pub fn known_environment(&self, asked: &str) -> Result<EnvName, Failure> {
        let known = self.manifest.environments();
        known
            .iter()
            .find(|name| name.as_str() == asked)
            .cloned()
            .ok_or_else(|| Failure::Usage(no_such("environment", asked, known.iter().map(EnvName::as_str))))
    }

    fn hint_at_environment(&self, name: &str, fault: Fault) -> Fault {
        let known: Vec<String> = self.manifest.environments().iter().map(ToString::to_string).collect();
        match nearest(name, known.iter().map(String::as_str)) {
            Some(meant) if meant == name => fault.hint(format!("for example `--env {name}/pr-42`")),
            Some(meant) => fault.hint(format!("did you mean `--env {meant}`?")),
            None => fault.hint(format!("the manifest has {}", known.join(", "))),
        }
    }

    /// Refuses names that are no apps.
    pub fn apps_named(&self, names: &[String]) -> Result<(), Failure> {
        let known = self.manifest.apps();
        let unknown = names.iter().find(|name| !known.iter().any(|app| app.as_str() == *name));
        unknown.map_or(Ok(()), |name| Err(Failure::Usage(no_such("app", name, known.iter().map(AppName::as_str)))))
    }
}

/// The fault of a name that is not among the known ones.
pub fn no_such<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str> + Clone) -> Fault {
    let fault = Fault::new(format!("there is no {what} \"{name}\""));
    match nearest(name, known.clone()) {
        Some(meant) => fault.hint(format!("did you mean \"{meant}\"?")),
        None => fault.hint(format!("there is {}", known.collect::<Vec<_>>().join(", "))),
    }
}

/// The known name that a typing mistake turned into `given`.
fn nearest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let near = known.map(|name| (strsim::osa_distance(given, name), name)).min_by_key(|(distance, _)| *distance);
    near.filter(|(distance, name)| *distance <= name.chars().count().max(3) / 3).map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_typing_mistake_finds_its_name() {
        let known = ["local", "staging", "production"];
        let of = |given| nearest(given, known.into_iter());
        assert_eq!(of("stagin"), Some("staging"));
        assert_eq!(of("prodution"), Some("production"));
        assert_eq!(of("nowhere"), None);
    }
}
