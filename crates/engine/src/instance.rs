//! The instances of a server app: started, given their variables, and ready.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use host::files;
use manifest::environment::{App, Need, Server};
use manifest::{AppName, Environment};
use reconcile::ports::{
    Confinement, Limits, RestartPolicy, Routes, Safeguard, StopPolicy, UnitKind, UnitSpec, UnitState, UnitStatus, Units,
};
use reconcile::{Begun, Fault, Progress, Resource, ResourceId};
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep};

use crate::ToolEnv;
use crate::packages::find;
use crate::probe::{self, Answer};
use crate::resting;
use crate::variables::{Facts, assemble};

/// How long one readiness question may take. The apps answer theirs within 800 ms even if a store hangs.
const PROBE_LIMIT: Duration = Duration::from_secs(2);

/// Time between two readiness questions while an instance starts.
const PROBE_PAUSE: Duration = Duration::from_millis(50);

/// How much longer an app keeps an idle connection than the edge does, so that the edge never writes into a closing one.
const KEEP_ALIVE_MARGIN: Duration = Duration::from_secs(15);

/// Lines shown of an instance that does not start.
const SHOWN_LINES: usize = 25;

/// How often an instance may die before its start counts as failed, well before the keeper calls it a crash loop.
const DEATHS_BEFORE_GIVING_UP: u32 = 3;

/// How the unit that changes data for an app is called, after the app.
pub const MIGRATING: &str = "-migrate";

/// Which of several sets of instances that run side by side: part of their names. Those of [`Fleet::ONLY`] bear none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fleet(Option<&'static str>);

impl Fleet {
    pub const ONLY: Self = Self(None);

    /// All that bear a name. Fixed, so that `api-blue-1` is never taken for an instance of an app `api-blue`.
    pub const NAMED: [&'static str; 3] = ["blue", "green", "trial"];

    /// `None` if there is no fleet of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMED.into_iter().find(|known| *known == name).map(|known| Self(Some(known)))
    }

    /// `api-1`, `api-2`, .. or `api-blue-1`, ..
    pub fn instance(self, app: &AppName, index: usize) -> String {
        match self.0 {
            None => format!("{app}-{}", index + 1),
            Some(name) => format!("{app}-{name}-{}", index + 1),
        }
    }

    /// What is called `of` in the only fleet.
    pub fn tagged(self, of: impl fmt::Display) -> String {
        match self.0 {
            None => of.to_string(),
            Some(name) => format!("{of}@{name}"),
        }
    }
}

/// One app's process as it is to run.
#[derive(Clone, Debug)]
pub struct Program {
    /// The command; its first word is looked up in PATH.
    pub command: Vec<String>,
    pub cwd: PathBuf,
    /// `production`, or `development` for an app's own development server.
    pub node_env: &'static str,
    /// Digest of what was built; for a development server, which reads the sources itself, a fixed word.
    pub built_from: String,
    /// What it is told as its release, if not the beginning of that digest.
    pub release_name: Option<String>,
    /// What it is made of: read, and never written. `None` for a development server, which writes where its sources are, and so
    /// runs as whoever develops.
    pub release: Option<PathBuf>,
}

impl Program {
    /// What the app is told as its release; a digest's beginning is enough to tell two builds apart.
    pub fn release(&self) -> &str {
        let digest = || self.built_from.get(..12).unwrap_or(&self.built_from);
        self.release_name.as_deref().unwrap_or_else(digest)
    }
}

/// What an app's instances need to be known by, beside the manifest.
#[derive(Clone, Debug)]
pub struct Placement {
    /// One port per instance.
    pub ports: Vec<u16>,
    /// The address that visitors use.
    pub public_url: String,
    /// How long the edge keeps an idle connection to an instance.
    pub edge_idle: Duration,
}

/// What is asked at each look which program to run, since what was built changes while Roadbed converges.
pub type ProgramOf = Box<dyn Fn() -> Result<Program, Fault> + Send + Sync>;

/// The instances of one app.
pub struct Instances {
    /// See [`Instances::resource_id`].
    pub id: ResourceId,
    pub needs: Vec<ResourceId>,
    pub fleet: Fleet,
    pub environment: Arc<Environment>,
    pub app: App,
    pub server: Server,
    pub program: ProgramOf,
    pub placement: Placement,
    pub tools: ToolEnv,
    pub facts: Arc<dyn Facts>,
    pub units: Arc<dyn Units>,
    /// Who sends requests to them: told before one goes.
    pub routes: Arc<dyn Routes>,
    /// What must keep each instance to its own business.
    pub require: Vec<Safeguard>,
}

impl fmt::Debug for Instances {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instances").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What there is to do.
#[derive(Debug)]
pub enum Step {
    Start { instance: String },
    Replace { instance: String },
    Specify { instance: String },
    AwaitReady { instance: String, port: u16 },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Start { instance } => write!(f, "start {instance}"),
            Self::Replace { instance } => write!(f, "restart {instance} with what changed"),
            Self::Specify { instance } => write!(f, "tell the new keeper the variables of {instance}"),
            Self::AwaitReady { instance, .. } => write!(f, "wait until {instance} is ready"),
        }
    }
}

/// What runs.
#[derive(Debug)]
pub struct Seen {
    wanted: Vec<Wanted>,
    units: BTreeMap<String, UnitStatus>,
    answers: BTreeMap<String, Answer>,
}

#[derive(Debug)]
struct Wanted {
    instance: String,
    port: u16,
    revision: String,
}

impl Instances {
    pub fn resource_id(app: &App, fleet: Fleet) -> ResourceId {
        ResourceId::new(fleet.tagged(format_args!("app/{}", app.name)))
    }

    fn spec(&self, index: usize, port: u16) -> Result<UnitSpec, Fault> {
        let instance = self.fleet.instance(&self.app.name, index);
        let program = (self.program)()?;
        let given = self.given(&instance, port, &program);
        self.specified(instance, program, given)
    }

    /// A process of the app that is no instance: it does one thing, with the app's variables and within its limits, and ends.
    pub fn task(&self, unit: &str, command: &[String]) -> Result<UnitSpec, Fault> {
        let program = Program { command: command.to_vec(), ..(self.program)()? };
        let mut given = self.given(unit, 0, &program);
        given.remove("PORT");
        let spec = self.specified(unit.to_owned(), program, given)?;
        Ok(UnitSpec { restart: RestartPolicy { once: true, ..RestartPolicy::default() }, ..spec })
    }

    fn specified(&self, unit: String, program: Program, given: BTreeMap<String, String>) -> Result<UnitSpec, Fault> {
        let assembled = assemble(&self.environment, &self.app.name, self.facts.as_ref())?;
        let mut hash = Sha256::new();
        let mut add = |text: &str| {
            hash.update((text.len() as u64).to_be_bytes());
            hash.update(text.as_bytes());
        };
        program.command.iter().for_each(|word| add(word));
        add(&program.cwd.to_string_lossy());
        add(&program.built_from);
        let (limits, confinement) = (self.limits(), self.confinement(&program));
        add(&format!("{limits:?} {confinement:?}"));
        given.iter().for_each(|(name, value)| add(&format!("{name}={value}")));
        assembled.shown.iter().for_each(|shown| add(shown));
        let revision = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();

        let mut env = assembled.values;
        env.extend(given);
        let Some((first, args)) = program.command.split_first() else {
            return Err(Fault::new(format!("{} has no start command", self.app.name)));
        };
        Ok(UnitSpec {
            name: unit,
            kind: UnitKind::App,
            program: find(&self.tools, first)?,
            args: args.to_vec(),
            cwd: program.cwd,
            env,
            revision,
            // Tools that start development servers pass no descriptors on: Node closes all but three in what it starts.
            in_files: if program.release.is_some() { assembled.in_files } else { Vec::new() },
            loaded: assembled.loaded,
            sockets: Vec::new(),
            restart: RestartPolicy::default(),
            stop: StopPolicy { grace: self.server.drain_deadline + Duration::from_secs(1) },
            limits,
            confinement,
        })
    }

    pub(crate) fn names(&self) -> Vec<String> {
        (0..self.placement.ports.len()).map(|index| self.fleet.instance(&self.app.name, index)).collect()
    }

    fn index(&self, instance: &str) -> Result<usize, Fault> {
        self.names()
            .iter()
            .position(|name| name == instance)
            .ok_or_else(|| Fault::new(format!("{instance} is not an instance of {}", self.app.name)))
    }

    fn limits(&self) -> Limits {
        let Server { memory_max, processes, cpu, .. } = self.server;
        Limits { open_files: Some(65_536), address_space: None, memory: memory_max, processes, cpu }
    }

    fn confinement(&self, program: &Program) -> Option<Confinement> {
        let certificates = self.tools.get("NODE_EXTRA_CA_CERTS").map(PathBuf::from).filter(|file| files::exists(file));
        let release = program.release.clone()?;
        // Where a link leads out of the release, a module that is loaded by its real path looks for others beside it.
        let linked = ["node_modules", self.app.path.as_str()].map(|inner| release.join(inner)).into_iter();
        let linked =
            linked.filter_map(|inner| files::canonical(&inner).ok()).filter(|real| !real.starts_with(&release));
        let outside: Vec<PathBuf> = linked.collect();
        Some(Confinement {
            release: std::iter::once(release).chain(outside).chain(certificates).collect(),
            require: self.require.clone(),
            ..Confinement::default()
        })
    }

    /// What Roadbed gives every instance (`manifest::environment::GIVEN`), and what Node needs to be found and to find.
    fn given(&self, instance: &str, port: u16, program: &Program) -> BTreeMap<String, String> {
        let keep_alive = (self.placement.edge_idle + KEEP_ALIVE_MARGIN).as_millis().to_string();
        let mut given: BTreeMap<String, String> = [
            ("HOST", "127.0.0.1".to_owned()),
            ("HOSTNAME", "127.0.0.1".to_owned()),
            ("PORT", port.to_string()),
            ("ROADBED_ENVIRONMENT", self.environment.name.to_string()),
            ("ROADBED_RELEASE", program.release().to_owned()),
            ("ROADBED_INSTANCE", instance.to_owned()),
            ("ROADBED_KEEP_ALIVE_MS", keep_alive.clone()),
            ("KEEP_ALIVE_TIMEOUT", keep_alive),
            ("ROADBED_DRAIN_MS", self.server.drain_deadline.as_millis().to_string()),
            ("PUBLIC_URL", self.placement.public_url.clone()),
            ("NODE_ENV", program.node_env.to_owned()),
            ("NEXT_TELEMETRY_DISABLED", "1".to_owned()),
        ]
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
        if let Some(bytes) = self.server.memory {
            given.insert("NODE_OPTIONS".into(), format!("--max-old-space-size={}", bytes / (1024 * 1024)));
        }
        for name in ["PATH", "HOME", "LANG", "TMPDIR", "NODE_EXTRA_CA_CERTS"] {
            if let Some(value) = self.tools.get(name) {
                given.insert(name.to_owned(), value.clone());
            }
        }
        given
    }

    async fn replace(&self, instance: &str, index: usize) -> Result<(), Fault> {
        let next = async {
            self.start(instance).await?;
            self.await_ready(instance, self.placement.ports[index]).await
        };
        let others = self.placement.ports.len() - 1;
        let streams = resting::spread_of_one(self.environment.rollout.stream_spread(), others);
        resting::during(self.routes.as_ref(), instance, streams, next).await
    }

    pub(crate) async fn start(&self, instance: &str) -> Result<(), Fault> {
        let index = self.index(instance)?;
        self.units.ensure(self.spec(index, self.placement.ports[index])?).await?;
        // Specifying does not wake what was put on hold.
        if self.unit(instance).await?.is_some_and(|unit| unit.state == UnitState::Held) {
            self.units.resume(instance).await?;
        }
        Ok(())
    }

    async fn await_ready(&self, instance: &str, port: u16) -> Result<(), Fault> {
        let deadline = Instant::now() + self.server.start_deadline;
        let path = &self.server.ready;
        let before = self.unit(instance).await?.map_or(0, |unit| unit.restarts);
        loop {
            let answer = probe::get(port, path, PROBE_LIMIT).await;
            if answer.is_ok() {
                return Ok(());
            }
            let units = self.units.list().await?;
            // Time will not bring what a keeper lost in a crash, nor get ready what relies on it.
            let is_lost = |unit: &&UnitStatus| unit.state == UnitState::Lost && self.relies_on(&self.app, &unit.name);
            if let Some(lost) = units.iter().find(is_lost) {
                return Err(Fault::new(format!("cannot wait for {instance}: {} was lost meanwhile", lost.name))
                    .hint("try again: whoever converges next specifies it anew")
                    .retry_safe());
            }
            let unit = units.into_iter().find(|unit| unit.name == instance);
            let deaths = unit.as_ref().map_or(0, |unit| unit.restarts.saturating_sub(before));
            let is_dying = deaths >= DEATHS_BEFORE_GIVING_UP
                || unit.as_ref().is_some_and(|unit| unit.state == UnitState::CrashLoop);
            if !is_dying && Instant::now() < deadline {
                sleep(PROBE_PAUSE).await;
                continue;
            }
            let mut fault = Fault::new(format!("cannot start {}: {instance} does not get ready", self.app.name))
                .hint(format!("`roadbed logs {}` shows everything it wrote", self.app.name));
            if let Some(exit) = unit.and_then(|unit| unit.last_exit).filter(|_| is_dying) {
                fault = fault.cause(format!("it died {deaths} times; the last time: {exit}"));
            } else {
                let seconds = self.server.start_deadline.as_secs();
                fault =
                    fault.cause(format!("GET http://127.0.0.1:{port}{path} after {seconds} s: {}", answer.describe()));
            }
            let lines = self.units.tail(instance, SHOWN_LINES).await.unwrap_or_default();
            return Err(fault.output(lines));
        }
    }

    /// Whether `unit` is an instance of `app`, or something that it needs, directly or not.
    fn relies_on(&self, app: &App, unit: &str) -> bool {
        let mut needs = app.needs.iter();
        is_instance_of(&app.name, unit)
            || needs.any(|need| match need {
                Need::Service(service) => service.as_str() == unit,
                Need::App(name) => {
                    let needed = self.environment.apps.iter().find(|app| app.name == *name);
                    needed.is_some_and(|needed| self.relies_on(needed, unit))
                }
            })
    }

    async fn unit(&self, instance: &str) -> Result<Option<UnitStatus>, Fault> {
        Ok(self.units.list().await?.into_iter().find(|unit| unit.name == instance))
    }
}

/// Whether a unit's name is that of an instance of an app.
pub fn is_instance_of(app: &AppName, unit: &str) -> bool {
    app_of(unit) == Some(app.as_str())
}

/// `api` of `api-1` and of `api-blue-1`: an instance's name ends in its number.
pub fn app_of(unit: &str) -> Option<&str> {
    if let Some(app) = unit.strip_suffix(MIGRATING) {
        return Some(app);
    }
    let (rest, number) = unit.rsplit_once('-')?;
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let in_fleet = Fleet::NAMED.iter().find_map(|name| rest.strip_suffix(name)?.strip_suffix('-'));
    is_number.then(|| in_fleet.unwrap_or(rest))
}

/// The folder and command of an app's own development server.
pub fn dev_program(project: &Path, app: &App, command: &[String]) -> Program {
    Program {
        command: command.to_vec(),
        cwd: project.join(&app.path),
        node_env: "development",
        built_from: "dev".to_owned(),
        release_name: None,
        release: None,
    }
}

impl Resource for Instances {
    type Observed = Seen;
    type Step = Step;

    fn id(&self) -> &ResourceId {
        &self.id
    }

    fn needs(&self) -> &[ResourceId] {
        &self.needs
    }

    async fn observe(&self) -> Result<Seen, Fault> {
        let mut wanted = Vec::new();
        for (index, port) in self.placement.ports.iter().enumerate() {
            let spec = self.spec(index, *port)?;
            wanted.push(Wanted { instance: spec.name, port: *port, revision: spec.revision });
        }
        let is_wanted = |unit: &UnitStatus| wanted.iter().any(|wanted| wanted.instance == unit.name);
        let units: BTreeMap<_, _> =
            self.units.list().await?.into_iter().filter(is_wanted).map(|unit| (unit.name.clone(), unit)).collect();
        let running = wanted.iter().filter(|wanted| units.contains_key(&wanted.instance));
        let questions = running.map(|wanted| async {
            let answer = probe::get(wanted.port, &self.server.ready, PROBE_LIMIT).await;
            (wanted.instance.clone(), answer)
        });
        let answers = join_all(questions).await.into_iter().collect();
        Ok(Seen { wanted, units, answers })
    }

    fn plan(&self, seen: &Seen) -> Vec<Step> {
        let mut steps = Vec::new();
        for Wanted { instance, port, revision } in &seen.wanted {
            let instance = instance.clone();
            match seen.units.get(&instance) {
                None => steps.push(Step::Start { instance: instance.clone() }),
                Some(unit) if matches!(unit.state, UnitState::Lost | UnitState::Held | UnitState::CrashLoop) => {
                    steps.push(Step::Start { instance: instance.clone() });
                }
                Some(unit) if unit.state == UnitState::Adopted => {
                    steps.push(Step::Specify { instance: instance.clone() });
                }
                Some(unit) if unit.revision != *revision => steps.push(Step::Replace { instance: instance.clone() }),
                Some(_) => {}
            }
            if !seen.answers.get(&instance).is_some_and(Answer::is_ok) {
                steps.push(Step::AwaitReady { instance, port: *port });
            }
        }
        steps
    }

    async fn apply(&self, step: &Step, _: &Begun, _: &dyn Progress) -> Result<(), Fault> {
        match step {
            Step::Start { instance } | Step::Specify { instance } => self.start(instance).await,
            Step::Replace { instance } => self.replace(instance, self.index(instance)?).await,
            Step::AwaitReady { instance, port } => self.await_ready(instance, *port).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_is_told_by_its_name_in_whichever_fleet_it_runs() {
        let app = AppName::new("api").unwrap();
        let other = AppName::new("api-admin").unwrap();
        for fleet in [Fleet::ONLY, Fleet::named("blue").unwrap(), Fleet::named("green").unwrap()] {
            let unit = fleet.instance(&app, 1);
            assert!(is_instance_of(&app, &unit), "{unit}");
            assert!(!is_instance_of(&other, &unit), "{unit}");
            assert!(!is_instance_of(&app, &fleet.instance(&other, 1)), "{unit}");
        }
        assert_eq!(Fleet::named("blue").unwrap().instance(&app, 0), "api-blue-1");
        assert!(
            !is_instance_of(&app, "api-") && !is_instance_of(&app, "api-blue-") && !is_instance_of(&app, "api-red-1")
        );
        assert_eq!(Fleet::named("red"), None);
    }
}
