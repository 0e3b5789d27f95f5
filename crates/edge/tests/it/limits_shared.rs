//! Edges that count together, in a real Redis: which is slow, goes away, forgets the script, comes back.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use edge::{Limits, StoreAccess};
use reconcile::rate_limits::LimitedClass;
use zeroize::Zeroizing;

use crate::app::App;
use crate::limits::{class, post_from, publish, rate, statuses};
use crate::world::{World, eventually, shop};

/// What the user `edge` may do: as `stores/redis/acl.rs` has it.
const USER: &str = "on >edge-password ~edge:t:* resetchannels -@all +evalsha +script|load +get +set +time +ping";

/// A redis-server of this test alone.
struct Redis {
    port: u16,
    folder: tempfile::TempDir,
    process: Child,
}

impl Redis {
    async fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let process = spawn(port, folder.path());
        let redis = Self { port, folder, process };
        redis.answers().await;
        redis
    }

    async fn answers(&self) {
        eventually("redis answers", async || self.says(&["PING"]).is_some_and(|said| said.starts_with("+PONG"))).await;
    }

    /// Asks as the user who may do everything.
    fn says(&self, words: &[&str]) -> Option<String> {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        let command = format!("{}\r\nQUIT\r\n", words.join(" "));
        stream.write_all(command.as_bytes()).ok()?;
        let mut said = String::new();
        stream.read_to_string(&mut said).ok()?;
        Some(said)
    }

    fn signal(&self, signal: &str) {
        assert!(Command::new("kill").args([signal, &self.process.id().to_string()]).status().unwrap().success());
    }

    fn access(&self) -> StoreAccess {
        access(vec![self.port])
    }

    async fn restart(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = spawn(self.port, self.folder.path());
        self.answers().await;
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn access(ports: Vec<u16>) -> StoreAccess {
    StoreAccess {
        ports,
        user: "edge".to_owned(),
        password: Zeroizing::new("edge-password".to_owned()),
        authorities: String::new(),
        prefix: "edge:t:".to_owned(),
    }
}

fn spawn(port: u16, folder: &Path) -> Child {
    let (program, libraries) = program();
    Command::new(program)
        .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--dir"])
        .arg(folder)
        .args(["--user", "edge"])
        .args(USER.split(' '))
        .env("LD_LIBRARY_PATH", libraries)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

/// The machine's own, or the one that `stores` has fetched.
fn program() -> (PathBuf, PathBuf) {
    let path = std::env::var_os("PATH").unwrap_or_default();
    if let Some(found) =
        std::env::split_paths(&path).map(|folder| folder.join("redis-server")).find(|file| file.is_file())
    {
        return (found, PathBuf::new());
    }
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let cache = cache.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"));
    let engines = std::fs::read_dir(cache.join("roadbed/engines")).into_iter().flatten().flatten();
    let fetched = engines.map(|entry| entry.path()).find(|engine| engine.join("usr/bin/redis-server").is_file());
    let engine = fetched.expect("there is no redis-server: `cargo test -p roadbed-stores --test it redis` fetches one");
    let libraries = std::fs::read_dir(engine.join("usr/lib")).unwrap().flatten().map(|entry| entry.path());
    let libraries = libraries.into_iter().find(|folder| folder.to_string_lossy().contains("linux-gnu")).unwrap();
    (engine.join("usr/bin/redis-server"), libraries)
}

/// An edge that is patient: a machine that tests many things at a time is late now and then.
async fn edge(app: &App, burst: u64) -> World {
    edge_with(app, burst, Limits { limits_store: Duration::from_secs(2), ..Limits::default() }).await
}

async fn edge_with(app: &App, burst: u64, limits: Limits) -> World {
    let world = World::with(limits).await;
    let auth = LimitedClass { shared: true, strict: true, ..class("auth", rate(1, burst), Some("/auth/*")) };
    publish(&world, shop(app.port), vec![auth]).await;
    world
}

async fn counts_in(world: &World, access: &StoreAccess) {
    world.edge.count_limits_in(access).await.unwrap();
    is_used(world, true).await;
}

async fn is_used(world: &World, used: bool) {
    eventually("the edge counts where it should", async || {
        world.edge.health().await.is_ok_and(|health| health.limits.is_used == used)
    })
    .await;
}

#[tokio::test]
async fn two_edges_have_one_bucket_and_nothing_of_a_visitor_stays() {
    let (app, redis) = (App::saying("ok").await, Redis::start().await);
    let (one, other) = (edge(&app, 4).await, edge(&app, 4).await);
    counts_in(&one, &redis.access()).await;
    counts_in(&other, &redis.access()).await;
    assert_eq!(statuses(&one, 2, "/auth/login", 3).await, [200; 3]);
    let fourth = post_from(&other, 2, "/auth/login", "").await;
    assert!(fourth.header("ratelimit").unwrap().starts_with("\"auth\";r=0;"), "{}", fourth.head);
    let refused = post_from(&other, 2, "/auth/login", "").await;
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("3600")));
    assert_eq!(post_from(&one, 2, "/auth/login", "").await.status, 429);
    assert_eq!(post_from(&other, 3, "/auth/login", "").await.status, 200, "another client");

    let keys = redis.says(&["KEYS", "*"]).unwrap();
    let names: Vec<&str> = keys.lines().filter(|line| line.starts_with("edge:t:auth:")).collect();
    assert_eq!(names.len(), 2, "{keys}");
    assert!(!keys.contains("127.0.0"), "an address is nobody's business there: {keys}");
    for name in keys.lines().filter(|line| line.starts_with("edge:")) {
        let left: i64 = redis.says(&["PTTL", name]).unwrap().lines().next().unwrap()[1..].parse().unwrap();
        assert!(left > 0 && left <= 4 * 3_600_000, "{name} stays for {left}");
    }
    assert!(!keys.lines().any(|line| line.starts_with('$') && line.len() > 4), "{keys}");
}

#[tokio::test]
async fn an_edge_that_follows_another_goes_on_counting() {
    let (app, redis) = (App::saying("ok").await, Redis::start().await);
    let mut world = edge(&app, 2).await;
    counts_in(&world, &redis.access()).await;
    assert_eq!(statuses(&world, 2, "/auth/login", 2).await, [200; 2]);
    let before = world.succeed().await;
    counts_in(&world, &redis.access()).await;
    assert_eq!(statuses(&world, 2, "/auth/login", 1).await, [429]);
    before.gone().await;
}

#[tokio::test]
async fn a_redis_that_says_nothing_stalls_nobody_and_opens_nothing() {
    let (app, redis) = (App::saying("ok").await, Redis::start().await);
    let world = edge_with(&app, 8, Limits::default()).await;
    counts_in(&world, &redis.access()).await;
    assert_eq!(post_from(&world, 2, "/auth/login", "").await.status, 200);

    redis.signal("-STOP");
    let began = Instant::now();
    let told = statuses(&world, 3, "/auth/login", 10).await;
    let took = began.elapsed();
    redis.signal("-CONT");
    assert_eq!(told, [[200; 4].as_slice(), &[429; 6]].concat(), "half of eight, which an edge alone lets through");
    assert!(took < Duration::from_secs(2), "{took:?}");
    let lines =
        world.log(|lines| lines.iter().filter(|line| line["limit"]["outcome"] == "fell-back").count() == 4).await;
    assert!(lines.iter().any(|line| line["limit"]["outcome"] == "refused"));

    is_used(&world, true).await;
    assert_eq!(post_from(&world, 4, "/auth/login", "").await.status, 200);
}

#[tokio::test]
async fn a_server_that_only_takes_connections_is_asked_by_no_visitor() {
    let app = App::saying("ok").await;
    let hole = TcpListener::bind("127.0.0.1:0").unwrap();
    let world = edge(&app, 4).await;
    world.edge.count_limits_in(&access(vec![hole.local_addr().unwrap().port()])).await.unwrap();
    let began = Instant::now();
    assert_eq!(statuses(&world, 2, "/auth/login", 4).await, [200, 200, 429, 429]);
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert!(!world.edge.health().await.unwrap().limits.is_used);
}

#[tokio::test]
async fn a_redis_that_was_restarted_or_forgot_the_script_is_used_again() {
    let (app, mut redis) = (App::saying("ok").await, Redis::start().await);
    let world = edge(&app, 100).await;
    counts_in(&world, &redis.access()).await;
    let fallen_back = async || world.edge.health().await.unwrap().limits.fallen_back;

    assert!(redis.says(&["SCRIPT", "FLUSH"]).unwrap().starts_with("+OK"));
    assert_eq!(post_from(&world, 2, "/auth/login", "").await.status, 200);
    assert_eq!(fallen_back().await, 1, "one request found no script");
    is_used(&world, true).await;
    assert_eq!(post_from(&world, 2, "/auth/login", "").await.status, 200);
    assert_eq!(fallen_back().await, 1);

    // Nobody asks meanwhile, and it is noticed all the same.
    redis.process.kill().unwrap();
    is_used(&world, false).await;
    redis.restart().await;
    is_used(&world, true).await;
    let before = fallen_back().await;
    let reply = post_from(&world, 2, "/auth/login", "").await;
    assert!(reply.header("ratelimit").unwrap().starts_with("\"auth\";r="), "{}", reply.head);
    assert_eq!(fallen_back().await, before);
}

#[tokio::test]
async fn a_replica_is_passed_over_and_another_password_is_taken_up() {
    let (app, primary, replica) = (App::saying("ok").await, Redis::start().await, Redis::start().await);
    let port = primary.port.to_string();
    assert!(replica.says(&["REPLICAOF", "127.0.0.1", &port]).unwrap().starts_with("+OK"));
    let world = edge(&app, 4).await;
    counts_in(&world, &access(vec![replica.port, primary.port])).await;
    assert_eq!(post_from(&world, 2, "/auth/login", "").await.status, 200);
    assert!(primary.says(&["KEYS", "edge:t:auth:*"]).unwrap().contains("edge:t:auth:"));

    // It never knew a wrong password to be right, and says nothing of it.
    let wrong = StoreAccess { password: Zeroizing::new("wrong".to_owned()), ..primary.access() };
    world.edge.count_limits_in(&wrong).await.unwrap();
    is_used(&world, false).await;
    assert_eq!(world.edge.health().await.unwrap().limits.fingerprint, Some(wrong.fingerprint()));
    assert!(!format!("{wrong:?}").contains("wrong"));
    counts_in(&world, &primary.access()).await;
}
