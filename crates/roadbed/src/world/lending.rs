//! What is lent to a developer's command: an app's variables, with users of their own in the data services.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::variables::{Assembled, Facts, Value, assemble};
use futures_util::future::join_all;
use manifest::environment::{self, Class, Fact, Piece, Source, Variable};
use manifest::{AppName, Environment};
use reconcile::Fault;
use reconcile::progress::Unwatched;
use secrets::{Secret, Store};
use stores::External;
use stores::engines::machine::Platform;
use stores::engines::{CacheDir, Engine, Located, Machine};
use stores::leases::{self, Lease};
use stores::mongo::Provider;
use stores::redis::external::{self, Entrance};
use stores::redis::{ExternalRedis, Purpose, Redis, Settings};

use super::facts::LocalFacts;
use super::rest;
use super::{World, project};
use crate::control::lent::{Client, RedisEntrance, Service};

/// The data services of one environment as a lender sees them.
#[derive(Debug)]
pub struct Lender {
    pub environment: Arc<Environment>,
    pub ground: stores::Ground,
    pub mongodb: Option<(environment::MongoDb, Provider)>,
    /// Every Redis with its port.
    pub redis: Vec<(Settings, u16)>,
    /// The same, to put users into.
    pub redis_users: Vec<Redis>,
    /// Every Redis that somebody else runs, the same.
    pub redis_elsewhere: Vec<(Settings, ExternalRedis)>,
    mongod: Option<Engine>,
    redis_server: Option<Arc<Engine>>,
    /// Where it is noted what was lent.
    pub secrets: Arc<Store>,
    facts: Arc<LocalFacts>,
}

/// The passwords of a lease's users.
#[derive(Debug)]
pub struct Passwords {
    pub mongodb: Secret,
    pub redis: Secret,
}

impl World {
    /// Who lends in this environment.
    pub fn lender(&self) -> Result<Lender, Fault> {
        let ground = self.ground.of_stores(&self.environment, &self.secrets);
        let redis = self.addresses.redis.clone();
        let mongodb = self.environment.mongodb.clone().zip(self.addresses.mongodb.clone());
        let platform = Platform::detect()?;
        let machine = || Machine::new(platform.clone(), self.wanted.tools.clone());
        let cache = || CacheDir::new(self.wanted.cache.clone());
        let folder = project(&self.wanted.manifest);
        let mongod = mongodb.as_ref().map(|(settings, _)| Engine::mongod(settings, folder, cache(), machine()));
        let redis_server =
            self.environment.redis.as_ref().map(|settings| Engine::redis_server(settings, folder, cache(), machine()));
        let redis_server = redis_server.transpose()?.map(Arc::new);
        let to_users = |engine: &Arc<Engine>| {
            let users = |(settings, port): &(Settings, u16)| {
                Redis::new(settings.clone(), *port, engine.clone(), ground.clone()).among(&redis)
            };
            redis.iter().map(users).collect()
        };
        let elsewhere = |(settings, external): &(Settings, External)| {
            (settings.clone(), ExternalRedis::new(settings.clone(), external.clone(), ground.clone()))
        };
        let redis_elsewhere = self.addresses.external_redis.iter().map(elsewhere).collect();
        let redis_users = redis_server.as_ref().map(to_users).unwrap_or_default();
        Ok(Lender {
            environment: self.environment.clone(),
            ground,
            mongodb,
            redis,
            redis_users,
            redis_elsewhere,
            mongod: mongod.transpose()?,
            redis_server,
            secrets: self.secrets.clone(),
            facts: self.facts.clone(),
        })
    }
}

impl Lender {
    /// An app's variables, with the users of `lease` in place of the app's own. What moves money is not among them: those names
    /// are returned beside.
    pub fn variables(&self, lease: &Lease, passwords: &Passwords) -> Result<(Assembled, Vec<String>), Fault> {
        let mut environment = (*self.environment).clone();
        // Object storage has no users that are lent: its key is the app's own, and opens what a person is not given.
        let is_withheld = |variable: &Variable| variable.class == Class::Payment || opens_objects(variable);
        let of_app = environment.variables_of(&lease.app);
        let withheld =
            of_app.filter(|variable| is_withheld(variable)).map(|variable| variable.name.to_string()).collect();
        environment.variables.retain(|variable| !is_withheld(variable));
        let facts = LentFacts { lender: self, lease, passwords };
        Ok((assemble(&environment, &lease.app, &facts)?, withheld))
    }

    /// Makes the users of a lease that the book has.
    pub async fn make_users(&self, lease: &Lease, passwords: &Passwords) -> Result<(), Fault> {
        let in_mongodb = async {
            match &self.mongodb {
                Some((_, provider)) => leases::mongo::lend(&self.ground, provider, lease, &passwords.mongodb).await,
                None => Ok(()),
            }
        };
        let in_redis = async {
            for redis in &self.redis_users {
                leases::redis::lend(redis, lease).await?;
            }
            for (_, redis) in &self.redis_elsewhere {
                leases::redis::lend_elsewhere(redis, lease).await?;
            }
            Ok(())
        };
        futures_util::try_join!(in_mongodb, in_redis).map(|_| ())
    }

    /// Takes the users of a lease away, which the book says to be ending. All are tried, whatever becomes of one.
    pub async fn take_users_away(&self, lease: &Lease) -> Result<(), Fault> {
        let in_mongodb = async {
            match &self.mongodb {
                Some((_, provider)) => leases::mongo::take_back(&self.ground, provider, lease).await,
                None => Ok(()),
            }
        };
        let in_redis = async {
            let taken = self.redis_users.iter().map(|redis| leases::redis::take_back(redis, lease));
            let elsewhere =
                self.redis_elsewhere.iter().map(|(_, redis)| leases::redis::take_back_elsewhere(redis, lease));
            let (ours, elsewhere) = futures_util::join!(join_all(taken), join_all(elsewhere));
            ours.into_iter().chain(elsewhere).collect::<Result<(), Fault>>()
        };
        let (mongodb, redis) = futures_util::join!(in_mongodb, in_redis);
        mongodb.and(redis)
    }

    /// The client that came with the engine of a service, for who has none.
    pub async fn client(&self, service: Service) -> Result<Option<Client>, Fault> {
        let engine = match service {
            Service::MongoDb => self.mongod.as_ref(),
            Service::Redis => self.redis_server.as_deref(),
        };
        let Some(engine) = engine else { return Ok(None) };
        let found = engine.companion(service.client()).await?;
        Ok(found.map(|found| Client { program: found.program, variables: found.env }))
    }

    /// The programs of the data services, for servers that exist for a rehearsal. `marks` are variables by which they are known.
    ///
    /// # Errors
    /// Where one is not on this machine any more.
    pub async fn engines(&self, marks: &BTreeMap<String, String>) -> Result<backup::Engines, Fault> {
        let program = |located: Located| {
            let mut env = located.env;
            env.extend(marks.clone());
            env.insert("LC_ALL".to_owned(), "C".to_owned());
            backup::Program { program: located.program, env }
        };
        let mongod = match &self.mongod {
            Some(engine) => Some(program(engine.locate(&Unwatched).await?)),
            None => None,
        };
        let redis = match &self.redis_server {
            Some(engine) => Some(program(engine.locate(&Unwatched).await?)),
            None => None,
        };
        Ok(backup::Engines { mongod, redis })
    }

    /// The connection string of the lease's user in MongoDB, if it has one.
    ///
    /// # Errors
    /// Where the address of somebody else's server is missing or wrong.
    pub fn mongo_url(&self, lease: &Lease, passwords: &Passwords) -> Result<Option<Secret>, Fault> {
        let Some((settings, provider)) = self.mongodb.as_ref().filter(|_| lease.mongodb.is_some()) else {
            return Ok(None);
        };
        leases::mongo::mongo_url(settings, lease, &self.ground, provider, &passwords.mongodb).map(Some)
    }

    /// The same for Redis: a lease has one user in all of them.
    ///
    /// # Errors
    /// Where the address of somebody else's server is missing or wrong.
    pub fn redis_url(&self, purpose: Purpose, lease: &Lease, passwords: &Passwords) -> Result<Option<Secret>, Fault> {
        if lease.redis.is_none() {
            return Ok(None);
        }
        if let Some(settings) = self.of_purpose_elsewhere(purpose) {
            return leases::redis::redis_url_elsewhere(lease, settings, &passwords.redis, &self.ground).map(Some);
        }
        Ok(self.redis_port(purpose)?.map(|port| leases::redis::redis_url(lease, port, &passwords.redis)))
    }

    fn of_purpose_elsewhere(&self, purpose: Purpose) -> Option<&Settings> {
        self.redis_elsewhere.iter().map(|(settings, _)| settings).find(|settings| settings.purpose == purpose)
    }

    /// What any Redis of the environment is told, whoever runs it.
    pub fn redis_settings(&self) -> Option<&Settings> {
        let ours = self.redis.iter().map(|(settings, _)| settings);
        ours.chain(self.redis_elsewhere.iter().map(|(settings, _)| settings)).next()
    }

    /// How Redis's own client gets in, for sessions and carts.
    ///
    /// # Errors
    /// Where it cannot be read who is primary, or the address of somebody else's server is missing or wrong.
    pub fn redis_entrance(&self, lease: &Lease) -> Result<Option<RedisEntrance>, Fault> {
        let elsewhere = self.redis_elsewhere.iter().find(|(settings, _)| settings.purpose == Purpose::Durable);
        if let Some((settings, redis)) = elsewhere {
            let entrance = external::entrance(settings, &lease.id, &self.ground)?;
            return Ok(Some(RedisEntrance { entrance, authorities: redis.authorities_file() }));
        }
        let port = self.redis_port(Purpose::Durable)?;
        Ok(port.map(|port| RedisEntrance {
            entrance: Entrance { host: "127.0.0.1".to_owned(), port, is_encrypted: true, user: lease.id.clone() },
            authorities: Some(stores::redis::authorities_file(&self.ground.root)),
        }))
    }

    /// The port of the Redis that serves this purpose: of the primary, where there are several.
    ///
    /// # Errors
    /// Where it cannot be read who is primary.
    pub fn redis_port(&self, purpose: Purpose) -> Result<Option<u16>, Fault> {
        let of_purpose =
            || self.redis.iter().filter(|(settings, _)| settings.purpose == purpose).map(|(_, port)| *port);
        let primary = stores::redis::primary(&self.ground.root)?;
        Ok(of_purpose().find(|port| Some(*port) == primary).or_else(|| of_purpose().next()))
    }
}

/// Whether a variable has an app's own key of object storage.
fn opens_objects(variable: &Variable) -> bool {
    let Source::Derived(template) = &variable.source else { return false };
    template.pieces.contains(&Piece::Fact(Fact::MediaSecretAccessKey))
}

/// The environment's facts, with lent credentials.
#[derive(Debug)]
struct LentFacts<'l> {
    lender: &'l Lender,
    lease: &'l Lease,
    passwords: &'l Passwords,
}

impl Facts for LentFacts<'_> {
    fn fact(&self, app: &AppName, fact: &Fact) -> Result<Value, Fault> {
        let lent = match fact {
            Fact::MongoUrl => self.lender.mongo_url(self.lease, self.passwords)?,
            Fact::RedisUrl => self.lender.redis_url(Purpose::Durable, self.lease, self.passwords)?,
            Fact::RedisCacheUrl => self.lender.redis_url(Purpose::Cache, self.lease, self.passwords)?,
            // Who is lent an app's rights has a user of its own, and so a token of its own; there is none beside it that only reads.
            Fact::RedisRestToken | Fact::RedisRestReadOnlyToken if self.lease.redis.is_some() => {
                Some(rest::token(&self.lease.id, &self.passwords.redis)?)
            }
            _ => None,
        };
        match lent {
            Some(text) => Ok(Value { text, shown: self.lease.id.clone(), loaded: [].into() }),
            None => self.lender.facts.fact(app, fact),
        }
    }

    fn stored(&self, variable: &Variable) -> Result<Option<Value>, Fault> {
        self.lender.facts.stored(variable)
    }

    fn generated(&self, variable: &Variable) -> Result<Value, Fault> {
        self.lender.facts.generated(variable)
    }
}
