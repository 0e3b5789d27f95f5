//! What a Redis is for. It decides what happens when it is full and whether it keeps anything, so each purpose is a process of its
//! own: one that holds sessions and caches either drops sessions or refuses to write, whatever its policy.

use manifest::environment;
use manifest::id::AppName;
use secrets::SecretName;

/// What a Redis is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Sessions, carts, rate limits: what must be there again after a crash.
    Durable,
    /// What can be made again.
    Cache,
}

impl Purpose {
    pub const ALL: [Self; 2] = [Self::Durable, Self::Cache];

    /// Name of the unit, the resource, the folders and the log.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Durable => "redis",
            Self::Cache => "redis-cache",
        }
    }

    /// The password of our own user.
    pub fn admin_secret(self) -> SecretName {
        SecretName::new(format!("{}/admin", self.unit()))
    }

    /// An app's password. That of one purpose opens no other.
    pub fn app_secret(self, app: &AppName) -> SecretName {
        SecretName::new(format!("{}/app-{app}", self.unit()))
    }
}

/// What one Redis is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub purpose: Purpose,
    pub key_prefix: String,
    pub apps: Vec<AppName>,
    /// Bytes.
    pub max_memory: u64,
    /// A value of Redis's `maxmemory-policy`.
    pub eviction: String,
}

impl Settings {
    /// Every Redis of an environment, the durable one first.
    pub fn all(redis: &environment::Redis) -> Vec<Self> {
        let of = |purpose, max_memory, eviction: &str| Self {
            purpose,
            key_prefix: redis.key_prefix.clone(),
            apps: redis.apps.clone(),
            max_memory,
            eviction: eviction.to_owned(),
        };
        let durable = of(Purpose::Durable, redis.max_memory, &redis.eviction);
        // What is asked for often stays, however long ago that was: a crawler's one visit to everything drops nothing of it.
        let cache = redis.cache_memory.map(|memory| of(Purpose::Cache, memory, "allkeys-lfu"));
        std::iter::once(durable).chain(cache).collect()
    }
}
