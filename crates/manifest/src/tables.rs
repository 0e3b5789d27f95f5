//! The tables of `roadbed.toml`, as they are written. The doc comments are what an editor shows.

use std::time::Duration;

use crate::abuse::AbuseTable;
use crate::api::ApiTable;
use crate::backup::BackupTable;
use crate::cache::CacheTable;
use crate::ci::CiTable;
use crate::collections::CollectionTable;
use crate::console::ConsoleTable;
use crate::driver::Driver;
use crate::environment::{Access, OnDrift, Protocol, Safeguard, Serves, ServiceName};
use crate::exports::ExportTable;
use crate::id::{
    AppName, ChannelName, CollectionName, EnvName, ExportName, MonitorName, OwnerName, PersonName, ProductName, VarName,
};
use crate::incidents::IncidentsTable;
use crate::managed::{AtlasTable, UpstashTable};
use crate::media::MediaTable;
use crate::members::Members;
use crate::migration::MigrationTable;
use crate::monitoring::{Availability, ChannelTable, MonitorTable, MonitoringTable};
use crate::network::NetworkTable;
use crate::oidc::OidcTable;
use crate::preview::CeilingTable;
use crate::rate_limit::{RateLimitsOverride, RateLimitsTable};
use crate::record::{choice, record};
use crate::rollout::RolloutTable;
use crate::rotation::RotationTable;
use crate::sample::Seed;
use crate::scalars::{
    Age, AppFolder, BranchName, Bytes, Command, Count, Cpus, Domain, Host, HttpStatus, Port, Processes, RelativePath,
    SshKey, UrlPath, Version,
};
use crate::scale::ScaleTable;
use crate::scan::{NamePattern, PatternTable, ScanTable};
use crate::shape::{Reader, Shape, Table};
use crate::sign_in::SignInTable;
use crate::source::At;
use crate::tls::TlsTable;
use crate::variable_tables::VariableTable;

record! {
    /// What a product is made of and where it runs: the one source that Roadbed works from.
    pub(crate) struct Document {
        /// The product.
        product: Product,
        /// Who answers for what. Apps and variables name their owner.
        owners: Table<OwnerName, Owner>,
        /// Who may log in to environments of this product, with `roadbed login`.
        people: Table<PersonName, Person>,
        /// Which branch is deployed to which environment. Nothing else decides where a deploy goes.
        branches: Table<BranchName, At<EnvName>>,
        /// Where the product runs. Environments share nothing. `roadbed up` runs the one named `local`.
        environments: Table<EnvName, EnvironmentTable>,
        /// What visitors reach.
        apps: Table<AppName, AppTable>,
        /// Data services. Each environment has its own.
        services: Services = {},
        /// Every environment variable that an app reads, but for those that Roadbed itself gives (`HOST`, `PORT`, `ROADBED_…`).
        variables: Table<VarName, VariableTable>,
        /// How often visitors may ask. What is named nowhere is not limited.
        rate_limits: RateLimitsTable = {},
        /// Variables whose names the code puts together.
        patterns: Table<NamePattern, PatternTable>,
        /// How old values may get where their variables do not say, and who sees to it.
        rotation: RotationTable = {},
        /// How `roadbed env check` reads the code.
        scan: ScanTable = {},
        /// What `roadbed ci` runs, and what everything depends on there.
        ci: CiTable = {},
        /// Who is called when something is wrong.
        incidents: IncidentsTable = {},
        /// What is watched beside what is watched without being named.
        monitors: Table<MonitorName, MonitorTable>,
        /// Who is told when something does not work.
        alerts: Table<ChannelName, ChannelTable>,
        /// What leaves for services elsewhere: errors, lines of logs, numbers.
        exports: Table<ExportName, ExportTable>,
    }
}

record! {
    /// The product.
    pub(crate) struct Product {
        /// Short name; databases, keys and buckets are named after it.
        name: ProductName,
        /// Files and folders that every app's build depends on, relative to the manifest.
        build_inputs: Vec<At<RelativePath>> = [],
    }
}

record! {
    /// A team or a person.
    pub(crate) struct Owner {
        /// What it answers for.
        description: String,
        /// How to reach it.
        contact: String,
    }
}

record! {
    /// Somebody who logs in.
    pub(crate) struct Person {
        /// Public keys of OpenSSH, Ed25519 only: whoever can sign with one of them is this person.
        ssh: Vec<At<SshKey>>,
    }
}

choice! {
    /// What an environment exists once for.
    pub enum Per {
        /// Every open pull request has an environment of its own.
        PullRequest = "pull-request",
        /// Every branch that is not in `[branches]` has an environment of its own.
        Branch = "branch",
    }
}

impl Per {
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::PullRequest => "pull request",
            Self::Branch => "branch",
        }
    }

    /// One of them.
    pub(crate) fn example(self) -> &'static str {
        match self {
            Self::PullRequest => "pr-42",
            Self::Branch => "feature-x",
        }
    }

    /// What stands for it in a domain.
    pub(crate) fn placeholder(self) -> &'static str {
        match self {
            Self::PullRequest => "{pr}",
            Self::Branch => "{branch}",
        }
    }
}

record! {
    /// An environment.
    pub(crate) struct EnvironmentTable {
        /// Apps' host names end with it. `{pr}` stands for the number of the pull request, `{branch}` for the branch, made fit for a
        /// host name.
        domain: At<Domain>,
        /// Set where it exists not once but many times.
        per: Option<At<Per>>,
        /// Where visitors come in. Without it free high ports are picked once and remembered.
        ports: Option<Ports>,
        /// Who may reach it.
        network: NetworkTable = {},
        /// What must keep apps and data services to their own business. What is not named is in force where the machine allows it;
        /// what is named is a condition: without it `roadbed up` refuses. Development servers (`up --dev`) are not held to it.
        require: Vec<At<Safeguard>> = [],
        /// What to do about what others changed at data services and packet filter.
        drift: Option<At<OnDrift>>,
        /// With what data it begins. Default: `sample` where it exists many times, else `nothing`.
        seed: Option<At<Seed>>,
        /// How long it lasts after the last `up`: then it is purged, its data too. Only with `per`.
        ttl: Option<At<Age>>,
        /// Who signs its public certificates, and what browsers are told about HTTPS.
        tls: TlsTable = {},
        /// Without a visitor for this long its apps and data services are stopped; the next request starts them, and waits. Only
        /// with `per`.
        idle: Option<At<Age>>,
        /// Who may have commits of strangers built and run, with `roadbed preview allow`, and whose own pushes need no word: people of
        /// `[people]`. Default: nobody. Only with `per = "pull-request"`.
        builders: Vec<At<PersonName>> = [],
        /// What all of its apps and data services may use together, where the machine has control groups. Only with `per`.
        limits: Option<At<CeilingTable>>,
        /// Whether search engines may list its pages. By default they may, and with `per` they may not.
        listed: Option<bool>,
        /// How often its visitors may ask, where that is different from `[rate_limits]`.
        rate_limits: RateLimitsOverride = {},
        /// How it gets new releases.
        rollout: RolloutTable = {},
        /// The API over HTTPS, for deployments and approvals from elsewhere. Without it nobody listens.
        api: Option<At<ApiTable>>,
        /// Which runs of a CI get a token of it, without a key that somebody keeps there. Default: none.
        oidc: Option<At<OidcTable>>,
        /// Where people sign in who may see protected apps. Default: by links of `roadbed access link` alone.
        sign_in: Option<At<SignInTable>>,
        /// Pages about the environment, for people who signed in. Without it there are none.
        console: Option<At<ConsoleTable>>,
        /// What the edge concludes by itself about visitors who are up to no good. Default: nothing.
        abuse: Option<At<AbuseTable>>,
        /// How it is backed up, and what is promised of it. Default: not at all.
        backup: Option<At<BackupTable>>,
        /// How it is watched.
        monitoring: MonitoringTable = {},
    }
}

record! {
    /// Ports of the edge.
    pub(crate) struct Ports {
        /// Answers only with a redirect to HTTPS.
        http: Option<At<Port>>,
        /// Everything is served here.
        https: Option<At<Port>>,
    }
}

choice! {
    /// What an app is made with. It chooses defaults.
    pub(crate) enum Kind {
        /// Next.js with `output: "standalone"`: builds to `.next/standalone`, and its server is found there.
        Next = "next",
        /// A Node server: builds to `dist`.
        Node = "node",
        /// Files, served by the edge: builds to `dist`.
        Static = "static",
    }
}

record! {
    /// An app.
    pub(crate) struct AppTable {
        /// Who answers for it.
        owner: At<OwnerName>,
        /// Folder of the app, relative to the manifest; `.` is the manifest's own, for a product of one app.
        path: At<AppFolder>,
        /// What it is made with.
        kind: Kind,
        /// What comes before the environment's domain; `@` is the domain itself. The first is canonical, the others redirect to it.
        hosts: At<Vec<At<Host>>>,
        /// Who may see it.
        access: Access = "public",
        /// A file of certificates, in PEM, relative to the manifest: visitors must show a certificate that one of them signed. The app
        /// is told whose it is, in `Client-Cert` (RFC 9440) and `X-Client-Name`.
        client_ca: Option<At<RelativePath>>,
        /// What it answers with: decides about the security headers of every answer in which it has none of its own.
        serves: Serves = "pages",
        /// Services that must be there before it starts, and apps that must be ready before it is.
        needs: Vec<At<NeedText>> = [],
        /// How it is built.
        build: BuildTable = {},
        /// Command of its server, run in its folder; no shell is involved. Not for `static`.
        start: Option<At<Command>>,
        /// Command of its development server, run in its folder, for `up --dev`.
        dev: Command = ["npm", "run", "dev"],
        /// Liveness: answers while the process is able to, whatever its dependencies do. Default `/health`. Not for `static`.
        health: Option<At<UrlPath>>,
        /// Readiness: answers 200 when the instance can serve. Default `/ready`. Not for `static`.
        ready: Option<At<UrlPath>>,
        /// Pages that must render after a deploy.
        smoke: Vec<SmokeTable> = [],
        /// Changes of data that come with its releases, in the order in which they are made. Not for `static`.
        migrations: Vec<MigrationTable> = [],
        /// File in its folder that `roadbed generate` writes: a TypeScript module by which it reads its variables, typed and checked.
        types: Option<At<RelativePath>>,
        /// Instances that run side by side. Default 1. Not for `static`.
        replicas: Option<At<Count>>,
        /// As many instances as there is work for, in place of `replicas`. Not for `static`.
        scale: Option<At<ScaleTable>>,
        /// Whether other apps call it inside the environment: gives it an address that `${internal.NAME}` fills in. Not for `static`.
        internal: Option<At<bool>>,
        /// Largest body of a request that reaches it: what is larger is answered 413. Default `100 MiB`. Not for `static`.
        max_body: Option<At<Bytes>>,
        /// What of its answers the edge keeps for others; `{}`: with the usual bounds. Default: nothing. Not for `static`.
        cache: Option<At<CacheTable>>,
        /// What its server speaks to the edge. Default `http1`. Not for `static`.
        protocol: Option<At<Protocol>>,
        /// How long things may take. Not for `static`.
        deadlines: Option<At<Deadlines>>,
        /// What an instance may use. Not for `static`.
        limits: Option<At<LimitsTable>>,
        /// Files that it answers paths with which are no file, so that client-side routes work. Only for `static`.
        spa_fallback: Option<At<RelativePath>>,
        /// What share of the time it shall be good. Somebody is told when what may fail in thirty days is used up much too fast.
        availability: Option<At<Availability>>,
        /// What to do when it is down: a file, and behind a `#` a heading in it.
        runbook: Option<At<RelativePath>>,
        /// What is different in an environment.
        r#in: Table<EnvName, AppOverride>,
    }
}

record! {
    /// How an app is built. Runs in the app's folder.
    pub(crate) struct BuildTable {
        /// The command; no shell is involved.
        command: Command = ["npm", "run", "build"],
        /// Folder that the build makes, relative to the app's. The default comes from the kind.
        output: Option<RelativePath>,
        /// What goes into it beside the app's own folder and `product.build_inputs`, relative to the manifest.
        inputs: Vec<At<RelativePath>> = [],
    }
}

record! {
    /// A page that must answer, and render where it says so.
    pub(crate) struct SmokeTable {
        /// Its path.
        path: At<UrlPath>,
        /// What it answers with.
        status: HttpStatus = 200,
        /// A text that the answer must contain.
        contains: Option<String>,
        /// Whether it is also rendered in a browser: no uncaught error, no error on the console, every picture loaded, no failed request
        /// to its own host.
        render: At<bool> = false,
        /// Texts that a visitor must see once it is rendered.
        text: Vec<At<String>> = [],
        /// CSS selectors of elements that a visitor must see once it is rendered.
        elements: Vec<At<String>> = [],
        /// Errors on the console that contain one of these are let pass.
        ignore_errors: Vec<At<String>> = [],
    }
}

record! {
    /// How long things may take.
    pub(crate) struct Deadlines {
        /// From start to ready.
        start: Duration = "60s",
        /// A graceful stop. After it the process is killed, and what it was doing is lost.
        drain: Duration = "10s",
        /// To the first byte of an answer.
        first_byte: Duration = "30s",
    }
}

record! {
    /// What an instance may use.
    pub(crate) struct LimitsTable {
        /// V8 heap. Without it Node chooses, by the memory of the machine.
        memory: Option<Bytes>,
        /// All memory of all its processes, in its control group: heap, buffers, code. Over it the kernel kills.
        memory_max: Option<At<Bytes>>,
        /// Processes and threads at once, in its control group. A Node server has about 12.
        processes: Option<Processes>,
        /// CPUs, in its control group: `0.5` is half of one.
        cpu: Option<Cpus>,
    }
}

record! {
    /// What is different for an app in one environment.
    pub(crate) struct AppOverride {
        /// Instances that run side by side.
        replicas: Option<At<Count>>,
        /// As many instances as there is work for, in place of `replicas`.
        scale: Option<At<ScaleTable>>,
        /// Who may see it.
        access: Option<Access>,
        /// A file of certificates, in PEM, one of which must have signed the certificate that a visitor shows.
        client_ca: Option<At<RelativePath>>,
        /// What an instance may use.
        limits: Option<At<LimitsTable>>,
    }
}

record! {
    /// Data services.
    pub(crate) struct Services {
        /// The database.
        mongodb: Option<MongoDbTable>,
        /// Sessions, carts, caches, rate limits.
        redis: Option<RedisTable>,
        /// Object storage for pictures and other uploads.
        media: Option<MediaTable>,
    }
}

record! {
    /// MongoDB: a replica set, so that transactions and change streams work.
    pub(crate) struct MongoDbTable {
        /// Who runs it.
        driver: At<Driver> = "process",
        /// Only with `driver = "external"`: a file of certificates, in PEM, by which the server is recognised, relative to the
        /// manifest. Default: those of public authorities.
        ca: Option<At<RelativePath>>,
        /// Only with `driver = "atlas"`: what is ordered there.
        atlas: Option<At<AtlasTable>>,
        /// Lowest version that serves.
        min_version: Version = "6.0",
        /// A `mongod` to use instead of searching for one.
        program: Option<String>,
        /// WiredTiger's cache.
        cache: At<Bytes> = "256 MiB",
        /// Oplog: how far back a lost member or a restore can go.
        oplog: At<Bytes> = "1 GiB",
        /// Servers that hold the same data: 1, 3, 5 or 7. More than half of them must live; three survive the loss of one.
        members: Members = 1,
        /// Most connections of one instance of an app. Default 20.
        pool: Option<At<Count>>,
        /// Collections whose schema and indexes Roadbed keeps. Where there is one, apps may not make
        /// indexes themselves.
        collections: Table<CollectionName, CollectionTable>,
        /// Where the sample of their documents lies that `roadbed sample take` makes, relative to the manifest. It is for nobody's
        /// repository: its folder gets a `.gitignore`.
        sample: At<RelativePath> = ".roadbed-samples/mongodb.sample",
        /// What is different in an environment.
        r#in: Table<EnvName, MongoDbOverride>,
    }
}

record! {
    /// What is different for MongoDB in one environment.
    pub(crate) struct MongoDbOverride {
        /// Who runs it.
        driver: Option<At<Driver>>,
        /// A file of certificates, in PEM, by which an external server is recognised.
        ca: Option<At<RelativePath>>,
        /// What is ordered at Atlas: in place of the general table, not beside it.
        atlas: Option<At<AtlasTable>>,
        /// A `mongod` to use instead of searching for one.
        program: Option<String>,
        /// WiredTiger's cache.
        cache: Option<At<Bytes>>,
        /// Oplog.
        oplog: Option<At<Bytes>>,
        /// Servers that hold the same data.
        members: Option<Members>,
        /// Most connections of one instance of an app.
        pool: Option<At<Count>>,
    }
}

choice! {
    /// What Redis does when its memory is full.
    pub(crate) enum Eviction {
        /// Refuse to write.
        Noeviction = "noeviction",
        /// Drop what expires soonest; keys without expiry stay.
        VolatileTtl = "volatile-ttl",
        /// Drop the least recently used of the keys that expire.
        VolatileLru = "volatile-lru",
        /// Drop the least frequently used of the keys that expire.
        VolatileLfu = "volatile-lfu",
        /// Drop any of the keys that expire.
        VolatileRandom = "volatile-random",
        /// Drop the least recently used key.
        AllkeysLru = "allkeys-lru",
        /// Drop the least frequently used key.
        AllkeysLfu = "allkeys-lfu",
        /// Drop any key.
        AllkeysRandom = "allkeys-random",
    }
}

record! {
    /// Redis for sessions, carts, rate limits: written to disk every second.
    pub(crate) struct RedisTable {
        /// Who runs it.
        driver: At<Driver> = "process",
        /// Only with `driver = "external"`, here or in the cache: a file of certificates, in PEM, by which the server is recognised,
        /// relative to the manifest. Default: those of public authorities.
        ca: Option<At<RelativePath>>,
        /// Only with `driver = "upstash"`, here or in the cache: what is ordered there.
        upstash: Option<At<UpstashTable>>,
        /// Lowest version that serves.
        min_version: Version = "7.0",
        /// A `redis-server` to use instead of searching for one.
        program: Option<String>,
        /// How much it may hold.
        memory: At<Bytes> = "64 MiB",
        /// What happens when that is full. It holds sessions: any other policy drops some of them, or all.
        eviction: Eviction = "noeviction",
        /// A second Redis for what can be made again: it keeps nothing over a restart, and when it is full it drops what is
        /// asked for least.
        cache: Option<At<RedisCacheTable>>,
        /// Copies that can take over: each is a process of its own, and three sentinels agree on who is primary.
        replicas: Option<At<Count>>,
        /// Whether a gateway beside it speaks Upstash's REST, for apps whose client of Redis speaks HTTP.
        rest: At<bool> = false,
        /// What is different in an environment.
        r#in: Table<EnvName, RedisOverride>,
    }
}

record! {
    /// A Redis for what can be made again.
    pub(crate) struct RedisCacheTable {
        /// Who runs it.
        driver: At<Driver> = "process",
        /// How much it may hold.
        memory: At<Bytes> = "32 MiB",
    }
}

record! {
    /// What is different for Redis in one environment.
    pub(crate) struct RedisOverride {
        /// Who runs it.
        driver: Option<At<Driver>>,
        /// A file of certificates, in PEM, by which an external server is recognised.
        ca: Option<At<RelativePath>>,
        /// What is ordered at Upstash: in place of the general table, not beside it.
        upstash: Option<At<UpstashTable>>,
        /// A `redis-server` to use instead of searching for one.
        program: Option<String>,
        /// How much it may hold.
        memory: Option<At<Bytes>>,
        /// The second Redis, for what can be made again.
        cache: Option<At<RedisCacheTable>>,
        /// Copies that can take over.
        replicas: Option<At<Count>>,
    }
}

/// An app or a service, by its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NeedText(pub(crate) AppName);

impl NeedText {
    /// Services' names are no names for apps, so one list can hold both.
    pub(crate) fn service(&self) -> Option<ServiceName> {
        SERVICES.into_iter().find(|service| service.as_str() == self.0.as_str())
    }
}

pub(crate) const SERVICES: [ServiceName; 3] = [ServiceName::MongoDb, ServiceName::Redis, ServiceName::Media];

impl crate::shape::Text for NeedText {
    const WANTS: &'static str = "the name of an app or a service";
    const PATTERN: Option<&'static str> = <AppName as crate::shape::Text>::PATTERN;
    fn read(text: &str) -> Result<Self, Option<String>> {
        <AppName as crate::shape::Text>::read(text).map(Self)
    }
    fn stand_in() -> Self {
        Self(<AppName as crate::shape::Text>::stand_in())
    }
}
crate::shape::text_shape!(NeedText);

impl Default for Deadlines {
    /// Those of an app that says nothing about them.
    fn default() -> Self {
        let nothing = toml::de::DeValue::parse("{}").expect("an empty table is TOML");
        Self::decode(&nothing, &mut Reader::default())
    }
}

impl EnvironmentTable {
    /// What exists many times is made in a moment and thrown away: it begins with something to look at.
    pub(crate) fn seed(&self) -> Seed {
        let usual = if self.per.is_some() { Seed::Sample } else { Seed::Nothing };
        self.seed.as_ref().map_or(usual, |seed| seed.value)
    }
}

impl Services {
    pub(crate) fn declares(&self, service: ServiceName) -> bool {
        match service {
            ServiceName::MongoDb => self.mongodb.is_some(),
            ServiceName::Redis => self.redis.is_some(),
            ServiceName::Media => self.media.is_some(),
        }
    }
}
