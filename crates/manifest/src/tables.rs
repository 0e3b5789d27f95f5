//! The tables of `roadbed.toml`, as they are written. The doc comments are what an editor shows.

use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::environment::{Access, Class, Delivery, Phase, Reach, Safeguard, ServiceName};
use crate::id::{AppName, BucketName, EnvName, OwnerName, ProductName, VarName};
use crate::network::NetworkTable;
use crate::record::{choice, record};
use crate::scalars::{
    BranchName, Bytes, Command, Count, Cpus, Domain, Host, Port, Processes, RelativePath, UrlPath, Version,
};
use crate::scan::{NamePattern, PatternTable, ScanTable};
use crate::shape::{Definitions, Reader, Shape, Table, Value};
use crate::source::At;
use crate::template::Text;
use crate::value::{Link, Pattern, Rule, ValueType};

record! {
    /// What a product is made of and where it runs: the one source that Roadbed works from.
    pub(crate) struct Document {
        /// The product.
        product: Product,
        /// Who answers for what. Apps and variables name their owner.
        owners: Table<OwnerName, Owner>,
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
        /// Variables whose names the code puts together.
        patterns: Table<NamePattern, PatternTable>,
        /// How `roadbed env check` reads the code.
        scan: ScanTable = {},
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
        /// Folder of the app, relative to the manifest.
        path: At<RelativePath>,
        /// What it is made with.
        kind: Kind,
        /// What comes before the environment's domain; `@` is the domain itself. The first is canonical, the others redirect to it.
        hosts: At<Vec<At<Host>>>,
        /// Who may see it.
        access: Access = "public",
        /// Apps and services that must be ready before it starts.
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
        /// File in its folder that `roadbed generate` writes: a TypeScript module by which it reads its variables, typed and checked.
        types: Option<At<RelativePath>>,
        /// Instances that run side by side. Default 1. Not for `static`.
        replicas: Option<At<Count>>,
        /// Whether other apps call it inside the environment: gives it an address that `${internal.NAME}` fills in. Not for `static`.
        internal: Option<At<bool>>,
        /// How long things may take. Not for `static`.
        deadlines: Option<At<Deadlines>>,
        /// What an instance may use. Not for `static`.
        limits: Option<At<LimitsTable>>,
        /// Files that it answers paths with which are no file, so that client-side routes work. Only for `static`.
        spa_fallback: Option<At<RelativePath>>,
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
    /// A page that must answer.
    pub(crate) struct SmokeTable {
        /// Its path.
        path: At<UrlPath>,
        /// A text that the answer must contain.
        contains: Option<String>,
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
        /// Who may see it.
        access: Option<Access>,
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
    /// MongoDB: a replica set of one member, so that transactions and change streams work.
    pub(crate) struct MongoDbTable {
        /// Lowest version that serves.
        min_version: Version = "6.0",
        /// A `mongod` to use instead of searching for one.
        program: Option<String>,
        /// WiredTiger's cache.
        cache: At<Bytes> = "256 MiB",
        /// Oplog: how far back a lost member or a restore can go.
        oplog: At<Bytes> = "1 GiB",
        /// What is different in an environment.
        r#in: Table<EnvName, MongoDbOverride>,
    }
}

record! {
    /// What is different for MongoDB in one environment.
    pub(crate) struct MongoDbOverride {
        /// A `mongod` to use instead of searching for one.
        program: Option<String>,
        /// WiredTiger's cache.
        cache: Option<At<Bytes>>,
        /// Oplog.
        oplog: Option<At<Bytes>>,
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
    /// Redis.
    pub(crate) struct RedisTable {
        /// Lowest version that serves.
        min_version: Version = "7.0",
        /// A `redis-server` to use instead of searching for one.
        program: Option<String>,
        /// How much it may hold.
        memory: At<Bytes> = "64 MiB",
        /// What happens when that is full.
        eviction: Eviction = "volatile-ttl",
        /// What is different in an environment.
        r#in: Table<EnvName, RedisOverride>,
    }
}

record! {
    /// What is different for Redis in one environment.
    pub(crate) struct RedisOverride {
        /// A `redis-server` to use instead of searching for one.
        program: Option<String>,
        /// How much it may hold.
        memory: Option<At<Bytes>>,
    }
}

record! {
    /// Object storage.
    pub(crate) struct MediaTable {
        /// The buckets.
        buckets: Table<BucketName, BucketTable>,
    }
}

record! {
    /// A bucket.
    pub(crate) struct BucketTable {
        /// What it holds.
        description: String,
        /// Who may read it.
        access: Access = "protected",
        /// Largest object.
        max_object: Bytes = "16 MiB",
    }
}

choice! {
    /// Where a value that the manifest does not hold comes from.
    pub(crate) enum Origin {
        /// Made by Roadbed at first need and kept in the secret store.
        Generated = "generated",
        /// Set by a person in the secret store.
        Store = "store",
        /// Set by the system that builds, in its own settings. Only for what a build reads; no process of an environment receives it.
        Ci = "ci",
    }
}

record! {
    /// An environment variable. It has either a `value` or a `source`.
    pub(crate) struct VariableTable {
        /// What it is for.
        description: String,
        /// Where more is written about it.
        docs: Option<At<Link>>,
        /// Apps that receive it; no other does.
        apps: At<Vec<At<AppName>>>,
        /// How its value is written. Checked before a process starts, when a person sets it, and by the apps themselves.
        r#type: At<ValueType> = "string",
        /// The values it may have, for the type `enum`.
        choices: At<Vec<At<String>>> = [],
        /// A regular expression that describes the whole value.
        r#match: Option<At<Pattern>>,
        /// What kind of thing it holds; this alone decides whether it is treated as a secret.
        class: At<Class>,
        /// Who answers for its value.
        owner: At<OwnerName>,
        /// Which code may read it. Default: `client` if a static app receives it, otherwise `server`.
        reach: Option<At<Reach>>,
        /// When it is read.
        phase: At<Phase> = "runtime",
        /// How a process receives it.
        deliver: At<Delivery> = "env",
        /// Where an app does not start without it.
        required: At<Required> = "always",
        /// Environments in which it exists. Default: all of them.
        environments: Option<At<Vec<At<EnvName>>>>,
        /// Its value: a text, with facts of the environment filled in: `${url.APP}`, `${internal.APP}`, `${service.mongodb.url}`,
        /// `${service.redis.url}`, `${service.redis.prefix}`, `${environment}`, `${variable.NAME}`. `$${` stands for `${` itself.
        value: Option<At<Text>>,
        /// Where its value comes from, if it is not in the manifest.
        source: Option<At<Origin>>,
        /// How a value looks, for `.env.example`. For a sensitive variable a plain fake that contains the word "example".
        example: Option<At<String>>,
        /// What is different in an environment.
        r#in: Table<EnvName, VariableOverride>,
    }
}

record! {
    /// What is different for a variable in one environment.
    pub(crate) struct VariableOverride {
        /// Its value there.
        value: Option<At<Text>>,
        /// Where its value comes from there.
        source: Option<At<Origin>>,
        /// A regular expression that describes the whole value there.
        r#match: Option<At<Pattern>>,
    }
}

/// Where a variable is required.
#[derive(Clone, Debug)]
pub(crate) enum Required {
    Always,
    Never,
    In(Vec<At<EnvName>>),
}

impl Required {
    pub(crate) fn holds_in(&self, environment: &EnvName) -> bool {
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::In(environments) => environments.iter().any(|name| &name.value == environment),
        }
    }
}

impl Shape for Required {
    const WANTS: &'static str = "\"always\", \"never\" or a list of environments";

    fn decode(value: &Value<'_>, reader: &mut Reader) -> Self {
        match value.get_ref() {
            toml::de::DeValue::Array(_) => Self::In(Vec::decode(value, reader)),
            toml::de::DeValue::String(word) if word == "always" => Self::Always,
            toml::de::DeValue::String(word) if word == "never" => Self::Never,
            other => {
                let environment = other.as_str().unwrap_or("production");
                reader.wrong(value, Self::WANTS).hint(format!("for one environment write [{environment:?}]"));
                Self::stand_in()
            }
        }
    }

    fn stand_in() -> Self {
        Self::Never
    }

    fn schema(definitions: &mut Definitions) -> Json {
        json!({ "anyOf": [{ "enum": ["always", "never"] }, Vec::<EnvName>::schema(definitions)] })
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

impl Services {
    pub(crate) fn declares(&self, service: ServiceName) -> bool {
        match service {
            ServiceName::MongoDb => self.mongodb.is_some(),
            ServiceName::Redis => self.redis.is_some(),
            ServiceName::Media => self.media.is_some(),
        }
    }
}

impl VariableTable {
    pub(crate) fn exists_in(&self, environment: &EnvName) -> bool {
        self.environments.as_ref().is_none_or(|listed| listed.iter().any(|name| &name.value == environment))
    }

    /// Which code may read it: what is said, else what follows from who receives it.
    pub(crate) fn reach_in(&self, document: &Document) -> Reach {
        let is_static = |app: &At<AppName>| document.apps.get(&app.value).is_some_and(|app| app.kind == Kind::Static);
        match &self.reach {
            Some(reach) => reach.value,
            None if self.apps.iter().any(is_static) => Reach::Client,
            None => Reach::Server,
        }
    }

    /// What its value must be; `None` asks for what holds everywhere.
    pub(crate) fn rule_in(&self, environment: Option<&EnvName>) -> Rule {
        let own = environment.and_then(|environment| self.r#in.get(environment)).and_then(|own| own.r#match.as_ref());
        Rule {
            value_type: self.r#type.value,
            choices: self.choices.iter().map(|choice| choice.value.clone()).collect(),
            pattern: own.or(self.r#match.as_ref()).map(|pattern| pattern.value.clone()),
        }
    }

    /// Its value or source in one environment: the environment's own, else the general one.
    pub(crate) fn origin_in(&self, environment: &EnvName) -> Option<VariableOrigin<'_>> {
        let own = self.r#in.get(environment).and_then(|own| origin(own.value.as_ref(), own.source.as_ref()));
        own.or_else(|| self.general_origin())
    }

    /// Its value or source where an environment has none of its own.
    pub(crate) fn general_origin(&self) -> Option<VariableOrigin<'_>> {
        origin(self.value.as_ref(), self.source.as_ref())
    }
}

fn origin<'a>(value: Option<&'a At<Text>>, source: Option<&'a At<Origin>>) -> Option<VariableOrigin<'a>> {
    value.map(VariableOrigin::Value).or(source.map(VariableOrigin::Elsewhere))
}

/// See [`VariableTable::origin_in`].
#[derive(Clone, Copy, Debug)]
pub(crate) enum VariableOrigin<'a> {
    Value(&'a At<Text>),
    Elsewhere(&'a At<Origin>),
}
