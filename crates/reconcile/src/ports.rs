//! What convergence and the drivers ask of each other: the one place where the engine, the stores, the edge and the keeper
//! meet without knowing each other.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Fault;
use crate::abuse::Abuse;
use crate::loaded::Loaded;
use crate::rate_limits::RateLimits;

pub type PortFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, Fault>> + Send + 'a>>;

/// The keeper, as the rest of Roadbed sees it: it owns processes and keeps them alive.
pub trait Units: Send + Sync + fmt::Debug {
    /// Makes the unit run as specified. The same revision already running is left alone; another revision is stopped first.
    fn ensure(&self, spec: UnitSpec) -> PortFuture<'_, Ensured>;
    /// Stops a unit gracefully and forgets it; unknown is fine.
    fn remove<'a>(&'a self, name: &'a str) -> PortFuture<'a, ()>;
    /// Stops a unit gracefully and starts it again as specified.
    fn restart<'a>(&'a self, name: &'a str) -> PortFuture<'a, ()>;
    /// Stops a unit gracefully and keeps it stopped (its specification stays) until [`Units::resume`]: for drills.
    fn hold<'a>(&'a self, name: &'a str) -> PortFuture<'a, ()>;
    /// Starts a held or crash-looping unit again. Of one that runs, what it died of before counts no more.
    fn resume<'a>(&'a self, name: &'a str) -> PortFuture<'a, ()>;
    fn list(&self) -> PortFuture<'_, Vec<UnitStatus>>;
    /// The last `n` lines a unit wrote, oldest first, to show why it failed.
    fn tail<'a>(&'a self, name: &'a str, n: usize) -> PortFuture<'a, Vec<String>>;
}

/// The keeper's listening sockets: they outlive every edge, so that no visitor is refused while one is replaced.
pub trait Sockets: Send + Sync + fmt::Debug {
    /// Listens on `address` under `name` (same grammar as unit names); the same name on the same address is left alone.
    /// Port 0 picks a free one. Returns the address it listens on.
    fn listen<'a>(&'a self, name: &'a str, address: SocketAddr) -> PortFuture<'a, SocketAddr>;
}

/// What [`Units::ensure`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ensured {
    Unchanged,
    Started,
    Replaced,
}

/// A process to keep alive.
#[derive(Debug, Serialize, Deserialize)]
pub struct UnitSpec {
    /// One grammar for all names: `[a-z][a-z0-9-]{0,30}`, for example `mongodb`, `api-1`, `edge`.
    pub name: String,
    pub kind: UnitKind,
    pub program: PathBuf,
    /// Visible to every user of the machine: never a secret.
    pub args: Vec<String>,
    pub cwd: PathBuf,
    /// The whole environment of the process; nothing is inherited. May hold secrets, so it is never written to disk or logged.
    pub env: BTreeMap<String, String>,
    /// Names in `env` that the process gets as files in memory instead: `NAME_FILE` says where, and `NAME` is not set.
    pub in_files: Vec<String>,
    /// Changes when anything that matters changes: digests of public parts, *versions* of secrets.
    pub revision: String,
    /// Which version of which secret is among its variables, by the secret's name: told of the process for as long as it lives.
    #[serde(default)]
    pub loaded: Loaded,
    /// Names of listening sockets of the keeper to hand over, in the way of systemd (`LISTEN_FDS`, `LISTEN_FDNAMES`).
    pub sockets: Vec<String>,
    pub restart: RestartPolicy,
    pub stop: StopPolicy,
    pub limits: Limits,
    /// How it is kept to its own business, as far as the machine allows; `None`: it runs as the keeper does.
    #[serde(default)]
    pub confinement: Option<Confinement>,
}

/// What a confined unit gets to see and to write, beside what every user of the machine may read. Anything else of the
/// environment's root, and whatever lies in folders that are private to somebody, is not there for it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// Its program and code, and what those read: never written.
    pub release: Vec<PathBuf>,
    /// Folders below the root with files written for it: read, and never added to.
    pub configuration: Vec<PathBuf>,
    /// Folders below the root that are all its own.
    pub data: Vec<PathBuf>,
    /// What must be in force, or it does not start.
    pub require: Vec<Safeguard>,
}

/// Something that keeps a unit to its own business, and that not every machine can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Safeguard {
    OwnUser,
    Cgroup,
    PrivateTmp,
    ReadOnlyRelease,
}

impl Safeguard {
    pub const ALL: [Self; 4] = [Self::OwnUser, Self::Cgroup, Self::PrivateTmp, Self::ReadOnlyRelease];

    /// As the manifest and `status` write it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OwnUser => "own-user",
            Self::Cgroup => "cgroup",
            Self::PrivateTmp => "private-tmp",
            Self::ReadOnlyRelease => "read-only-release",
        }
    }
}

impl fmt::Display for Safeguard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Whether something holds for a process that runs, as the kernel shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    pub in_force: bool,
    /// What was seen, or why it is not in force.
    pub detail: String,
}

/// What keeps a running unit to its own business, as the kernel shows it and not as it was asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confined {
    pub user: Observed,
    pub no_new_privs: Observed,
    pub cgroup: Observed,
    pub limits: Observed,
    pub private_tmp: Observed,
    pub read_only_release: Observed,
}

/// What a unit is for. The order is the order of stopping: who depends on others goes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnitKind {
    App,
    Edge,
    Store,
    Telemetry,
    Control,
}

/// When and how fast a dead process comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RestartPolicy {
    pub first_delay: Duration,
    pub max_delay: Duration,
    /// After this long alive, the next death counts as the first again.
    pub stable_after: Duration,
    /// So many deaths in a row without becoming stable are shown as a crash loop (restarts go on at `max_delay`).
    pub crash_loop_after: u32,
    /// It has an end: however it dies, it stays so, as `Held`, and its last exit says how it went.
    #[serde(default)]
    pub once: bool,
}

impl Default for RestartPolicy {
    fn default() -> Self {
        Self {
            first_delay: Duration::from_millis(100),
            max_delay: Duration::from_secs(30),
            stable_after: Duration::from_secs(10),
            crash_loop_after: 5,
            once: false,
        }
    }
}

/// How a process is asked to go: SIGTERM to its group, then after `grace` SIGKILL to its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StopPolicy {
    pub grace: Duration,
}

impl Default for StopPolicy {
    fn default() -> Self {
        Self { grace: Duration::from_secs(10) }
    }
}

/// What a unit may use; `None` leaves the keeper's own.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub open_files: Option<u64>,
    /// Bytes. Node reserves address space far beyond what it uses: not for app processes.
    pub address_space: Option<u64>,
    /// Bytes of memory of all its processes together, in its control group.
    #[serde(default)]
    pub memory: Option<u64>,
    /// Processes and threads at once, in its control group and for its user.
    #[serde(default)]
    pub processes: Option<u64>,
    /// Thousandths of one CPU, in its control group.
    #[serde(default)]
    pub cpu: Option<u64>,
}

/// What the keeper knows of a unit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitStatus {
    pub name: String,
    pub kind: UnitKind,
    pub state: UnitState,
    pub pid: Option<u32>,
    pub restarts: u32,
    pub revision: String,
    /// How the last process ended, in words: `exit code 1`, `killed by SIGKILL`.
    pub last_exit: Option<String>,
    /// What the living process was started with. `None`: none lives, or the keeper that started it kept no such note.
    #[serde(default)]
    pub loaded: Option<Loaded>,
    /// What its next process would be started with.
    #[serde(default)]
    pub specified: Loaded,
}

/// Where a unit is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitState {
    Running,
    /// Runs, started by the keeper before this one, which took its variables to the grave: until control specifies it again it
    /// can be neither restarted nor held, and would be lost if it died.
    Adopted,
    /// Dead, and waiting for its next start.
    Backoff,
    /// As `Backoff`, after many deaths in a row.
    CrashLoop,
    Stopping,
    /// Stopped on request; will not start by itself.
    Held,
    /// Known from before the keeper's own crash and found dead; waits for control to specify it again.
    Lost,
}

/// Where the edge takes its routes from.
pub trait Routes: Send + Sync + fmt::Debug {
    /// Publishes a route table: durable, then swapped in by the edge. Returns when the edge serves it.
    fn publish(&self, table: RouteTable) -> PortFuture<'_, Published>;
    /// Sends an instance no new request for at most `longest`, or until it is woken: its process is about to be replaced. Returns
    /// when what is under way there has been answered, but for what takes its time, such as a stream of events.
    fn rest<'a>(&'a self, instance: &'a str, longest: Duration) -> PortFuture<'a, ()>;
    /// Ends that.
    fn wake<'a>(&'a self, instance: &'a str) -> PortFuture<'a, ()>;
    /// Ends the streams that are open at an instance, spread over this time. Returns at once; [`Routes::traffic`] tells how many are left.
    fn end_streams<'a>(&'a self, instance: &'a str, within: Duration) -> PortFuture<'a, ()>;
    /// What the edge serves now; `None` if it serves nothing yet.
    fn current(&self) -> PortFuture<'_, Option<RouteTable>>;
    /// Answers authorities so, in place of what was answered before. Returns when the edge does.
    fn prove(&self, challenges: Challenges) -> PortFuture<'_, ()>;
    /// Takes up the certificates that are on disk now. Returns when the edge shows them.
    fn take_up_certificates(&self) -> PortFuture<'_, ()>;
    /// What every instance has answered since the edge knows it, those included that are no longer routed to and still have
    /// something under way.
    fn traffic(&self) -> PortFuture<'_, Vec<Traffic>>;
}

/// What one instance did for visitors.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traffic {
    pub instance: String,
    /// Requests under way.
    pub in_flight: usize,
    /// What is open and has no end of its own: streams of events, WebSockets.
    #[serde(default)]
    pub streams: usize,
    /// Requests with an end, well or not.
    pub answered: u64,
    /// Those among them that were answered with 5xx, or not at all.
    pub failed: u64,
    /// Answers by the time to their head: the first counts those under 1 ms, each further one up to twice the time.
    pub by_time: Vec<u64>,
}

/// What [`Routes::publish`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// The edge already served the same routes.
    Unchanged {
        generation: u64,
    },
    Served {
        generation: u64,
    },
}

/// Everything the edge serves, as one value: it is replaced whole or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTable {
    pub environment: String,
    /// The port visitors see, for redirects from HTTP: `https://HOST[:PORT]`.
    pub https_port: u16,
    /// Which certificates visitors are shown.
    #[serde(default)]
    pub certificates: Certificates,
    /// Who gets visitors of hosts that are in no table, as far as there is a certificate for them; `None`: nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_demand: Option<OnDemand>,
    /// What browsers are told about HTTPS; `None`: a year, for these hosts alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hsts: Option<Hsts>,
    /// Who stands between visitors and the edge.
    #[serde(default, skip_serializing_if = "Proxies::is_none")]
    pub proxies: Proxies,
    /// How often visitors may ask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rate_limits: Option<RateLimits>,
    /// What is concluded about visitors who are up to no good.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub abuse: Option<Abuse>,
    pub sites: Vec<Site>,
    /// Who takes what pages report, below [`TELEMETRY_PATH`] of every public host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub telemetry: Option<Upstream>,
    /// Those of a release that is looked at before visitors get it: at the same addresses, by the socket [`CANDIDATE_SOCKET`] alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidate: Vec<Site>,
}

/// Load balancers and CDNs, which are believed about who a visitor is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proxies {
    /// Such as `10.0.0.0/8`.
    pub networks: Vec<String>,
    /// Whether their connections begin with the PROXY protocol's header.
    pub announce: bool,
}

impl Proxies {
    fn is_none(&self) -> bool {
        self.networks.is_empty()
    }
}

/// Whose certificates visitors are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Certificates {
    /// Those of the environment's own authority.
    #[default]
    Local,
    /// Those that an authority issued; for hosts that none names yet, the environment's own.
    Issued,
}

/// Certificates for hosts of others that lead here: ordered when one is first asked for, if an app permits it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnDemand {
    /// Whom their visitors reach.
    pub app: String,
}

/// HTTP Strict Transport Security.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hsts {
    pub max_age_s: u64,
    pub subdomains: bool,
    pub preload: bool,
}

/// The beginning of the paths that an authority asks for over plain HTTP (RFC 8555, section 8.3).
pub const HTTP_CHALLENGE: &str = "/.well-known/acme-challenge/";

/// What proves to an authority that our hosts are ours. It is public: whoever asks is told.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Challenges {
    /// Answers over plain HTTP, by token.
    #[serde(default)]
    pub http: BTreeMap<String, String>,
    /// Digests that a certificate shows to who asks for `acme-tls/1`, in hexadecimal, by host.
    #[serde(default)]
    pub tls: BTreeMap<String, String>,
}

/// The beginning of the paths, on every public host, by which pages report what happened to them.
pub const TELEMETRY_PATH: &str = "/.roadbed/telemetry/";

/// Where everybody may see how an environment is doing, at every public host. Telemetry answers.
pub const STATUS_PATH: &str = "/.roadbed/status";

/// The keeper's socket by which a release is looked at that visitors do not get yet: TLS, on loopback.
pub const CANDIDATE_SOCKET: &str = "candidate";

/// One public host name and what answers there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Site {
    pub app: String,
    /// Public host names, the first is canonical (the others redirect to it).
    pub hosts: Vec<String>,
    pub target: Target,
    pub access: SiteAccess,
    /// Certificates in PEM: who comes by TLS must show one that one of them signed. `None`: nobody is asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_authorities: Option<String>,
    /// Served at `/config.json`, for static apps that read their public settings at run time. Public values only.
    pub config: Option<BTreeMap<String, String>>,
    /// Served at `/.well-known/jwks.json`, for apps that sign tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_set: Option<KeySet>,
    /// Also reachable without TLS on the keeper's socket of this name, loopback only: how apps call each other.
    pub internal_socket: Option<String>,
    /// Told with each answer, in [`RELEASE_HEADER`], and in the access log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<String>,
    /// Files of earlier releases that pages still open in a browser ask for, the newest release first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept: Vec<Kept>,
    /// Headers of every answer in which the app does not say something else itself.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// How many answers of the app the edge keeps for others, as far as the app says that it may. Absent: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheRules>,
}

/// The bounds of a cache of answers, in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheRules {
    /// Bytes of all answers together.
    pub bytes: u64,
    /// Bytes of the longest answer that is kept.
    pub largest: u64,
}

/// Files of an earlier release, those alone whose names have a digest: they are what they were, or not there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Kept {
    /// Paths that begin so, with `/` at both ends.
    pub prefix: String,
    /// What is below it in the path is below this folder.
    pub folder: PathBuf,
}

/// Which release an answer is of.
pub const RELEASE_HEADER: &str = "roadbed-release";

/// The public halves of the keys with which an app signs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySet {
    /// A JSON Web Key Set.
    pub document: String,
    /// Seconds for which whoever verifies may keep it.
    pub max_age_s: u64,
}

/// What answers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum Target {
    /// Instances of a server process; requests are balanced over them.
    Instances {
        upstreams: Vec<Upstream>,
        /// Longest time to the first byte of an answer, milliseconds.
        first_byte_ms: u64,
        /// Longest idle time on a pooled connection, milliseconds; must stay below the app's keep-alive.
        idle_ms: u64,
        /// Longest body of a request, in bytes; absent: any.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        longest_body: Option<u64>,
        /// What they speak.
        #[serde(default, skip_serializing_if = "Protocol::is_usual")]
        protocol: Protocol,
        /// For how long a request waits for instances that are asleep, milliseconds; absent where they never are. The time to the first
        /// byte counts from when one answers again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wake_ms: Option<u64>,
    },
    /// Files of a build, below this folder.
    Files { folder: PathBuf, spa_fallback: Option<String> },
    /// Control's own pages about the environment. Only behind [`SiteAccess::Protected`]: who was let in is who it is shown to.
    Console,
}

/// What instances speak.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    #[default]
    Http1,
    /// HTTP/2 from the first byte, without TLS.
    H2c,
}

impl Protocol {
    fn is_usual(&self) -> bool {
        *self == Self::Http1
    }
}

/// One instance of an app.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upstream {
    pub instance: String,
    pub port: u16,
}

/// Who may see a site.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "kind")]
pub enum SiteAccess {
    Public,
    /// People who signed in, and programs by HTTP Basic; the file holds lines `user:HEX(SHA-256(password))`, only digests of generated
    /// 256-bit passwords.
    Protected {
        credentials_file: PathBuf,
        /// Where people may sign in, as a button names it; `None`: by links alone.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sign_in: Option<String>,
    },
}
