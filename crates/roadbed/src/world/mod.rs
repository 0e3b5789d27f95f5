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

pub mod builds;
mod resources;
mod promises;
mod routes;
mod security_headers;
pub mod fleet;
pub mod deployable;
mod identity;
mod facts;
mod addresses;
mod asleep;
mod ceiling;
mod guarded;
mod members;
pub mod ordered;
mod migrating;
pub mod ports;
pub mod serving;
pub mod access;
pub mod leftovers;
pub mod lending;
mod limiting;
pub mod network;
pub mod smoking;
pub mod telemetry;
pub mod rest;
pub mod objects;
pub mod media;
mod sidecar;
pub mod errors;
mod exports;
pub(crate) mod monitoring;
pub mod source_maps;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use delivery::{Place, Role};
use host::clock::Clock;
use manifest::Environment;
use manifest::environment::{App, Runs, Server};
use reconcile::ports::{Sockets, UnitStatus, Units};
use reconcile::{Fault, Graph, Root};
use secrets::Store;

use crate::control::redacting::Redacting;
use crate::keeper::client::KeeperClient;
use crate::seats;
use crate::wanted::{self, DevApps, Wanted};
use addresses::Addresses;
pub use addresses::{certificates_of, console_url, ports_in_use, urls};
use facts::LocalFacts;
pub use fleet::Delivered;
use fleet::{Fleet, Origin};
pub use members::members;
pub use migrating::is_contracting;
pub use resources::safeguard;

/// How long the edge keeps an idle connection to an instance. Apps are told to keep theirs longer.
const EDGE_IDLE: Duration = Duration::from_secs(60);

/// A development server compiles a page when it is first asked for it; on two busy cores that took half a minute.
const DEV_START: Duration = Duration::from_secs(120);

/// One environment, wired.
#[derive(Debug)]
pub struct World {
    pub graph: Graph,
    /// Nothing of it but the route table.
    pub routes: Graph,
    /// Nothing of it but its door, where it may be asleep.
    pub asleep: Graph,
    /// What changed without being asked for.
    pub notes: Vec<String>,
    ground: Ground,
    environment: Arc<Environment>,
    wanted: Wanted,
    addresses: Addresses,
    /// As the apps that visitors reach are told them.
    facts: Arc<LocalFacts>,
    secrets: Arc<Store>,
    fleets: Vec<Fleet>,
    delivered: Delivered,
}

/// An app, and the way it runs here: as built, or as its own development server.
#[derive(Clone, Debug)]
struct Running {
    app: App,
    dev: Option<Vec<String>>,
    origin: Origin,
}

impl Running {
    /// The server process behind the app, if there is one.
    fn server(&self) -> Option<Server> {
        match (&self.app.runs, &self.dev) {
            (Runs::Server(server), None) => Some(server.clone()),
            (Runs::Server(server), Some(_)) => Some(Server {
                // One is enough to edit by, and a second would compile everything again.
                replicas: 1,
                scale: None,
                // Compilers need more than what they compile.
                memory: None,
                memory_max: None,
                processes: None,
                cpu: None,
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
                scale: None,
                memory: None,
                memory_max: None,
                processes: None,
                cpu: None,
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

/// What an environment stands on: its folders, the time, and the keeper.
#[derive(Clone, Debug)]
pub struct Ground {
    pub root: Root,
    /// Id of the root: what its parts are marked with.
    pub id: String,
    pub clock: Arc<dyn Clock>,
    pub units: Arc<dyn Units>,
    pub sockets: Arc<dyn Sockets>,
    /// Variables by which the keeper knows builds and installs as begun by this process.
    pub marks: BTreeMap<String, String>,
}

impl Ground {
    /// What the data services stand on.
    fn of_stores(&self, environment: &Environment, secrets: &Arc<Store>) -> stores::Ground {
        stores::Ground {
            name: format!("{} {}", environment.product, environment.reference()),
            id: self.id.clone(),
            root: self.root.clone(),
            units: self.units.clone(),
            secrets: secrets.clone(),
            clock: self.clock.clone(),
            require: resources::required(environment),
        }
    }
}

impl World {
    /// Wires what is wanted. `alive` is what the keeper has now. Chooses ports where none are remembered; changes nothing else.
    pub fn build(
        ground: Ground,
        want: &Wanted,
        delivered: &Delivered,
        alive: &[UnitStatus],
        ports: Ports,
    ) -> Result<Self, Fault> {
        let environment = Arc::new(wanted::resolve(want)?);
        let fleets = fleet::fleets(&ground.root, &environment, want, delivered)?;
        let is_delivered = delivered.is_used(want);
        let addresses = Addresses::choose(&ground.root, &environment, want, (&fleets, is_delivered), alive, ports)?;
        let secrets = Arc::new(Store::new(seats::of_control(&ground.root, &ground.id, &ground.clock, want)));
        let keeper = KeeperClient::new(ground.root.clone());
        let keeper = match delivered.epoch {
            Some(epoch) => keeper.of_epoch(epoch),
            None => keeper,
        };
        let units: Arc<dyn Units> = Arc::new(Redacting::new(keeper, secrets.clone()));
        let ground = Ground { units, ..ground };
        let facts = |environment: &Arc<Environment>, place: Place| {
            let stores = ground.of_stores(environment, &secrets);
            Arc::new(LocalFacts::new(environment.clone(), place, addresses.clone(), stores))
        };
        let live = fleets.iter().find(|fleet| fleet.role == Role::Live).map_or(Place::Project, |fleet| fleet.place);
        let of_fleets = fleets.iter().map(|fleet| {
            // What is tried out alone calls the other apps where they serve.
            let among = if fleet.place == Place::Trial { live } else { fleet.place };
            (fleet.place, facts(&fleet.environment, among))
        });
        let of_fleets = of_fleets.collect();
        let facts = facts(&environment, live);
        let parts = resources::Parts {
            ground: ground.clone(),
            environment: environment.clone(),
            fleets: fleets.clone(),
            releases: delivered.releases.clone(),
            epoch: delivered.epoch,
            book: delivered.book.clone(),
            project: project(&want.manifest).to_owned(),
            wanted: want.clone(),
            tools: want.tools.clone().into_iter().chain(ground.marks.clone()).collect(),
            addresses: addresses.clone(),
            facts: of_fleets,
            secrets: secrets.clone(),
        };
        let graph = Graph::new(parts.resources()?)?;
        let routes = Graph::new(vec![Box::new(parts.published_routes(Vec::new()))])?;
        let asleep = Graph::new(parts.asleep()?)?;
        let notes = addresses.moved.clone();
        Ok(Self {
            graph,
            routes,
            asleep,
            notes,
            ground,
            environment,
            wanted: want.clone(),
            addresses,
            facts,
            secrets,
            fleets,
            delivered: delivered.clone(),
        })
    }
}

impl World {
    pub fn environment(&self) -> &Environment {
        &self.environment
    }

    pub fn secrets(&self) -> &Store {
        &self.secrets
    }

    /// How the instances that visitors reach are called.
    fn live_fleet(&self) -> engine::instance::Fleet {
        let live = self.fleets.iter().find(|fleet| fleet.role == Role::Live);
        live.map_or(engine::instance::Fleet::ONLY, Fleet::name)
    }
}

/// The folder that the manifest's paths are relative to.
pub(crate) fn project(manifest: &Path) -> &Path {
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
            (_, false) => Ok(Running { app: app.clone(), dev: None, origin: Origin::Project }),
            (Some(command), true) => {
                Ok(Running { app: app.clone(), dev: Some(command.clone()), origin: Origin::Project })
            }
            (None, true) => Err(Fault::new(format!("{} has no development server", app.name))
                .hint(format!("give [apps.{}] a `dev` command in roadbed.toml", app.name))),
        })
        .collect()
}

/// Public address of each app, by name.
type Urls = BTreeMap<String, String>;

/// Where builds and fetched engines keep locks that outlive no process.
pub(crate) fn lock_file(cache: &Path, project: &Path, what: &str) -> PathBuf {
    let name: String = project
        .to_string_lossy()
        .chars()
        .map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' })
        .collect();
    // A name has at most 255 bytes; the end of a path tells checkouts apart, the beginning rarely does.
    let tail = name.get(name.len().saturating_sub(180)..).unwrap_or(&name);
    cache.join(format!("{what}{tail}.lock"))
}
