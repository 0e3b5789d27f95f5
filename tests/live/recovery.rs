//! What is lost comes back: a machine, by one command on an empty one that is killed in between; and a rehearsal that is overdue,
//! or that a probe fails, is seen by the gate.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use host::clock::{Clock, SystemClock};
use serde_json::Value;
use testkit::Environment;

use crate::stage;

const MANIFEST: &str = r#"
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

const LONG: Duration = Duration::from_secs(240);

struct Vault {
    environment: Environment,
    _project: tempfile::TempDir,
}

impl Vault {
    fn new() -> Self {
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
    fn work(&self, words: &[&str]) -> Value {
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

    fn place(&self) -> PathBuf {
        self.environment.project().join(".roadbed-backups/local")
    }

    /// Object storage, by its files: what lies in them is what counts, and its process has them open too.
    fn objects(&self) -> objects::Store {
        objects::Store::open(&self.environment.root().join("data/objects")).unwrap()
    }

    fn write_letter(&self, key: &str, text: &str) {
        self.objects().put(LETTERS, key, text.as_bytes(), objects::store::Put::default()).unwrap();
    }

    fn letter(&self, key: &str) -> String {
        String::from_utf8(self.objects().get(LETTERS, key).unwrap().content.read_all().unwrap()).unwrap()
    }

    fn failing(&self, only: &[&str]) -> Vec<String> {
        let report = self.environment.ready(only);
        let rows = report["checks"].as_array().unwrap();
        let bad = rows.iter().filter(|row| row["verdict"] != "holds");
        bad.map(|row| row["id"].as_str().unwrap().to_owned()).collect()
    }

    fn until_backups_hold(&self) {
        testkit::wait_until("a backup and its rehearsal", Duration::from_secs(120), || {
            let failing = self.failing(&["T13"]);
            if failing.is_empty() { Ok(()) } else { Err(format!("{failing:?}")) }
        });
    }

    /// Waits until all changes up to now are saved.
    fn until_changes_are_saved(&self) {
        let now = now();
        testkit::wait_until("changes are saved", Duration::from_secs(60), || {
            let list = self.environment.roadbed(&["backup", "list", "--json"]).expect(0).json();
            let covered = list["covered"].as_i64().unwrap_or_default();
            if covered > now { Ok(()) } else { Err(format!("{list}")) }
        });
    }

    /// Changes what is checked out.
    fn checks_out(&self, says: &str) {
        let server = self.environment.project().join("apps/api/src/server.mjs");
        fs::write(server, SERVER.replace("as checked out", says)).unwrap();
    }

    fn deploys(&self, says: &str) {
        self.checks_out(says);
        let deployed = self.environment.roadbed_within(LONG, &["deploy"]).expect(0);
        assert!(deployed.stdout.contains("is live"), "{}", deployed.stdout);
    }

    /// What visitors get.
    fn says(&self) -> String {
        self.environment.client().get(&self.environment.url("api")).unwrap().body
    }

    /// Which releases there are, and what became of deployments.
    fn history(&self) -> (Value, Value) {
        let of = |args: &[&str]| self.environment.roadbed(args).expect(0).json();
        let told = of(&["releases", "--json"]);
        let releases = told["releases"].as_array().unwrap().iter().map(|release| {
            serde_json::json!({ "id": release["id"], "stable": release["stable"], "artifacts": release["artifacts"] })
        });
        let releases = releases.collect();
        (releases, of(&["deploy", "list", "--json"]))
    }

    /// What MongoDB wrote before that moment, as telemetry has kept it.
    fn lines_until(&self, moment: &str) -> String {
        let args = ["logs", "mongodb", "--since", "1d", "--until", moment, "-n", "20", "--json"];
        self.environment.roadbed(&args).expect(0).stdout
    }

    /// Files of this machine's shelf of artifacts that its releases are made of.
    fn on_the_shelf(&self) -> Vec<PathBuf> {
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
    fn lose(&self, variables: [&str; 2]) {
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
    fn begin(&self, args: &[&str], key: &Path) -> std::process::Child {
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

#[test]
fn an_environment_begins_anew_on_an_empty_machine_with_all_that_it_had() {
    let _seat = stage::enter_with_several();
    let vault = Vault::new();
    let environment = &vault.environment;
    environment.up_with(&["--no-gate"]).expect(0);
    let _ = vault.work(&["fill"]);
    let letters = ["2026/1.txt", "2026", "2026/été/%2e.txt"];
    letters.iter().for_each(|key| vault.write_letter(key, key));
    let taken = environment.roadbed_within(LONG, &["backup", "now", "--json"]).expect(0).json();
    let shown = environment.roadbed(&["backup", "show", taken["snapshot"]["name"].as_str().unwrap()]).expect(0).stdout;
    assert!(shown.contains("bucket vault-local-letters: 3 objects"), "{shown}");

    let until = SystemClock.now().to_string();

    // Releases. That another one is live is worth a backup, which nobody asks for.
    vault.deploys("the release before");
    vault.deploys("the release that ran");
    vault.checks_out("what nobody deployed");
    assert_eq!(vault.says(), "the release that ran");
    testkit::wait_until("a backup that has the release", LONG, || {
        let list = environment.roadbed(&["backup", "list", "--json"]).expect(0).json();
        let newest = list["backups"].as_array().unwrap().last().unwrap()["name"].as_str().unwrap().to_owned();
        // A newer one of the same hour may take its place in between.
        let shown = environment.roadbed(&["backup", "show", &newest]).stdout;
        if shown.contains("release r2, live: api") && shown.contains("release r1: api") { Ok(()) } else { Err(shown) }
    });
    // What is no longer on the shelf is left out, and that is said; it does not keep data from being saved.
    let shelf = vault.on_the_shelf();
    let away: Vec<(PathBuf, PathBuf)> = shelf
        .iter()
        .filter(|path| path.extension().is_some_and(|end| end == "zst"))
        .map(|path| (path.clone(), path.with_extension("away")))
        .collect();
    away.iter().for_each(|(path, away)| fs::rename(path, away).unwrap());
    let said = environment.roadbed_within(LONG, &["backup", "now"]).expect(0).stdout;
    assert!(said.contains("LEFT OUT r2: the artifact of api is left out"), "{said}");
    let drilled = environment.roadbed_within(LONG, &["drill", "--json"]).expect(1).json();
    assert!(drilled["record"]["bad"].to_string().contains("r2 cannot be run"), "{drilled}");
    away.iter().for_each(|(path, away)| fs::rename(away, path).unwrap());

    // The machine is lost, some changes after the last backup.
    let lines = vault.lines_until(&until);
    assert!(!lines.is_empty());
    let said = environment.roadbed_within(LONG, &["backup", "now"]).expect(0).stdout;
    assert!(!said.contains("LEFT OUT"), "{said}");
    let history = vault.history();
    let before = vault.work(&["later"]);
    vault.until_changes_are_saved();
    // The first rehearsal was of a backup without an order, so the probe was not answered.
    let _ = environment.roadbed_within(LONG, &["drill"]).expect(0);
    let failing = vault.failing(&[]);
    let key = environment.scratch().join("recovery-key");
    fs::write(&key, environment.roadbed(&["backup", "recovery-key"]).expect(0).stdout).unwrap();
    let operator = environment.scratch().join("operator-key");
    fs::copy(Path::new(&environment.variables()["XDG_CONFIG_HOME"]).join("roadbed/identity"), &operator).unwrap();
    let place = vault.place().display().to_string();
    let args = ["restore", "--from", &place, "--identity", operator.to_str().unwrap()];
    let text = fs::read_to_string(&key).unwrap();
    // Not where something is.
    let refused = environment.roadbed_with(LONG, &args, &text).expect(1);
    assert!(refused.stderr.contains("there is an environment"), "{}", refused.stderr);
    vault.lose(["XDG_STATE_HOME", "XDG_CONFIG_HOME"]);
    assert!(!shelf.is_empty());
    shelf.iter().for_each(|path| fs::remove_file(path).unwrap());

    // Without a key that opens the secrets, and with a wrong recovery key: nothing is there after that.
    let _ = environment.roadbed_with(LONG, &args[..3], &text).expect(1);
    let _ = environment.roadbed_with(LONG, &args, "WRONG-KEY").expect(1);
    assert!(!environment.root().join("environment.json").exists());
    // Killed while its root is prepared, and when it has one.
    let prepared = environment.root().with_file_name("root.restoring/secrets/store.db");
    for place in [prepared, environment.root().join("state/restoring.json")] {
        let mut restoring = vault.begin(&args, &key);
        testkit::wait_until("the restore is under way", Duration::from_secs(60), || {
            if place.exists() { Ok(()) } else { Err(place.display().to_string()) }
        });
        restoring.kill().unwrap();
        restoring.wait().unwrap();
    }
    let restored = environment.roadbed_with(LONG, &args, &text);
    assert!(restored.stderr.contains("going on with the restore") || failing.is_empty(), "{}", restored.stderr);
    let after = vault.work(&[]);
    assert_eq!(before["secret"], after["secret"]);
    assert_eq!(before["collections"], after["collections"]);
    assert_eq!(before["keys"], after["keys"]);
    letters.iter().for_each(|key| assert_eq!(vault.letter(key), *key));
    assert_eq!(vault.lines_until(&until), lines, "what was written before the loss is found after it");
    // The release that ran, without a deployment by hand, and one can go back to the one before.
    assert_eq!(vault.says(), "the release that ran");
    assert_eq!(vault.history(), history);
    let drilled = environment.roadbed_within(LONG, &["drill", "--json"]).expect(0).json();
    assert!(drilled["record"]["good"].to_string().contains("1 buckets with"), "{drilled}");
    vault.until_backups_hold();
    assert_eq!(vault.failing(&[]), failing, "the gate sees what it saw before");
    let _ = environment.roadbed_within(LONG, &["rollback"]).expect(0);
    assert_eq!(vault.says(), "the release before");
    let _ = environment.roadbed_with(LONG, &args, &text).expect(1);
    environment.down().expect(0);
}

#[test]
fn a_probe_that_fails_and_a_rehearsal_that_is_overdue_are_seen() {
    const ROW: &str = "the-newest-backup-was-restored";
    let _seat = stage::enter_with_several();
    let vault = Vault::new();
    let environment = &vault.environment;
    environment.up_with(&["--no-gate"]).expect(0);
    let _ = vault.work(&["fill"]);
    let _ = environment.roadbed_within(LONG, &["backup", "now"]).expect(0);
    let drilled = environment.roadbed_within(LONG, &["drill", "--json"]).expect(0).json();
    assert!(drilled["record"]["good"].to_string().contains("3 newest orders readable"), "{drilled}");
    vault.until_backups_hold();
    let told = environment.roadbed(&["rpo"]).expect(0).stdout;
    assert!(told.contains("promised: 2 min") && told.contains("promised: 10 min"), "{told}");

    // A migration takes away what the probe looks for.
    let _ = vault.work(&["unpay"]);
    let _ = environment.roadbed_within(LONG, &["backup", "now"]).expect(0);
    let list = environment.roadbed(&["backup", "list"]).expect(0).stdout;
    assert!(list.lines().any(|line| line.ends_with("unproven")), "{list}");
    let drilled = environment.roadbed_within(LONG, &["drill", "--json"]).expect(1).json();
    assert!(drilled["record"]["bad"].to_string().contains("at least 3 are wanted"), "{drilled}");
    let told = environment.roadbed(&["rpo"]).expect(1).stdout;
    assert!(told.contains("BROKEN in the last rehearsal: 3 newest orders readable"), "{told}");
    assert_eq!(vault.failing(&["T13"]), [ROW]);
    let alerted = |is_open: bool| {
        let all = environment.roadbed(&["alerts", "--json"]).expect(0).json();
        let mut all = all["alerts"].as_array().unwrap().iter();
        let found = all.find(|alert| alert["subject"] == format!("promise/{ROW}")).cloned().unwrap_or_default();
        let right =
            if is_open { found["owner"] == "team" && found["resolved"].is_null() } else { found["resolved"].is_i64() };
        if right { Ok(()) } else { Err(found.to_string()) }
    };
    testkit::wait_until("somebody is told of the rehearsal", Duration::from_secs(30), || alerted(true));

    // Somebody keeps the repository for himself, so that neither a backup nor a rehearsal comes.
    let probe = MANIFEST.replace(r#"filter = "{ \"paid\": true }", "#, "");
    fs::write(environment.project().join("roadbed.toml"), &probe).unwrap();
    environment.up_with(&["--no-gate"]).expect(0);
    environment.roadbed_within(LONG, &["drill"]).expect(0);
    vault.until_backups_hold();
    testkit::wait_until("the alert is over", Duration::from_secs(30), || alerted(false));
    let lock = host::lock::try_lock(&vault.place().join("roadbed.lock"), "somebody").unwrap();
    assert!(matches!(lock, host::lock::Lock::Ours(_)));
    let often = probe.replace("changes = \"1s\"", "changes = \"1s\"\nevery = \"2s\"\ndrill = \"2s\"");
    fs::write(environment.project().join("roadbed.toml"), often).unwrap();
    environment.up_with(&["--no-gate"]).expect(0);
    testkit::wait_until("both are overdue", Duration::from_secs(60), || {
        let failing = vault.failing(&["T13"]);
        if failing == ["a-backup-is-young", ROW] { Ok(()) } else { Err(format!("{failing:?}")) }
    });
    testkit::wait_until("somebody is told that none comes", Duration::from_secs(30), || alerted(true));
    let list = environment.roadbed(&["backup", "list"]).expect(0).stdout;
    assert!(list.contains("the last attempt failed: another backup is being written"), "{list}");
    drop(lock);
    fs::write(environment.project().join("roadbed.toml"), &probe).unwrap();
    environment.up_with(&["--no-gate"]).expect(0);
    environment.roadbed_within(LONG, &["drill"]).expect(0);
    vault.until_backups_hold();
    environment.down().expect(0);
}
