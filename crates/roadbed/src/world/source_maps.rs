//! Where the source maps of what runs lie: telemetry reads the stacks of errors with them.

use std::path::PathBuf;

use manifest::environment::Fact;
use reconcile::Fault;

use super::errors::is_told;
use super::fleet::Origin;
use super::{World, project};

/// The build of an app that reports errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mapped {
    pub app: String,
    /// As its events say it.
    pub release: String,
    /// Where its files lie, maps among them.
    pub folder: PathBuf,
}

impl World {
    /// Of every app that reports errors and runs as built. A development server's stacks are the sources' own.
    pub fn mapped(&self) -> Result<Vec<Mapped>, Fault> {
        let mut all = Vec::new();
        for fleet in &self.fleets {
            for one in fleet.running.iter().filter(|one| one.dev.is_none()) {
                let reports = [Fact::ErrorsDsn, Fact::ErrorsPublicDsn];
                if !reports.iter().any(|fact| is_told(&fleet.environment, &one.app, fact)) {
                    continue;
                }
                let (release, folder) = match &one.origin {
                    Origin::Release { name, folder, .. } => {
                        (name.clone(), folder.join(&one.app.path).join(&one.app.build.output))
                    }
                    Origin::Project => {
                        let project = project(&self.wanted.manifest);
                        let Some(inputs) = engine::build::built_from(project, &one.app)? else { continue };
                        let release = inputs.get(..12).unwrap_or(&inputs).to_owned();
                        (release, engine::build::output(project, &one.app))
                    }
                };
                let mapped = Mapped { app: one.app.name.to_string(), release, folder };
                if !all.contains(&mapped) {
                    all.push(mapped);
                }
            }
        }
        Ok(all)
    }
}
