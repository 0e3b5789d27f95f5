//! One engine as a resource: it is on this machine, or it is fetched.

use std::fmt;
use std::path::{Path, PathBuf};

use host::files;
use manifest::environment;
use reconcile::Begun;
use reconcile::{Fault, Progress, Resource, ResourceId};
use tokio::sync::OnceCell;

use super::cache::{CacheDir, Located};
use super::fetch::{self, Job};
use super::find::{self, Found, Wanted};
use super::machine::Machine;
use super::sources::{EngineKind, Source, Sources};
use super::version::Version;

/// `mongod` or `redis-server`, wherever it comes from.
#[derive(Debug)]
pub struct Engine {
    id: ResourceId,
    wanted: Wanted,
    cache: CacheDir,
    machine: Machine,
    sources: Sources,
    /// Asked once per process: a program does not change its version while Roadbed looks.
    located: OnceCell<Located>,
}

/// The effect of getting an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    pub engine: EngineKind,
    pub version: String,
    pub from: String,
}

impl fmt::Display for Fetch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "fetch {} {} from {}", self.engine, self.version, self.from)
    }
}

impl Engine {
    /// `manifest_folder` is what a relative `program` is relative to.
    pub fn mongod(
        settings: &environment::MongoDb,
        manifest_folder: &Path,
        cache: CacheDir,
        machine: Machine,
    ) -> Result<Self, Fault> {
        let program = settings.program.as_deref().map(|program| manifest_folder.join(program));
        Self::new(EngineKind::Mongod, &settings.min_version, program, cache, machine, Sources::built_in())
    }

    pub fn redis_server(
        settings: &environment::Redis,
        manifest_folder: &Path,
        cache: CacheDir,
        machine: Machine,
    ) -> Result<Self, Fault> {
        let program = settings.program.as_deref().map(|program| manifest_folder.join(program));
        Self::new(EngineKind::RedisServer, &settings.min_version, program, cache, machine, Sources::built_in())
    }

    pub fn new(
        engine: EngineKind,
        min_version: &str,
        program: Option<PathBuf>,
        cache: CacheDir,
        machine: Machine,
        sources: Sources,
    ) -> Result<Self, Fault> {
        let min = Version::parse(min_version)
            .map_err(|fault| Fault::because(format!("cannot use `min_version` of {}", engine.service()), &fault))?;
        let id = ResourceId::new(format!("engine/{engine}"));
        Ok(Self { id, wanted: Wanted { engine, min, program }, cache, machine, sources, located: OnceCell::new() })
    }

    pub fn kind(&self) -> EngineKind {
        self.wanted.engine
    }

    fn source(&self) -> Option<&Source> {
        self.sources.best(self.wanted.engine, self.wanted.min, &self.machine.platform)
    }

    /// The engine, if it is on this machine; never fetches.
    pub async fn find(&self) -> Result<Found, Fault> {
        if let Some(located) = self.located.get() {
            return Ok(Found::Here(located.clone()));
        }
        let found = find::find(&self.wanted, self.source(), &self.cache, &self.machine).await?;
        if let Found::Here(located) = &found {
            // A racing look found the same.
            let _ = self.located.set(located.clone());
        }
        Ok(found)
    }

    /// Another program that came with the engine, such as its client, to be run as the engine is; `None` if it came without.
    pub async fn companion(&self, name: &str) -> Result<Option<Located>, Fault> {
        let Found::Here(engine) = self.find().await? else { return Ok(None) };
        let program = engine.program.with_file_name(name);
        Ok(files::exists(&program).then_some(Located { program, ..engine }))
    }

    /// The engine, fetched first if need be.
    pub async fn locate(&self, progress: &dyn Progress) -> Result<Located, Fault> {
        let tried = match self.find().await? {
            Found::Here(located) => return Ok(located),
            Found::Absent { tried } => tried,
        };
        let source = self.source().ok_or_else(|| self.nothing_fits(tried))?;
        let job = Job { source, cache: &self.cache, machine: &self.machine, resource: self.id.as_str(), progress };
        let located = fetch::fetch(&job).await?;
        let _ = self.located.set(located.clone());
        Ok(located)
    }

    fn nothing_fits(&self, tried: Vec<String>) -> Fault {
        let Wanted { engine, min, .. } = &self.wanted;
        let platform = &self.machine.platform;
        let mut fault =
            Fault::new(format!("there is no {engine} {min} or newer for {} on {}", platform.os, platform.arch));
        for line in tried {
            fault = fault.cause(line);
        }
        for source in self.sources.of(*engine) {
            fault = fault.cause(format!(
                "not fetched from {source}: it is version {} for {} on {}",
                source.version,
                source.os.join(", "),
                source.arch.join(", ")
            ));
        }
        fault.hint(match engine {
            EngineKind::Mongod => {
                "install MongoDB (https://www.mongodb.com/docs/manual/administration/install-on-linux/), \
                 or set `program` of mongodb in roadbed.toml to the path of a mongod"
            }
            EngineKind::RedisServer => {
                "install Redis (https://redis.io/docs/latest/operate/oss_and_stack/install/), \
                 or set `program` of redis in roadbed.toml to the path of a redis-server"
            }
        })
    }
}

impl Resource for Engine {
    type Observed = Found;
    type Step = Fetch;

    fn id(&self) -> &ResourceId {
        &self.id
    }

    fn needs(&self) -> &[ResourceId] {
        &[]
    }

    async fn observe(&self) -> Result<Found, Fault> {
        let found = self.find().await?;
        match found {
            Found::Absent { tried } if self.source().is_none() => Err(self.nothing_fits(tried)),
            found => Ok(found),
        }
    }

    fn plan(&self, seen: &Found) -> Vec<Fetch> {
        match (seen, self.source()) {
            (Found::Absent { .. }, Some(source)) => {
                vec![Fetch { engine: self.wanted.engine, version: source.version.clone(), from: source.to_string() }]
            }
            _ => Vec::new(),
        }
    }

    async fn apply(&self, _step: &Fetch, _begun: &Begun, progress: &dyn Progress) -> Result<(), Fault> {
        self.locate(progress).await.map(|_| ())
    }
}
