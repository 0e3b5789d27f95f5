//! A stand for stores: a root of its own, real engines, and a keeper small enough to see through.

use std::fmt::Display;
use std::future::Future;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use host::clock::{Clock, SystemClock, Timestamp};
use manifest::environment;
use manifest::id::AppName;
use mongodb::options::{AuthMechanism, ClientOptions, Credential, ServerAddress, Tls, TlsOptions};
use reconcile::ports::{Ensured, PortFuture, UnitKind, UnitSpec, UnitState, UnitStatus, Units};
use reconcile::progress::Unwatched;
use reconcile::{Event, Fault, Progress, Resource, Root};
use redis::RedisResult;
use redis::aio::MultiplexedConnection;
use secrets::{Seat, Secret, SecretName, Store, Versioned};
use stores::Ground;
use stores::engines::{CacheDir, Engine, Located, Machine, machine::Platform};
use stores::mongo::Mongo;
use stores::redis::{Door, Identity, Redis, Settings};
use tempfile::TempDir;

/// Everything that one test needs.
pub(crate) struct Stand {
    pub(crate) units: Arc<Direct>,
    pub(crate) ground: Ground,
    pub(crate) port: u16,
    pub(crate) cache_port: u16,
    pub(crate) clock: Arc<Ahead>,
    /// Last: the processes must be gone before their folder is.
    folder: TempDir,
}

impl Stand {
    pub(crate) fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("roadbed stand's ").tempdir().unwrap();
        let root = Root::new(folder.path().to_owned());
        for path in [root.run(), root.secrets(), root.logs(), root.conf()] {
            std::fs::create_dir_all(path).unwrap();
        }
        let units =
            Arc::new(Direct { root: root.clone(), running: Mutex::new(Vec::new()), before: Mutex::new(Vec::new()) });
        let clock = Arc::new(Ahead::default());
        let ground = Ground {
            name: "shop local".to_owned(),
            id: "1".to_owned(),
            secrets: Arc::new(Store::new(Seat::standalone(&root.secrets(), clock.clone()))),
            root,
            units: Arc::clone(&units) as Arc<dyn Units>,
            clock: clock.clone(),
            require: Vec::new(),
        };
        let [port, cache_port] = [(); 2].map(|()| host::socket::free_port().unwrap());
        Self { units, ground, port, cache_port, clock, folder }
    }

    pub(crate) async fn mongo(&self) -> Mongo {
        self.mongo_with(mongo_settings()).await
    }

    pub(crate) async fn mongo_with(&self, settings: environment::MongoDb) -> Mongo {
        Mongo::new(settings, self.port, mongod().await, self.ground.clone())
    }

    /// The same MongoDB, of a root with this id.
    pub(crate) async fn mongo_of_root(&self, id: &str) -> Mongo {
        Mongo::new(mongo_settings(), self.port, mongod().await, Ground { id: id.to_owned(), ..self.ground.clone() })
    }

    /// A MongoDB whose members have these ports.
    pub(crate) async fn mongo_of(&self, ports: &[u16]) -> Mongo {
        let settings = environment::MongoDb { members: u32::try_from(ports.len()).unwrap(), ..mongo_settings() };
        Mongo::new(settings, ports.to_vec(), mongod().await, self.ground.clone())
    }

    pub(crate) async fn redis(&self) -> Redis {
        self.redis_with(redis_settings()).await
    }

    pub(crate) async fn redis_with(&self, settings: Settings) -> Redis {
        Redis::new(settings, self.port, redis_server().await, self.ground.clone())
    }

    /// As [`Self::mongo_as`], of our administrator.
    pub(crate) fn mongo_admin(&self) -> mongodb::Client {
        self.mongo_as(stores::mongo::OwnUser::Administrator)
    }

    /// One of our users, straight through the driver.
    pub(crate) fn mongo_as(&self, user: stores::mongo::OwnUser) -> mongodb::Client {
        self.mongo_as_at(user, self.port)
    }

    /// As [`Self::mongo_as`], at one member.
    pub(crate) fn mongo_as_at(&self, user: stores::mongo::OwnUser, port: u16) -> mongodb::Client {
        let leaf = user.certificate(&self.ground).unwrap();
        let file = self.scratch("bearer.pem", &format!("{}{}", leaf.chain_pem, *leaf.key_pem));
        let tls = TlsOptions::builder().ca_file_path(self.mongo_ca()).cert_key_file_path(file).build();
        let credential = Credential::builder().mechanism(AuthMechanism::MongoDbX509).build();
        Self::mongo_at(port, tls, Some(credential))
    }

    /// Whoever connects without a word of who he is.
    pub(crate) fn mongo_stranger(&self, port: u16) -> mongodb::Client {
        Self::mongo_at(port, TlsOptions::builder().ca_file_path(self.mongo_ca()).build(), None)
    }

    fn mongo_at(port: u16, tls: TlsOptions, credential: Option<Credential>) -> mongodb::Client {
        let address = ServerAddress::Tcp { host: "127.0.0.1".to_owned(), port: Some(port) };
        let options = ClientOptions::builder()
            .hosts(vec![address])
            .direct_connection(true)
            .server_selection_timeout(Duration::from_secs(5))
            .tls(Tls::Enabled(tls))
            .credential(credential)
            .build();
        mongodb::Client::with_options(options).unwrap()
    }

    /// As an app connects: by its address, and by the authorities that it was told to trust.
    pub(crate) async fn mongo_client(&self, url: &Secret) -> Result<mongodb::Client, mongodb::error::Error> {
        let mut options = ClientOptions::parse(url.expose()).await?;
        assert!(matches!(options.tls, Some(Tls::Enabled(_))), "the address asks for TLS");
        options.tls = Some(Tls::Enabled(TlsOptions::builder().ca_file_path(self.mongo_ca()).build()));
        mongodb::Client::with_options(options)
    }

    pub(crate) fn mongo_ca(&self) -> PathBuf {
        self.scratch("ca.pem", &self.ground.trusted().unwrap().unwrap())
    }

    fn scratch(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) async fn redis_cache(&self) -> Redis {
        let settings = Settings::all(&redis_of_manifest()).remove(1);
        Redis::new(settings, self.cache_port, redis_server().await, self.ground.clone())
    }

    /// Logs in to Redis as its URL says.
    pub(crate) async fn redis_by(&self, url: &Secret) -> RedisResult<MultiplexedConnection> {
        let (login, address) = url.expose().strip_prefix("rediss://").unwrap().rsplit_once('@').unwrap();
        let port = address.strip_prefix("127.0.0.1:").unwrap().parse().unwrap();
        let plain = |text: &str| percent_encoding::percent_decode_str(text).decode_utf8().unwrap().into_owned();
        let (name, password) = login.split_once(':').map(|(name, password)| (plain(name), plain(password))).unwrap();
        let password = Secret::new(password);
        Door::of(&self.ground, port).unwrap().enter(Identity::User { name: &name, password: &password }).await
    }

    pub(crate) fn versioned(&self, name: &SecretName) -> Versioned {
        self.ground.secrets.get(name).unwrap().unwrap_or_else(|| panic!("there is no {name}"))
    }

    pub(crate) fn secret(&self, name: &SecretName) -> Secret {
        self.ground.secrets.get(name).unwrap().unwrap_or_else(|| panic!("there is no {name}")).secret
    }
}

/// The machine's clock, some days ahead.
#[derive(Debug, Default)]
pub(crate) struct Ahead(AtomicI64);

impl Ahead {
    pub(crate) fn days(&self, days: i64) {
        self.0.store(days, Ordering::Relaxed);
    }
}

impl Clock for Ahead {
    fn now(&self) -> Timestamp {
        let ahead = self.0.load(Ordering::Relaxed) * 24 * 3_600_000;
        Timestamp::from_unix_millis(SystemClock.now().unix_millis() + ahead)
    }

    fn instant(&self) -> Instant {
        SystemClock.instant()
    }
}

pub(crate) fn app() -> AppName {
    AppName::new("api").unwrap()
}

pub(crate) fn mongo_settings() -> environment::MongoDb {
    environment::MongoDb {
        external: None,
        program: None,
        min_version: "6.0".to_owned(),
        database: "shop-local".to_owned(),
        apps: vec![app()],
        cache_bytes: 256 << 20,
        oplog_bytes: 64 << 20,
        members: 1,
        pool: 20,
        pools: 2,
        collections: Vec::new(),
        seed: manifest::Seed::Nothing,
        sample: String::new(),
    }
}

pub(crate) fn redis_settings() -> Settings {
    Settings::all(&redis_of_manifest()).remove(0)
}

pub(crate) fn redis_of_manifest() -> environment::Redis {
    environment::Redis {
        external: None,
        external_cache: None,
        program: None,
        min_version: "7".to_owned(),
        key_prefix: "shop:local:".to_owned(),
        apps: vec![app()],
        max_memory: 32 << 20,
        eviction: "noeviction".to_owned(),
        cache_memory: Some(16 << 20),
        replicas: 0,
        counts_limits: false,
        rest: false,
    }
}

/// The user's own cache: the engines are fetched once, not once per test.
pub(crate) fn cache() -> CacheDir {
    let base = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let base = base.unwrap_or_else(|| PathBuf::from(std::env::var_os("HOME").unwrap()).join(".cache"));
    CacheDir::new(base.join("roadbed"))
}

pub(crate) fn machine() -> Machine {
    Machine::new(Platform::detect().unwrap(), std::env::vars())
}

pub(crate) async fn mongod() -> Arc<Engine> {
    let engine = Engine::mongod(&mongo_settings(), &PathBuf::from("/"), cache(), machine()).unwrap();
    located(&engine).await;
    Arc::new(engine)
}

pub(crate) async fn redis_server() -> Arc<Engine> {
    let engine = Engine::redis_server(&redis_of_manifest(), &PathBuf::from("/"), cache(), machine()).unwrap();
    located(&engine).await;
    Arc::new(engine)
}

pub(crate) async fn located(engine: &Engine) -> Located {
    engine.locate(&Unwatched).await.unwrap_or_else(|fault| panic!("{fault:#?}"))
}

/// Looks, plans and acts until there is nothing to do. Returns the steps it took, as a person would read them.
pub(crate) async fn converge<R, P, F>(resource: &R, perform: P) -> Result<Vec<String>, Fault>
where
    R: Resource,
    R::Step: Clone,
    P: Fn(R::Step) -> F,
    F: Future<Output = Result<(), Fault>>,
{
    let mut taken = Vec::new();
    for _ in 0..8 {
        let steps = resource.plan(&resource.observe().await?);
        if steps.is_empty() {
            return Ok(taken);
        }
        for step in steps {
            taken.push(step.to_string());
            perform(step).await?;
        }
    }
    panic!("{} does not come to rest: {taken:#?}", resource.id());
}

pub(crate) async fn converge_mongo(mongo: &Mongo) -> Result<Vec<String>, Fault> {
    converge(mongo, |step| async move { mongo.perform(&step).await }).await
}

pub(crate) async fn converge_redis(redis: &Redis) -> Result<Vec<String>, Fault> {
    converge(redis, |step| async move { redis.perform(&step).await }).await
}

/// Polls until `look` is true.
pub(crate) async fn until<F: Future<Output = bool>>(what: impl Display, mut look: impl FnMut() -> F) {
    let give_up = Instant::now() + Duration::from_secs(30);
    while !look().await {
        assert!(Instant::now() < give_up, "never seen: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Keeps what it is told.
#[derive(Debug, Default)]
pub(crate) struct Recorder(pub(crate) Mutex<Vec<Event>>);

impl Progress for Recorder {
    fn emit(&self, event: Event) {
        self.0.lock().unwrap().push(event);
    }
}

/// Longer than anybody who waits for a unit takes between two looks, so that its death is seen.
const RESTART_DELAY: Duration = Duration::from_millis(100);

/// A keeper that starts a dead unit again when it is asked about it a moment later, and forgets nothing.
#[derive(Debug)]
pub(crate) struct Direct {
    root: Root,
    running: Mutex<Vec<Running>>,
    /// What each process is started by, such as a program that enters a namespace.
    pub(crate) before: Mutex<Vec<String>>,
}

#[derive(Debug)]
struct Running {
    spec: UnitSpec,
    child: Child,
    restarts: u32,
    last_exit: Option<String>,
    /// Deaths in a row: as in the keeper, a life of ten seconds ends the row.
    deaths: u32,
    since: Instant,
    /// When a look first saw it dead.
    dead_since: Option<Instant>,
}

impl Direct {
    fn start(&self, spec: &UnitSpec) -> Result<Child, Fault> {
        let log = std::fs::OpenOptions::new().append(true).create(true).open(self.root.log_of(&spec.name)).unwrap();
        let before = self.before.lock().unwrap();
        let mut words: Vec<std::ffi::OsString> = before.iter().map(Into::into).collect();
        if !words.is_empty() {
            // Whoever enters a namespace stands at its root.
            words.extend(["env".into(), "-C".into(), spec.cwd.clone().into()]);
        }
        words.push(spec.program.clone().into());
        words.extend(spec.args.iter().map(Into::into));
        Command::new(&words[0])
            .args(&words[1..])
            .current_dir(&spec.cwd)
            .env_clear()
            .envs(&spec.env)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .map_err(|error| Fault::because(format!("cannot start {}", spec.name), &error))
    }

    fn stop(running: &mut Running) {
        if running.child.try_wait().unwrap().is_none() {
            let pid = running.child.id();
            signal(pid, "TERM");
            let give_up = Instant::now() + running.spec.stop.grace;
            while running.child.try_wait().unwrap().is_none() {
                if Instant::now() > give_up {
                    running.child.kill().unwrap();
                }
                std::thread::sleep(Duration::from_millis(10));
            }
        }
    }

    fn with<T>(&self, name: &str, act: impl FnOnce(&mut Running) -> T) -> Option<T> {
        self.running.lock().unwrap().iter_mut().find(|running| running.spec.name == name).map(act)
    }

    pub(crate) fn pid(&self, name: &str) -> u32 {
        self.with(name, |running| running.child.id()).unwrap()
    }

    /// `kill -9`, and the process is gone when this returns. The unit stays known.
    pub(crate) fn kill(&self, name: &str) {
        self.with(name, |running| {
            running.child.kill().unwrap();
            running.child.wait().unwrap();
        });
    }

    /// `kill -9` of everything, and nobody remembers: what a lost machine leaves.
    pub(crate) fn lose_all(&self) {
        for mut running in self.running.lock().unwrap().drain(..) {
            running.child.kill().unwrap();
            running.child.wait().unwrap();
        }
    }

    /// Starts a process as the unit `name` would, with other arguments, in its place: sabotage.
    pub(crate) fn replace(&self, name: &str, change: impl FnOnce(&mut UnitSpec)) {
        self.with(name, |running| {
            Self::stop(running);
            change(&mut running.spec);
            running.child = self.start(&running.spec).unwrap();
        })
        .unwrap();
    }
}

impl Drop for Direct {
    fn drop(&mut self) {
        self.lose_all();
        if let Some(keep) = std::env::var_os("STAND_KEEP_LOGS") {
            let _ = Command::new("cp").arg("-r").arg(self.root.logs()).arg(keep).status();
        }
    }
}

fn signal(pid: u32, name: &str) {
    let sent = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).status().unwrap();
    assert!(sent.success());
}

impl Units for Direct {
    fn ensure(&self, spec: UnitSpec) -> PortFuture<'_, Ensured> {
        Box::pin(async move {
            let mut all = self.running.lock().unwrap();
            let mut ensured = Ensured::Started;
            if let Some(at) = all.iter().position(|running| running.spec.name == spec.name) {
                if all[at].spec.revision == spec.revision {
                    return Ok(Ensured::Unchanged);
                }
                Self::stop(&mut all[at]);
                all.remove(at);
                ensured = Ensured::Replaced;
            }
            let child = self.start(&spec)?;
            let since = Instant::now();
            all.push(Running { spec, child, restarts: 0, last_exit: None, deaths: 0, since, dead_since: None });
            Ok(ensured)
        })
    }

    fn remove<'a>(&'a self, name: &'a str) -> PortFuture<'a, ()> {
        Box::pin(async move {
            self.with(name, Self::stop);
            self.running.lock().unwrap().retain(|running| running.spec.name != name);
            Ok(())
        })
    }

    fn restart<'a>(&'a self, name: &'a str) -> PortFuture<'a, ()> {
        Box::pin(async move {
            self.with(name, |running| {
                Self::stop(running);
                running.child = self.start(&running.spec).unwrap();
                running.deaths = 0;
                running.dead_since = None;
            });
            Ok(())
        })
    }

    fn hold<'a>(&'a self, name: &'a str) -> PortFuture<'a, ()> {
        Box::pin(async move { unimplemented_here("hold", name) })
    }

    fn resume<'a>(&'a self, name: &'a str) -> PortFuture<'a, ()> {
        Box::pin(async move {
            self.with(name, |running| {
                Self::stop(running);
                running.child = self.start(&running.spec).unwrap();
                running.deaths = 0;
                running.dead_since = None;
            });
            Ok(())
        })
    }

    fn list(&self) -> PortFuture<'_, Vec<UnitStatus>> {
        Box::pin(async move {
            let mut all = self.running.lock().unwrap();
            Ok(all
                .iter_mut()
                .map(|running| {
                    let ended = running.child.try_wait().unwrap();
                    if let Some(status) = ended {
                        running.last_exit = Some(status.to_string());
                    }
                    match (ended, running.dead_since) {
                        (None, _) => {}
                        (Some(_), None) => {
                            let lived = running.since.elapsed();
                            running.deaths = if lived < Duration::from_secs(10) { running.deaths + 1 } else { 1 };
                            running.dead_since = Some(Instant::now());
                        }
                        (Some(_), Some(since)) if since.elapsed() < RESTART_DELAY => {}
                        (Some(_), Some(_)) => match self.start(&running.spec) {
                            Ok(child) => {
                                running.child = child;
                                running.restarts += 1;
                                running.dead_since = None;
                                running.since = Instant::now();
                            }
                            // As with its folder away: one more death.
                            Err(_) => {
                                running.deaths += 1;
                                running.dead_since = Some(Instant::now());
                            }
                        },
                    }
                    let dead = running.dead_since.is_some();
                    let state = match running.deaths {
                        _ if !dead => UnitState::Running,
                        0..5 => UnitState::Backoff,
                        _ => UnitState::CrashLoop,
                    };
                    UnitStatus {
                        name: running.spec.name.clone(),
                        kind: UnitKind::Store,
                        state,
                        pid: (!dead).then(|| running.child.id()),
                        restarts: running.restarts,
                        revision: running.spec.revision.clone(),
                        last_exit: running.last_exit.clone(),
                        loaded: None,
                        specified: running.spec.loaded.clone(),
                    }
                })
                .collect())
        })
    }

    fn tail<'a>(&'a self, name: &'a str, n: usize) -> PortFuture<'a, Vec<String>> {
        Box::pin(async move {
            let text = std::fs::read_to_string(self.root.log_of(name)).unwrap_or_default();
            let lines: Vec<String> = text.lines().map(str::to_owned).collect();
            Ok(lines[lines.len().saturating_sub(n)..].to_vec())
        })
    }
}

fn unimplemented_here(what: &str, name: &str) -> Result<(), Fault> {
    Err(Fault::new(format!("this keeper does not {what} {name}")))
}

/// Damages a file in its middle.
pub(crate) fn damage(path: &std::path::Path) {
    let length = std::fs::metadata(path).unwrap().len();
    let mut file = std::fs::OpenOptions::new().write(true).open(path).unwrap();
    std::io::Seek::seek(&mut file, std::io::SeekFrom::Start(length / 2)).unwrap();
    file.write_all(&[0xff; 64]).unwrap();
}
