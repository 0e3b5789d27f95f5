//! Redis on a real redis-server: what an app may do, what drifts, and what is left after a kill.

use manifest::environment::Class;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Value};
use secrets::{Secret, SecretName};
use stores::redis::{Purpose, Redis, redis_url};

use crate::stand::{Stand, app, converge_redis, damage, redis_settings};

const RESTART: &str = "restart: the running server does not know us, or nobody believes what it shows";

async fn settled(stand: &Stand) -> Redis {
    let redis = stand.redis().await;
    converge_redis(&redis).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    redis
}

async fn as_app(stand: &Stand) -> RedisResult<MultiplexedConnection> {
    let url = redis_url(&app(), stand.port, &stand.versioned(&Purpose::Durable.app_secret(&app())));
    stand.redis_by(&url).await
}

async fn ask(connection: &mut MultiplexedConnection, line: &str) -> RedisResult<Value> {
    let mut words = line.split(' ');
    redis::cmd(words.next().unwrap()).arg(words.collect::<Vec<_>>()).query_async(connection).await
}

async fn assert_nothing_to_do(redis: &Redis) {
    assert_eq!(converge_redis(redis).await.unwrap(), Vec::<String>::new());
}

/// A copy of redis-server's users, changed from outside: only who may write our folder can do that.
async fn sabotage_users(stand: &Stand, change: impl FnOnce(String) -> String) {
    let file = stand.ground.root.conf().join("redis/users.acl");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, change(text.clone())).unwrap();
    reconcile::ports::Units::restart(&*stand.units, "redis").await.unwrap();
    // It listens before it has read who may do what.
    crate::stand::until("redis lets the app in", || async { as_app(stand).await.is_ok() }).await;
    std::fs::write(&file, text).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_folder_becomes_a_guarded_redis_and_then_nothing_is_left_to_do() {
    let stand = Stand::new();
    let redis = settled(&stand).await;
    assert_nothing_to_do(&redis).await;
    let conf = stand.ground.root.conf().join("redis");
    for (file, mode) in [("redis.conf", 0o600), ("users.acl", 0o600), ("certificate.pem", 0o400)] {
        assert_eq!(std::fs::metadata(conf.join(file)).unwrap().permissions().mode() & 0o777, mode, "{file}");
    }
    let pid = stand.units.pid("redis");
    let seen = [
        std::fs::read(conf.join("users.acl")).unwrap(),
        std::fs::read(conf.join("redis.conf")).unwrap(),
        std::fs::read(conf.join("certificate.pem")).unwrap(),
        std::fs::read(stand.ground.root.log_of("redis")).unwrap(),
        std::fs::read(format!("/proc/{pid}/cmdline")).unwrap(),
        std::fs::read(format!("/proc/{pid}/environ")).unwrap(),
    ];
    for name in stand.ground.secrets.names().unwrap() {
        let secret = stand.secret(&name);
        let text = secret.expose().as_bytes();
        assert!(!seen.iter().any(|seen| seen.windows(text.len()).any(|window| window == text)), "{name} leaks");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_can_work_on_its_keys_and_nothing_else() {
    let stand = Stand::new();
    let _redis = settled(&stand).await;
    let mut app = as_app(&stand).await.unwrap();
    for allowed in [
        "SET shop:local:cart 1 EX 60",
        "GET shop:local:cart",
        "HSET shop:local:h a 1",
        "EXPIRE shop:local:h 60",
        "PUBLISH shop:local:c hello",
        "SCAN 0 MATCH shop:local:*",
        "INFO server",
        "PING",
        "CLIENT ID",
        "CLIENT SETNAME api",
        "MULTI",
        "INCR shop:local:n",
        "EXEC",
    ] {
        ask(&mut app, allowed).await.unwrap_or_else(|fault| panic!("{allowed}: {fault}"));
    }
    for denied in [
        "GET shop:staging:cart",
        "SET other 1",
        "COPY shop:local:cart other",
        "PUBLISH other hello",
        "KEYS *",
        "FLUSHALL",
        "FLUSHDB",
        "CONFIG GET *",
        "CONFIG SET dir /tmp",
        "ACL LIST",
        "ACL SETUSER app-api on",
        "SHUTDOWN NOSAVE",
        "MODULE LIST",
        "CLIENT KILL ID 1",
        "CLIENT LIST",
        "FUNCTION FLUSH",
        "SCRIPT FLUSH",
        "REPLICAOF NO ONE",
        "MONITOR",
        "SAVE",
    ] {
        let fault = ask(&mut app, denied).await.expect_err(denied);
        assert_eq!(fault.code(), Some("NOPERM"), "{denied}: {fault}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_passwords_are_loaded_without_a_restart_and_cut_the_old_ones_off() {
    let stand = Stand::new();
    let redis = settled(&stand).await;
    let pid = stand.units.pid("redis");
    let mut old = as_app(&stand).await.unwrap();
    ask(&mut old, "SET shop:local:a 1").await.unwrap();

    stand
        .ground
        .secrets
        .set(&Purpose::Durable.app_secret(&app()), Class::Secret, &Secret::new("fresh".repeat(10)))
        .unwrap();
    assert_eq!(
        converge_redis(&redis).await.unwrap(),
        [
            "write the users and make missing credentials",
            "let apps in with every password that holds, and with no other"
        ]
    );
    assert_eq!(stand.units.pid("redis"), pid);
    assert!(ask(&mut old, "GET shop:local:a").await.is_err(), "the old password's connection lives on");
    ask(&mut as_app(&stand).await.unwrap(), "GET shop:local:a").await.unwrap();

    // Our own password changes just as well: the server is restarted once, because it does not know us any more.
    stand.ground.secrets.set(&Purpose::Durable.admin_secret(), Class::Secret, &Secret::new("ours".repeat(10))).unwrap();
    let steps = converge_redis(&redis).await.unwrap();
    assert!(steps.contains(&RESTART.to_owned()), "{steps:?}");
    assert_nothing_to_do(&redis).await;
    ask(&mut as_app(&stand).await.unwrap(), "GET shop:local:a").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn users_that_nobody_asked_for_are_seen_and_unloaded() {
    let stand = Stand::new();
    let redis = settled(&stand).await;
    let changes: [fn(String) -> String; 8] = [
        |text| text.replace("user default off", "user default on nopass"),
        |text| text + "user mallory on nopass ~* &* +@all\n",
        |text| text.replace(" ~shop:local:*", " ~*"),
        |text| text.replace("-@dangerous", "+flushall"),
        // Our own user, which may change users and so itself.
        |text| text.replace("+slowlog|len", "+slowlog|len +client|list"),
        |text| text.replace("+slowlog|len", "+slowlog|len +@all"),
        |text| text.replace("+slowlog|len", "+slowlog|len ~*"),
        |text| text.replace(" +memory|stats", ""),
    ];
    for (n, change) in changes.into_iter().enumerate() {
        sabotage_users(&stand, change).await;
        assert_eq!(converge_redis(&redis).await.unwrap(), ["load the users into the running server"], "change {n}");
    }
    sabotage_users(&stand, |text| text.replace("user roadbed on", "user roadbed off")).await;
    assert_eq!(converge_redis(&redis).await.unwrap(), [RESTART]);
    assert_nothing_to_do(&redis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_limit_is_a_restart_and_keeps_the_data() {
    let stand = Stand::new();
    let _redis = settled(&stand).await;
    ask(&mut as_app(&stand).await.unwrap(), "SET shop:local:a kept").await.unwrap();
    let mut settings = redis_settings();
    settings.max_memory *= 2;
    let redis = stand.redis_with(settings).await;
    assert_eq!(converge_redis(&redis).await.unwrap(), ["write the configuration", "start on the loopback port"]);
    let kept = ask(&mut as_app(&stand).await.unwrap(), "GET shop:local:a").await.unwrap();
    assert_eq!(kept, Value::BulkString(b"kept".to_vec()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_together_is_there_after_a_restart_as_what_was_written_alone() {
    let stand = Stand::new();
    let redis = settled(&stand).await;
    let mut app = as_app(&stand).await.unwrap();
    let mut together = redis::pipe();
    together.atomic().cmd("SET").arg("shop:local:cart").arg("bell").cmd("INCR").arg("shop:local:carts");
    together.query_async::<()>(&mut app).await.unwrap();
    let script = "redis.call('SET', KEYS[1], 'by a script') redis.call('SET', KEYS[2], 'by a script')";
    let mut scripted = redis::cmd("EVAL");
    scripted.arg(script).arg(2).arg("shop:local:one").arg("shop:local:two").query_async::<()>(&mut app).await.unwrap();
    reconcile::ports::Units::remove(&*stand.units, "redis").await.unwrap();
    assert_eq!(converge_redis(&redis).await.unwrap(), ["start on the loopback port"]);
    let mut app = as_app(&stand).await.unwrap();
    for (key, value) in [("cart", "bell"), ("carts", "1"), ("one", "by a script"), ("two", "by a script")] {
        let kept = ask(&mut app, &format!("GET shop:local:{key}")).await.unwrap();
        assert_eq!(kept, Value::BulkString(value.into()), "{key}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cut_off_at_any_moment_it_converges_from_there() {
    let stand = Stand::new();
    for millis in [1, 10, 20, 40, 60, 80, 120, 200] {
        let redis = stand.redis().await;
        let cut = tokio::time::timeout(Duration::from_millis(millis), converge_redis(&redis)).await;
        if let Ok(Err(fault)) = cut {
            panic!("after {millis} ms: {fault:#?}");
        }
        stand.units.lose_all();
    }
    let redis = settled(&stand).await;
    assert_nothing_to_do(&redis).await;
    stand.units.kill("redis");
    assert_eq!(converge_redis(&redis).await.unwrap(), ["start on the loopback port"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_data_is_told_with_the_servers_own_words_and_not_touched() {
    let stand = Stand::new();
    let redis = settled(&stand).await;
    let mut app = as_app(&stand).await.unwrap();
    for n in 0..100 {
        ask(&mut app, &format!("SET shop:local:{n} {n}")).await.unwrap();
    }
    reconcile::ports::Units::remove(&*stand.units, "redis").await.unwrap();
    let folder = stand.ground.root.data("redis").join("appendonlydir");
    let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let file = entries.into_iter().find(|path| path.to_string_lossy().ends_with(".incr.aof")).unwrap();
    damage(&file);
    let before = std::fs::read(&file).unwrap();
    let fault = converge_redis(&redis).await.unwrap_err();
    assert!(fault.message.contains("redis does not stay up"), "{fault:#?}");
    assert!(fault.output.iter().any(|line| line.contains("append only file")), "{fault:#?}");
    assert!(fault.hint.unwrap().contains("redis-check-aof"));
    assert_eq!(std::fs::read(&file).unwrap(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_named() {
    let stand = Stand::new();
    let redis = stand.redis().await;
    let _taken = std::net::TcpListener::bind(("127.0.0.1", stand.port)).unwrap();
    let fault = converge_redis(&redis).await.unwrap_err();
    assert!(fault.message.contains(&format!("port {}", stand.port)), "{fault:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_password_is_made_again_since_the_data_does_not_depend_on_it() {
    let stand = Stand::new();
    let redis = settled(&stand).await;
    ask(&mut as_app(&stand).await.unwrap(), "SET shop:local:a kept").await.unwrap();
    stand.ground.secrets.remove(&SecretName::new("redis/app-api")).unwrap();
    converge_redis(&redis).await.unwrap();
    assert_nothing_to_do(&redis).await;
    assert!(stand.ground.secrets.get(&SecretName::new("redis/app-api")).unwrap().is_some());
    ask(&mut as_app(&stand).await.unwrap(), "GET shop:local:a").await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_warm_start_is_one_step() {
    let stand = Stand::new();
    let redis = settled(&stand).await;
    reconcile::ports::Units::remove(&*stand.units, "redis").await.unwrap();
    let began = Instant::now();
    assert_eq!(converge_redis(&redis).await.unwrap(), ["start on the loopback port"]);
    println!("warm start to a converged redis: {} ms", began.elapsed().as_millis());
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

async fn client_id(connection: &mut MultiplexedConnection) -> u64 {
    redis::cmd("CLIENT").arg("ID").query_async(connection).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_is_renewed_in_time_and_no_connection_notices() {
    let stand = Stand::new();
    let redis = settled(&stand).await;
    let mut app = as_app(&stand).await.unwrap();
    let (pid, id) = (stand.units.pid("redis"), client_id(&mut app).await);
    let file = stand.ground.root.conf().join("redis/certificate.pem");
    let first = std::fs::read(&file).unwrap();
    stand.clock.days(59);
    assert_nothing_to_do(&redis).await;
    stand.clock.days(61);
    let renewed = ["issue a certificate of its own", "show the new certificate, and keep all connections"];
    assert_eq!(converge_redis(&redis).await.unwrap(), renewed);
    assert_ne!(std::fs::read(&file).unwrap(), first);
    assert_eq!((stand.units.pid("redis"), client_id(&mut app).await), (pid, id));
    // A new connection sees the new one: by then the first would be over.
    stand.clock.days(100);
    as_app(&stand).await.unwrap();

    // Cut off between the two steps.
    redis.perform(&stores::redis::Step::WriteCertificate).await.unwrap();
    assert_eq!(converge_redis(&redis).await.unwrap(), ["show the new certificate, and keep all connections"]);
    assert_nothing_to_do(&redis).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_whose_time_is_over_is_believed_by_nobody_and_replaced() {
    let stand = Stand::new();
    let redis = settled(&stand).await;
    stand.clock.days(91);
    assert!(as_app(&stand).await.unwrap_err().to_string().contains("certificate"));
    assert_eq!(converge_redis(&redis).await.unwrap(), ["issue a certificate of its own", RESTART]);
    as_app(&stand).await.unwrap();
    assert_nothing_to_do(&redis).await;

    // What is no certificate is not loaded.
    let file = stand.ground.root.conf().join("redis/certificate.pem");
    std::fs::remove_file(&file).unwrap();
    std::fs::write(&file, "nothing").unwrap();
    converge_redis(&redis).await.unwrap();
    as_app(&stand).await.unwrap();
    assert_nothing_to_do(&redis).await;
}

/// Starts a redis-server as somebody would who has our files and wants something else of it.
pub(crate) async fn sabotage_configuration(stand: &Stand, unit: &str, change: impl FnOnce(String) -> String) {
    let conf = stand.ground.root.conf().join(unit);
    let text = std::fs::read_to_string(conf.join("redis.conf")).unwrap();
    let changed = change(text.clone());
    assert_ne!(changed, text, "the sabotage does something");
    std::fs::write(conf.join("other.conf"), changed).unwrap();
    let other = conf.join("other.conf").to_string_lossy().into_owned();
    stand.units.replace(unit, |spec| spec.args = vec![other]);
    let port = if unit == "redis" { stand.port } else { stand.cache_port };
    crate::stand::until("redis answers", || async { !host::socket::is_port_free(port) }).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_changed_in_the_living_server_is_seen_and_set_again() {
    let stand = Stand::new();
    let redis = settled(&stand).await;
    let changes: [fn(String) -> String; 3] = [
        |text| text.replace("maxmemory-policy noeviction", "maxmemory-policy allkeys-lru"),
        |text| text.replace("appendonly yes", "appendonly no"),
        |text| text.replace("maxmemory 33554432", "maxmemory 0"),
    ];
    for change in changes {
        sabotage_configuration(&stand, "redis", change).await;
        let pid = stand.units.pid("redis");
        assert_eq!(converge_redis(&redis).await.unwrap(), ["set memory, eviction and persistence as declared"]);
        assert_eq!(stand.units.pid("redis"), pid);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cache_is_a_redis_of_its_own_that_keeps_nothing_and_whose_keys_open_no_other() {
    let stand = Stand::new();
    let _redis = settled(&stand).await;
    let cache = stand.redis_cache().await;
    converge_redis(&cache).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    assert_eq!(converge_redis(&cache).await.unwrap(), Vec::<String>::new());
    let key = stand.versioned(&Purpose::Cache.app_secret(&app()));
    let mut of_cache = stand.redis_by(&redis_url(&app(), stand.cache_port, &key)).await.unwrap();
    let fault = stand.redis_by(&redis_url(&app(), stand.port, &key)).await.unwrap_err();
    assert_eq!(fault.kind(), redis::ErrorKind::AuthenticationFailed, "{fault}");

    // Much more than it holds, and no write fails.
    let value = "x".repeat(64 << 10);
    for n in 0..400 {
        ask(&mut of_cache, &format!("SET shop:local:{n} {value} EX 600")).await.unwrap();
    }
    let Value::Int(kept) = ask(&mut of_cache, "DBSIZE").await.unwrap() else { panic!() };
    assert!((100..300).contains(&kept), "{kept}");
    stand.units.kill("redis-cache");
    converge_redis(&cache).await.unwrap();
    let mut again = stand.redis_by(&redis_url(&app(), stand.cache_port, &key)).await.unwrap();
    assert_eq!(ask(&mut again, "DBSIZE").await.unwrap(), Value::Int(0));
    let left = std::fs::read_dir(stand.ground.root.data("redis-cache")).unwrap().count();
    assert_eq!(left, 0, "it wrote something");
}

/// The append-only file that grows, and the one that it goes on from.
async fn files_at_rest(stand: &Stand) -> [std::path::PathBuf; 2] {
    reconcile::ports::Units::remove(&*stand.units, "redis").await.unwrap();
    let folder = stand.ground.root.data("redis").join("appendonlydir");
    let file = |end: &str| {
        let entries = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        entries.into_iter().find(|path| path.to_string_lossy().ends_with(end)).unwrap()
    };
    [file(".incr.aof"), file(".base.rdb")]
}

/// What a power cut leaves. Redis alone would cut the rest off, go on, and say so in its log only.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_cut_off_is_told_and_repaired_only_by_who_says_so() {
    let stand = Stand::new();
    let redis = settled(&stand).await;
    let mut app = as_app(&stand).await.unwrap();
    for n in 0..100 {
        ask(&mut app, &format!("SET shop:local:{n} {n}")).await.unwrap();
    }
    let [file, _] = files_at_rest(&stand).await;
    let length = std::fs::metadata(&file).unwrap().len();
    std::fs::OpenOptions::new().write(true).open(&file).unwrap().set_len(length - 5).unwrap();
    let fault = converge_redis(&redis).await.unwrap_err();
    assert!(fault.output.iter().any(|line| line.contains("Unexpected end of file")), "{fault:#?}");
    assert!(fault.hint.unwrap().contains("--fix"));
    assert_eq!(std::fs::metadata(&file).unwrap().len(), length - 5, "somebody touched it");

    let engine = crate::stand::located(&*crate::stand::redis_server().await).await;
    let mut repair = std::process::Command::new(engine.program.with_file_name("redis-check-aof"));
    repair.envs(&engine.env).arg("--fix").arg(&file).stdin(std::process::Stdio::piped());
    let mut repair = repair.stdout(std::process::Stdio::null()).spawn().unwrap();
    std::io::Write::write_all(&mut repair.stdin.take().unwrap(), b"y\n").unwrap();
    assert!(repair.wait().unwrap().success());
    reconcile::ports::Units::remove(&*stand.units, "redis").await.unwrap();
    converge_redis(&redis).await.unwrap_or_else(|fault| panic!("{fault:#?}"));
    let mut app = as_app(&stand).await.unwrap();
    let kept = |value: &str| Value::BulkString(value.as_bytes().to_vec());
    assert_eq!(ask(&mut app, "GET shop:local:98").await.unwrap(), kept("98"));
    assert_eq!(ask(&mut app, "GET shop:local:99").await.unwrap(), Value::Nil);
}

#[tokio::test(flavor = "multi_thread")]
async fn data_of_a_newer_version_is_refused_and_not_touched() {
    let stand = Stand::new();
    let redis = settled(&stand).await;
    let [_, base] = files_at_rest(&stand).await;
    let mut content = std::fs::read(&base).unwrap();
    assert!(content.starts_with(b"REDIS00"));
    content[5..9].copy_from_slice(b"9999");
    std::fs::write(&base, &content).unwrap();
    let fault = converge_redis(&redis).await.unwrap_err();
    assert!(fault.output.iter().any(|line| line.contains("RDB format version 9999")), "{fault:#?}");
    assert_eq!(std::fs::read(&base).unwrap(), content);
}
