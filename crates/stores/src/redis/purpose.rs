//! What a Redis is for. It decides what happens when it is full and whether it keeps anything, so each purpose is a process of its
//! own: one that holds sessions and caches either drops sessions or refuses to write, whatever its policy.

use manifest::environment;
use manifest::id::AppName;
use secrets::SecretName;

/// What a Redis is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Purpose {
    /// Sessions, carts, rate limits: what must be there again after a crash.
    Durable,
    /// What can be made again.
    Cache,
    /// Holds nothing: it watches the durable ones, and says which of them is primary.
    Sentinel,
}

impl Purpose {
    /// Those that apps keep something in.
    pub const OF_DATA: [Self; 2] = [Self::Durable, Self::Cache];

    /// Name of the first of its units, and the beginning of the others'.
    pub fn unit(self) -> &'static str {
        match self {
            Self::Durable => "redis",
            Self::Cache => "redis-cache",
            Self::Sentinel => "redis-sentinel",
        }
    }

    /// The password of our own user.
    pub fn admin_secret(self) -> SecretName {
        SecretName::new(format!("{}/admin", self.unit()))
    }

    /// An app's password. That of one purpose opens no other, but for the sentinels: they tell an app where its data is.
    pub fn app_secret(self, app: &AppName) -> SecretName {
        let of = match self {
            Self::Durable | Self::Sentinel => Self::Durable,
            Self::Cache => Self::Cache,
        };
        SecretName::new(format!("{}/app-{app}", of.unit()))
    }
}

/// What one Redis is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub purpose: Purpose,
    /// From 1, among those of the same purpose.
    pub number: u32,
    /// How many hold the same: primary and replicas.
    pub members: u32,
    pub key_prefix: String,
    pub apps: Vec<AppName>,
    /// Bytes.
    pub max_memory: u64,
    /// A value of Redis's `maxmemory-policy`.
    pub eviction: String,
    /// Whether the edges count limits in it.
    pub counts_limits: bool,
    /// Whether a gateway beside it speaks Upstash's REST.
    pub rest: bool,
}

/// Of three, two can agree while one is away.
const SENTINELS: u32 = 3;

impl Settings {
    /// Every Redis of an environment, the durable ones first.
    pub fn all(redis: &environment::Redis) -> Vec<Self> {
        let of = |purpose, number, max_memory, eviction: &str| Self {
            purpose,
            number,
            members: 1 + redis.replicas,
            key_prefix: redis.key_prefix.clone(),
            apps: redis.apps.clone(),
            max_memory,
            eviction: eviction.to_owned(),
            counts_limits: purpose == Purpose::Durable && redis.counts_limits,
            rest: purpose == Purpose::Durable && redis.rest,
        };
        let durable =
            (1..=1 + redis.replicas).map(|number| of(Purpose::Durable, number, redis.max_memory, &redis.eviction));
        // What is asked for often stays, however long ago that was: a crawler's one visit to everything drops nothing of it.
        let cache =
            redis.cache_memory.map(|memory| Self { members: 1, ..of(Purpose::Cache, 1, memory, "allkeys-lfu") });
        let sentinels = if redis.replicas == 0 { 0 } else { SENTINELS };
        let sentinels = (1..=sentinels).map(|number| of(Purpose::Sentinel, number, 0, "noeviction"));
        durable.chain(cache).chain(sentinels).collect()
    }

    /// Name of the unit, the resource, the folders and the log.
    pub fn unit(&self) -> String {
        let name = self.purpose.unit();
        match (self.purpose, self.number) {
            (Purpose::Durable, 1) | (Purpose::Cache, _) => name.to_owned(),
            (Purpose::Durable | Purpose::Sentinel, number) => format!("{name}-{number}"),
        }
    }

    /// Whether others hold the same, and sentinels watch.
    pub fn is_replicated(&self) -> bool {
        self.members > 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_brings_three_sentinels_and_no_second_cache() {
        let mut redis = environment::Redis {
            external: None,
            external_cache: None,
            program: None,
            min_version: "7".to_owned(),
            key_prefix: "shop:local:".to_owned(),
            apps: Vec::new(),
            max_memory: 1 << 26,
            eviction: "noeviction".to_owned(),
            cache_memory: Some(1 << 25),
            replicas: 0,
            counts_limits: false,
            rest: false,
        };
        let units = |redis: &environment::Redis| Settings::all(redis).iter().map(Settings::unit).collect::<Vec<_>>();
        assert_eq!(units(&redis), ["redis", "redis-cache"]);
        redis.replicas = 1;
        let all = ["redis", "redis-2", "redis-cache", "redis-sentinel-1", "redis-sentinel-2", "redis-sentinel-3"];
        assert_eq!(units(&redis), all);
    }
}
