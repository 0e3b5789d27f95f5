//! One environment, with every default and override filled in.

use crate::Manifest;
use crate::driver::{Driver, External};
use crate::environment::{
    App, Build, EdgePorts, Environment, FromBuilder, Hashed, MongoDb, Need, OnDrift, Piece, Protocol, Redis, Rendering,
    Runs, Server, ServiceName, Smoke, Source, Template, Variable,
};
use crate::exports;
use crate::id::{AppName, EnvName, VarName};
use crate::managed::{Provider, atlas_table, upstash_table};
use crate::migration::MigrationTable;
use crate::naming::Names;
use crate::rotation::Rotation;
use crate::sample::Seed;
use crate::scalars::{Bytes, Cpus, Processes, RelativePath};
use crate::source::At;
use crate::tables::{
    AppTable, Deadlines, EnvironmentTable, Eviction, Kind, LimitsTable, MongoDbTable, Per, RedisTable, SmokeTable,
};
use crate::target::{EnvRef, Instance};
use crate::template::{Chunk, Text};
use crate::variable_tables::{Origin, VariableOrigin, VariableTable};

/// What an app takes that says nothing of it: pictures and films of a shop, and not what fills a disk.
const LONGEST_BODY: u64 = 100 << 20;

/// Why there is no such environment.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownEnv {
    #[error("the manifest declares no environment \"{name}\"; it has {known}")]
    NotDeclared { name: EnvName, known: String },
    #[error("there is one \"{name}\" per {}: say which, as in {name}/{}", per.words(), per.example())]
    WhichOne { name: EnvName, per: Per },
    #[error("there is only one \"{name}\", not one per pull request or branch")]
    OnlyOne { name: EnvName },
}

impl Manifest {
    /// Cannot fail for a declared environment: the manifest was validated as a whole.
    pub fn resolve(&self, environment: &EnvRef) -> Result<Environment, UnknownEnv> {
        let name = &environment.name;
        let Some(table) = self.document.environments.get(name) else {
            let known: Vec<String> = self.environments().iter().map(ToString::to_string).collect();
            return Err(UnknownEnv::NotDeclared { name: name.clone(), known: known.join(", ") });
        };
        let per = table.per.as_ref().map(|per| per.value);
        match (per, environment.instance.as_ref().map(Instance::per)) {
            (Some(per), None) => Err(UnknownEnv::WhichOne { name: name.clone(), per }),
            (Some(per), Some(other)) if per != other => Err(UnknownEnv::WhichOne { name: name.clone(), per }),
            (None, Some(_)) => Err(UnknownEnv::OnlyOne { name: name.clone() }),
            _ => Ok(self.resolve_declared(environment, table)),
        }
    }

    fn resolve_declared(&self, environment: &EnvRef, table: &EnvironmentTable) -> Environment {
        let document = &self.document;
        let name = &environment.name;
        let domain = table.domain.of(environment.instance.as_ref());
        let port = |port: Option<&At<crate::scalars::Port>>| port.map(|port| port.0);
        let ports = table.ports.as_ref();
        let needing = |service: ServiceName| -> Vec<AppName> {
            let needs = |table: &AppTable| table.needs.iter().any(|need| need.service() == Some(service));
            document
                .apps
                .in_order()
                .into_iter()
                .filter(|(_, app)| needs(app))
                .map(|(name, _)| name.value.clone())
                .collect()
        };
        let product = &document.product.name;
        let names = Names::of(product, environment);
        Environment {
            product: product.clone(),
            name: name.clone(),
            instance: environment.instance.clone(),
            ports: EdgePorts {
                http: port(ports.and_then(|ports| ports.http.as_ref())),
                https: port(ports.and_then(|ports| ports.https.as_ref())),
            },
            network: table.network.resolve(),
            require: table.require.iter().map(|safeguard| safeguard.value).collect(),
            listed: table.listed.unwrap_or(table.per.is_none()),
            drift: table.drift.as_ref().map_or(OnDrift::Report, |drift| drift.value),
            preview: table.preview(),
            tls: table.tls.resolve(&domain),
            rollout: table.rollout.resolve(document.people.in_order().into_iter().map(|(name, _)| name.value.clone())),
            rate_limits: document.rate_limits_in(name),
            api: table.api.as_ref().map(|api| api.value.resolve(environment.instance.as_ref())),
            console: table.console.as_ref().map(|console| console.value.resolve(&domain)),
            sign_in: table.sign_in.as_ref().map(|sign_in| sign_in.value.resolve()),
            monitoring: table.monitoring.resolve(document, name),
            exports: exports::resolve(document, name),
            contacts: document.owners.iter().map(|(name, owner)| (name.value.clone(), owner.contact.clone())).collect(),
            abuse: table.abuse.as_ref().map(|abuse| abuse.value.resolve()),
            backup: table.backup.as_ref().map(|backup| backup.value.resolve()),
            oidc: table.oidc.as_ref().map(|oidc| oidc.value.resolve(product, environment)),
            apps: document
                .apps
                .in_order()
                .into_iter()
                .map(|(app, table)| self.app(app, table, name, &domain))
                .collect(),
            mongodb: document.services.mongodb.as_ref().map(|mongo| MongoDb {
                pool: pool(mongo, name),
                pools: pools(document, name),
                ..mongodb(mongo, name, &names, needing(ServiceName::MongoDb), table.seed())
            }),
            redis: document
                .services
                .redis
                .as_ref()
                .map(|table| redis(table, name, &names, needing(ServiceName::Redis)))
                .map(|redis| Redis { counts_limits: redis.external.is_none() && document.counts_in_redis(), ..redis }),
            media: document
                .services
                .media
                .as_ref()
                .map(|table| table.resolve(&names, &domain, needing(ServiceName::Media))),
            variables: document
                .variables
                .iter()
                .filter(|(_, table)| table.exists_in(name))
                .filter_map(|(variable, table)| self.variable(variable, table, name))
                .collect(),
            rotation: document.rotation.schedule(),
            domain,
        }
    }

    fn app(&self, name: &AppName, table: &AppTable, environment: &EnvName, domain: &str) -> App {
        let own = table.r#in.get(environment);
        let runs = match table.kind {
            Kind::Static => Runs::Static { spa_fallback: table.spa_fallback.as_ref().map(|path| path.0.clone()) },
            Kind::Node | Kind::Next => Runs::Server(server(table, environment)),
        };
        let need =
            |need: &crate::tables::NeedText| need.service().map_or_else(|| Need::App(need.0.clone()), Need::Service);
        let inputs = self.document.product.build_inputs.iter().chain(&table.build.inputs);
        App {
            name: name.clone(),
            owner: table.owner.value.clone(),
            path: table.path.0.clone(),
            hosts: table.hosts.iter().map(|host| host.on(domain)).collect(),
            build: Build {
                command: table.build.command.0.clone(),
                output: table
                    .build
                    .output
                    .as_ref()
                    .map_or_else(|| default_output(table.kind), |output| output.0.clone()),
                inputs: inputs.map(|path| path.0.clone()).collect(),
                variables: self.build_variables(name),
                from_builder: self.given_by_builder(name, environment),
            },
            runs,
            dev: Some(table.dev.0.clone()),
            access: own.and_then(|own| own.access).unwrap_or(table.access),
            serves: table.serves,
            longest_body: table.max_body.as_ref().map_or(LONGEST_BODY, |bytes| bytes.value.0),
            cache: table.cache.as_ref().map(|cache| cache.value.resolve()),
            protocol: table.protocol.as_ref().map_or(Protocol::Http1, |protocol| protocol.value),
            client_ca: own
                .and_then(|own| own.client_ca.as_ref())
                .or(table.client_ca.as_ref())
                .map(|path| path.value.0.clone()),
            needs: table.needs.iter().map(|name| need(&name.value)).collect(),
            smoke: table.smoke.iter().map(smoke).collect(),
            migrations: table.migrations.iter().map(MigrationTable::resolve).collect(),
            hashed: hashed(table),
            availability: table.availability.as_ref().map(|share| share.value.0),
            runbook: table.runbook.as_ref().map(|path| path.value.0.clone()),
        }
    }

    /// What the build of an app reads. Validation let nothing pass that differs between environments.
    fn build_variables(&self, app: &AppName) -> Vec<(VarName, String)> {
        let read = self.document.variables.iter().filter(|(_, table)| {
            table.phase.value.is_at_build() && table.apps.iter().any(|consumer| &consumer.value == app)
        });
        read.filter_map(|(name, table)| match table.value.as_ref()?.0.as_slice() {
            [Chunk::Plain(text)] => Some((name.value.clone(), text.clone())),
            _ => None,
        })
        .collect()
    }

    fn given_by_builder(&self, app: &AppName, environment: &EnvName) -> Vec<FromBuilder> {
        let mut found = Vec::new();
        for (name, table) in self.document.variables.iter() {
            let Some(variable) = self.variable(&name.value, table, environment) else { continue };
            if variable.source == Source::Ci && variable.consumers.contains(app) {
                let Variable { name, required, rule, .. } = variable;
                found.push(FromBuilder { name, required, rule });
            }
        }
        found
    }

    /// How a variable is rotated in one environment.
    pub(crate) fn rotation(&self, name: &VarName, environment: &EnvName) -> Option<Rotation> {
        let table = self.document.variables.get(name).filter(|table| table.exists_in(environment))?;
        self.variable(name, table, environment)?.rotation
    }

    fn variable(&self, name: &VarName, table: &VariableTable, environment: &EnvName) -> Option<Variable> {
        let source = match table.origin_in(environment)? {
            VariableOrigin::Elsewhere(origin) => match origin.value {
                Origin::Generated => Source::Generated,
                Origin::Store => Source::Store,
                Origin::Ci => Source::Ci,
            },
            VariableOrigin::Value(text) => {
                let mut pieces = Vec::new();
                self.expand(text, environment, &mut pieces);
                match <[Piece; 1]>::try_from(pieces) {
                    Ok([Piece::Text(text)]) => Source::Literal(text),
                    Ok(piece) => Source::Derived(Template { pieces: piece.into() }),
                    Err(pieces) => Source::Derived(Template { pieces }),
                }
            }
        };
        let class = table.class.value;
        let rotation = class.is_sensitive() && table.phase.value.is_at_run_time();
        let rotation = rotation.then(|| {
            Rotation::new(table.rotate.as_deref(), &source, self.document.rotation.age(class), table.r#type.value)
        });
        Some(Variable {
            name: name.clone(),
            owner: table.owner.value.clone(),
            class,
            required: table.required.holds_in(environment),
            rule: table.rule_in(Some(environment)),
            reach: table.reach_in(&self.document),
            phase: table.phase.value,
            delivery: table.deliver.value,
            source,
            consumers: table.apps.iter().map(|app| app.value.clone()).collect(),
            doc: table.description.clone(),
            example: table.example.as_ref().map(|example| example.value.clone()),
            rotation,
        })
    }

    /// Puts in place of references to other variables what those consist of. Ends, because validation let no cycle pass.
    fn expand(&self, text: &Text, environment: &EnvName, pieces: &mut Vec<Piece>) {
        for chunk in &text.0 {
            match (chunk, pieces.last_mut()) {
                (Chunk::Plain(plain), Some(Piece::Text(before))) => before.push_str(plain),
                (Chunk::Plain(plain), _) => pieces.push(Piece::Text(plain.clone())),
                (Chunk::Fact(fact), _) => pieces.push(Piece::Fact(fact.clone())),
                (Chunk::Variable(name), _) => {
                    let origin = self.document.variables.get(name).and_then(|table| table.origin_in(environment));
                    if let Some(VariableOrigin::Value(text)) = origin {
                        self.expand(text, environment, pieces);
                    }
                }
            }
        }
    }
}

/// As the tools of each kind have it: Next.js, and Vite for static apps.
fn hashed(table: &AppTable) -> Option<Hashed> {
    let (prefix, folder) = match table.kind {
        Kind::Next => ("/_next/static/", table.path.join(".next/static")),
        Kind::Static => ("/assets/", "assets".to_owned()),
        Kind::Node => return None,
    };
    Some(Hashed { prefix: prefix.to_owned(), folder })
}

pub(crate) fn default_output(kind: Kind) -> String {
    match kind {
        Kind::Next => ".next/standalone",
        Kind::Node | Kind::Static => "dist",
    }
    .to_owned()
}

fn smoke(table: &SmokeTable) -> Smoke {
    let texts = |all: &[At<String>]| all.iter().map(|text| text.value.clone()).collect();
    let rendering = table.render.value.then(|| Rendering {
        text: texts(&table.text),
        elements: texts(&table.elements),
        ignored_errors: texts(&table.ignore_errors),
    });
    Smoke { path: table.path.0.clone(), status: table.status.0, contains: table.contains.clone(), rendering }
}

fn server(table: &AppTable, environment: &EnvName) -> Server {
    let own = table.r#in.get(environment);
    // Next.js repeats the app's folder below the root that it traces files from.
    let next_start = || vec!["node".to_owned(), format!(".next/standalone/{}", table.path.join("server.js"))];
    let deadlines = table.deadlines.as_ref().map_or_else(Deadlines::default, |deadlines| deadlines.value.clone());
    let limits = Limits { own: own.and_then(|own| own.limits.as_ref()), general: table.limits.as_ref() };
    // What an environment says of one of both stands for both.
    let (replicas, scale) = match own.map(|own| (own.replicas.as_ref(), own.scale.as_ref())) {
        Some((replicas, scale)) if replicas.is_some() || scale.is_some() => (replicas, scale),
        _ => (table.replicas.as_ref(), table.scale.as_ref()),
    };
    let scale = scale.map(|scale| scale.value.resolve());
    Server {
        start: table.start.as_ref().map_or_else(next_start, |start| start.0.clone()),
        health: table.health.as_ref().map_or_else(|| "/health".to_owned(), |path| path.0.clone()),
        ready: table.ready.as_ref().map_or_else(|| "/ready".to_owned(), |path| path.0.clone()),
        start_deadline: deadlines.start,
        drain_deadline: deadlines.drain,
        request_deadline: deadlines.first_byte,
        replicas: scale.map_or_else(|| replicas.map_or(1, |replicas| replicas.value.0), |scale| scale.min),
        scale,
        memory: limits.get(|limits| limits.memory).map(|Bytes(bytes)| bytes),
        memory_max: limits.get(|limits| limits.memory_max.as_ref().map(|bytes| bytes.0)),
        processes: limits.get(|limits| limits.processes).map(|Processes(count)| count.into()),
        cpu: limits.get(|limits| limits.cpu).map(|Cpus(thousandths)| thousandths.into()),
        internal: table.internal.as_ref().is_some_and(|internal| internal.value),
    }
}

/// An app's limits: each one that the environment says nothing about is the general one.
struct Limits<'a> {
    own: Option<&'a At<LimitsTable>>,
    general: Option<&'a At<LimitsTable>>,
}

impl Limits<'_> {
    fn get<T>(&self, limit: impl Fn(&LimitsTable) -> Option<T>) -> Option<T> {
        self.own.and_then(|own| limit(own)).or_else(|| self.general.and_then(|general| limit(general)))
    }
}

fn mongodb(table: &MongoDbTable, environment: &EnvName, names: &Names, apps: Vec<AppName>, seed: Seed) -> MongoDb {
    let own = table.r#in.get(environment);
    let ca = own.and_then(|own| own.ca.as_ref()).or(table.ca.as_ref());
    let driver = driver_of_mongodb(table, environment);
    let atlas = atlas_table(table, environment).filter(|_| driver == Driver::Atlas);
    let provider = atlas.map(|atlas| Provider::Atlas(atlas.resolve(&names.at_provider(), environment)));
    let external = external(driver, ca, provider);
    MongoDb {
        members: match external {
            Some(_) => 1,
            None => own.and_then(|own| own.members).unwrap_or(table.members).0,
        },
        external,
        program: own.and_then(|own| own.program.clone()).or_else(|| table.program.clone()),
        min_version: table.min_version.0.clone(),
        database: names.database(),
        apps,
        cache_bytes: own.and_then(|own| own.cache.as_ref()).unwrap_or(&table.cache).0,
        oplog_bytes: own.and_then(|own| own.oplog.as_ref()).unwrap_or(&table.oplog).0,
        pool: pool(table, environment),
        pools: 0,
        collections: table.collections.in_order().into_iter().map(|(name, table)| table.resolve(&name.value)).collect(),
        seed,
        sample: table.sample.value.0.clone(),
    }
}

/// Who runs MongoDB in an environment.
pub(crate) fn driver_of_mongodb(table: &MongoDbTable, environment: &EnvName) -> Driver {
    table.r#in.get(environment).and_then(|own| own.driver.as_ref()).unwrap_or(&table.driver).value
}

/// Who runs Redis in an environment.
pub(crate) fn driver_of_redis<'t>(table: &'t RedisTable, environment: &EnvName) -> &'t At<Driver> {
    table.r#in.get(environment).and_then(|own| own.driver.as_ref()).unwrap_or(&table.driver)
}

/// Who runs the cache in an environment, if it has one.
pub(crate) fn driver_of_cache<'t>(table: &'t RedisTable, environment: &EnvName) -> Option<&'t At<Driver>> {
    let own = table.r#in.get(environment).and_then(|own| own.cache.as_ref());
    own.or(table.cache.as_ref()).map(|cache| &cache.value.driver)
}

fn external(driver: Driver, ca: Option<&At<RelativePath>>, provider: Option<Provider>) -> Option<External> {
    driver.is_elsewhere().then(|| External { ca: ca.map(|path| path.value.0.clone()), provider })
}

/// Most connections of one instance in an environment: as many as a Node process of one core keeps busy.
pub(crate) fn pool(table: &MongoDbTable, environment: &EnvName) -> u32 {
    let own = table.r#in.get(environment).and_then(|own| own.pool.as_ref());
    own.or(table.pool.as_ref()).map_or(20, |pool| pool.value.0)
}

/// How many processes may hold such a pool.
pub(crate) fn pools(document: &crate::tables::Document, environment: &EnvName) -> u32 {
    let uses = |app: &AppTable| app.needs.iter().any(|need| need.service() == Some(ServiceName::MongoDb));
    let using = document.apps.iter().map(|(_, app)| app).filter(|app| uses(app));
    using.map(|app| server(app, environment).most() + 1).sum()
}

pub(crate) fn redis(table: &RedisTable, environment: &EnvName, names: &Names, apps: Vec<AppName>) -> Redis {
    let own = table.r#in.get(environment);
    let cache = own.and_then(|own| own.cache.as_ref()).or(table.cache.as_ref());
    let ca = own.and_then(|own| own.ca.as_ref()).or(table.ca.as_ref());
    let driver = driver_of_redis(table, environment).value;
    let scope = names.at_provider();
    let ordered = |driver: Driver, service: &str, eviction: bool| {
        let table = upstash_table(table, environment).filter(|_| driver == Driver::Upstash)?;
        Some(Provider::Upstash(table.resolve(&scope, service, eviction)))
    };
    let of_cache = cache.map(|cache| cache.value.driver.value);
    Redis {
        external: external(driver, ca, ordered(driver, "redis", table.eviction != Eviction::Noeviction)),
        external_cache: of_cache.and_then(|driver| external(driver, ca, ordered(driver, "redis-cache", true))),
        program: own.and_then(|own| own.program.clone()).or_else(|| table.program.clone()),
        min_version: table.min_version.0.clone(),
        key_prefix: names.key_prefix(),
        apps,
        max_memory: own.and_then(|own| own.memory.as_ref()).unwrap_or(&table.memory).0,
        eviction: table.eviction.as_str().to_owned(),
        replicas: match driver {
            Driver::External | Driver::Upstash | Driver::Atlas => 0,
            Driver::Process => {
                let own = own.and_then(|own| own.replicas.as_ref());
                own.or(table.replicas.as_ref()).map_or(0, |replicas| replicas.value.0)
            }
        },
        cache_memory: cache.map(|cache| cache.value.memory.value.0),
        counts_limits: false,
        rest: table.rest.value && driver == Driver::Process,
    }
}
