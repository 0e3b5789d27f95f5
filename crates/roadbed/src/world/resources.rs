//! The resources of one environment, and what each needs.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use delivery::{Book, Place, Release, Role};
use edge::client::EdgeClient;
use engine::Turn;
use engine::artifact::Digest;
use engine::artifact::shelf::{self, Shelf};
use engine::artifact::unpacking::{Source, Unpacked};
use engine::build::{self, AppBuild};
use engine::instance::{Instances, Placement, Program, ProgramOf, dev_program};
use engine::packages::Packages;
use engine::resting::Leave;
use engine::site::StaticSite;
use engine::started::Started;
use host::files;
use manifest::Environment;
use manifest::environment::{self, Access, App, Need, Runs, Server, ServiceName};
use reconcile::ports::{Routes, Safeguard};
use reconcile::{AnyResource, Fault, Resource, ResourceId};
use secrets::Store;
use stores::engines::machine::Platform;
use stores::engines::{CacheDir, Engine, Machine};
use stores::mongo::collections::{Collections, Destroy};
use stores::mongo::sample::Seeding;
use stores::mongo::{ExternalMongo, Mongo, Provider};
use stores::redis::{ExternalRedis, Purpose, Replication};

use super::access::{AccessFile, CONSOLE};
use super::addresses::{Addresses, https_url};
use super::asleep::Asleep;
use super::ceiling::Together;
use super::errors;
use super::exports;
use super::facts::LocalFacts;
use super::fleet::{Fleet, Origin, site_of_release};
use super::guarded;
use super::identity::owner;
use super::leftovers::Leftovers;
use super::migrating::{Migrations, Which};
use super::network::{NetworkRules, RulesOf};
use super::ordered;
use super::rest;
use super::serving::{Certificate, EdgeProcess, PublishedRoutes};
use super::sidecar::SidecarProcess;
use super::telemetry::{self, Telemetry};
use super::{EDGE_IDLE, Ground, Running, lock_file, routes};
use super::{media, objects};
use crate::keeper;
use crate::keeper::client::KeeperClient;
use crate::signing;
use crate::wanted::{self, Wanted};

/// However long a release may drain while it is warm: what is stopped at once, such as a release that is taken back, has this long for
/// what it has under way, well within the deadline of that.
const LONGEST_LEAVE: Duration = Duration::from_secs(30);

/// The processes of object storage.
const MEDIA_UNITS: [&str; 2] = [stores::objects::UNIT, media::MEDIA];

/// Everything that resources are made of.
pub(super) struct Parts {
    pub(super) ground: Ground,
    pub(super) environment: Arc<Environment>,
    pub(super) fleets: Vec<Fleet>,
    /// The newest first.
    pub(super) releases: Vec<Release>,
    /// Of the control that converges.
    pub(super) epoch: Option<u64>,
    pub(super) book: Option<Arc<Book>>,
    /// The folder of the manifest.
    pub(super) project: PathBuf,
    pub(super) wanted: Wanted,
    /// What build tools and engines are started with.
    pub(super) tools: BTreeMap<String, String>,
    pub(super) addresses: Addresses,
    pub(super) facts: BTreeMap<Place, Arc<LocalFacts>>,
    pub(super) secrets: Arc<Store>,
}

impl Parts {
    pub(super) fn resources(&self) -> Result<Vec<Box<dyn AnyResource>>, Fault> {
        let mut all: Vec<Box<dyn AnyResource>> = Vec::new();
        if self.environment.instance.is_some() {
            let keeper = KeeperClient::new(self.ground.root.clone());
            all.push(Box::new(Together::new(self.environment.preview.ceiling, keeper)));
        }
        self.add_stores(&mut all)?;
        self.add_builds(&mut all);
        self.add_serving(&mut all)?;
        for (fleet, one, server) in self.servers() {
            let instances = self.instances(fleet, one, server);
            let migrations = self.migrations(fleet, one).into_iter();
            all.extend(migrations.map(|resource| Box::new(resource) as Box<dyn AnyResource>));
            let instances = Arc::new(instances);
            if let Some(needs) = self.boots_ahead(fleet, one) {
                all.push(Box::new(Started::new(needs, instances.clone())));
            }
            all.push(Box::new(instances));
        }
        all.push(Box::new(self.network(None)));
        all.push(Box::new(self.network(Some(self.unit_resources()))));
        all.push(Box::new(self.leftovers()));
        Ok(all)
    }

    /// What there is of an environment that is asleep.
    pub(super) fn asleep(&self) -> Result<Vec<Box<dyn AnyResource>>, Fault> {
        let mut all: Vec<Box<dyn AnyResource>> = Vec::new();
        if self.environment.sleeps() {
            all.push(Box::new(self.edge_process()?));
            all.push(Box::new(Asleep::new(
                vec![EdgeProcess::resource_id()],
                &self.environment.apps,
                self.ground.units.clone(),
                self.edge(),
            )));
        }
        Ok(all)
    }

    fn add_stores(&self, all: &mut Vec<Box<dyn AnyResource>>) -> Result<(), Fault> {
        let ground = self.ground.of_stores(&self.environment, &self.secrets);
        let cache = CacheDir::new(self.wanted.cache.clone());
        let machine = Machine::new(Platform::detect()?, self.tools.clone());
        if let (Some(settings), Some(provider)) = (&self.environment.mongodb, &self.addresses.mongodb) {
            match provider {
                Provider::Ours(members) => {
                    let engine = Arc::new(Engine::mongod(settings, &self.project, cache.clone(), machine.clone())?);
                    all.push(Box::new(Mongo::new(settings.clone(), members, engine.clone(), ground.clone())));
                    all.push(Box::new(engine));
                }
                Provider::External(external) => match ordered::mongodb(settings, &self.environment, &ground)? {
                    Some(at_atlas) => all.push(Box::new(at_atlas)),
                    None => {
                        all.push(Box::new(ExternalMongo::new(settings.clone(), external.clone(), ground.clone())));
                    }
                },
            }
            let destroy = match self.wanted.destroy {
                wanted::Destroy::Never => Destroy::Never,
                wanted::Destroy::Allowed => Destroy::Allowed,
            };
            let (settings, project) = (settings.clone(), self.project.clone());
            all.push(Box::new(Collections::new(settings, provider, project, destroy, ground.clone())));
            if let Some(seeding) = self.seeding(&ground) {
                all.push(Box::new(seeding));
            }
        }
        if let Some(settings) = &self.environment.redis {
            let engine = Arc::new(Engine::redis_server(settings, &self.project, cache, machine)?);
            for (settings, port) in &self.addresses.redis {
                let redis = stores::redis::Redis::new(settings.clone(), *port, engine.clone(), ground.clone());
                all.push(Box::new(redis.among(&self.addresses.redis)));
            }
            for (settings, external) in &self.addresses.external_redis {
                let redis = ExternalRedis::new(settings.clone(), external.clone(), ground.clone());
                match ordered::redis(settings, &self.environment, &ground)? {
                    Some(at_upstash) => {
                        all.push(Box::new(redis.after(Resource::id(&at_upstash).clone())));
                        all.push(Box::new(at_upstash));
                    }
                    None => all.push(Box::new(redis)),
                }
            }
            if let Some(gateway) = self.rest(&ground)? {
                all.push(Box::new(gateway));
            }
            if let Some(order) = Replication::new(&self.addresses.redis, ground) {
                all.push(Box::new(order));
            }
            if !self.addresses.redis.is_empty() {
                all.push(Box::new(engine));
            }
        }
        if let (Some(settings), Some(ports)) = (&self.environment.media, self.addresses.media) {
            let ground = self.ground.of_stores(&self.environment, &self.secrets);
            let https = self.addresses.https;
            all.push(Box::new(objects::process(&self.environment, settings, (ports.objects, https), &ground)?));
            all.push(Box::new(media::process(settings, (ports.delivery, ports.objects), &ground)?));
        }
        Ok(())
    }

    /// What speaks Upstash's REST before the Redis that is primary.
    fn rest(&self, ground: &stores::Ground) -> Result<Option<SidecarProcess>, Fault> {
        let Some(port) = self.addresses.rest else { return Ok(None) };
        let Some(first) = self.addresses.redis(Purpose::Durable) else { return Ok(None) };
        let redis = self.addresses.primary(&self.ground.root)?.unwrap_or(first);
        let durable = self.addresses.redis.iter().filter(|(redis, _)| redis.purpose == Purpose::Durable);
        let needs = durable.map(|(redis, _)| ResourceId::new(redis.unit())).collect();
        rest::gateway(needs, rest::Ports { listen: port, redis }, ground).map(Some)
    }

    /// What puts the sample into empty collections, where the environment begins with one.
    fn seeding(&self, ground: &stores::Ground) -> Option<Seeding> {
        let settings = self.environment.mongodb.clone()?;
        Seeding::new(settings, self.addresses.members()?, &self.project, ground.clone())
    }

    /// What every app of every fleet is run from.
    fn add_builds(&self, all: &mut Vec<Box<dyn AnyResource>>) {
        if self.fleets.iter().any(|fleet| fleet.place == Place::Project) {
            let turn = Turn::new(lock_file(&self.wanted.cache, &self.project, "packages"));
            all.push(Box::new(Packages::new(self.project.clone(), self.tools.clone(), turn)));
        }
        let mut unpacked = BTreeSet::new();
        for fleet in &self.fleets {
            for one in fleet.running.iter().filter(|one| one.dev.is_none()) {
                match &one.origin {
                    // What is tried out is built for those that serve.
                    Origin::Project if fleet.place == Place::Trial => {}
                    Origin::Project => self.add_build(&one.app, all),
                    Origin::Release { digest, folder, .. } => {
                        let artifact = self.artifact(&one.app, digest);
                        let id = Resource::id(&artifact).clone();
                        // Two releases may share what did not change between them.
                        if unpacked.insert(id.clone()) {
                            all.push(Box::new(artifact));
                        }
                        if matches!(one.app.runs, Runs::Static { .. }) {
                            let place = site_of_release(&self.ground.root, &one.app, digest, folder);
                            all.push(Box::new(StaticSite::of_artifact(&one.app, fleet.name(), id, place)));
                        }
                    }
                }
            }
        }
    }

    fn add_build(&self, app: &App, all: &mut Vec<Box<dyn AnyResource>>) {
        let turn = Turn::new(lock_file(&self.wanted.cache, &self.project, &format!("build-{}", app.name)));
        let build = AppBuild::new(self.project.clone(), app.clone(), self.tools.clone(), turn);
        all.push(Box::new(build.given(self.wanted.given.0.clone())));
        if matches!(app.runs, Runs::Static { .. }) {
            all.push(Box::new(StaticSite::of_build(self.project.clone(), self.ground.root.clone(), app.clone())));
        }
    }

    fn artifact(&self, app: &App, digest: &Digest) -> Unpacked {
        let shelf = Shelf::new(shelf::folder(&self.wanted.cache));
        let source = Source { shelf, trusted: signing::of_store(self.secrets.clone()) };
        Unpacked::new(app.name.as_str(), digest.clone(), source, &self.ground.root.releases())
    }

    fn edge(&self) -> Arc<dyn Routes> {
        let client = EdgeClient::new(self.ground.root.clone());
        Arc::new(match self.epoch {
            Some(epoch) => client.of_epoch(epoch),
            None => client,
        })
    }

    fn edge_process(&self) -> Result<EdgeProcess, Fault> {
        EdgeProcess::new(
            self.ground.root.clone(),
            self.addresses.sockets(),
            self.ground.units.clone(),
            self.ground.sockets.clone(),
            self.edge(),
        )
    }

    fn telemetry(&self) -> Result<Telemetry, Fault> {
        Telemetry::new(self.ground.root.clone(), self.telemetry_settings(), self.ground.units.clone())
    }

    fn telemetry_settings(&self) -> Result<::telemetry::Settings, Fault> {
        Ok(::telemetry::Settings {
            environment: self.environment.reference().to_string(),
            port: self.addresses.telemetry,
            apps: self.environment.apps.iter().map(|app| app.name.to_string()).collect(),
            logs: ::telemetry::logs::Keeping::default(),
            metrics_token: telemetry::metrics_token(&self.secrets),
            errors: errors::settings(&self.environment, &self.secrets)?,
            monitors: super::monitoring::settings(self)?,
            exports: self.environment.exports.iter().map(exports::told).collect(),
        })
    }

    fn add_serving(&self, all: &mut Vec<Box<dyn AnyResource>>) -> Result<(), Fault> {
        // A release that is switched to may have hosts that the manifest no longer has, and the other way round.
        let of_fleets = self.fleets.iter().flat_map(|fleet| fleet.running.iter().map(|one| &one.app));
        let mut hosts: Vec<String> = Vec::new();
        for host in self.environment.apps.iter().chain(of_fleets).flat_map(|app| &app.hosts) {
            if !hosts.contains(host) {
                hosts.push(host.clone());
            }
        }
        hosts.extend(self.environment.console.iter().map(|console| console.host.clone()));
        hosts.extend(self.environment.media.iter().flat_map(|media| media.hosts().map(Clone::clone)));
        let owner = owner(&self.environment, &self.ground.id);
        let mut needs = vec![Certificate::resource_id(), EdgeProcess::resource_id()];
        all.push(Box::new(Certificate::new(self.ground.root.clone(), owner, hosts, self.ground.clock.clone())));
        all.push(Box::new(self.edge_process()?));
        all.push(Box::new(self.telemetry()?));
        for fleet in &self.fleets {
            for one in &fleet.running {
                if one.dev.is_none() && matches!(one.app.runs, Runs::Static { .. }) {
                    needs.push(StaticSite::resource_id(&one.app, fleet.name()));
                }
                if one.app.access != Access::Protected {
                    continue;
                }
                let file = routes::credentials_file(&self.ground.root, one.app.name.as_str());
                let access = AccessFile::new(one.app.name.as_str(), file, self.secrets.clone());
                let id = Resource::id(&access).clone();
                if !needs.contains(&id) {
                    needs.push(id);
                    all.push(Box::new(access));
                }
            }
        }
        if self.environment.console.is_some() {
            let file = routes::credentials_file(&self.ground.root, CONSOLE);
            let access = AccessFile::new(CONSOLE, file, self.secrets.clone());
            needs.push(Resource::id(&access).clone());
            all.push(Box::new(access));
        }
        all.push(Box::new(self.published_routes(needs)));
        Ok(())
    }

    pub(super) fn published_routes(&self, needs: Vec<ResourceId>) -> PublishedRoutes {
        let ground = routes::Ground {
            root: self.ground.root.clone(),
            project: self.project.clone(),
            environment: self.environment.clone(),
            addresses: self.addresses.clone(),
            facts: self.facts.clone(),
            releases: self.releases.clone(),
        };
        let fleets = self.fleets.clone();
        let wanted = move || routes::table(&ground, &fleets);
        PublishedRoutes::new(needs, Box::new(wanted), self.edge())
    }

    fn network(&self, after: Option<Vec<ResourceId>>) -> NetworkRules {
        let (root, environment, addresses) =
            (self.ground.root.clone(), self.environment.clone(), self.addresses.clone());
        let fleets = self.fleets.clone();
        let enforce = environment.network.enforce;
        let rules: RulesOf = {
            let root = root.clone();
            Box::new(move || Ok(guarded::rules(&environment, &fleets, &addresses, &keeper::users_of(&root)?)))
        };
        let path = self.tools.get("PATH").cloned().unwrap_or_default();
        match after {
            None => NetworkRules::before_units(root, rules, enforce, path),
            Some(units) => NetworkRules::after_units(units, root, rules, enforce, path),
        }
    }

    /// Everything with a process of its own beside the edge.
    fn unit_resources(&self) -> Vec<ResourceId> {
        let stores = self.environment.mongodb.iter().map(|_| stores::mongo::UNIT);
        let stores = stores
            .map(ToOwned::to_owned)
            .chain(self.addresses.redis.iter().map(|(redis, _)| redis.unit()))
            .chain(self.addresses.rest.map(|_| rest::REST.to_owned()))
            .chain(self.addresses.media.into_iter().flat_map(|_| MEDIA_UNITS.map(ToOwned::to_owned)))
            .map(ResourceId::new);
        let apps = self.servers().map(|(fleet, one, _)| Instances::resource_id(&one.app, fleet.name()));
        stores.chain(apps).collect()
    }

    fn leftovers(&self) -> Leftovers {
        let mut needs = vec![PublishedRoutes::resource_id()];
        let mut wanted = BTreeSet::new();
        for (fleet, one, _) in self.servers() {
            needs.push(Instances::resource_id(&one.app, fleet.name()));
            let ports = self.addresses.instances(fleet.place, &one.app.name).len();
            wanted.extend((0..ports).map(|index| fleet.name().instance(&one.app.name, index)));
        }
        wanted.extend(self.addresses.members().into_iter().flat_map(|members| members.units()));
        wanted.extend(self.addresses.redis.iter().map(|(redis, _)| redis.unit()));
        wanted.extend(self.addresses.rest.map(|_| rest::REST.to_owned()));
        wanted.extend(self.addresses.media.into_iter().flat_map(|_| MEDIA_UNITS.map(ToOwned::to_owned)));
        let rollout = &self.environment.rollout;
        let leave = Leave { requests: rollout.drain.min(LONGEST_LEAVE), streams: rollout.stream_spread() };
        Leftovers::new(needs, wanted, self.ground.units.clone(), self.edge(), leave)
    }

    /// Every app that is a process, in every fleet.
    fn servers(&self) -> impl Iterator<Item = (&Fleet, &Running, Server)> {
        self.fleets
            .iter()
            .flat_map(|fleet| fleet.running.iter().filter_map(move |one| Some((fleet, one, one.server()?))))
    }

    /// The changes of data of an app's release: those before its instances start, and those after all others are gone.
    fn migrations(&self, fleet: &Fleet, one: &Running) -> Vec<Migrations> {
        let (Some(book), Some(server), false) = (&self.book, one.server(), one.app.migrations.is_empty()) else {
            return Vec::new();
        };
        if one.dev.is_some() {
            return Vec::new();
        }
        let is_alone = self.fleets.len() == 1;
        let is_live_release = fleet.role == Role::Live && fleet.place != Place::Project;
        let resource = |id, needs, which| Migrations {
            id,
            needs,
            which,
            migrations: one.app.migrations.clone(),
            instances: self.instances(fleet, one, server.clone()),
            units: self.ground.units.clone(),
            network: self.network(Some(Vec::new())),
            book: book.clone(),
            clock: self.ground.clock.clone(),
        };
        let before = if is_alone && !is_live_release { Which::All } else { Which::Expanding };
        let id = Migrations::resource_id(&one.app.name, fleet.name());
        let mut all = vec![resource(id, self.data_and_code(one), before)];
        if is_alone && is_live_release {
            let id = Migrations::contracting_id(&one.app.name);
            all.push(resource(id, vec![Leftovers::resource_id()], Which::Contracting));
        }
        all
    }

    /// What any process of an app needs, beside other apps.
    fn data_and_code(&self, one: &Running) -> Vec<ResourceId> {
        let app = &one.app;
        let mut needs = vec![match (&one.origin, &one.dev) {
            (Origin::Release { digest, .. }, _) => Unpacked::resource_id(digest),
            (Origin::Project, Some(_)) => Packages::resource_id(),
            (Origin::Project, None) => AppBuild::resource_id(app),
        }];
        for need in &app.needs {
            match need {
                Need::Service(ServiceName::MongoDb) => {
                    needs.push(Collections::resource_id());
                    // An app fills what it finds empty.
                    let ground = self.ground.of_stores(&self.environment, &self.secrets);
                    needs.extend(self.seeding(&ground).map(|_| Seeding::resource_id()));
                }
                Need::Service(ServiceName::Redis) => {
                    let all = &self.addresses.redis;
                    needs.extend(all.iter().map(|(redis, _)| ResourceId::new(redis.unit())));
                    let elsewhere = &self.addresses.external_redis;
                    needs.extend(elsewhere.iter().map(|(redis, _)| ResourceId::new(redis.unit())));
                    let is_replicated = all.iter().any(|(redis, _)| redis.is_replicated());
                    needs.extend(is_replicated.then(Replication::resource_id));
                    needs.extend(self.addresses.rest.map(|_| ResourceId::new(rest::REST)));
                }
                Need::Service(ServiceName::Media) => needs.push(ResourceId::new(stores::objects::UNIT)),
                Need::App(_) => {}
            }
        }
        needs
    }

    /// Without what a process of an app could not even begin.
    fn beginnings(&self, fleet: &Fleet, one: &Running) -> Vec<ResourceId> {
        let mut needs = self.data_and_code(one);
        if self.book.is_some() && one.dev.is_none() && !one.app.migrations.is_empty() {
            needs.push(Migrations::resource_id(&one.app.name, fleet.name()));
        }
        needs
    }

    /// What must be there before an app boots while those boot that it needs; `None` if it needs no other app.
    fn boots_ahead(&self, fleet: &Fleet, one: &Running) -> Option<Vec<ResourceId>> {
        let mut needs = self.beginnings(fleet, one);
        // It calls the others by way of the edge, so the way must be there.
        needs.push(PublishedRoutes::resource_id());
        one.app.needs.iter().any(|need| matches!(need, Need::App(_))).then_some(needs)
    }

    fn instances(&self, fleet: &Fleet, one: &Running, server: Server) -> Instances {
        let app = one.app.clone();
        let mut needs = self.beginnings(fleet, one);
        needs.extend(self.boots_ahead(fleet, one).map(|_| Started::resource_id(&app, fleet.name())));
        for need in &app.needs {
            if let Need::App(other) = need {
                let other = fleet.running.iter().find(|one| one.app.name == *other && one.server().is_some());
                needs.extend(other.map(|other| Instances::resource_id(&other.app, fleet.name())));
            }
        }
        let placement = Placement {
            ports: self.addresses.instances(fleet.place, &app.name).to_vec(),
            public_url: app.hosts.first().map(|host| https_url(host, self.addresses.https)).unwrap_or_default(),
            edge_idle: EDGE_IDLE,
        };
        Instances {
            id: Instances::resource_id(&app, fleet.name()),
            needs,
            fleet: fleet.name(),
            environment: fleet.environment.clone(),
            app,
            program: self.program(one, server.clone()),
            server,
            placement,
            tools: self.tools.clone(),
            facts: self.facts.get(&fleet.place).expect("there are facts of every fleet").clone(),
            units: self.ground.units.clone(),
            routes: self.edge(),
            require: self.require(),
        }
    }

    fn require(&self) -> Vec<Safeguard> {
        required(&self.environment)
    }

    fn program(&self, one: &Running, server: Server) -> ProgramOf {
        let (project, app) = (self.project.clone(), one.app.clone());
        if let Some(command) = &one.dev {
            let program = dev_program(&project, &app, command);
            return Box::new(move || Ok(program.clone()));
        }
        if let Origin::Release { name, digest, folder } = &one.origin {
            let program = Program {
                command: server.start,
                cwd: folder.join(&app.path),
                node_env: "production",
                built_from: digest.to_string(),
                release_name: Some(name.clone()),
                release: Some(folder.clone()),
            };
            return Box::new(move || Ok(program.clone()));
        }
        Box::new(move || {
            let built_from = build::built_from(&project, &app)?;
            let cwd = project.join(&app.path);
            let cwd =
                files::canonical(&cwd).map_err(|fault| Fault::because(format!("cannot start {}", app.name), &fault))?;
            Ok(Program {
                command: server.start.clone(),
                cwd,
                node_env: "production",
                // Before the first build there is nothing to tell apart; the build comes first in any convergence.
                built_from: built_from.unwrap_or_else(|| "unbuilt".to_owned()),
                release_name: None,
                // Modules are looked up in every folder above the app's, so the whole of it.
                release: Some(project.clone()),
            })
        })
    }
}

pub(super) fn required(environment: &Environment) -> Vec<Safeguard> {
    environment.require.iter().map(|wanted| safeguard(*wanted)).collect()
}

/// The manifest knows no machine, and the keeper no manifest: here they meet.
pub fn safeguard(wanted: environment::Safeguard) -> Safeguard {
    match wanted {
        environment::Safeguard::OwnUser => Safeguard::OwnUser,
        environment::Safeguard::Cgroup => Safeguard::Cgroup,
        environment::Safeguard::PrivateTmp => Safeguard::PrivateTmp,
        environment::Safeguard::ReadOnlyRelease => Safeguard::ReadOnlyRelease,
    }
}
