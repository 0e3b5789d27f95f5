//! One environment with every default filled in: what the rest of Roadbed works from.

use std::time::Duration;

use crate::abuse::Abuse;
use crate::api::Api;
use crate::backup::Backup;
use crate::cache::Cache;
use crate::console::Console;
use crate::driver::External;
use crate::exports::Export;
use crate::id::{AppName, BucketName, CollectionName, EnvName, OwnerName, ProductName, VarName};
use crate::media::Media;
use crate::migration::Migration;
use crate::monitoring::Monitoring;
use crate::network::Reachability;
use crate::oidc::Oidc;
use crate::preview::Preview;
use crate::rate_limit::RateLimit;
use crate::record::choice;
use crate::rollout::Rollout;
use crate::rotation::{Rotation, RotationSchedule};
use crate::sample::{Sample, Seed};
use crate::scale::Scale;
use crate::sign_in::SignIn;
use crate::target::{EnvRef, Instance};
use crate::tls::Tls;
use crate::value::Rule;

/// One environment, resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Environment {
    pub product: ProductName,
    pub name: EnvName,
    /// Which one, in an environment that exists once per pull request or branch.
    pub instance: Option<Instance>,
    /// For example `urbancart.localhost`; an app's host name is put before it.
    pub domain: String,
    pub ports: EdgePorts,
    pub network: Reachability,
    /// What must be in force for every app and data service, or the environment does not come up.
    pub require: Vec<Safeguard>,
    pub drift: OnDrift,
    /// Whether search engines may list its pages.
    pub listed: bool,
    /// What it has because there are many like it.
    pub preview: Preview,
    pub tls: Tls,
    pub rollout: Rollout,
    /// How often visitors may ask.
    pub rate_limits: Vec<RateLimit>,
    /// Where it is asked from elsewhere; `None`: nowhere.
    pub api: Option<Api>,
    /// Which runs of a CI get a token of it; `None`: none.
    pub oidc: Option<Oidc>,
    /// Where people sign in who may see protected apps; `None`: nowhere, links let them in.
    pub sign_in: Option<SignIn>,
    /// Where people look at it; `None`: nowhere.
    pub console: Option<Console>,
    /// What the edge concludes by itself about visitors; `None`: nothing.
    pub abuse: Option<Abuse>,
    /// How it is backed up; `None`: not at all.
    pub backup: Option<Backup>,
    /// What is watched, and who is told.
    pub monitoring: Monitoring,
    /// What leaves for services elsewhere.
    pub exports: Vec<Export>,
    /// How whoever answers for something is reached.
    pub contacts: Vec<(OwnerName, String)>,
    pub apps: Vec<App>,
    pub mongodb: Option<MongoDb>,
    pub redis: Option<Redis>,
    pub media: Option<Media>,
    /// Every variable that exists in this environment, sorted by name.
    pub variables: Vec<Variable>,
    pub rotation: RotationSchedule,
}

impl Environment {
    /// Which environment this is: `staging`, `preview/pr-42`.
    pub fn reference(&self) -> EnvRef {
        EnvRef { name: self.name.clone(), instance: self.instance.clone() }
    }

    pub fn app(&self, name: &AppName) -> Option<&App> {
        self.apps.iter().find(|app| &app.name == name)
    }

    /// The variables that one app may receive while it runs.
    pub fn variables_of<'a>(&'a self, app: &'a AppName) -> impl Iterator<Item = &'a Variable> {
        let runs = |variable: &&Variable| variable.phase.is_at_run_time() && variable.source != Source::Ci;
        self.variables.iter().filter(move |variable| variable.consumers.contains(app)).filter(runs)
    }
}

choice! {
    /// Something that keeps a process to its own business, and that not every machine can do.
    pub enum Safeguard {
        /// A Unix user of its own per environment, without capabilities. Takes root.
        OwnUser = "own-user",
        /// A control group of its own, with its limits.
        Cgroup = "cgroup",
        /// A `/tmp` that nobody else sees. Takes root and the right to mount.
        PrivateTmp = "private-tmp",
        /// It cannot write what it is made of.
        ReadOnlyRelease = "read-only-release",
    }
}

choice! {
    /// What becomes of what somebody changed by hand: a user, a right, an index, a rule.
    pub enum OnDrift {
        /// `status` and `plan` tell it; the next `up` puts it right.
        Report = "report",
        /// It is put right as soon as it is seen. Nothing is destroyed that takes somebody's word.
        Repair = "repair",
    }
}

/// Where visitors come in; `None` means: pick a free high port once and remember it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EdgePorts {
    pub http: Option<u16>,
    pub https: Option<u16>,
}

/// One app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct App {
    pub name: AppName,
    pub owner: OwnerName,
    /// Folder of the app, relative to the manifest.
    pub path: String,
    /// Public host names in this environment; the first is canonical, the others redirect to it. Never empty.
    pub hosts: Vec<String>,
    pub build: Build,
    pub runs: Runs,
    /// Command of the app's own development server, run in `path`; for `up --dev`.
    pub dev: Option<Vec<String>>,
    pub access: Access,
    /// Certificates, in PEM, of whom visitors must have theirs from, relative to the manifest; `None`: nobody is asked for one.
    pub client_ca: Option<String>,
    pub serves: Serves,
    pub protocol: Protocol,
    /// Bytes of the longest request body that it takes.
    pub longest_body: u64,
    /// What of its answers the edge keeps for others; `None`: nothing.
    pub cache: Option<Cache>,
    /// Services that must be there before it starts, and apps that must be ready before it is. Free of cycles.
    pub needs: Vec<Need>,
    /// Pages that must render after a deploy.
    pub smoke: Vec<Smoke>,
    /// Changes of data that come with its releases, in the order in which they are made.
    pub migrations: Vec<Migration>,
    /// Where its build puts files whose names have a digest.
    pub hashed: Option<Hashed>,
    /// What share of the time it shall be good, in thousandths of a percent.
    pub availability: Option<u32>,
    /// What to do when it is down, relative to the manifest.
    pub runbook: Option<String>,
}

/// Files that a page asks for by names with a digest: kept for pages that are still open after the next release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hashed {
    /// Beginning of their paths, with `/` at both ends.
    pub prefix: String,
    /// Their folder, relative to that of the build's output.
    pub folder: String,
}

/// Something that an app cannot start without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Need {
    App(AppName),
    Service(ServiceName),
}

choice! {
    /// A data service.
    pub enum ServiceName {
        /// The database.
        MongoDb = "mongodb",
        /// Sessions, carts, caches, rate limits.
        Redis = "redis",
        /// Object storage for pictures and other uploads.
        Media = "media",
    }
}

/// How an app is built. Runs in the app's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    pub command: Vec<String>,
    /// What the build makes, relative to the app's folder.
    pub output: String,
    /// What goes into it, relative to the manifest: files and folders, beside the app's own folder.
    pub inputs: Vec<String>,
    /// What it reads of the environment, by name: the same in every environment, since one build serves all.
    pub variables: Vec<(VarName, String)>,
    /// What it is given by whoever builds, such as a token for uploads: nowhere kept, and no input of what is built.
    pub from_builder: Vec<FromBuilder>,
}

/// A variable with `source = "ci"`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FromBuilder {
    pub name: VarName,
    pub required: bool,
    pub rule: Rule,
}

/// What an app is at run time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Runs {
    /// A server process that listens on `HOST:PORT`.
    Server(Server),
    /// Files that the edge serves.
    Static {
        /// Answer for paths that are no file, so that client-side routes work: `index.html`.
        spa_fallback: Option<String>,
    },
}

impl Server {
    /// So many instances there may ever be.
    pub fn most(&self) -> u32 {
        self.scale.map_or(self.replicas, |scale| scale.max)
    }
}

/// A server process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// The command, run in the app's folder. The first word is looked up in PATH; no shell is involved.
    pub start: Vec<String>,
    /// Liveness: answers while the process is able to; no dependencies.
    pub health: String,
    /// Readiness: answers 200 when the instance can serve.
    pub ready: String,
    /// Longest time from start to ready.
    pub start_deadline: Duration,
    /// Longest time for a graceful stop.
    pub drain_deadline: Duration,
    /// Longest time to the first byte of an answer.
    pub request_deadline: Duration,
    /// How many instances there are; of an app that is scaled, how many at least.
    pub replicas: u32,
    /// As many as there is work for.
    pub scale: Option<Scale>,
    /// Bytes of V8 heap per instance (`--max-old-space-size`); `None` leaves Node's own.
    pub memory: Option<u64>,
    /// Bytes of memory of all processes of an instance together.
    pub memory_max: Option<u64>,
    /// Processes and threads of an instance.
    pub processes: Option<u64>,
    /// Thousandths of a CPU that an instance may use.
    pub cpu: Option<u64>,
    /// Whether other apps call it inside the environment (gets an internal listener on loopback).
    pub internal: bool,
}

choice! {
    /// Who may see an app.
    pub enum Access {
        /// Everybody.
        Public = "public",
        /// Only who has credentials for it.
        Protected = "protected",
    }
}

choice! {
    /// What an app's server speaks to the edge. Visitors get HTTP/2 and HTTP/1 from the edge either way.
    pub enum Protocol {
        /// HTTP/1.1.
        Http1 = "http1",
        /// HTTP/2 without TLS, from the first byte. Such an app has no WebSockets.
        H2c = "h2c",
    }
}

choice! {
    /// What an app answers with, as far as browsers have to know what may be done with it.
    pub enum Serves {
        /// Pages, and what belongs to them: not to be framed by other sites.
        Pages = "pages",
        /// Data for programs: nothing in it runs, and no page shows it.
        Data = "data",
        /// It says all of that itself.
        Other = "other",
    }
}

/// A page that must answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Smoke {
    pub path: String,
    pub status: u16,
    /// Text that the answer must contain.
    pub contains: Option<String>,
    /// What must be seen in a browser; `None` where HTTP is all that is looked at.
    pub rendering: Option<Rendering>,
}

/// How a page must render, beside having no error and all its pictures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendering {
    pub text: Vec<String>,
    /// CSS selectors.
    pub elements: Vec<String>,
    /// Errors on the console that contain one of these are let pass.
    pub ignored_errors: Vec<String>,
}

/// MongoDB of this environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MongoDb {
    /// Set where somebody else runs it.
    pub external: Option<External>,
    /// Path of a `mongod` to use instead of searching for one.
    pub program: Option<String>,
    /// Lowest version that serves.
    pub min_version: String,
    /// Database name: product and environment.
    pub database: String,
    /// Apps that get a user of their own.
    pub apps: Vec<AppName>,
    /// WiredTiger cache, bytes.
    pub cache_bytes: u64,
    /// Oplog size, bytes.
    pub oplog_bytes: u64,
    /// Servers that hold the same data: an odd number.
    pub members: u32,
    /// Most connections of one instance of an app.
    pub pool: u32,
    /// Processes that may hold a pool at the same time: all instances of its apps, and of each app one more while they are
    /// replaced one by one.
    pub pools: u32,
    /// What is kept as the manifest says; empty: apps make their own.
    pub collections: Vec<Collection>,
    /// With what empty collections begin.
    pub seed: Seed,
    /// Path of the sample, relative to the manifest.
    pub sample: String,
}

impl MongoDb {
    /// How many connections the server accepts. Each takes it a megabyte of stack, so a leak must end somewhere.
    pub const CONNECTIONS: u32 = 1000;

    /// Kept free of apps: for ours, for the server's own, and for people who look.
    pub const RESERVED: u32 = 100;

    /// How many connections there may be if all goes as the manifest says.
    pub fn wanted_connections(&self) -> u32 {
        self.pool * self.pools + Self::RESERVED
    }
}

/// A collection whose schema and indexes are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collection {
    pub name: CollectionName,
    /// What is in it.
    pub doc: String,
    /// Path of a JSON Schema, relative to the manifest.
    pub schema: Option<String>,
    pub indexes: Vec<Index>,
    /// What of it goes into a sample.
    pub sample: Option<Sample>,
}

/// An index of a collection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    pub name: String,
    /// Most significant first.
    pub keys: Vec<(String, KeyKind)>,
    pub unique: bool,
    /// A filter in JSON: what it leaves out is not in the index.
    pub only: Option<String>,
    pub expire_after: Option<Duration>,
}

/// How a field is ordered in an index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    Ascending,
    Descending,
    Text,
    Hashed,
    Sphere,
}

/// Redis of this environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redis {
    /// Set where somebody else runs it.
    pub external: Option<External>,
    /// Set where somebody else runs the cache.
    pub external_cache: Option<External>,
    pub program: Option<String>,
    pub min_version: String,
    /// Every key of an app starts with this: `urbancart:local:`.
    pub key_prefix: String,
    pub apps: Vec<AppName>,
    /// Bytes.
    pub max_memory: u64,
    /// What happens when it is full: a value of Redis's `maxmemory-policy`.
    pub eviction: String,
    /// Bytes of a second Redis, whose content can be made again.
    pub cache_memory: Option<u64>,
    /// Copies beside the primary that can take over.
    pub replicas: u32,
    /// Whether the edges count limits in it.
    pub counts_limits: bool,
    /// Whether a gateway beside it speaks Upstash's REST.
    pub rest: bool,
}

/// One variable in one environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    pub name: VarName,
    pub owner: OwnerName,
    pub class: Class,
    pub required: bool,
    /// What its value must be.
    pub rule: Rule,
    pub reach: Reach,
    pub phase: Phase,
    pub delivery: Delivery,
    pub source: Source,
    pub consumers: Vec<AppName>,
    pub doc: String,
    pub example: Option<String>,
    /// How it is rotated; `None`: there is nothing to rotate.
    pub rotation: Option<Rotation>,
}

choice! {
    /// What kind of thing a variable holds. `secret` and everything after it is sensitive.
    pub enum Class {
        /// May be seen by visitors.
        Public = "public",
        /// Not for visitors, but no harm if an operator sees it.
        Internal = "internal",
        /// Opens something: sensitive.
        Secret = "secret",
        /// Protects logins and sessions: sensitive.
        Auth = "auth",
        /// Tells something about a person: sensitive.
        Pii = "pii",
        /// Moves money: sensitive, and never in an environment per pull request.
        Payment = "payment",
    }
}

choice! {
    /// Which code may read a variable.
    pub enum Reach {
        /// Code that runs on a server.
        Server = "server",
        /// Code that runs in visitors' browsers: public.
        Client = "client",
        /// Code of a server, also where it runs before routing: Next.js's middleware and modules with `runtime = "edge"`.
        Edge = "edge",
    }
}

choice! {
    /// When a variable is read.
    pub enum Phase {
        /// While the app runs. The same build serves every environment.
        Runtime = "runtime",
        /// While it is built: frozen in what is built, so its value is the same everywhere.
        Build = "build",
        /// Both.
        Both = "both",
    }
}

impl Phase {
    pub fn is_at_build(self) -> bool {
        self != Self::Runtime
    }

    pub fn is_at_run_time(self) -> bool {
        self != Self::Build
    }
}

choice! {
    /// How a process receives a variable.
    pub enum Delivery {
        /// In its environment, which children inherit and debuggers show.
        Env = "env",
        /// In a file that only this process has, in memory; `NAME_FILE` says where.
        File = "file",
    }
}

impl Class {
    /// Never logged, never in a plan, kept in the secret store.
    pub fn is_sensitive(self) -> bool {
        self >= Self::Secret
    }
}

/// Where a variable's value comes from in this environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Written in the manifest; never sensitive.
    Literal(String),
    /// Put together from facts of the environment: `${url.api}`, `${internal.api}`, `${service.mongodb.url}`.
    Derived(Template),
    /// Made by Roadbed at first need and kept in the secret store.
    Generated,
    /// Set by a person in the secret store.
    Store,
    /// Set by the system that builds; no process of the environment receives it.
    Ci,
}

/// A text with references to facts, in pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    pub pieces: Vec<Piece>,
}

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    Text(String),
    Fact(Fact),
}

/// A fact of the environment that a template may name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// `${url.APP}`: the public address of an app, `https://api.urbancart.localhost:8443`.
    Url(AppName),
    /// `${internal.APP}`: how other apps of the environment call it, `http://127.0.0.1:PORT`.
    Internal(AppName),
    /// `${service.mongodb.url}`: connection string with the consuming app's own credentials. Sensitive.
    MongoUrl,
    /// `${service.redis.url}`: as above.
    RedisUrl,
    /// `${service.redis.cache.url}`: as above, of the Redis whose content can be made again.
    RedisCacheUrl,
    /// `${service.redis.sentinels}`: `HOST:PORT` of who knows the primary, joined by commas; empty where there are no replicas.
    RedisSentinels,
    /// `${service.redis.prefix}`.
    RedisPrefix,
    /// `${service.redis.rest.url}`: where Redis speaks Upstash's REST; empty where somebody else runs it, as are the tokens.
    RedisRestUrl,
    /// `${service.redis.rest.token}`: the consuming app's own token for that. Sensitive.
    RedisRestToken,
    /// `${service.redis.rest.read_only_token}`: one that reads the app's keys and writes none. Sensitive.
    RedisRestReadOnlyToken,
    /// `${service.media.endpoint}`: where object storage speaks S3 with apps of the environment.
    MediaEndpoint,
    /// `${service.media.public_endpoint}`: where it speaks S3 with browsers and others outside, by addresses that an app signed.
    MediaPublicEndpoint,
    /// `${service.media.url}`: where pictures of public buckets are delivered.
    MediaUrl,
    /// `${service.media.internal_url}`: the same, for apps of the environment.
    MediaInternalUrl,
    /// `${service.media.bucket.NAME}`: the name that a bucket has in the storage.
    MediaBucket(BucketName),
    /// `${service.media.access_key_id}`: name of the consuming app's own key.
    MediaAccessKeyId,
    /// `${service.media.secret_access_key}`: the key. Sensitive.
    MediaSecretAccessKey,
    /// `${service.ca}`: certificates, in PEM, of whom the data services' own are signed by.
    ServiceCa,
    /// `${errors.dsn}`: where the consuming app's own processes report errors, with its key. Sensitive.
    ErrorsDsn,
    /// `${errors.public_dsn}`: where its pages report them: by its own public host, with a key that every visitor knows.
    ErrorsPublicDsn,
    /// `${environment}`.
    EnvironmentName,
}

/// Variables that Roadbed itself gives every server process, and what they mean. Not declared in the manifest.
pub const GIVEN: &[(&str, &str)] = &[
    ("HOST", "address to listen on"),
    ("HOSTNAME", "the same, by the name that Next.js reads"),
    ("PORT", "port to listen on"),
    ("ROADBED_ENVIRONMENT", "name of the environment"),
    ("ROADBED_RELEASE", "id of the release"),
    ("ROADBED_INSTANCE", "name of this instance, for example api-1"),
    ("ROADBED_KEEP_ALIVE_MS", "how long to keep an idle connection open; longer than the edge keeps it in its pool"),
    ("KEEP_ALIVE_TIMEOUT", "the same, by the name that Next.js reads"),
    ("ROADBED_DRAIN_MS", "longest graceful stop after SIGTERM"),
    ("PUBLIC_URL", "this app's public address"),
    ("NODE_ENV", "production, or development under `up --dev`"),
];
