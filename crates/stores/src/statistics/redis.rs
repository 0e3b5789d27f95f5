//! Figures of a Redis.

use reconcile::Fault;
use redis::{InfoDict, cmd};

use super::OfRedis;
use crate::Ground;
use crate::redis::{ADMIN, Door, Identity, Settings};

/// Asks one Redis. Our own user may name no key: the server counts them.
///
/// # Errors
/// Where it does not answer, or there is no password of our own.
pub async fn of_redis(ground: &Ground, settings: &Settings, port: u16) -> Result<OfRedis, Fault> {
    let unit = settings.unit();
    let Some(password) = ground.secret(&settings.purpose.admin_secret())? else {
        return Err(Fault::new(format!("there is no password of our own for {unit}")).hint("run `roadbed up`"));
    };
    let asking = |fault: redis::RedisError| {
        Fault::because(format!("{unit} does not answer as it should"), &fault)
            .hint(format!("see `roadbed logs {unit}`"))
            .retry_safe()
    };
    let who = Identity::User { name: ADMIN, password: &password.secret };
    let mut connection = Door::of(ground, port)?.enter(who).await.map_err(asking)?;
    let info: InfoDict = cmd("INFO").query_async(&mut connection).await.map_err(asking)?;
    let number = |key: &str| info.get::<u64>(key).unwrap_or(0);
    let text = |key: &str| info.get::<String>(key).unwrap_or_default();
    let (keys, keys_that_expire) = counted(&text("db0"));
    Ok(OfRedis {
        version: text("redis_version"),
        role: text("role"),
        memory_bytes: number("used_memory"),
        memory_limit_bytes: number("maxmemory"),
        eviction: text("maxmemory_policy"),
        prefix: settings.key_prefix.clone(),
        keys,
        keys_that_expire,
        evicted: number("evicted_keys"),
        clients: number("connected_clients"),
        clients_limit: number("maxclients"),
        unit,
    })
}

/// `keys=12,expires=3,avg_ttl=0`; nothing where there is no key.
fn counted(line: &str) -> (u64, u64) {
    let of = |name: &str| {
        let value = line.split(',').find_map(|part| part.strip_prefix(name)?.strip_prefix('='));
        value.and_then(|value| value.parse().ok()).unwrap_or(0)
    };
    (of("keys"), of("expires"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_counted_as_the_server_tells_them() {
        assert_eq!(counted("keys=12,expires=3,avg_ttl=0"), (12, 3));
        assert_eq!(counted(""), (0, 0));
    }
}
