//! What a test stands on: a replica set of one, maybe a Redis, a repository.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use backup::{ClusterTime, Engines, MongoSource, Program, RedisSource, Repository, Sources};
use futures_util::TryStreamExt;
use mongodb::bson::{Document, doc};
use mongodb::options::{ClientOptions, ServerAddress};
use mongodb::{Client, Collection, Database};
use tempfile::TempDir;

pub(crate) const KEY: &str = "the key of the stand";

pub(crate) struct Stand {
    pub(crate) client: Client,
    pub(crate) repository: Repository,
    pub(crate) engines: Engines,
    servers: Vec<Child>,
    folder: TempDir,
}

/// The newest engine of the user's cache whose folder begins so.
pub(crate) fn engine(kind: &str, program: &str) -> Program {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap();
    let cache =
        std::env::var_os("XDG_CACHE_HOME").map_or_else(|| home.join(".cache"), PathBuf::from).join("roadbed/engines");
    let all =
        std::fs::read_dir(&cache).unwrap_or_else(|error| panic!("{}: {error}: `roadbed up` fetches", cache.display()));
    let found = all
        .flatten()
        .map(|entry| entry.path())
        .find(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(kind)));
    let folder = found.unwrap_or_else(|| panic!("there is no {kind} in {}", cache.display()));
    let about = std::fs::read_to_string(folder.join("engine.json")).unwrap();
    let about: serde_json::Value = serde_json::from_str(&about).unwrap();
    let mut env = BTreeMap::from([("LC_ALL".to_owned(), "C".to_owned())]);
    let mut libraries = Vec::new();
    collect_libraries(&folder, &mut libraries);
    if !libraries.is_empty() {
        env.insert("LD_LIBRARY_PATH".to_owned(), libraries.join(":"));
    }
    let path = about.get("program").and_then(serde_json::Value::as_str).map(|path| folder.join(path));
    let path = path.filter(|path| path.exists()).or_else(|| find(&folder, program)).unwrap();
    Program { program: path, env }
}

fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    std::fs::read_dir(folder).ok()?.flatten().find_map(|entry| {
        let path = entry.path();
        if path.is_dir() { find(&path, name) } else { (path.file_name()? == name).then_some(path) }
    })
}

fn collect_libraries(folder: &Path, into: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    let mut has_any = false;
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() && !path.is_symlink() {
            collect_libraries(&path, into);
        }
        has_any |= entry.file_name().to_string_lossy().contains(".so");
    }
    if has_any {
        into.push(folder.to_string_lossy().into_owned());
    }
}

pub(crate) async fn all(database: &Database, name: &str) -> Vec<Document> {
    database.collection::<Document>(name).find(doc! {}).await.unwrap().try_collect().await.unwrap()
}

pub(crate) fn sorted(mut documents: Vec<Document>) -> Vec<Document> {
    documents.sort_by_key(Document::to_string);
    documents
}

impl Stand {
    pub(crate) async fn new() -> Self {
        Self::started(&[]).await
    }

    /// One whose MongoDB can be told to answer late.
    pub(crate) async fn that_can_be_slowed() -> Self {
        Self::started(&["--setParameter", "enableTestCommands=1"]).await
    }

    async fn started(more: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (mongod, redis) = (engine("mongod", "mongod"), engine("redis-server", "redis-server"));
        let data = folder.path().join("mongod");
        std::fs::create_dir(&data).unwrap();
        let socket = format!("{}/mongodb-27017.sock", folder.path().display());
        let server = Command::new(&mongod.program)
            .args([
                "--dbpath",
                data.to_str().unwrap(),
                "--bind_ip",
                &socket,
                "--replSet",
                "stand",
                "--unixSocketPrefix",
                ".",
            ])
            .args(["--wiredTigerCacheSizeGB", "0.25", "--oplogSize", "64"])
            .args(more)
            .envs(&mongod.env)
            .current_dir(&data)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let options = ClientOptions::builder()
            .hosts(vec![ServerAddress::Unix { path: socket.clone().into() }])
            .direct_connection(true)
            .server_selection_timeout(Duration::from_secs(30))
            .build();
        let client = Client::with_options(options).unwrap();
        let config = doc! { "_id": "stand", "members": [{ "_id": 0, "host": &socket }] };
        client.database("admin").run_command(doc! { "replSetInitiate": config }).await.unwrap();
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let hello = client.database("admin").run_command(doc! { "hello": 1 }).await.unwrap();
            if hello.get_bool("isWritablePrimary").unwrap_or(false) {
                break;
            }
            assert!(Instant::now() < deadline, "no primary");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        let repository = Repository::open_or_create(&folder.path().join("repository"), KEY).unwrap();
        let engines = Engines { mongod: Some(mongod), redis: Some(redis) };
        Self { client, repository, engines, servers: vec![server], folder }
    }

    pub(crate) async fn with_redis() -> Self {
        let mut stand = Self::new().await;
        let data = stand.folder.path().join("redis");
        std::fs::create_dir(&data).unwrap();
        let program = stand.engines.redis.clone().unwrap();
        let server = Command::new(&program.program)
            .args(["--port", "0", "--unixsocket", "redis.sock", "--appendonly", "yes", "--save", "", "--dir"])
            .arg(&data)
            .envs(&program.env)
            .current_dir(&data)
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        stand.servers.push(server);
        let deadline = Instant::now() + Duration::from_secs(20);
        while !data.join("redis.sock").exists() {
            assert!(Instant::now() < deadline, "no redis");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        stand
    }

    pub(crate) async fn keys(&self, count: u32) {
        let address = format!("redis+unix://{}/redis/redis.sock", self.folder.path().display());
        let client = redis::Client::open(address).unwrap();
        let mut connection = client.get_multiplexed_async_connection().await.unwrap();
        for number in 0..count {
            redis::cmd("SET").arg(format!("cart:{number}")).arg(number).exec_async(&mut connection).await.unwrap();
        }
    }

    pub(crate) fn redis_source(&self) -> RedisSource {
        RedisSource { unit: "redis".into(), data: self.folder.path().join("redis"), keys: 500 }
    }

    pub(crate) fn database(&self) -> Database {
        self.client.database("shop")
    }

    pub(crate) fn other(&self) -> Collection<Document> {
        self.client.database("other").collection("things")
    }

    pub(crate) async fn documents(&self, name: &str) -> Vec<Document> {
        all(&self.database(), name).await
    }

    pub(crate) async fn orders(&self, numbers: Range<i32>) {
        let order = |n: i32| doc! { "n": n, "total": f64::from(n) * 1.25, "lines": [{ "sku": format!("sku-{n}"), "count": 2_i64 }] };
        self.database().collection("orders").insert_many(numbers.map(order)).await.unwrap();
    }

    pub(crate) async fn transaction(&self, numbers: Range<i32>) {
        let mut session = self.client.start_session().await.unwrap();
        session.start_transaction().await.unwrap();
        let orders = self.database().collection::<Document>("orders");
        for n in numbers {
            orders.insert_one(doc! { "n": n, "in": "transaction" }).session(&mut session).await.unwrap();
        }
        session.commit_transaction().await.unwrap();
        session.start_transaction().await.unwrap();
        orders.insert_one(doc! { "n": -1, "never": "committed" }).session(&mut session).await.unwrap();
        session.abort_transaction().await.unwrap();
    }

    /// One that is larger than an entry of the oplog may be.
    pub(crate) async fn large_transaction(&self) {
        let large = self.database().collection::<Document>("large");
        large.insert_one(doc! { "first": true }).await.unwrap();
        let mut session = self.client.start_session().await.unwrap();
        session.start_transaction().await.unwrap();
        for n in 0..5 {
            let text = "x".repeat(4 << 20);
            large.insert_one(doc! { "n": n, "text": text }).session(&mut session).await.unwrap();
        }
        session.commit_transaction().await.unwrap();
    }

    /// The last moment that the server knows of.
    pub(crate) async fn now(&self) -> ClusterTime {
        let hello = self.client.database("admin").run_command(doc! { "hello": 1 }).await.unwrap();
        let last = hello.get_document("lastWrite").unwrap().get_document("opTime").unwrap();
        last.get_timestamp("ts").unwrap().into()
    }

    pub(crate) fn sources(&self) -> Sources {
        Sources {
            product: "urbancart".into(),
            environment: "stand".into(),
            mongodb: Some(MongoSource { client: self.client.clone(), database: "shop".into() }),
            redis: Vec::new(),
            objects: None,
            releases: None,
            telemetry: None,
            files: vec![("roadbed.toml".into(), b"[product]".to_vec()), ("state/a.db".into(), vec![7; 3000])],
        }
    }

    pub(crate) fn place(&self) -> PathBuf {
        self.folder.path().join("repository")
    }

    pub(crate) fn scratch(&self) -> PathBuf {
        self.folder.path().join("scratch")
    }

    pub(crate) fn restic(&self, args: &[&str]) {
        let output = Command::new("restic")
            .args(["--no-cache", "--repo"])
            .arg(self.place())
            .args(args)
            .env("RESTIC_PASSWORD", KEY)
            .output()
            .expect("restic is installed: ./setup does it");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}\n{errors}", String::from_utf8_lossy(&output.stdout));
    }

    fn packs(&self) -> Vec<(u64, PathBuf)> {
        let folders = std::fs::read_dir(self.place().join("data")).unwrap().flatten();
        let files = folders.flat_map(|folder| std::fs::read_dir(folder.path()).unwrap().flatten());
        files.map(|file| (file.metadata().unwrap().len(), file.path())).collect()
    }

    pub(crate) fn size_of_repository(&self) -> u64 {
        self.packs().iter().map(|(size, _)| size).sum()
    }

    pub(crate) fn flip_a_byte_of_the_largest_pack(&self) {
        let (_, path) = self.packs().into_iter().max().unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[1000] ^= 1;
        std::fs::write(&path, bytes).unwrap();
    }
}

impl Drop for Stand {
    fn drop(&mut self) {
        for server in &mut self.servers {
            let _ = server.kill();
            let _ = server.wait();
        }
    }
}

/// As compressed archives are: nothing in it comes twice.
pub(crate) fn noise(seed: u64, length: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let word = |_| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    };
    (0..length.div_ceil(8)).flat_map(word).take(length).collect()
}
