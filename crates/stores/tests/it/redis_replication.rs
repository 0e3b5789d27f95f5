//! A primary, a replica and three sentinels as real processes: what is acknowledged by both survives the primary's death.

use std::time::Instant;

use reconcile::Fault;
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, cmd};
use secrets::Secret;
use stores::redis::{Door, Identity, Purpose, Redis, Replication, Settings, primary, redis_url};

use crate::stand::{Stand, app, converge, converge_redis, redis_of_manifest, redis_server, until};

/// All of one environment, each with its port.
pub(crate) struct Group {
    pub(crate) stand: Stand,
    pub(crate) all: Vec<(Settings, u16)>,
    pub(crate) members: Vec<Redis>,
    order: Replication,
}

impl Group {
    pub(crate) async fn new() -> Self {
        let stand = Stand::new();
        let mut declared = redis_of_manifest();
        (declared.replicas, declared.cache_memory) = (1, None);
        let all: Vec<_> = Settings::all(&declared)
            .into_iter()
            .map(|settings| (settings, host::socket::free_port().unwrap()))
            .collect();
        let engine = redis_server().await;
        let member = |(settings, port): &(Settings, u16)| {
            Redis::new(settings.clone(), *port, engine.clone(), stand.ground.clone()).among(&all)
        };
        let members = all.iter().map(member).collect();
        let order = Replication::new(&all, stand.ground.clone()).unwrap();
        Self { stand, all, members, order }
    }

    /// As the graph does: members, sentinels, order.
    pub(crate) async fn converge(&self) -> Result<Vec<String>, Fault> {
        let mut steps = Vec::new();
        for member in &self.members {
            steps.extend(converge_redis(member).await?);
        }
        steps.extend(converge(&self.order, |step| async move { self.order.perform(&step).await }).await?);
        Ok(steps)
    }

    fn port(&self, unit: &str) -> u16 {
        self.all.iter().find(|(settings, _)| settings.unit() == unit).unwrap().1
    }

    fn primary(&self) -> String {
        let port = primary(&self.stand.ground.root).unwrap().unwrap();
        self.all.iter().find(|(_, own)| *own == port).unwrap().0.unit()
    }

    async fn as_app(&self, unit: &str) -> RedisResult<MultiplexedConnection> {
        let password = self.stand.versioned(&Purpose::Durable.app_secret(&app()));
        self.stand.redis_by(&redis_url(&app(), self.port(unit), &password)).await
    }

    /// Writes, and is told by a replica too that it has it.
    async fn write(&self, unit: &str, key: u32) -> RedisResult<bool> {
        let mut connection = self.as_app(unit).await?;
        cmd("SET").arg(format!("shop:local:{key}")).arg(key).exec_async(&mut connection).await?;
        let copies: u32 = cmd("WAIT").arg(1).arg(1000).query_async(&mut connection).await?;
        Ok(copies == 1)
    }

    async fn said(&self, unit: &str) -> String {
        let (settings, port) = self.all.iter().find(|(settings, _)| settings.unit() == unit).unwrap();
        let password: Secret = self.stand.secret(&settings.purpose.admin_secret());
        let who = Identity::User { name: "roadbed", password: &password };
        let mut connection = Door::of(&self.stand.ground, *port).unwrap().enter(who).await.unwrap();
        cmd("INFO").arg("replication").query_async(&mut connection).await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_primary_loses_no_acknowledged_write_and_its_replica_takes_over_in_seconds() {
    let group = Group::new().await;
    let began = Instant::now();
    let steps = group.converge().await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    println!("from nothing: {} ms, {steps:#?}", began.elapsed().as_millis());
    let began = Instant::now();
    assert_eq!(group.converge().await.unwrap(), Vec::<String>::new());
    println!("nothing to do: {} ms", began.elapsed().as_millis());
    assert_eq!(group.primary(), "redis");
    assert!(group.said("redis-2").await.contains("role:slave"));

    // Sentinels tell the app where to go, by its own user, and nobody else.
    let mut asked = group.as_app("redis-sentinel-2").await.unwrap();
    let told: (String, u16) =
        cmd("SENTINEL").arg("GET-MASTER-ADDR-BY-NAME").arg("redis").query_async(&mut asked).await.unwrap();
    assert_eq!(told, ("127.0.0.1".to_owned(), group.port("redis")));
    let refused: RedisResult<()> = cmd("SENTINEL").arg("FAILOVER").arg("redis").query_async(&mut asked).await;
    assert_eq!(refused.unwrap_err().code(), Some("NOPERM"));
    let mut acknowledged = Vec::new();
    for key in 0..200 {
        if key == 120 {
            // `kill -9`, and nobody starts it again before its replica has taken over.
            group.stand.units.kill("redis");
            break;
        }
        if group.write("redis", key).await.unwrap() {
            acknowledged.push(key);
        }
    }
    assert!(acknowledged.len() > 100, "{}", acknowledged.len());
    let began = Instant::now();
    until("the replica takes over", || async { group.write("redis-2", 1_000).await.is_ok() }).await;
    println!("failover: {} ms", began.elapsed().as_millis());
    until("it is written down", || async { group.primary() == "redis-2" }).await;
    for key in &acknowledged {
        let mut connection = group.as_app("redis-2").await.unwrap();
        let value: Option<u32> =
            cmd("GET").arg(format!("shop:local:{key}")).query_async(&mut connection).await.unwrap();
        assert_eq!(value, Some(*key), "an acknowledged write is gone");
    }

    // Who was primary comes back, and follows; nothing undoes the failover.
    let steps = group.converge().await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    println!("{steps:#?}");
    assert!(steps.contains(&"start on the loopback port".to_owned()), "{steps:#?}");
    assert_eq!(group.primary(), "redis-2");
    assert!(group.said("redis").await.contains("role:slave"));
    until("the old primary copies", || async { group.write("redis-2", 2_000).await.unwrap() }).await;
    assert_eq!(group.converge().await.unwrap(), Vec::<String>::new());

    // Also when all were down: the sentinels remember.
    group.stand.units.lose_all();
    group.converge().await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    assert_eq!(group.primary(), "redis-2");
    assert!(group.said("redis").await.contains("role:slave"));
    let mut connection = group.as_app("redis-2").await.unwrap();
    let value: Option<u32> = cmd("GET").arg("shop:local:2000").query_async(&mut connection).await.unwrap();
    assert_eq!(value, Some(2_000));

    // A new password lets in everywhere, at the sentinels too, without a connection lost or a failover.
    let name = Purpose::Durable.app_secret(&app());
    let first = group.stand.versioned(&name);
    group.stand.ground.secrets.stage(&name, &secrets::generate::credential().unwrap()).unwrap();
    group.stand.ground.secrets.promote(&name).unwrap();
    group.converge().await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    for unit in ["redis", "redis-2", "redis-sentinel-1", "redis-sentinel-2", "redis-sentinel-3"] {
        group.as_app(unit).await.unwrap_or_else(|fault| panic!("{unit}: {fault}"));
        let by_the_old = redis_url(&app(), group.port(unit), &first);
        group.stand.redis_by(&by_the_old).await.unwrap_or_else(|fault| panic!("{unit}: {fault}"));
    }
    let value: Option<u32> = cmd("GET").arg("shop:local:2000").query_async(&mut connection).await.unwrap();
    assert_eq!((value, group.primary().as_str()), (Some(2_000), "redis-2"));

    // With other certificates they know each other as before. (By the machine's clock: theirs cannot be set ahead.)
    for (settings, _) in &group.all {
        std::fs::remove_file(group.stand.ground.root.conf().join(settings.unit()).join("certificate.pem")).unwrap();
    }
    let steps = group.converge().await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    assert_eq!(steps.iter().filter(|step| *step == "issue a certificate of its own").count(), 5, "{steps:#?}");
    assert_eq!(group.converge().await.unwrap(), Vec::<String>::new());
    assert_eq!(group.primary(), "redis-2");

    // To go on with the first alone would be to forget what the second was told since.
    let alone = Settings::all(&redis_of_manifest()).remove(0);
    let alone = Redis::new(alone, group.port("redis"), redis_server().await, group.stand.ground.clone());
    let fault = converge_redis(&alone).await.unwrap_err();
    assert!(fault.message.contains("redis is not primary"), "{fault:#?}");
    assert!(fault.hint.is_some_and(|hint| hint.contains("services.redis.replicas")));
}
