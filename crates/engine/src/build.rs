//! Builds of apps: done when the inputs changed, skipped when not.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use host::files::{self, Access};
use host::process::Run;
use manifest::environment::App;
use reconcile::{Begun, Fault, Progress, Resource, ResourceId};

use crate::artifact::lock::Lock;
use crate::packages::{Packages, find, run_to_end};
use crate::{ToolEnv, Turn, inputs};

/// A cold Next.js build took 27 s on two contended cores.
const BUILD_DEADLINE: Duration = Duration::from_secs(15 * 60);

/// Name of the file in the output that says which inputs made it.
pub(crate) const STAMP: &str = ".roadbed-inputs";

/// The build of one app.
#[derive(Debug)]
pub struct AppBuild {
    id: ResourceId,
    needs: Vec<ResourceId>,
    project: PathBuf,
    app: App,
    tools: ToolEnv,
    /// What whoever builds gives, by name.
    given: ToolEnv,
    turn: Turn,
}

/// What there is to do.
#[derive(Debug)]
pub struct RunBuild {
    command: String,
    inputs: String,
}

impl fmt::Display for RunBuild {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "build with `{}`", self.command)
    }
}

/// What is built.
#[derive(Debug)]
pub struct Seen {
    inputs: String,
    built_from: Option<String>,
}

impl AppBuild {
    pub fn new(project: PathBuf, app: App, tools: ToolEnv, turn: Turn) -> Self {
        let (id, needs) = (Self::resource_id(&app), vec![Packages::resource_id()]);
        Self { id, needs, project, app, tools, given: ToolEnv::new(), turn }
    }

    /// With what whoever builds gives to builds; the app's own takes what it declares.
    pub fn given(self, given: ToolEnv) -> Self {
        Self { given, ..self }
    }

    /// What its build takes of that.
    fn taken(&self) -> Result<ToolEnv, Fault> {
        let App { name: app, build, .. } = &self.app;
        let mut taken = ToolEnv::new();
        for variable in &build.from_builder {
            let name = &variable.name;
            let cannot = |why: String| {
                Fault::new(format!("cannot build {app}: {name} {why}")).hint(format!(
                    "it comes from where it is built (source = \"ci\"): `export {name}=…`, then run this again"
                ))
            };
            // An empty text is not set.
            match self.given.get(name.as_str()).filter(|value| !value.is_empty()) {
                Some(value) => {
                    variable.rule.check(value).map_err(|fault| cannot(fault.to_string()))?;
                    taken.insert(name.to_string(), value.clone());
                }
                None if variable.required => return Err(cannot("is required and not set".to_owned())),
                None => {}
            }
        }
        Ok(taken)
    }

    pub fn resource_id(app: &App) -> ResourceId {
        ResourceId::new(format!("build/{}", app.name))
    }

    /// Other packages of the project that it is built with, by npm's lock file. One that cannot be read is told by who packs.
    fn workspaces(&self) -> Vec<String> {
        let lock = files::read(&self.project.join("package-lock.json")).ok().and_then(|text| Lock::parse(&text).ok());
        lock.map(|lock| lock.workspaces(&self.app.path)).unwrap_or_default()
    }

    fn output(&self) -> PathBuf {
        output(&self.project, &self.app)
    }
}

/// Where the build of an app lies.
pub fn output(project: &Path, app: &App) -> PathBuf {
    project.join(&app.path).join(&app.build.output)
}

/// Digest of the inputs that made the output, if it was built by Roadbed.
pub fn built_from(project: &Path, app: &App) -> Result<Option<String>, Fault> {
    let stamp = output(project, app).join(STAMP);
    let bytes = files::read_if_exists(&stamp)
        .map_err(|fault| Fault::because(format!("cannot see how {} was built", app.name), &fault))?;
    Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()))
}

/// The build of an app as a program to run. `env` is its whole environment, but for what every build is told.
fn command(project: &Path, app: &App, env: &ToolEnv) -> Result<Run, Fault> {
    let Some((program, args)) = app.build.command.split_first() else {
        return Err(Fault::new(format!("{} has no build command", app.name)));
    };
    let program = find(env, program)?;
    let mut env = env.clone();
    env.insert("NODE_ENV".into(), "production".into());
    env.insert("NEXT_TELEMETRY_DISABLED".into(), "1".into());
    env.insert("CI".into(), "1".into());
    // Whoever builds to try something out may have set one otherwise.
    for (name, value) in &app.build.variables {
        env.entry(name.to_string()).or_insert_with(|| value.clone());
    }
    Ok(Run { program, args: args.to_vec(), cwd: project.join(&app.path), env, deadline: BUILD_DEADLINE })
}

/// Builds an app once, in a project that is nobody else's: nothing is remembered of it.
pub async fn build_once(project: &Path, app: &App, env: &ToolEnv, progress: &dyn Progress) -> Result<(), Fault> {
    let run = command(project, app, env)?;
    run_to_end(&AppBuild::resource_id(app), &format!("cannot build {}", app.name), &run, progress).await
}

impl Resource for AppBuild {
    type Observed = Seen;
    type Step = RunBuild;

    fn id(&self) -> &ResourceId {
        &self.id
    }

    fn needs(&self) -> &[ResourceId] {
        &self.needs
    }

    async fn observe(&self) -> Result<Seen, Fault> {
        let folder = self.project.join(&self.app.path);
        if !files::is_dir(&folder) {
            return Err(Fault::new(format!("cannot build {}: its folder is missing", self.app.name))
                .cause(format!("{} does not exist", folder.display()))
                .hint(format!("correct `path` of [apps.{}] in roadbed.toml", self.app.name)));
        }
        let mut parts: Vec<&str> = vec![self.app.path.as_str()];
        parts.extend(self.app.build.inputs.iter().map(String::as_str));
        let workspaces = self.workspaces();
        parts.extend(workspaces.iter().map(String::as_str).filter(|folder| files::exists(&self.project.join(folder))));
        let variables = self.app.build.variables.iter().map(|(name, value)| format!("{name}={value}"));
        let words: Vec<String> = std::iter::once(self.app.build.command.join(" ")).chain(variables).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let inputs = inputs::digest(&self.project, &parts, &words)
            .map_err(|fault| Fault::because(format!("cannot read what goes into {}", self.app.name), &fault))?;
        Ok(Seen { inputs, built_from: built_from(&self.project, &self.app)? })
    }

    fn plan(&self, seen: &Seen) -> Vec<RunBuild> {
        if seen.built_from.as_ref() == Some(&seen.inputs) {
            return Vec::new();
        }
        vec![RunBuild { command: self.app.build.command.join(" "), inputs: seen.inputs.clone() }]
    }

    async fn apply(&self, step: &RunBuild, _: &Begun, progress: &dyn Progress) -> Result<(), Fault> {
        let mut run = command(&self.project, &self.app, &self.tools)?;
        run.env.extend(self.taken()?);
        let headline = format!("cannot build {}", self.app.name);
        let _turn = self.turn.take(&headline, BUILD_DEADLINE).await?;
        if built_from(&self.project, &self.app)?.as_ref() == Some(&step.inputs) {
            return Ok(());
        }
        // From here on the output is neither the old build nor the new one; a build that is cut off must not pass for either.
        files::remove(&self.output().join(STAMP)).map_err(|fault| Fault::because(headline.clone(), &fault))?;
        run_to_end(&self.id, &headline, &run, progress).await?;
        let output = self.output();
        if !files::is_dir(&output) {
            return Err(Fault::new(headline)
                .cause(format!("the command succeeded but left no folder {}", output.display()))
                .hint(format!("correct `output` of [apps.{}.build] in roadbed.toml", self.app.name)));
        }
        // A stamp that outlives a power cut speaks of an output that did.
        files::sync_tree(&output)
            .and_then(|()| files::write_durable(&output.join(STAMP), step.inputs.as_bytes(), Access::Everyone))
            .map_err(|fault| Fault::because(headline, &fault))
    }
}
