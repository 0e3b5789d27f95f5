//! Which tasks of which packages are run, in which order, and under which keys.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use manifest::Ci;
use reconcile::Fault;

use crate::plan::{Plan, shown};
use crate::tasks::{self, Settings};
use crate::workspace::{Package, Workspace};
use crate::{hash_of, hex};

/// One task of one package.
#[derive(Clone, Debug)]
pub struct Job {
    /// Folder of the package.
    pub path: String,
    /// Name of the app, else of the package.
    pub package: String,
    pub task: String,
    pub command: Vec<String>,
    pub settings: Settings,
    pub outputs: Vec<String>,
    /// Numbers of the jobs that must have succeeded before.
    pub needs: Vec<usize>,
    /// Whether it was asked for, or only something else needs it.
    pub is_asked: bool,
    /// Under which its result is kept.
    pub key: String,
}

impl Job {
    /// `api test`.
    pub fn name(&self) -> String {
        format!("{} {}", self.package, self.task)
    }
}

/// What is wanted.
#[derive(Clone, Debug)]
pub enum Wanted {
    Affected,
    All,
    /// By names of apps or packages, or folders.
    Named(Vec<String>),
}

/// What a result depends on beside the package: the machine.
#[derive(Clone, Debug, Default)]
pub struct Surroundings {
    /// Operating system, architecture, versions of the tools.
    pub machine: Vec<String>,
    /// The value of a variable that a task is given.
    pub variables: BTreeMap<String, String>,
    /// What the build of an app is given, by its name.
    pub of_builds: BTreeMap<String, Vec<(String, String)>>,
}

struct Making<'m> {
    ci: &'m Ci,
    workspace: &'m Workspace,
    jobs: Vec<Job>,
    known: BTreeMap<(String, String), usize>,
    /// Jobs whose needs are being found, to tell a circle.
    open: Vec<(String, String)>,
}

/// The jobs, what is needed before what needs it.
pub fn jobs(plan: &Plan, ci: &Ci, wanted: &Wanted, only: &[String], around: &Surroundings) -> Result<Vec<Job>, Fault> {
    let workspace = &plan.workspace;
    let names = tasks::names(ci);
    if let Some(unknown) = only.iter().find(|name| !names.contains(name)) {
        return Err(
            Fault::new(format!("there is no task \"{unknown}\"")).hint(format!("there are {}", names.join(", ")))
        );
    }
    let of_ci = if ci.packages.is_empty() { None } else { Some(crate::globs::set(&ci.packages)?) };
    let is_run = |package: &&Package| of_ci.as_ref().is_none_or(|set| set.is_match(&*package.path));
    let packages: Vec<&Package> = match wanted {
        Wanted::Affected => {
            workspace.packages.values().filter(|package| plan.is_affected(package)).filter(is_run).collect()
        }
        Wanted::All => workspace.packages.values().filter(is_run).collect(),
        Wanted::Named(names) => {
            let named = names.iter().map(|name| {
                workspace.named(name).ok_or_else(|| {
                    let known: Vec<&str> = workspace.packages.values().take(10).map(|package| &*package.name).collect();
                    Fault::new(format!("there is no package \"{name}\""))
                        .hint(format!("there are {}, …", known.join(", ")))
                })
            });
            named.collect::<Result<_, Fault>>()?
        }
    };
    let mut making = Making { ci, workspace, jobs: Vec::new(), known: BTreeMap::new(), open: Vec::new() };
    for package in packages {
        for task in names.iter().filter(|name| only.is_empty() || only.contains(name)) {
            if let Some(at) = making.job(package, task)? {
                making.jobs[at].is_asked = true;
            }
        }
    }
    let mut jobs = making.jobs;
    for at in 0..jobs.len() {
        let key = key(&jobs, at, workspace, around);
        jobs[at].key = key;
    }
    Ok(jobs)
}

impl Making<'_> {
    /// The job of a task, made with all that it needs; `None` if the package has no such task.
    fn job(&mut self, package: &Package, task: &str) -> Result<Option<usize>, Fault> {
        let id = (package.path.to_string(), task.to_owned());
        if let Some(known) = self.known.get(&id) {
            return Ok(Some(*known));
        }
        let settings = tasks::settings(self.ci, task, &package.path)?;
        let Some(command) = tasks::command(self.ci, package, task, &settings) else { return Ok(None) };
        if let Some(begin) = self.open.iter().position(|open| *open == id) {
            let circle = self.open[begin..].iter().chain([&id]).map(|(path, task)| format!("{} {task}", shown(path)));
            return Err(Fault::new(format!(
                "cannot put the tasks in order: {}",
                circle.collect::<Vec<_>>().join(" → ")
            ))
            .hint("end the circle of dependencies, or set `needs = []` for one of them in roadbed.toml"));
        }
        self.open.push(id.clone());
        let mut needs = BTreeSet::new();
        for need in tasks::needs(package, task, &settings) {
            match need.strip_prefix('^') {
                Some(task) => {
                    let mut seen = BTreeSet::from([package.path.clone()]);
                    self.above(package, task, &mut seen, &mut needs)?;
                }
                None => needs.extend(self.job(package, &need)?),
            }
        }
        self.open.pop();
        let outputs = tasks::outputs(self.ci, package, task, &settings);
        self.jobs.push(Job {
            path: package.path.to_string(),
            package: package.name.to_string(),
            task: task.to_owned(),
            command,
            settings,
            outputs,
            needs: needs.into_iter().collect(),
            is_asked: false,
            key: String::new(),
        });
        self.known.insert(id, self.jobs.len() - 1);
        Ok(Some(self.jobs.len() - 1))
    }

    /// The task of what a package depends on; through those that have none.
    fn above(
        &mut self,
        package: &Package,
        task: &str,
        seen: &mut BTreeSet<Rc<str>>,
        found: &mut BTreeSet<usize>,
    ) -> Result<(), Fault> {
        let workspace = self.workspace;
        for needed in workspace.needs(package) {
            if self.open.iter().any(|(path, open)| **path == *needed.path && open == task) {
                // Said with the whole circle.
                self.job(needed, task)?;
            }
            if !seen.insert(needed.path.clone()) {
                continue;
            }
            match self.job(needed, task)? {
                Some(at) => drop(found.insert(at)),
                None => self.above(needed, task, seen, found)?,
            }
        }
        Ok(())
    }
}

/// Values of variables are in it as digests of their own; secrets are not in it at all.
fn key(jobs: &[Job], at: usize, workspace: &Workspace, around: &Surroundings) -> String {
    let job = &jobs[at];
    let package = &workspace.packages[&*job.path];
    let mut parts: Vec<Vec<u8>> =
        vec![b"roadbed ci task 1".to_vec(), workspace.hash(package).to_vec(), job.task.clone().into()];
    let mut list = |name: &str, items: &mut dyn Iterator<Item = Vec<u8>>| {
        parts.push(name.into());
        parts.extend(items);
    };
    list("command", &mut job.command.iter().map(|word| word.clone().into_bytes()));
    list("outputs", &mut job.outputs.iter().map(|glob| glob.clone().into_bytes()));
    list("tests", &mut std::iter::once(job.settings.min_tests.to_string().into_bytes()));
    list("machine", &mut around.machine.iter().map(|said| said.clone().into_bytes()));
    list("needs", &mut job.needs.iter().map(|need| jobs[*need].key.clone().into_bytes()));
    let given = job.settings.env.iter().map(|name| (name, around.variables.get(name)));
    list(
        "env",
        &mut given.map(|(name, value)| {
            format!("{name} {}", value.map_or_else(|| "unset".to_owned(), |value| hex(&hash_of([value.as_bytes()]))))
                .into_bytes()
        }),
    );
    let of_build = around.of_builds.get(&job.package).filter(|_| job.task == "build");
    list(
        "build",
        &mut of_build
            .into_iter()
            .flatten()
            .map(|(name, value)| format!("{name} {}", hex(&hash_of([value.as_bytes()]))).into_bytes()),
    );
    hex(&hash_of(parts.iter().map(Vec::as_slice)))
}
