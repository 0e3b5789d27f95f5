//! Builds without an environment: what `roadbed build` makes.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use engine::artifact::attestation::Attestor;
use engine::artifact::packing::AppArtifact;
use engine::artifact::shelf::{self, Shelf};
use engine::build::AppBuild;
use engine::packages::Packages;
use engine::{ToolEnv, Turn};
use manifest::environment::App;
use reconcile::{AnyResource, Fault, Graph};

use super::lock_file;
use crate::wanted::Wanted;

/// Packages, builds and artifacts of these apps, signed. `given` is what whoever builds gives to builds.
pub fn graph(
    project: &Path,
    apps: &[App],
    cache: &Path,
    tools: &ToolEnv,
    given: &ToolEnv,
    attestor: &Arc<Attestor>,
) -> Result<Graph, Fault> {
    let turn = |what: &str| Turn::new(lock_file(cache, project, what));
    let mut all: Vec<Box<dyn AnyResource>> = vec![Box::new(packages(project, cache, tools))];
    for app in apps {
        let turn = turn(&format!("build-{}", app.name));
        all.push(Box::new(build(project, app, tools, turn).given(given.clone())));
        all.push(Box::new(artifact(project, app, cache).attested(attestor.clone())));
    }
    Graph::new(all)
}

/// Where builds of this project note what they begin. Nothing is lost with it.
pub fn journal(want: &Wanted) -> PathBuf {
    lock_file(&want.cache, super::project(&want.manifest), "journal").with_extension("db")
}

/// The artifact of one app.
pub fn artifact(project: &Path, app: &App, cache: &Path) -> AppArtifact {
    AppArtifact::new(project.to_owned(), app.clone(), Shelf::new(shelf::folder(cache)))
}

/// The packages that npm installs.
pub fn packages(project: &Path, cache: &Path, tools: &ToolEnv) -> Packages {
    Packages::new(project.to_owned(), tools.clone(), Turn::new(lock_file(cache, project, "packages")))
}

fn build(project: &Path, app: &App, tools: &ToolEnv, turn: Turn) -> AppBuild {
    AppBuild::new(project.to_owned(), app.clone(), tools.clone(), turn)
}
