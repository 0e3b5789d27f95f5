//! An environment that tests lose: a small app with documents in MongoDB, sessions in Redis, letters in object storage and a secret.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use host::clock::{Clock, SystemClock};
use serde_json::Value;
use testkit::Environment;

pub(crate) const MANIFEST: &str = r#"
[product]
name = "vault"

[owners.team]
description = "All"
contact = "team@vault.example"

[environments.local]
domain = "vault.localhost"
rollout = { verify = "1s" }

[environments.local.backup]
changes = "1s"
rpo = "2m"
rto = "10m"
probes = [
  { name = "3 newest orders readable", collection = "orders", filter = "{ \"paid\": true }", sort = "{ \"n\": -1 }", at_least = 3 },
]

[services.mongodb]

[services.redis]

[services.media.buckets.letters]
description = "What customers wrote"
max_object = "1 MiB"

[apps.api]
owner = "team"
path = "apps/api"
kind = "node"
hosts = ["api"]
needs = ["mongodb", "redis", "media"]
start = ["node", "dist/server.mjs"]
build = { command = ["cp", "-rT", "src", "dist"], output = "dist" }

[variables.MONGODB_URL]
description = "MongoDB"
apps = ["api"]
type = "mongo_url"
class = "secret"
owner = "team"
value = "${service.mongodb.url}"
example = "mongodb://api:example@127.0.0.1:27017/vault_local"

[variables.REDIS_URL]
description = "Redis"
apps = ["api"]
type = "redis_url"
class = "secret"
owner = "team"
value = "${service.redis.url}"
example = "rediss://api:example@127.0.0.1:6379"

[variables.SERVICES_CA]
description = "Whom the app believes to be Redis"
apps = ["api"]
class = "internal"
owner = "team"
value = "${service.ca}"
example = "-----BEGIN CERTIFICATE-----\nexample\n-----END CERTIFICATE-----"

[variables.SESSION_SECRET]
description = "What sessions are signed with: another one would sign everybody out"
apps = ["api"]
class = "secret"
owner = "team"
source = "generated"
example = "example-only-not-a-session-secret"
"#;

const SERVER: &str = r#"
import { createServer } from "node:http";
createServer((request, response) => response.end("as checked out")).listen(Number(process.env.PORT), process.env.HOST);
process.on("SIGTERM", () => process.exit(0));
"#;

/// Both clients, and what the words after the script say is to be done with them.
const PROGRAM: &str = r#"
const { MongoClient } = require("mongodb");
const { createClient } = require("redis");
const { createHash } = require("crypto");
const { EJSON } = require("bson");
const sha = (text) => createHash("sha256").update(text).digest("hex");
const work = {
  async fill({ database, redis }) {
    const orders = Array.from({ length: 500 }, (_, n) => ({ n, paid: n % 2 === 0, lines: [{ sku: `sku-${n}` }] }));
    await database.collection("orders").insertMany(orders);
    await database.collection("orders").createIndex({ n: 1 }, { unique: true });
    for (let n = 0; n < 50; n++) await redis.set(`vault:local:cart:${n}`, `cart ${n}`);
    await redis.hSet("vault:local:session:1", { user: "anna", seen: "1" });
    await redis.pExpireAt("vault:local:session:1", 4000000000000);
  },
  async later({ database }) {
    await database.collection("orders").insertMany(Array.from({ length: 20 }, (_, n) => ({ n: 1000 + n, paid: true })));
    await database.collection("orders").updateMany({ n: { $lt: 10 } }, { $set: { shipped: true } });
    await database.collection("notes").insertOne({ text: "shortly before the loss" });
  },
  async unpay({ database }) {
    await database.collection("orders").updateMany({}, { $set: { paid: false } });
  },
};
(async () => {
  const mongo = await MongoClient.connect(process.env.MONGODB_URL);
  const redis = await createClient({ url: process.env.REDIS_URL, socket: { ca: process.env.SERVICES_CA } }).connect();
  const database = mongo.db();
  for (const name of process.argv.slice(1)) await work[name]({ database, redis });
  const collections = {};
  for (const { name } of (await database.listCollections().toArray()).sort((a, b) => (a.name < b.name ? -1 : 1))) {
    // What the gate tries its checks with.
    if (name.startsWith("roadbed_")) continue;
    const all = await database.collection(name).find().sort({ _id: 1 }).toArray();
    const indexes = (await database.collection(name).indexes()).map((index) => index.name).sort();
    collections[name] = { digest: sha(EJSON.stringify(all, { relaxed: false })), indexes };
  }
  const keys = {};
  for await (const batch of redis.scanIterator({ MATCH: "vault:local:*" })) {
    for (const key of [].concat(batch)) {
      const value = (await redis.type(key)) === "hash" ? JSON.stringify(await redis.hGetAll(key)) : await redis.get(key);
      keys[key] = `${sha(value)} until ${await redis.pExpireTime(key)}`;
    }
  }
  console.log(JSON.stringify({ collections, keys, secret: sha(process.env.SESSION_SECRET) }));
  await mongo.close();
  await redis.close();
})().catch((error) => { console.error(error.message); process.exit(1); });
"#;

const LETTERS: &str = "vault-local-letters";

pub(crate) const LONG: Duration = Duration::from_secs(240);

/// An app with documents, sessions and letters, whose project is its own.
pub(crate) struct Vault {
    pub(crate) environment: Environment,
    _project: tempfile::TempDir,
}

impl Vault {
    pub(crate) fn new() -> Self {
        let project = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| {
            fs::create_dir_all(project.path().join(name).parent().unwrap()).unwrap();
            fs::write(project.path().join(name), text).unwrap();
        };
        write("roadbed.toml", MANIFEST);
        write("apps/api/src/server.mjs", SERVER);
        write("package.json", r#"{"name":"vault","version":"1.0.0"}"#);
        let lock = r#"{"name":"vault","version":"1.0.0","lockfileVersion":3,"packages":{"":{"name":"vault","version":"1.0.0"}}}"#;
        write("package-lock.json", lock);
        let environment = Environment::new(env!("CARGO_BIN_EXE_roadbed"), project.path());
        Self { environment, _project: project }
    }

    /// Does these things, and says what there is then, by digests.
    pub(crate) fn work(&self, words: &[&str]) -> Value {
        let root = self.environment.root().display().to_string();
        let mut line = Command::new(self.environment.program());
        line.args(["--root", &root, "env", "exec", "--", "node", "-e", PROGRAM]).args(words);
        line.current_dir(self.environment.project().join("apps/api"));
        line.env_clear().envs(self.environment.variables()).env("USER", "anna");
        line.env("NODE_PATH", testkit::tools::drivers()).stdin(Stdio::null());
        let output = line.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    pub(crate) fn place(&self) -> PathBuf {
        self.environment.project().join(".roadbed-backups/local")
    }

    /// Object storage, by its files: what lies in them is what counts, and its process has them open too.
    fn objects(&self) -> objects::Store {
        objects::Store::open(&self.environment.root().join("data/objects")).unwrap()
    }

    pub(crate) fn write_letter(&self, key: &str, text: &str) {
        self.objects().put(LETTERS, key, text.as_bytes(), objects::store::Put::default()).unwrap();
    }

    pub(crate) fn letter(&self, key: &str) -> String {
        String::from_utf8(self.objects().get(LETTERS, key).unwrap().content.read_all().unwrap()).unwrap()
    }

    pub(crate) fn failing(&self, only: &[&str]) -> Vec<String> {
        let report = self.environment.ready(only);
        let rows = report["checks"].as_array().unwrap();
        let bad = rows.iter().filter(|row| row["verdict"] != "holds");
        bad.map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    }

    pub(crate) fn until_backups_hold(&self) {
        testkit::wait_until("a backup and its rehearsal", Duration::from_secs(120), || {
            let failing = self.failing(&["T13"]);
            if failing.is_empty() { Ok(()) } else { Err(format!("{failing:?}")) }
        });
    }

    /// Waits until all changes up to now are saved.
    pub(crate) fn until_changes_are_saved(&self) {
        let now = now();
        testkit::wait_until("changes are saved", Duration::from_secs(60), || {
            let list = self.environment.roadbed(&["backup", "list", "--json"]).expect(0).json();
            let covered = list["covered"].as_i64().unwrap_or_default();
            if covered > now { Ok(()) } else { Err(format!("{list}")) }
        });
    }

    /// Changes what is checked out.
    pub(crate) fn checks_out(&self, says: &str) {
        let server = self.environment.project().join("apps/api/src/server.mjs");
        fs::write(server, SERVER.replace("as checked out", says)).unwrap();
    }

    pub(crate) fn deploys(&self, says: &str) {
        self.checks_out(says);
        let deployed = self.environment.roadbed_within(LONG, &["deploy"]).expect(0);
        assert!(deployed.stdout.contains("is live"), "{}", deployed.stdout);
    }

    /// What visitors get.
    pub(crate) fn says(&self) -> String {
        self.environment.client().get(&self.environment.url("api")).unwrap().body
    }

    /// Which releases there are, and what became of deployments.
    pub(crate) fn history(&self) -> (Value, Value) {
        let of = |args: &[&str]| self.environment.roadbed(args).expect(0).json();
        let told = of(&["releases", "--json"]);
        let releases = told["releases"].as_array().unwrap().iter().map(|release| {
            serde_json::json!({ "id": release["id"], "stable": release["stable"], "artifacts": release["artifacts"] })
        });
        let releases = releases.collect();
        (releases, of(&["deploy", "list", "--json"]))
    }

    /// What MongoDB wrote before that moment, as telemetry has kept it.
    pub(crate) fn lines_until(&self, moment: &str) -> String {
        let args = ["logs", "mongodb", "--since", "1d", "--until", moment, "-n", "20", "--json"];
        self.environment.roadbed(&args).expect(0).stdout
    }

    /// Files of this machine's shelf of artifacts that its releases are made of.
    pub(crate) fn on_the_shelf(&self) -> Vec<PathBuf> {
        let variables = self.environment.variables();
        let cache = match variables.get("XDG_CACHE_HOME") {
            Some(cache) => PathBuf::from(cache),
            None => Path::new(&variables["HOME"]).join(".cache"),
        };
        let releases = self.history().0;
        let artifacts =
            releases.as_array().unwrap().iter().flat_map(|release| release["artifacts"].as_array().unwrap());
        let digests: Vec<&str> = artifacts.map(|artifact| artifact["digest"].as_str().unwrap()).collect();
        let all = fs::read_dir(cache.join("roadbed/artifacts")).unwrap().flatten().map(|entry| entry.path());
        let is_ours = |path: &PathBuf| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            digests.iter().any(|digest| name.starts_with(digest))
        };
        all.filter(is_ours).collect()
    }

    /// Nothing of the environment is left on this machine but its checkout and the repository.
    pub(crate) fn lose(&self, variables: [&str; 2]) {
        for (pid, _) in testkit::processes_of(self.environment.root()) {
            let _ = Command::new("kill").args(["-9", &pid.to_string()]).status();
        }
        testkit::wait_until("everything is dead", Duration::from_secs(20), || {
            let alive = testkit::processes_of(self.environment.root());
            alive.iter().for_each(|(pid, _)| drop(Command::new("kill").args(["-9", &pid.to_string()]).status()));
            if alive.is_empty() { Ok(()) } else { Err(format!("{alive:?}")) }
        });
        fs::remove_dir_all(self.environment.root()).unwrap();
        for name in variables {
            let _ = fs::remove_dir_all(&self.environment.variables()[name]);
        }
    }

    /// Restores in the background, to be killed.
    pub(crate) fn begin(&self, args: &[&str], key: &Path) -> std::process::Child {
        let root = self.environment.root().display().to_string();
        let mut line = Command::new(self.environment.program());
        line.args(args).args(["--root", &root]).current_dir(self.environment.project());
        line.env_clear().envs(self.environment.variables()).stdin(fs::File::open(key).unwrap());
        line.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }
}

fn now() -> i64 {
    SystemClock.now().unix_millis()
}
