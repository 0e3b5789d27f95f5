//! Redis on a server that somebody else runs: what is made there, what is left alone, and what is said of one that does not do.

use futures_util::future::join_all;
use gate::{Check, CheckCx, Outcome, Verdict};
use reconcile::{Fault, Resource};
use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value};
use secrets::{Secret, generate};
use stores::External;
use stores::checks::{RedisGuardsItsDoor, RedisKeepsItsPromises};
use stores::external::Dialect;
use stores::leases::{self, Rights, book};
use stores::redis::external::app_url;
use stores::redis::{ExternalRedis, Purpose, Settings};

use crate::elsewhere::{mute, redis as provider_of, told};
use crate::leases::lease;
use crate::provider::{PASSWORD, RedisProvider};
use crate::stand::{Stand, app, converge, redis_settings};

const USER: &str = "shop:local:app-api";
const OWNER: &str = "shop:local:owner";

async fn converge_external(redis: &ExternalRedis) -> Result<Vec<String>, Fault> {
    converge(redis, |step| async move { redis.perform(&step).await }).await
}

struct There {
    provider: RedisProvider,
    stand: Stand,
    redis: ExternalRedis,
}

impl There {
    async fn settled() -> Self {
        let provider = provider_of("").await;
        let stand = Stand::new();
        told(&stand, "redis", &provider.address());
        let redis = ExternalRedis::new(redis_settings(), provider.external(), stand.ground.clone());
        converge_external(&redis).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
        Self { provider, stand, redis }
    }

    fn app_url(&self) -> Secret {
        let password = self.stand.versioned(&Purpose::Durable.app_secret(&app()));
        app_url(&redis_settings(), &app(), &password, &self.stand.ground).unwrap()
    }

    async fn by_hand(&self, words: &[&str]) -> Value {
        ask(&mut self.provider.admin().await, words).await.unwrap()
    }

    async fn users(&self) -> Vec<String> {
        redis::cmd("ACL").arg("USERS").query_async(&mut self.provider.admin().await).await.unwrap()
    }
}

async fn ask(connection: &mut MultiplexedConnection, words: &[&str]) -> RedisResult<Value> {
    let mut command = redis::cmd(words[0]);
    command.arg(&words[1..]);
    command.query_async(connection).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_strangers_redis_gets_users_of_ours_and_nothing_else_there_is_touched() {
    let provider = provider_of("").await;
    let mut admin = provider.admin().await;
    ask(&mut admin, &["ACL", "SETUSER", "reports", "on", ">x", "~reports:*", "+@read"]).await.unwrap();
    ask(&mut admin, &["SET", "reports:1", "theirs"]).await.unwrap();
    let stand = Stand::new();
    told(&stand, "redis", &provider.address());
    let resource = || ExternalRedis::new(redis_settings(), provider.external(), stand.ground.clone());
    let redis = resource();
    // Each end of a step is one that a kill leaves.
    for _ in 0..6 {
        let Some(step) = redis.plan(&redis.observe().await.unwrap()).into_iter().next() else { break };
        redis.perform(&step).await.unwrap_or_else(|fault| panic!("{step}: {fault:#?}"));
        resource().perform(&step).await.unwrap_or_else(|fault| panic!("{step}, again: {fault:#?}"));
    }
    assert_eq!(converge_external(&redis).await.unwrap(), Vec::<String>::new());
    assert_eq!(redis.drift(&redis.observe().await.unwrap()), Vec::<String>::new());
    let there = There { redis: resource(), provider, stand };
    assert_eq!(there.users().await, ["default", "reports", USER, OWNER]);
    assert_eq!(there.by_hand(&["GET", "reports:1"]).await, Value::BulkString(b"theirs".to_vec()));
    // They are in its file of users, and there when it starts again.
    assert_eq!(there.by_hand(&["ACL", "LOAD"]).await, Value::Okay);

    let mut app = there.provider.by(&there.app_url()).await.unwrap();
    assert_eq!(ask(&mut app, &["SET", "shop:local:a", "1"]).await.unwrap(), Value::Okay);
    for words in [&["GET", "reports:1"][..], &["FLUSHALL"], &["ACL", "LIST"], &["CONFIG", "GET", "*"], &["KEYS", "*"]] {
        let refused = ask(&mut app, words).await.unwrap_err();
        assert_eq!(refused.code(), Some("NOPERM"), "{words:?}");
    }
    assert!(there.provider.enter(OWNER, "anything").await.is_err(), "nobody is the owner");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_changed_there_by_hand_is_seen_and_put_right() {
    let there = There::settled().await;
    let put = |name: &str, because: &str| format!("set the user {name} on the external server ({because})");
    let remove = |name: &str| format!("remove the user {name} from the external server: nobody asks for it");
    for (what, expected) in [
        (&["SETUSER", USER, "~*"][..], put(USER, "password, keys or channels")),
        (&["SETUSER", USER, "+config"], put(USER, "rights")),
        (&["SETUSER", USER, ">another"], put(USER, "password, keys or channels")),
        (&["DELUSER", USER], put(USER, "missing")),
        (&["SETUSER", OWNER, "on"], put(OWNER, "password, keys or channels")),
        (&["SETUSER", "shop:local:by-hand", "on", ">x"], remove("shop:local:by-hand")),
    ] {
        there.by_hand(&[&["ACL"], what].concat()).await;
        assert_eq!(converge_external(&there.redis).await.unwrap(), [expected], "{what:?}");
        there.provider.by(&there.app_url()).await.unwrap();
    }
    there.by_hand(&["CONFIG", "SET", "maxmemory-policy", "allkeys-lru"]).await;
    let seen = there.redis.observe().await.unwrap();
    assert_eq!(there.redis.plan(&seen), []);
    let left = "redis: when it is full it does allkeys-lru, declared is noeviction; only its provider can change that";
    assert_eq!(there.redis.drift(&seen), [left]);
}

#[tokio::test(flavor = "multi_thread")]
async fn environments_on_one_redis_do_not_meet_and_two_roots_of_one_do_not_take_turns() {
    let there = There::settled().await;
    let staging = Stand::new();
    told(&staging, "redis", &there.provider.address());
    told(&staging, "redis-cache", &there.provider.address());
    let durable = Settings { key_prefix: "shop:staging:".to_owned(), ..redis_settings() };
    let cache = Settings { purpose: Purpose::Cache, eviction: "allkeys-lfu".to_owned(), ..durable.clone() };
    for settings in [&durable, &cache, &durable] {
        let redis = ExternalRedis::new(settings.clone(), there.provider.external(), staging.ground.clone());
        converge_external(&redis).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    }
    assert_eq!(converge_external(&there.redis).await.unwrap(), Vec::<String>::new());
    let users = there.users().await;
    for name in ["shop:staging:app-api", "shop:staging:cache-app-api", USER] {
        assert!(users.iter().any(|user| user == name), "{name}: {users:?}");
    }
    let mut app = there.provider.by(&there.app_url()).await.unwrap();
    assert!(ask(&mut app, &["GET", "shop:staging:a"]).await.is_err(), "the other environment's key");

    let twin = Stand::new();
    told(&twin, "redis", &there.provider.address());
    let redis = ExternalRedis::new(redis_settings(), there.provider.external(), twin.ground.clone());
    let fault = converge_external(&redis).await.unwrap_err();
    let at = format!("localhost:{}", there.provider.port);
    assert_eq!(fault.message, format!("redis at {at} has users of this environment already, and they are not ours"));
    there.provider.by(&there.app_url()).await.unwrap();
}

/// What is wrong, the address, by what the server is recognised; then message, cause and hint.
type Case = (&'static str, Option<String>, External, String, String, String);

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_wrong_with_somebody_elses_redis_is_said_with_what_to_do() {
    let (provider, cluster, mute) = futures_util::join!(provider_of(""), provider_of("cluster-enabled yes"), mute());
    let small = ["ACL", "SETUSER", "small", "on", &format!(">{PASSWORD}"), "~*", "+@all", "-acl|setuser"];
    ask(&mut provider.admin().await, &small).await.unwrap();
    let (port, nobody) = (provider.port, host::socket::free_port().unwrap());
    let at = |port: u16| format!("rediss://:{PASSWORD}@localhost:{port}");
    let trusting = provider.external();
    let set = "`roadbed secrets set --env local redis/external`";
    let cases: Vec<Case> = vec![
        (
            "nothing said",
            None,
            trusting.clone(),
            "where redis is has not been said".into(),
            "the secret store has no redis/external".into(),
            format!("{set} reads it from stdin: rediss://ADMINISTRATOR:PASSWORD@HOST"),
        ),
        (
            "in the clear over a network",
            Some(format!("redis://:{PASSWORD}@cache.example")),
            trusting.clone(),
            "cannot use the address of redis, redis/external".into(),
            "it asks for no TLS, and its host is not this machine".into(),
            format!("{set} sets another, read from stdin"),
        ),
        (
            "nobody there",
            Some(at(nobody)),
            trusting.clone(),
            format!("cannot reach redis at localhost:{nobody}"),
            "Connection refused".into(),
            "see that it runs".into(),
        ),
        (
            "no TLS",
            Some(at(mute)),
            trusting.clone(),
            format!("redis at localhost:{mute} offers no TLS"),
            "it does not answer a handshake".into(),
            "switch TLS on".into(),
        ),
        (
            "an authority that nobody named",
            Some(at(port)),
            External { ca: None, dialect: Dialect::Plain },
            format!("redis at localhost:{port} shows a certificate that is not believed"),
            "UnknownIssuer".into(),
            "where the provider has an authority of its own, give its certificate: `ca` in [services.redis]".into(),
        ),
        (
            "a wrong password",
            Some(format!("rediss://:not-the-one-0123456789@localhost:{port}")),
            trusting.clone(),
            format!("redis at localhost:{port} refuses the login of our administrator"),
            "".into(),
            format!("{set} sets the address with another login"),
        ),
        (
            "no administrator",
            Some(format!("rediss://small:{PASSWORD}@localhost:{port}")),
            trusting,
            "the login in the address of redis is not an administrator's".into(),
            "it may not acl setuser".into(),
            format!("{set} with a login that may manage users"),
        ),
        (
            "a cluster",
            Some(at(cluster.port)),
            cluster.external(),
            format!("cannot use redis at localhost:{}", cluster.port),
            "it is a part of a cluster".into(),
            "take a server without cluster mode".into(),
        ),
    ];
    let tried = cases.into_iter().map(|(what, address, external, message, cause, hint)| async move {
        let stand = Stand::new();
        if let Some(address) = &address {
            told(&stand, "redis", address);
        }
        let redis = ExternalRedis::new(redis_settings(), external, stand.ground.clone());
        let fault = redis.observe().await.unwrap_err();
        assert_eq!(fault.message, message, "{what}");
        assert!(fault.causes.iter().any(|told| told.contains(&cause)), "{what}: {fault:#?}");
        assert!(fault.hint.as_ref().is_some_and(|told| told.starts_with(&hint)), "{what}: {fault:#?}");
        assert!(!format!("{fault:?}").contains("0123456789"), "{what}");
    });
    join_all(tried).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn passwords_in_turn_and_lent_users_work_there_as_at_home() {
    let there = There::settled().await;
    let ground = &there.stand.ground;
    let name = Purpose::Durable.app_secret(&app());
    let mut old = there.provider.by(&there.app_url()).await.unwrap();
    ground.secrets.stage(&name, &generate::credential().unwrap()).unwrap();
    let second = format!("set the user {USER}.b on the external server (missing)");
    assert_eq!(converge_external(&there.redis).await.unwrap(), [second]);
    ask(&mut old, &["GET", "shop:local:a"]).await.expect("the old password's session goes on");
    ground.secrets.promote(&name).unwrap();
    ground.secrets.retire(&name).unwrap();
    let gone = format!("remove the user {USER} from the external server: nobody asks for it");
    assert_eq!(converge_external(&there.redis).await.unwrap(), [gone]);
    assert!(ask(&mut old, &["GET", "shop:local:a"]).await.is_err(), "the old password's session is over");
    there.provider.by(&there.app_url()).await.unwrap();

    let password = generate::credential().unwrap();
    let lease = leases::Lease { mongodb: None, ..lease(Rights::ReadOnly, &password) };
    book::note(&ground.root, lease.clone()).unwrap();
    leases::redis::lend_elsewhere(&there.redis, &lease).await.unwrap();
    assert_eq!(converge_external(&there.redis).await.unwrap(), Vec::<String>::new());
    let url = leases::redis::redis_url_elsewhere(&lease, &redis_settings(), &password, ground).unwrap();
    let mut reader = there.provider.by(&url).await.unwrap();
    ask(&mut reader, &["GET", "shop:local:a"]).await.unwrap();
    assert!(ask(&mut reader, &["SET", "shop:local:a", "1"]).await.is_err(), "a reader writes");
    let lease = book::end(&ground.root, &lease.id).unwrap().unwrap();
    leases::redis::take_back_elsewhere(&there.redis, &lease).await.unwrap();
    assert!(there.provider.by(&url).await.is_err(), "what was given back opens nothing");
}

async fn outcome(check: &dyn Check) -> Outcome {
    check.run(&CheckCx { budget: std::time::Duration::from_secs(30) }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_checks_of_redis_hold_there_or_say_what_is_open() {
    let there = There::settled().await;
    let ground = || there.stand.ground.clone();
    let all = || vec![(redis_settings(), there.provider.external())];
    let door = RedisGuardsItsDoor::new(Vec::new(), ground()).and_elsewhere(all());
    let promises = RedisKeepsItsPromises::new(Vec::new(), ground()).and_elsewhere(all());
    for (check, at_least) in [(&door as &dyn Check, 15), (&promises, 2)] {
        let good = outcome(check).await;
        assert_eq!(good.verdict, Verdict::Holds, "{good:#?}");
        assert!(good.observed.len() >= at_least, "{good:#?}");
        assert!(!format!("{good:?}").contains(PASSWORD));
    }
    let fails = |outcome: &Outcome, because: &str| {
        assert_eq!(outcome.verdict, Verdict::Fails, "{outcome:#?}");
        let told = outcome.observed.iter().any(|line| line.starts_with("BROKEN") && line.contains(because));
        assert!(told, "{because}: {outcome:#?}");
    };
    there.by_hand(&["ACL", "SETUSER", USER, "~*"]).await;
    fails(&outcome(&door).await, "tried to read a key outside its prefix: allowed");
    there.by_hand(&["CONFIG", "SET", "maxmemory", "16mb", "appendonly", "no", "maxmemory-policy", "allkeys-lru"]).await;
    let seen = outcome(&promises).await;
    for because in ["it holds 16 MiB, declared are 32 MiB", "it does allkeys-lru", "it writes no append-only file"] {
        fails(&seen, because);
    }
    let public = RedisGuardsItsDoor::new(Vec::new(), ground());
    let public = public.and_elsewhere(vec![(redis_settings(), External { ca: None, dialect: Dialect::Plain })]);
    fails(&outcome(&public).await, "is not believed");
}
