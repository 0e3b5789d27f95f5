//! The checks hold on a guarded store, and fail on each way to leave its door open.

use manifest::environment::Class;
use std::time::Duration;

use gate::{Check, CheckCx, Outcome, Verdict};
use host::clock::Clock;
use mongodb::bson::doc;
use secrets::{Secret, generate};
use stores::checks::{MongoGivesLeastPrivilege, MongoGuardsItsDoor, RedisGuardsItsDoor, RedisKeepsItsPromises};
use stores::mongo::OwnUser;

use crate::redis::sabotage_configuration;
use crate::stand::{
    Stand, app, converge_mongo, converge_redis, mongo_settings, redis_of_manifest, redis_settings, until,
};

async fn outcome(check: &dyn Check) -> Outcome {
    check.run(&CheckCx { budget: Duration::from_secs(30) }).await
}

fn assert_holds(outcome: &Outcome, at_least: usize) {
    assert_eq!(outcome.verdict, Verdict::Holds, "{outcome:#?}");
    assert!(outcome.observed.len() >= at_least, "{outcome:#?}");
}

/// It fails, and because of this.
fn assert_fails(outcome: &Outcome, because: &str) {
    assert_eq!(outcome.verdict, Verdict::Fails, "{outcome:#?}");
    let broken = |line: &&String| line.starts_with("BROKEN") && line.contains(because);
    assert!(outcome.observed.iter().any(|line| broken(&line)), "{because}: {outcome:#?}");
}

fn mongo_check(stand: &Stand) -> MongoGuardsItsDoor {
    MongoGuardsItsDoor::new(mongo_settings(), stand.port, stand.ground.clone())
}

fn redis_check(stand: &Stand) -> RedisGuardsItsDoor {
    RedisGuardsItsDoor::new(vec![(redis_settings(), stand.port)], stand.ground.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn mongodb_guards_its_door_or_the_check_fails() {
    let stand = Stand::new();
    let mongo = stand.mongo().await;
    converge_mongo(&mongo).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    let check = mongo_check(&stand);
    let began = std::time::Instant::now();
    let good = outcome(&check).await;
    println!("the check took {} ms", began.elapsed().as_millis());
    assert_holds(&good, 14);
    for name in stand.ground.secrets.names().unwrap() {
        let secret = stand.secret(&name);
        assert!(!good.observed.iter().any(|line| line.contains(secret.expose())), "{name} is told");
    }
    println!("{good:#?}");

    // The app's role is widened.
    let admin = stand.mongo_admin().database("shop-local");
    let grant = doc! { "grantRolesToUser": "app-api", "roles": [{ "role": "readAnyDatabase", "db": "admin" }] };
    admin.run_command(grant).await.unwrap();
    assert_fails(&outcome(&check).await, "app-api tried to read another database: allowed");
    let grant = doc! { "grantRolesToUser": "app-api", "roles": [{ "role": "dbOwner", "db": "shop-local" }] };
    admin.run_command(grant).await.unwrap();
    assert_fails(&outcome(&check).await, "app-api tried to drop a collection");
    converge_mongo(&mongo).await.unwrap();

    // The right password is refused.
    let right = stand.secret(&stores::mongo::app_secret(&app()));
    let wrong = generate::credential().unwrap();
    stand.ground.secrets.set(&stores::mongo::app_secret(&app()), Class::Secret, &wrong).unwrap();
    assert_fails(&outcome(&check).await, "app-api.b cannot log in");
    stand.ground.secrets.set(&stores::mongo::app_secret(&app()), Class::Secret, &right).unwrap();
    assert_holds(&outcome(&check).await, 14);

    // Whoever wants to may speak in the clear.
    let conf = stand.ground.root.conf().join("mongodb");
    let text = std::fs::read_to_string(conf.join("mongod.conf")).unwrap();
    std::fs::write(conf.join("lax.conf"), text.replace("requireTLS", "preferTLS")).unwrap();
    let config = conf.join("lax.conf").to_string_lossy().into_owned();
    stand.units.replace("mongodb", |spec| spec.args = vec!["--config".to_owned(), config]);
    until("mongod is primary", || async { outcome(&check).await.observed.iter().any(|line| line.ends_with(": done")) })
        .await;
    assert_fails(&outcome(&check).await, "a client in the clear said hello: allowed");
    let tls = text.find("  tls:").unwrap()..text.find("  ipv6:").unwrap();
    let bare = text
        .replace(&text[tls], "")
        .replace(",MONGODB-X509", "")
        .replace("  suppressNoTLSPeerCertificateWarning: true\n", "");
    std::fs::write(conf.join("bare.conf"), bare).unwrap();
    let config = conf.join("bare.conf").to_string_lossy().into_owned();
    stand.units.replace("mongodb", |spec| spec.args = vec!["--config".to_owned(), config]);
    until("mongod listens", || async { !host::socket::is_port_free(stand.port) }).await;
    assert_fails(&outcome(&check).await, "the server speaks no TLS");

    // Authorisation is off.
    let open: Vec<&str> =
        text.lines().filter(|line| !line.contains("authorization") && !line.contains("keyFile")).collect();
    std::fs::write(conf.join("open.conf"), open.join("\n")).unwrap();
    let config = conf.join("open.conf").to_string_lossy().into_owned();
    stand.units.replace("mongodb", |spec| spec.args = vec!["--config".to_owned(), config]);
    until("mongod is primary", || async { outcome(&check).await.observed.iter().any(|line| line.ends_with(": done")) })
        .await;
    let open = outcome(&check).await;
    assert_fails(&open, "an unauthenticated client tried to list databases: allowed");
    assert_fails(&open, "an unauthenticated client tried to read the apps' data: allowed");

    // Nobody is at home.
    stand.units.lose_all();
    assert_fails(&outcome(&check).await, "nobody listens on port");
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_in_mongodb_may_what_he_is_for_or_the_check_fails() {
    let stand = Stand::new();
    let mongo = stand.mongo().await;
    converge_mongo(&mongo).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    let check = MongoGivesLeastPrivilege::new(mongo_settings(), stand.port, stand.ground.clone());
    let began = std::time::Instant::now();
    let good = outcome(&check).await;
    println!("the check took {} ms: {good:#?}", began.elapsed().as_millis());
    assert_holds(&good, 40);

    let admin = stand.mongo_admin();
    let backup = OwnUser::Backup.key(&stand.ground.id).name;
    let grant = doc! { "grantRolesToUser": &backup, "roles": [{ "role": "readWrite", "db": "shop-local" }] };
    admin.database("$external").run_command(grant).await.unwrap();
    assert_fails(&outcome(&check).await, "it has readWrite of shop-local, roadbed-backup of shop-local instead of");
    assert_fails(&outcome(&check).await, "backup tried to delete the apps' data: allowed");
    converge_mongo(&mongo).await.unwrap();

    let privilege = doc! { "resource": { "db": "shop-local", "collection": "" }, "actions": ["find"] };
    let widen = doc! { "grantPrivilegesToRole": "roadbed-rotator", "privileges": [&privilege] };
    admin.database("shop-local").run_command(widen).await.unwrap();
    assert_fails(&outcome(&check).await, "its role roadbed-rotator allows something else than it should");
    let narrow = doc! { "revokePrivilegesFromRole": "roadbed-backup", "privileges": [&privilege] };
    admin.database("shop-local").run_command(narrow).await.unwrap();
    assert_fails(&outcome(&check).await, "backup tried to read the apps' data: refused");
    converge_mongo(&mongo).await.unwrap();

    let stranger = doc! { "createUser": "mallory", "pwd": "x", "roles": [] };
    admin.database("shop-local").run_command(stranger).await.unwrap();
    admin.database("$external").run_command(doc! { "dropUser": &backup }).await.unwrap();
    let seen = outcome(&check).await;
    assert_fails(&seen, "nobody asked for mallory of shop-local");
    assert_fails(&seen, "CN=backup,OU=control,O=1: it is missing");
    converge_mongo(&mongo).await.unwrap();
    assert_holds(&outcome(&check).await, 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_guards_its_door_or_the_check_fails() {
    let stand = Stand::new();
    let redis = stand.redis().await;
    converge_redis(&redis).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    let check = redis_check(&stand);
    let began = std::time::Instant::now();
    let good = outcome(&check).await;
    println!("the check took {} ms", began.elapsed().as_millis());
    assert_holds(&good, 14);
    println!("{good:#?}");

    let file = stand.ground.root.conf().join("redis/users.acl");
    let right = std::fs::read_to_string(&file).unwrap();
    let sabotages: [(&str, String); 5] = [
        (
            "unauthenticated client tried to ping: allowed",
            right.replace(
                "user default off resetpass resetkeys ~* resetchannels &* +@all",
                "user default on nopass +ping",
            ),
        ),
        (
            "unauthenticated client tried to read a key: allowed",
            right.replace(
                "user default off resetpass resetkeys ~* resetchannels &* +@all",
                "user default on nopass ~* +@all",
            ),
        ),
        ("a client with a wrong password for app-api tried to read: allowed", right.replace("+info", "+info nopass")),
        ("app-api tried to read a key outside its prefix: allowed", right.replace("resetkeys ~shop:local:*", "~*")),
        ("app-api tried to read the configuration: allowed", right.replace("-@admin -@dangerous", "")),
    ];
    for (because, users) in sabotages {
        assert_ne!(users, right, "the sabotage does something");
        std::fs::write(&file, users).unwrap();
        reconcile::ports::Units::restart(&*stand.units, "redis").await.unwrap();
        until("redis answers", || async { !host::socket::is_port_free(stand.port) }).await;
        assert_fails(&outcome(&check).await, because);
    }
    std::fs::write(&file, &right).unwrap();
    sabotage_configuration(&stand, "redis", |text| {
        text.replace("port 0\ntls-port", "port").replace("tls-replication yes\n", "")
    })
    .await;
    assert_fails(&outcome(&check).await, "a client that does not encrypt is answered");

    // A certificate of somebody else's.
    let own = stand.ground.root.conf().join("redis/certificate.pem");
    let other = certificates::Authority::make("mallory", stand.clock.now(), Duration::from_hours(24)).unwrap();
    let subject = certificates::Subject {
        common_name: "redis",
        organization: None,
        hosts: &["127.0.0.1".to_owned()],
        purposes: &[certificates::Purpose::Server],
    };
    let leaf = other.issue(&subject, stand.clock.now(), Duration::from_hours(24)).unwrap();
    let foreign = own.with_file_name("foreign.pem");
    std::fs::write(&foreign, format!("{}{}", *leaf.key_pem, leaf.chain_pem)).unwrap();
    sabotage_configuration(&stand, "redis", |text| text.replace("certificate.pem", "foreign.pem")).await;
    assert_fails(&outcome(&check).await, "who trusts our authority does not believe its certificate");
    let conf = own.with_file_name("redis.conf").to_string_lossy().into_owned();
    stand.units.replace("redis", |spec| spec.args = vec![conf]);
    until("the check holds again", || async { outcome(&check).await.verdict == Verdict::Holds }).await;

    // The right password is refused.
    stand
        .ground
        .secrets
        .set(
            &stores::redis::Purpose::Durable.app_secret(&app()),
            Class::Secret,
            &Secret::new("wrong password".to_owned()),
        )
        .unwrap();
    assert_fails(&outcome(&check).await, "app-api.b cannot log in");
    stand.units.lose_all();
    assert_fails(&outcome(&check).await, "nobody listens on port");
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_keeps_its_promises_or_the_check_fails() {
    let stand = Stand::new();
    let (redis, cache) = (stand.redis().await, stand.redis_cache().await);
    converge_redis(&redis).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    converge_redis(&cache).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    let all = stores::redis::Settings::all(&redis_of_manifest());
    let all = all.into_iter().zip([stand.port, stand.cache_port]).collect();
    let check = RedisKeepsItsPromises::new(all, stand.ground.clone());
    let good = outcome(&check).await;
    assert_holds(&good, 4);
    println!("{good:#?}");

    let changes: [(&str, &str, &str, &str); 4] = [
        ("redis", "maxmemory-policy noeviction", "maxmemory-policy volatile-ttl", "redis: maxmemory-policy is"),
        ("redis", "appendonly yes", "appendonly no", "redis: appendonly is"),
        ("redis", "maxmemory 33554432", "maxmemory 0", "redis: there is no end to its memory"),
        ("redis-cache", "appendonly no", "appendonly yes", "redis-cache: appendonly is"),
    ];
    for (unit, from, to, because) in changes {
        sabotage_configuration(&stand, unit, |text| text.replace(from, to)).await;
        assert_fails(&outcome(&check).await, because);
        converge_redis(if unit == "redis" { &redis } else { &cache }).await.unwrap();
        assert_holds(&outcome(&check).await, 4);
    }

    // Customers who come and stay: 70 % of 32 MiB, then all of it.
    let key = stand.versioned(&stores::redis::Purpose::Durable.app_secret(&app()));
    let mut shop = stand.redis_by(&stores::redis::redis_url(&app(), stand.port, &key)).await.unwrap();
    let value = "x".repeat(256 << 10);
    let mut written = 0;
    let refused = loop {
        let mut set = redis::cmd("SET");
        let answer: redis::RedisResult<()> =
            set.arg(format!("shop:local:{written}")).arg(&value).query_async(&mut shop).await;
        written += 1;
        match answer {
            Ok(()) if written == 95 => {
                let full = outcome(&check).await;
                assert_fails(&full, "% of 32 MiB are used; it drops nothing");
                println!("{full:#?}");
            }
            Ok(()) => assert!(written < 300, "it never refuses"),
            Err(fault) => break fault,
        }
    };
    assert_eq!(refused.code(), Some("OOM"), "{refused}");
    assert_fails(&outcome(&check).await, "it drops nothing");
    for n in 0..60 {
        let _: () = redis::cmd("DEL").arg(format!("shop:local:{n}")).query_async(&mut shop).await.unwrap();
    }
    assert_holds(&outcome(&check).await, 4);
    stand.units.lose_all();
    assert_fails(&outcome(&check).await, "redis: we cannot log in");
}
