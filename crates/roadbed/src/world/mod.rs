//! The one place where everything is wired: from what is wanted to resources, routes and checks.
//!
//! ```text
//!   engine/mongod ──► mongodb ──┐
//!   engine/redis  ──► redis ────┼──► app/api ──► app/storefront
//!   packages ──► build/APP ─────┘                    ▲
//!                   └──► site/admin ──► routes ──────┘      (the storefront calls the API by way of the edge)
//!   certificate ────────────────────────┤
//!   edge ───────────────────────────────┘
//! ```

mod addresses;
mod facts;
mod resources;
mod routes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use gate::Check;
use manifest::Environment;
use manifest::environment::{Access, App, Runs, Server, Source};
use reconcile::ports::{Sockets, Units};
use reconcile::{Fault, Graph};
use secrets::FileStore;

use crate::checks;
use crate::control::wire::{DevApps, Wanted};
use crate::control::{Control, convergence, wanted};
use addresses::Addresses;
pub use addresses::urls;
use facts::LocalFacts;

/// How long the edge keeps an idle connection to an instance. Apps are told to keep theirs longer.
const EDGE_IDLE: Duration = Duration::from_secs(60);

/// A development server compiles a page when it is first asked for it; on two busy cores that took half a minute.
const DEV_START: Duration = Duration::from_secs(120);

/// One environment, wired.
#[derive(Debug)]
pub struct World {
    pub graph: Graph,
    /// What changed without being asked for.
    pub notes: Vec<String>,
    environment: Arc<Environment>,
    wanted: Wanted,
    addresses: Addresses,
    facts: Arc<LocalFacts>,
    secrets: Arc<FileStore>,
}

/// An app, and the way it runs here: as built, or as its own development server.
#[derive(Clone, Debug)]
struct Running {
    app: App,
    dev: Option<Vec<String>>,
}

impl Running {
    /// The server process behind the app, if there is one.
    fn server(&self) -> Option<Server> {
        match (&self.app.runs, &self.dev) {
            (Runs::Server(server), None) => Some(server.clone()),
            (Runs::Server(server), Some(_)) => Some(Server {
                // One is enough to edit by, and a second would compile everything again.
                replicas: 1,
                // Compilers need more than what they compile.
                memory: None,
                start_deadline: DEV_START,
                request_deadline: DEV_START,
                ..server.clone()
            }),
            (Runs::Static { .. }, Some(command)) => Some(Server {
                start: command.clone(),
                health: "/".into(),
                ready: "/".into(),
                start_deadline: DEV_START,
                drain_deadline: Duration::from_secs(2),
                request_deadline: DEV_START,
                replicas: 1,
                memory: None,
                internal: false,
            }),
            (Runs::Static { .. }, None) => None,
        }
    }
}

/// What to do about a remembered port on which a stranger listens, while its own unit is dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ports {
    /// Choose another: the unit shall start.
    MayMove,
    /// Stay with it: whoever looks at the environment wants to see the stranger.
    Stay,
}

impl World {
    /// Wires what is wanted. Chooses ports where none are remembered; changes nothing else.
    pub async fn build(control: &Control, want: &Wanted, ports: Ports) -> Result<Self, Fault> {
        let environment = Arc::new(wanted::resolve(want)?);
        let running = running(&environment, &want.dev)?;
        let units: Arc<dyn Units> = control.keeper.clone();
        let sockets: Arc<dyn Sockets> = control.keeper.clone();
        let running_units = units.list().await?;
        convergence::refuse_while_stopping(control).await?;
        let addresses = Addresses::choose(&control.root, &environment, want, &running, &running_units, ports)?;
        let secrets = Arc::new(FileStore::new(control.root.secret_store()));
        let facts = Arc::new(LocalFacts::new(environment.clone(), addresses.clone(), secrets.clone()));
        let parts = resources::Parts {
            root: control.root.clone(),
            clock: control.clock.clone(),
            environment: environment.clone(),
            running,
            project: project(&want.manifest).to_owned(),
            wanted: want.clone(),
            addresses: addresses.clone(),
            facts: facts.clone(),
            secrets: secrets.clone(),
            units,
            sockets,
        };
        let graph = Graph::new(parts.resources()?)?;
        let notes = addresses.moved.clone();
        Ok(Self { graph, notes, environment, wanted: want.clone(), addresses, facts, secrets })
    }

    /// The checks of this environment's gate, in the order of the report.
    pub fn checks(&self, control: &Control) -> Result<Vec<Box<dyn Check>>, Fault> {
        let ca_file = control.root.ca_certificate();
        let visitor = checks::Visitor::new(&ca_file, self.addresses.http, self.addresses.https)?;
        let units: Arc<dyn Units> = control.keeper.clone();
        let clock = control.clock.clone();
        let environment = self.environment.clone();
        let mut all: Vec<Box<dyn Check>> =
            vec![Box::new(checks::VariablesAreOwned { wanted: self.wanted.clone(), facts: self.facts.clone() })];
        all.extend(self.store_checks());
        if let Some(check) = self.readiness_check(&visitor, &units, control) {
            all.push(check);
        }
        all.push(Box::new(checks::AppsAreReachable { environment: environment.clone(), visitor: visitor.clone() }));
        all.push(Box::new(checks::KilledInstancesReturn {
            environment: environment.clone(),
            visitor: visitor.clone(),
            units,
            clock,
        }));
        all.push(Box::new(checks::HttpRedirects { environment, visitor }));
        // Without secrets there is nothing that could be promised of them.
        if has_secrets(&self.environment) {
            all.push(Box::new(checks::SecretsStaySecret { root: control.root.clone(), secrets: self.secrets.clone() }));
        }
        Ok(all)
    }

    fn readiness_check(
        &self,
        visitor: &checks::Visitor,
        units: &Arc<dyn Units>,
        control: &Control,
    ) -> Option<Box<dyn Check>> {
        let (mongodb, redis) = (self.environment.mongodb.as_ref()?, self.environment.redis.as_ref()?);
        let uses_both = |app: &&App| mongodb.apps.contains(&app.name) && redis.apps.contains(&app.name);
        let app = self.environment.apps.iter().find(uses_both)?;
        let Runs::Server(server) = &app.runs else { return None };
        Some(Box::new(checks::ReadinessFollowsStores {
            visitor: visitor.clone(),
            host: app.hosts.first()?.clone(),
            ready_path: server.ready.clone(),
            units: units.clone(),
            clock: control.clock.clone(),
            stopped: stores::redis::UNIT,
            frozen: stores::mongo::UNIT,
        }))
    }

    fn store_checks(&self) -> Vec<Box<dyn Check>> {
        let mut checks: Vec<Box<dyn Check>> = Vec::new();
        if let (Some(settings), Some(port)) = (&self.environment.mongodb, self.addresses.mongodb) {
            checks.push(Box::new(stores::checks::MongoGuardsItsDoor::new(
                settings.clone(),
                port,
                self.secrets.clone(),
            )));
        }
        if let (Some(settings), Some(port)) = (&self.environment.redis, self.addresses.redis) {
            checks.push(Box::new(stores::checks::RedisGuardsItsDoor::new(
                settings.clone(),
                port,
                self.secrets.clone(),
            )));
        }
        checks
    }
}

/// Whether the environment has anything that must stay secret: credentials of stores and doors, or variables.
fn has_secrets(environment: &Environment) -> bool {
    let is_secret = |source: &Source| matches!(source, Source::Generated | Source::Store);
    environment.mongodb.is_some()
        || environment.redis.is_some()
        || environment.apps.iter().any(|app| app.access == Access::Protected)
        || environment.variables.iter().any(|variable| is_secret(&variable.source))
}

/// The folder that the manifest's paths are relative to.
fn project(manifest: &Path) -> &Path {
    manifest.parent().unwrap_or(Path::new("/"))
}

/// Which apps run as built and which as development servers.
fn running(environment: &Environment, dev: &DevApps) -> Result<Vec<Running>, Fault> {
    if let DevApps::Only(names) = dev {
        let known: Vec<&str> = environment.apps.iter().map(|app| app.name.as_str()).collect();
        if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
            return Err(Fault::new(format!("there is no app {unknown:?} to develop"))
                .hint(format!("the manifest has {}", known.join(", "))));
        }
    }
    let is_dev = |app: &App| match dev {
        DevApps::None => false,
        DevApps::All => app.dev.is_some(),
        DevApps::Only(names) => names.iter().any(|name| name == app.name.as_str()),
    };
    environment
        .apps
        .iter()
        .map(|app| match (&app.dev, is_dev(app)) {
            (_, false) => Ok(Running { app: app.clone(), dev: None }),
            (Some(command), true) => Ok(Running { app: app.clone(), dev: Some(command.clone()) }),
            (None, true) => Err(Fault::new(format!("{} has no development server", app.name))
                .hint(format!("give [apps.{}] a `dev` command in roadbed.toml", app.name))),
        })
        .collect()
}

/// Public address of each app, by name.
type Urls = BTreeMap<String, String>;

/// Where builds and fetched engines keep locks that outlive no process.
fn lock_file(cache: &Path, project: &Path) -> PathBuf {
    let name: String = project
        .to_string_lossy()
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' })
        .collect();
    // A name has at most 255 bytes; the end of a path tells checkouts apart, the beginning rarely does.
    let tail = name.get(name.len().saturating_sub(180)..).unwrap_or(&name);
    cache.join(format!("packages{tail}.lock"))
}
