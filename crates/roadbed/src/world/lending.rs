//! What is lent to a developer's command: an app's variables, with users of their own in the data services.

use std::sync::Arc;

use engine::variables::{Assembled, Facts, Value, assemble};
use manifest::environment::{self, Class, Fact, Variable};
use manifest::{AppName, Environment};
use reconcile::Fault;
use secrets::Secret;
use stores::engines::machine::Platform;
use stores::engines::{CacheDir, Engine, Machine};
use stores::leases::{self, Lease};
use stores::mongo::Members;
use stores::redis::Redis;

use super::facts::LocalFacts;
use super::{World, project};

/// The data services of one environment as a lender sees them.
#[derive(Debug)]
pub struct Lender {
    pub environment: Arc<Environment>,
    pub ground: stores::Ground,
    pub mongodb: Option<(environment::MongoDb, Members)>,
    pub redis: Option<(environment::Redis, u16)>,
    /// The same Redis, to put users into.
    pub redis_users: Option<Redis>,
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
        let redis = self.environment.redis.clone().zip(self.addresses.redis);
        let redis_users = match &redis {
            Some((settings, port)) => {
                let machine = Machine::new(Platform::detect()?, self.wanted.tools.clone());
                let cache = CacheDir::new(self.wanted.cache.clone());
                let engine = Engine::redis_server(settings, project(&self.wanted.manifest), cache, machine)?;
                Some(Redis::new(settings.clone(), *port, Arc::new(engine), ground.clone()))
            }
            None => None,
        };
        Ok(Lender {
            environment: self.environment.clone(),
            ground,
            mongodb: self.environment.mongodb.clone().zip(self.addresses.mongodb.clone()),
            redis,
            redis_users,
            facts: self.facts.clone(),
        })
    }
}

impl Lender {
    /// An app's variables, with the users of `lease` in place of the app's own. What moves money is not among them: those names
    /// are returned beside.
    pub fn variables(&self, lease: &Lease, passwords: &Passwords) -> Result<(Assembled, Vec<String>), Fault> {
        let mut environment = (*self.environment).clone();
        let moves_money = |class: Class| class == Class::Payment;
        let of_app = environment.variables_of(&lease.app);
        let withheld =
            of_app.filter(|variable| moves_money(variable.class)).map(|variable| variable.name.to_string()).collect();
        environment.variables.retain(|variable| !moves_money(variable.class));
        let facts = LentFacts { lender: self, lease, passwords };
        Ok((assemble(&environment, &lease.app, &facts)?, withheld))
    }

    /// The connection string of the lease's user in MongoDB, if it has one.
    pub fn mongo_url(&self, lease: &Lease, passwords: &Passwords) -> Option<Secret> {
        let (settings, members) = self.mongodb.as_ref().filter(|_| lease.mongodb.is_some())?;
        Some(leases::mongo::mongo_url(settings, lease, members, &passwords.mongodb))
    }

    /// The same for Redis.
    pub fn redis_url(&self, lease: &Lease, passwords: &Passwords) -> Option<Secret> {
        let (_, port) = self.redis.as_ref().filter(|_| lease.redis.is_some())?;
        Some(leases::redis::redis_url(lease, *port, &passwords.redis))
    }
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
            Fact::MongoUrl => self.lender.mongo_url(self.lease, self.passwords),
            Fact::RedisUrl => self.lender.redis_url(self.lease, self.passwords),
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
